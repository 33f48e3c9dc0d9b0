"""The objects of ``/v1/tasks`` and the look-ups follow the fact sheet; fragments and index never go stale."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecscope.agent.core.state import AgentState
from ecscope.agent.servers import go_json
from ecscope.agent.servers.introspection import v1
from ecscope.model.arn import DockerId
from ecscope.model.container import Container, ContainerKind, Mount, PortBinding, PortMapping, RestartPolicy
from ecscope.model.container_instance import ContainerInstance
from ecscope.model.status import TaskStatus
from ecscope.model.task import Task
from tests.builders import a_container, a_task, an_arn

INSTANCE = ContainerInstance(cluster="prod-a", arn="arn:instance", agent_version="Amazon ECS Agent - v1.0.0 (abc)")


def a_state(*tasks: Task) -> AgentState:
    return AgentState(
        instance=INSTANCE,
        tasks={task.arn: task for task in tasks},
        docker_ids={
            container.docker_id: (task.arn, container.name)
            for task in tasks
            for container in task.containers
            if container.docker_id
        },
    )


def an_id(number: int) -> DockerId:
    """A Docker ID whose first 12 digits are the number."""
    return DockerId(f"{number:012x}" + "0" * 52)


def created(name: str = "app", number: int = 1, **fields: object) -> Container:
    return a_container(name, docker_id=an_id(number), docker_name=f"ecs-sample-1-{name}-{number:020x}", **fields)


def shown(task: Task) -> dict[str, object]:
    entry = json.loads(go_json.encode(v1.task_entry(task)))
    assert isinstance(entry, dict)
    return entry


def shown_container(container: Container) -> dict[str, object]:
    entry = json.loads(go_json.encode(v1.container_entry(container)))
    assert isinstance(entry, dict)
    return entry


# --- metadata -----------------------------------------------------------------------------------


def test_metadata() -> None:
    assert go_json.encode(v1.metadata(INSTANCE)) == (
        b'{"Cluster":"prod-a","ContainerInstanceArn":"arn:instance","Version":"Amazon ECS Agent - v1.0.0 (abc)"}'
    )


def test_a_hidden_version_is_absent() -> None:
    assert go_json.encode(v1.metadata(INSTANCE, hide_version=True)) == (
        b'{"Cluster":"prod-a","ContainerInstanceArn":"arn:instance"}'
    )


def test_no_arn_is_null() -> None:
    nobody = msgspec.structs.replace(INSTANCE, arn="")
    assert go_json.encode(v1.metadata(nobody)).startswith(b'{"Cluster":"prod-a","ContainerInstanceArn":null,')


# --- tasks --------------------------------------------------------------------------------------

P, R, S = "PENDING", "RUNNING", "STOPPED"
WORDS = {
    TaskStatus.NONE: P,
    TaskStatus.MANIFEST_PULLED: P,
    TaskStatus.CREATED: P,
    TaskStatus.RUNNING: R,
    TaskStatus.STOPPED: S,
}
DESIRED = {
    (P, P): P, (P, R): R, (P, S): S,
    (R, P): None, (R, R): R, (R, S): S,
    (S, P): None, (S, R): None, (S, S): S,
}  # fmt: skip


@pytest.mark.parametrize("known", TaskStatus)
@pytest.mark.parametrize("desired", TaskStatus)
def test_statuses_and_when_the_desired_one_is_left_out(known: TaskStatus, desired: TaskStatus) -> None:
    entry = shown(a_task(known=known, desired=desired))
    assert entry["KnownStatus"] == WORDS[known]
    assert entry.get("DesiredStatus") == DESIRED[WORDS[known], WORDS[desired]]


def test_a_task_that_has_just_arrived() -> None:
    assert go_json.encode(v1.task_entry(a_task(version="18"))) == (
        b'{"Arn":"%b","DesiredStatus":"RUNNING","KnownStatus":"PENDING","Family":"sample","Version":"18","Containers":[]}'
        % an_arn().encode()
    )


def test_containers_are_shown_from_the_moment_they_have_a_name() -> None:
    task = a_task(a_container("pending"), a_container("named", docker_name="ecs-x"), created("made"))
    names = [container.name for container in v1.task_entry(task).containers]
    assert names == ["named", "made"]


# --- containers ---------------------------------------------------------------------------------


def test_all_keys_in_their_order() -> None:
    container = created(
        "web",
        image="shop:17",
        image_id="sha256:aa",
        created_at="2026-03-01T10:00:01.123456789Z",
        started_at="2026-03-01T10:00:02.5Z",
        bindings=(PortBinding(container_port=8080, host_port=32768),),
        mounts=(Mount(name="v", source="/s", destination="/d"), Mount(source="/h", destination="/c")),
        restart_policy=RestartPolicy(enabled=True),
        restart_count=2,
    )
    assert go_json.encode(v1.container_entry(container)) == (
        b'{"DockerId":"%b","DockerName":"%b","Name":"web","Image":"shop:17","ImageID":"sha256:aa",'
        b'"CreatedAt":"2026-03-01T10:00:01.123456789Z","StartedAt":"2026-03-01T10:00:02.5Z",'
        b'"Ports":[{"ContainerPort":8080,"Protocol":"tcp","HostPort":32768}],'
        b'"Volumes":[{"DockerName":"v","Source":"/s","Destination":"/d"},{"Source":"/h","Destination":"/c"}],'
        b'"RestartCount":2}' % (container.docker_id.encode(), container.docker_name.encode())
    )


def test_between_name_chosen_and_created() -> None:
    container = a_container("web", docker_name="ecs-w", port_mappings=(PortMapping(container_port=8080),))
    assert go_json.encode(v1.container_entry(container)) == (
        b'{"DockerId":"","DockerName":"ecs-w","Name":"web","Image":"ecscope-sample:latest","ImageID":"",'
        b'"Ports":[{"ContainerPort":8080,"Protocol":"tcp"}]}'
    )


@pytest.mark.parametrize(
    ("policy", "count"),
    [(None, None), (RestartPolicy(enabled=False), None), (RestartPolicy(enabled=True), 0)],
    ids=["none", "off", "on"],
)
def test_restart_count_is_there_exactly_with_an_enabled_policy(policy: RestartPolicy | None, count: int | None) -> None:
    assert shown_container(created(restart_policy=policy)).get("RestartCount") == count


def test_ports_of_the_definition_until_docker_reports_some() -> None:
    asked = (
        PortMapping(container_port=80, host_port=8080),
        PortMapping(container_port=53, protocol="udp"),
        PortMapping(container_port_range="9000-9010"),
    )
    assert shown_container(created(port_mappings=asked))["Ports"] == [
        {"ContainerPort": 80, "Protocol": "tcp", "HostPort": 8080},
        {"ContainerPort": 53, "Protocol": "udp"},
        {"Protocol": "tcp"},
    ]
    bound = (
        PortBinding(container_port=80, host_port=32768, host_ip="0.0.0.0"),
        PortBinding(container_port=80, host_port=32768, host_ip="::"),
    )
    assert (
        shown_container(created(port_mappings=asked, bindings=bound))["Ports"]
        == [{"ContainerPort": 80, "Protocol": "tcp", "HostPort": 32768}] * 2
    )


# --- look-ups -----------------------------------------------------------------------------------


def failure(state: AgentState, docker_id: str) -> int:
    with pytest.raises(v1.LookupFailed) as caught:
        v1.TaskViews().by_docker_id(state, docker_id)
    return caught.value.status


def test_the_list_keeps_the_order_of_acceptance() -> None:
    tasks = [a_task(number=number) for number in (3, 1, 2)]
    listed = json.loads(v1.TaskViews().list_all(a_state(*tasks)))["Tasks"]
    assert [task["Arn"] for task in listed] == [task.arn for task in tasks]


def test_no_tasks() -> None:
    assert v1.TaskViews().list_all(a_state()) == b'{"Tasks":[]}'


def test_by_arn_needs_the_whole_arn() -> None:
    task = a_task()
    views, state = v1.TaskViews(), a_state(task)
    assert views.by_arn(state, task.arn) == go_json.encode(v1.task_entry(task))
    for wrong in ("", task.arn[:-1], task.arn.rsplit("/", 1)[1], task.arn.upper()):
        with pytest.raises(v1.LookupFailed) as caught:
            views.by_arn(state, wrong)
        assert caught.value.status == 404


def test_up_to_12_bytes_are_a_prefix_and_13_are_not() -> None:
    task = a_task(created(number=0x123456789ABC))
    views, state = v1.TaskViews(), a_state(task, a_task(created(number=0xF), number=2))
    whole = an_id(0x123456789ABC)
    for length in (1, 8, 12, 64):
        assert views.by_docker_id(state, whole[:length]) == go_json.encode(v1.task_entry(task))
    for length in (13, 63):
        assert failure(state, whole[:length]) == 404
    assert failure(state, whole[:12].upper()) == 404
    assert failure(state, whole + "0") == 404


def test_the_boundary_counts_bytes() -> None:
    name = "é" * 7
    state = a_state(a_task(a_container(docker_name=name)))
    assert v1.TaskViews().by_docker_id(state, "é" * 6)
    assert failure(state, "é" * 6 + "x") == 404
    assert v1.TaskViews().by_docker_id(state, name)


def test_a_prefix_is_ambiguous_by_containers_not_by_tasks() -> None:
    one_task = a_state(a_task(created("a", 0xAB1), created("b", 0xAB2)))
    assert failure(one_task, "000000000ab") == 400
    assert v1.TaskViews().by_docker_id(one_task, "000000000ab1")


def test_an_empty_prefix_matches_every_container() -> None:
    assert failure(a_state(), "") == 404
    assert failure(a_state(a_task()), "") == 404
    task = a_task(created())
    assert v1.TaskViews().by_docker_id(a_state(task), "") == go_json.encode(v1.task_entry(task))
    assert failure(a_state(task, a_task(created(number=2), number=2)), "") == 400


def test_the_name_is_the_key_until_the_id_is_known() -> None:
    name = "ecs-sample-1-app-0011"
    views = v1.TaskViews()
    named = a_state(a_task(a_container(docker_name=name)))
    assert views.by_docker_id(named, name)
    assert views.by_docker_id(named, name[:12])
    with_id = a_state(a_task(a_container(docker_name=name, docker_id=an_id(7))))
    assert views.by_docker_id(with_id, an_id(7))
    for gone in (name, name[:12]):
        with pytest.raises(v1.LookupFailed) as caught:
            views.by_docker_id(with_id, gone)
        assert caught.value.status == 404


def test_an_id_whose_task_is_gone_is_not_found() -> None:
    state = msgspec.structs.replace(a_state(a_task(created(number=9))), tasks={})
    assert failure(state, an_id(9)) == 404


# --- what is kept from state to state -----------------------------------------------------------

KEYS = st.sampled_from(["", *(an_id(number) for number in range(4)), "ecs-sample-1-app", "ecs-sample-1-side-00"])
CONTAINERS = st.tuples(st.sampled_from(["app", "side"]), KEYS, st.booleans()).map(
    lambda drawn: a_container(drawn[0], docker_id=drawn[1] if drawn[2] else "", docker_name=drawn[1])
)
CHANGES = st.lists(
    st.tuples(st.integers(1, 6), st.one_of(st.none(), st.lists(CONTAINERS, min_size=1, max_size=3))), max_size=30
)
QUERIES = ("", "0", "000000000001", "ecs-", an_id(0), an_id(3), "ecs-sample-1-app", "ecs-sample-1-side-00")


def outcome(views: v1.TaskViews, state: AgentState, *, arn: str | None = None, docker_id: str = "") -> bytes | int:
    """The body, or the status of the failure."""
    try:
        return views.by_docker_id(state, docker_id) if arn is None else views.by_arn(state, arn)
    except v1.LookupFailed as failed:
        return failed.status


def every_answer(views: v1.TaskViews, state: AgentState) -> list[bytes | int]:
    by_arn = [outcome(views, state, arn=an_arn(number)) for number in range(1, 7)]
    return [views.list_all(state), *by_arn, *(outcome(views, state, docker_id=query) for query in QUERIES)]


def by_prefix(state: AgentState, prefix: str) -> bytes | int:
    """The rule of the fact sheet, by looking at every container."""
    matches = {
        (container.docker_id or container.docker_name, task.arn): task
        for task in state.tasks.values()
        for container in task.containers
        if container.docker_id or container.docker_name
    }
    found = [task for (key, _), task in matches.items() if key.startswith(prefix)]
    if len(found) == 1:
        return go_json.encode(v1.task_entry(found[0]))
    return 400 if found else 404


@settings(deadline=None)
@given(CHANGES)
def test_what_is_kept_never_differs_from_what_is_built_anew(changes: list[tuple[int, list[Container] | None]]) -> None:
    kept = v1.TaskViews()
    state = a_state()
    for number, containers in changes:
        tasks = {arn: task for arn, task in state.tasks.items() if containers is not None or arn != an_arn(number)}
        if containers is not None:
            tasks[an_arn(number)] = a_task(*containers, number=number)
        state = a_state(*tasks.values())
        assert every_answer(kept, state) == every_answer(v1.TaskViews(), state)
        for prefix in QUERIES[:4]:
            assert outcome(kept, state, docker_id=prefix) == by_prefix(state, prefix)


def test_only_what_changed_is_encoded_and_indexed_again() -> None:
    many = [a_task(created(number=number), number=number) for number in range(1, 101)]
    views = v1.TaskViews()
    before = a_state(*many)
    views.list_all(before)
    views.by_docker_id(before, "000000000032")
    encoded: list[str] = []

    class Counted(Task, frozen=True, kw_only=True):
        """A task that tells when its containers are looked at."""

        def __getattribute__(self, name: str) -> object:
            if name == "family":
                encoded.append(name)
            return super().__getattribute__(name)

    changed = Counted(**{name: getattr(many[49], name) for name in Task.__struct_fields__ if name != "known"})
    after = a_state(*many[:49], changed, *many[50:])
    encoded.clear()
    first = views.list_all(after)
    assert encoded == ["family"]
    assert views.list_all(after) is first
    assert views.by_arn(after, changed.arn) in first
    assert encoded == ["family"]


def test_the_index_follows_a_single_change_among_many() -> None:
    many = [a_task(created(number=number), number=number) for number in range(1, 101)]
    views = v1.TaskViews()
    assert views.by_docker_id(a_state(*many), "000000000032")
    moved = a_task(created(number=500), number=50)
    after = a_state(*many[:49], moved, *many[51:])  # 50 changed, 51 is gone
    assert outcome(views, after, docker_id="000000000032") == 404
    assert outcome(views, after, docker_id="000000000033") == 404
    assert outcome(views, after, docker_id=an_id(51)) == 404
    assert outcome(views, after, docker_id="0000000001f4") == go_json.encode(v1.task_entry(moved))


def test_what_the_agent_made_up_is_found_by_its_id_and_not_shown() -> None:
    """introspection-api.md §6.2, §6.5."""
    pause = created("~internal~ecs~pause", 1, kind=ContainerKind.CNI_PAUSE)
    state = a_state(a_task(pause, created("app", 2)))
    views = v1.TaskViews()
    for key in (an_id(1), an_id(1)[:12]):
        (container,) = json.loads(views.by_docker_id(state, key))["Containers"]
        assert container["Name"] == "app"
    assert failure(state, "") == 400, "both containers count"
