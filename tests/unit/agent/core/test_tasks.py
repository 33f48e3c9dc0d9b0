"""The rules of a task: what its containers make of it, and what each of them does next. engine.md §1.4, §2.1, §3."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ecscope.agent.core import events as ev
from ecscope.agent.core.actions import (
    CancelCall,
    CreateContainer,
    CreateResource,
    PullImage,
    ResolveManifest,
    StartContainer,
    StopContainer,
    Timer,
    TimerKind,
)
from ecscope.model import history
from ecscope.model.container import ContainerKind, MountPoint, NamedError
from ecscope.model.names import container_docker_name
from ecscope.model.status import ContainerStatus, TaskStatus
from ecscope.model.task import VolumeKind
from ecscope.model.task_resource import VOLUME, ContainerReached, ResourceKind, TaskResource
from tests.builders import AT, a_container, a_volume
from tests.unit.agent.core.scenes import (
    ONE,
    REFUSED,
    a_task,
    a_world,
    brought_to,
    calls_of,
    exits,
    fails,
    running,
    statuses,
    the_call,
    the_container,
    told,
)
from tests.world import World

# --- containers → task: engine.md §1.2, §1.4 ---


def test_the_task_follows_its_least_advanced_container() -> None:
    """engine.md §1.4: known status = minimum over all containers of the mapped status."""
    world = a_world()
    world.submit(a_task(a_container("a"), a_container("b")))
    seen = []
    for kind, expected in (
        (ResolveManifest, "MANIFEST_PULLED"),
        (PullImage, "MANIFEST_PULLED"),
        (CreateContainer, "CREATED"),
        (StartContainer, "RUNNING"),
    ):
        before = world.task(ONE).known
        world.finish(the_call(world, kind, "a"))
        assert world.task(ONE).known is before, "b has not come so far"
        world.calls = sorted(world.calls, key=lambda c: getattr(c, "container_name", "") != "b")
        world.finish(the_call(world, kind, "b"))
        seen.append(world.task(ONE).known.value)
        assert seen[-1] == expected
    assert told(world, history.TaskStatusChanged) == [
        "NONE → MANIFEST_PULLED",
        "MANIFEST_PULLED → CREATED",
        "CREATED → RUNNING",
    ]


@pytest.mark.parametrize("code", [0, 1, 137])
def test_the_end_of_an_essential_container_stops_the_task_whatever_its_code(code: int) -> None:
    """engine.md §1.4, §15 1."""
    world = running(a_task(a_container("app"), a_container("side", essential=False)))
    exits(world, code=code)
    assert world.task(ONE).known is TaskStatus.STOPPED
    assert (the_container(world).exit_code, the_container(world, "side").exit_code) == (code, 143)
    assert f"desired status is now STOPPED: essential container app exited with {code}" in told(
        world, history.TaskDesiredStatusChanged
    )


def test_a_non_essential_container_may_stop_freely() -> None:
    world = running(a_task(a_container("app"), a_container("side", essential=False)))
    exits(world, "side", 1)
    assert (world.task(ONE).known, world.task(ONE).desired) == (TaskStatus.RUNNING, TaskStatus.RUNNING)


def test_a_task_whose_non_essential_containers_all_stopped_is_stopped() -> None:
    """engine.md §1.4, Seen running 5: desired stays RUNNING."""
    world = running(a_task(a_container("a", essential=False), a_container("b", essential=False)))
    exits(world, "a")
    exits(world, "b", 1)
    assert (world.task(ONE).known, world.task(ONE).desired) == (TaskStatus.STOPPED, TaskStatus.RUNNING)
    assert world.task(ONE).execution_stopped_at is None


def test_a_task_is_running_when_all_others_have_stopped() -> None:
    """engine.md §15 4: STOPPED counts as more than RUNNING."""
    world = brought_to(a_task(a_container("app"), a_container("setup", essential=False)), StartContainer, "setup")
    world.calls = [c for c in world.calls if getattr(c, "container_name", "") == "setup"]
    world.finish(world.calls[0])
    exits(world, "setup")
    assert world.task(ONE).known < TaskStatus.RUNNING, "app is not there yet"
    world = running(a_task(a_container("app"), a_container("setup", essential=False)))
    exits(world, "setup")
    assert world.task(ONE).known is TaskStatus.RUNNING


def test_no_task_becomes_running_after_an_essential_container_stopped() -> None:
    """engine.md §1.4, the exception."""
    world = brought_to(a_task(a_container("app"), a_container("side", essential=False)), StartContainer, "side")
    go_on_to_the_end_of(world, "app")
    exits_unanswered = world.box(ONE, "app")
    world.exits(exits_unanswered, 0)
    for call in [c for c in world.calls if getattr(c, "container_name", "") != "side"]:
        world.finish(call)
    world.finish(the_call(world, StartContainer, "side"))
    assert statuses(world) == {"app": "STOPPED", "side": "RUNNING"}
    assert world.task(ONE).known is TaskStatus.CREATED
    world.run_calls()
    assert "CREATED → STOPPED" in told(world, history.TaskStatusChanged)
    assert all("RUNNING" not in text for text in told(world, history.TaskStatusChanged))


def go_on_to_the_end_of(world: World, name: str) -> None:
    """Let the calls of one container succeed until it has none."""
    while calls := [c for c in world.calls if getattr(c, "container_name", "") == name]:
        world.finish(calls[0])


def test_execution_stopped_at_is_when_the_first_essential_container_stopped() -> None:
    """engine.md §1.4: only once."""
    world = running(a_task(a_container("a"), a_container("b"), a_container("c", essential=False)))
    exits(world, "c")
    assert world.task(ONE).execution_stopped_at is None
    world.advance(10)
    world.exits(world.box(ONE, "a"), 0)
    for call in [c for c in world.calls if not isinstance(c, StopContainer)]:
        world.finish(call)
    world.advance(10)
    world.run_calls()
    task = world.task(ONE)
    assert (task.execution_stopped_at, task.stopped_at) == (AT + timedelta(seconds=10), AT + timedelta(seconds=20))


def test_execution_stopped_at_is_known_of_what_never_ran_too() -> None:
    """Recorded: a task that was stopped before it had a container, and one whose image cannot be pulled, tell it."""
    world = brought_to(a_task(a_container("app")), CreateContainer)
    world.advance(10)
    world.finish(the_call(world, CreateContainer), outcome="failed")
    world.run_calls()
    task = world.task(ONE)
    assert (task.known, task.execution_stopped_at) == (TaskStatus.STOPPED, AT + timedelta(seconds=10))


def test_a_task_without_containers_never_progresses_and_stops_with_the_official_reason() -> None:
    """engine.md §1.4, §2.1."""
    world = a_world()
    world.submit(a_task(containers=()))
    world.run_calls()
    assert world.task(ONE).known is TaskStatus.NONE
    world.stop(ONE)
    assert world.task(ONE).known is TaskStatus.STOPPED
    assert world.task(ONE).terminal_reason == "TaskStateError: Agent could not progress task's state to stopped"


@pytest.mark.parametrize("name", ["app", "side"])
def test_what_is_stopped_stays_stopped(name: str) -> None:
    world = running(a_task(a_container("app"), a_container("side", essential=False)), joins_cluster=True)
    world.stop(ONE)
    world.run_calls()
    before = world.state
    world.stop(ONE)
    world.submit(a_task())
    world.advance(600)
    assert world.state is before
    assert statuses(world)[name] == "STOPPED"


# --- the steps of a container: engine.md §1.1, §3 ---


def test_a_container_goes_through_every_status_in_turn() -> None:
    world = running(a_task())
    exits(world)
    assert [text.split(":")[0] for text in told(world, history.ContainerStatusChanged)] == [
        "NONE → MANIFEST_PULLED",
        "MANIFEST_PULLED → PULLED",
        "PULLED → CREATED",
        "CREATED → RUNNING",
        "RUNNING → STOPPED",
    ]


def test_the_docker_name_is_saved_before_the_create_call() -> None:
    """engine.md §6.1."""
    world = brought_to(a_task(), CreateContainer)
    container = the_container(world)
    assert container.docker_name == container_docker_name(
        family="sample", version="1", container_name="app", suffix=container.name_suffix
    )


def test_all_containers_go_on_at_the_same_time() -> None:
    """engine.md §2.1: every transition that is allowed, each in parallel."""
    world = a_world()
    world.submit(a_task(a_container("a"), a_container("b"), a_container("c")))
    assert {c.container_name for c in calls_of(world, ResolveManifest)} == {"a", "b", "c"}


# --- stopping: engine.md §3 ---


@pytest.mark.parametrize("kind", [ResolveManifest, PullImage])
def test_a_pull_under_way_is_cancelled_when_the_task_is_to_stop(kind: type[Any]) -> None:
    """Decided on purpose: the official agent waits for the pull."""
    world = brought_to(a_task(), kind)
    cancelled = []
    taken = world._take
    world._take = lambda action: (cancelled.append(action), taken(action))  # type: ignore[method-assign,assign,func-returns-value]
    world.stop(ONE)
    assert [a for a in cancelled if isinstance(a, CancelCall)] == [CancelCall(task_arn=ONE, container_name="app")]
    assert (world.task(ONE).known, world.calls) == (TaskStatus.STOPPED, [])
    assert the_container(world).error is None


def test_a_pull_that_ends_before_it_could_be_cancelled_is_asked_once_and_then_stops() -> None:
    world = brought_to(a_task(), PullImage)
    call = the_call(world, PullImage)
    cancels = []
    world._take = lambda action: cancels.append(action) if isinstance(action, CancelCall) else None  # type: ignore[method-assign]
    world.stop(ONE)
    world.stop(ONE)
    assert len(cancels) == 1
    assert the_container(world).cancelling
    world.finish(call)
    assert the_container(world).cancelling is False
    assert world.task(ONE).known is TaskStatus.STOPPED
    assert the_container(world).docker_name == ""


@pytest.mark.parametrize(("kind", "reached"), [(CreateContainer, "PULLED"), (StartContainer, "CREATED")])
def test_a_create_or_start_under_way_is_waited_for(kind: type[Any], reached: str) -> None:
    """engine.md §3: unless a start call is already in flight."""
    world = brought_to(a_task(), kind)
    world.stop(ONE)
    assert statuses(world) == {"app": reached}
    assert [type(c) for c in world.calls] == [kind]
    world.run_calls()
    assert world.task(ONE).known is TaskStatus.STOPPED
    assert all(b.status is not ContainerStatus.RUNNING for b in world.boxes.values())


def test_a_container_that_does_not_run_yet_is_stopped_without_a_call() -> None:
    """engine.md §3: also when CREATED."""
    on_db = a_task(a_container("app", links=("db",)), a_container("db"))
    world = brought_to(on_db, StartContainer, "db")
    world.stop(ONE)
    world.finish(the_call(world, StartContainer, "db"))
    assert statuses(world) == {"app": "STOPPED", "db": "RUNNING"}
    assert not calls_of(world, StopContainer, "app")


def test_a_running_container_is_stopped_by_docker() -> None:
    world = running(a_task())
    world.stop(ONE)
    assert the_call(world, StopContainer).docker_id == world.box(ONE, "app").docker_id
    world.run_calls()
    assert the_container(world).exit_code == 143


def test_without_docker_a_running_container_is_not_called_stopped() -> None:
    world = running(a_task())
    world.disconnect()
    world.stop(ONE)
    assert statuses(world) == {"app": "RUNNING"}


def test_timers_of_a_task_end_with_it() -> None:
    world = running(a_task())
    exits(world)
    assert {t.kind for t in world.timers if t.task_arn == ONE} == {TimerKind.CLEANUP}


# --- volumes: engine.md §5.3, §9 ---

DATA = a_volume(docker_name="ecs-data")
MOUNTED = a_container(mount_points=(MountPoint(source_volume="data", container_path="/data"),))


def fails_with(world: World, name: str, message: str) -> None:
    error = NamedError(name="CannotCreateVolumeError", message=message)
    world.send(ev.ResourceCreateFailed(**world.head(), task_arn=ONE, kind=VOLUME, name=name, error=error))


def test_volumes_are_made_once_and_before_the_pull_of_who_mounts_them() -> None:
    world = a_world()
    world.submit(a_task(MOUNTED, a_container("other"), volumes=(DATA,)))
    for call in calls_of(world, ResolveManifest):
        world.finish(call)
    assert the_call(world, PullImage).container_name == "other", "it mounts nothing"
    assert statuses(world)["app"] == "MANIFEST_PULLED"
    world.finish(the_call(world, CreateResource))
    assert the_call(world, PullImage, "app")
    assert told(world, history.TaskResourceCreated) == ["volume data is ready"]
    world.run_calls()
    assert len(told(world, history.TaskResourceCreated)) == 1


def test_a_local_image_waits_for_volumes_too() -> None:
    from_path = a_volume("path", kind=VolumeKind.BIND, source_path="/srv")
    world = brought_to(a_task(MOUNTED, volumes=(from_path, DATA)), CreateResource)
    world.calls = [c for c in world.calls if not isinstance(c, CreateResource)]
    world.run_calls()
    assert statuses(world) == {"app": "MANIFEST_PULLED"}
    assert [(r.name, r.in_flight) for r in world.task(ONE).resources] == [("data", True)], (
        "a path is the host's business"
    )


def test_a_volume_that_cannot_be_made_stops_the_task_with_its_reason() -> None:
    """engine.md §3.2, Seen running 1: the reason is Docker's own, its first letter raised; no prefix."""
    world = brought_to(a_task(MOUNTED, volumes=(DATA,)), CreateResource)
    world.calls.remove(the_call(world, CreateResource))
    fails_with(world, "data", "error response from daemon: create ecs-data: no such driver")
    world.run_calls()
    task = world.task(ONE)
    assert task.known is TaskStatus.STOPPED
    assert task.terminal_reason == "Error response from daemon: create ecs-data: no such driver"
    assert task.containers[0].error is None
    assert told(world, history.TaskResourceFailed) == [task.terminal_reason]


def test_the_first_reason_of_a_task_stays() -> None:
    world = brought_to(a_task(MOUNTED, volumes=(DATA, a_volume("more", docker_name="ecs-more"))), CreateResource)
    world.calls = [c for c in world.calls if not isinstance(c, CreateResource)]
    for name in ("data", "more"):
        fails_with(world, name, f"{name} fails")
    assert world.task(ONE).terminal_reason == "Data fails"


def test_a_volume_that_fails_after_the_task_stopped_is_no_reason() -> None:
    world = brought_to(a_task(volumes=(DATA,)), CreateResource)
    world.stop(ONE)
    assert world.task(ONE).known is TaskStatus.STOPPED
    world.finish(the_call(world, CreateResource), outcome="failed", effect=False)
    assert world.task(ONE).terminal_reason == ""
    assert told(world, history.TaskResourceFailed) == ["No driver"]


def test_a_volume_asked_of_a_docker_that_is_away_is_asked_for_again() -> None:
    world = brought_to(a_task(MOUNTED, volumes=(DATA,)), CreateResource)
    world.finish(the_call(world, CreateResource), outcome="unreachable", effect=False)
    assert (world.reconnect_wanted, world.state.runtime_connected) == (True, False)
    world.run_calls()
    assert world.task(ONE).known is TaskStatus.RUNNING


def test_volumes_of_a_task_that_is_to_stop_are_not_made() -> None:
    world = World()
    world.submit(a_task(MOUNTED, volumes=(DATA,), desired=TaskStatus.STOPPED))
    world.run_calls()
    assert world.volumes == set()


# --- errors: engine.md §3.2 ---


@pytest.mark.parametrize("essential", [True, False])
def test_a_create_that_fails_stops_the_container_and_an_essential_one_its_task(essential: bool) -> None:
    world = brought_to(a_task(a_container("app", essential=essential), a_container("main")), CreateContainer, "app")
    fails(world, the_call(world, CreateContainer, "app"), REFUSED)
    assert statuses(world)["app"] == "STOPPED"
    world.run_calls()
    assert (world.task(ONE).known is TaskStatus.STOPPED) is essential
    assert the_container(world).error == REFUSED
    assert the_container(world).exit_code is None


def test_an_essential_container_that_is_to_stop_stops_the_task_already() -> None:
    """engine.md §1.4: known STOPPED or desired STOPPED."""
    world = brought_to(a_task(), StartContainer)
    timeout = NamedError(name="DockerTimeoutError", message="Could not transition to started")
    fails(world, the_call(world, StartContainer), timeout)
    assert statuses(world) == {"app": "CREATED"}
    assert world.task(ONE).desired is TaskStatus.STOPPED
    assert "essential container app is to stop" in told(world, history.TaskDesiredStatusChanged)[0]


def test_the_ending_of_an_essential_container_without_a_code_is_said_plainly() -> None:
    world = brought_to(a_task(), CreateContainer)
    fails(world, the_call(world, CreateContainer), REFUSED)
    assert "is to stop" in told(world, history.TaskDesiredStatusChanged)[0]
    world = running(a_task())
    world.disconnect()
    world.remove_by_hand(world.box(ONE, "app"), noticed=False)
    world.run_calls()
    assert "essential container app has stopped" in told(world, history.TaskDesiredStatusChanged)[0]


def test_a_dependency_check_only_lets_the_rules_run_again() -> None:
    world = running(a_task())
    before = world.state
    timer = Timer(kind=TimerKind.DEPENDENCY_CHECK, task_arn=ONE)
    world.send(ev.TimerFired(**world.head(), timer=timer))  # type: ignore[arg-type]
    assert (world.state, world.calls) == (before, [])


# --- containers that the agent made up: engine.md §1.2, §5.3, §8 ---

PAUSE = a_container("~internal~ecs~pause", kind=ContainerKind.CNI_PAUSE)
NAMESPACE = TaskResource(
    kind=ResourceKind("namespace"),
    name="pause",
    made_after=ContainerReached(container_name=PAUSE.name, status=ContainerStatus.RUNNING),
    needed_by=(PAUSE.name,),
    needed_for=ContainerStatus.RESOURCES_PROVISIONED,
)


def with_pause(monkeypatch: pytest.MonkeyPatch) -> World:
    """A task with a pause container has been accepted, and a network namespace is made once that runs."""
    monkeypatch.setattr("ecscope.agent.core.resources._RULES", (lambda settings, task: (NAMESPACE,),))
    world = a_world()
    world.submit(a_task(PAUSE, a_container("app")))
    return world


def test_a_task_runs_once_its_pause_container_is_provisioned(monkeypatch: pytest.MonkeyPatch) -> None:
    world = with_pause(monkeypatch)
    assert calls_of(world, ResolveManifest) == [], "its image is the agent's own, and app waits for it"
    world.finish(the_call(world, CreateContainer))
    world.finish(the_call(world, StartContainer))
    assert statuses(world) == {PAUSE.name: "RUNNING", "app": "NONE"}
    assert the_container(world, "app").waiting.sentence == "waits for ~internal~ecs~pause RESOURCES_PROVISIONED"
    world.finish(the_call(world, CreateResource))
    assert statuses(world) == {PAUSE.name: "RESOURCES_PROVISIONED", "app": "NONE"}
    world.run_calls()
    assert statuses(world) == {PAUSE.name: "RESOURCES_PROVISIONED", "app": "RUNNING"}
    assert world.task(ONE).known is TaskStatus.RUNNING


def test_the_pause_container_stops_last(monkeypatch: pytest.MonkeyPatch) -> None:
    world = with_pause(monkeypatch)
    world.run_calls()
    world.stop(ONE)
    assert [call.container_name for call in calls_of(world, StopContainer)] == ["app"]
    world.finish(the_call(world, StopContainer))
    assert [call.container_name for call in calls_of(world, StopContainer)] == [PAUSE.name]
    world.run_calls()
    assert world.task(ONE).known is TaskStatus.STOPPED


def test_a_task_ends_with_its_pause_container(monkeypatch: pytest.MonkeyPatch) -> None:
    world = with_pause(monkeypatch)
    world.run_calls()
    exits(world, PAUSE.name, 137)
    world.run_calls()
    task = world.task(ONE)
    assert (task.desired, task.known) == (TaskStatus.STOPPED, TaskStatus.STOPPED)
    assert told(world, history.TaskDesiredStatusChanged)[-1].endswith(
        f"container {PAUSE.name}, which the agent added, exited with 137"
    )
    assert task.terminal_reason == (
        "The pause container of the task, which holds its network namespace, was stopped or removed: it exited with 137"
    )


def test_a_task_that_is_stopped_has_no_such_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    world = with_pause(monkeypatch)
    world.run_calls()
    world.stop(ONE)
    world.run_calls()
    assert (world.task(ONE).known, world.task(ONE).terminal_reason) == (TaskStatus.STOPPED, "")
    other = with_pause(monkeypatch)
    other.stop(ONE)
    other.run_calls()
    assert (other.task(ONE).known, other.task(ONE).terminal_reason) == (TaskStatus.STOPPED, "")


def test_the_error_of_a_pause_container_is_the_reason_of_its_task(monkeypatch: pytest.MonkeyPatch) -> None:
    world = with_pause(monkeypatch)
    fails(world, the_call(world, CreateContainer), REFUSED)
    world.run_calls()
    assert world.task(ONE).terminal_reason == str(REFUSED)


def test_the_end_of_the_users_containers_alone_decides_when_the_task_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    world = with_pause(monkeypatch)
    world.run_calls()
    exits(world, "app", 0)
    assert world.task(ONE).execution_stopped_at == AT
    assert world.task(ONE).desired is TaskStatus.STOPPED
