"""Which containers the agent adds to a task, what waits for them, and what they publish. engine.md §5.3, §8."""

from __future__ import annotations

import pytest

from ecscope.agent.core import pauses
from ecscope.agent.core.actions import CreateContainer, CreateResource, ResolveManifest
from ecscope.model.container import ContainerKind, PortBinding, PortMapping
from ecscope.model.network import NetworkMode, TaskNetwork
from ecscope.model.status import ContainerStatus
from ecscope.model.task import Task
from ecscope.model.task_resource import TASK_NETWORK
from tests.builders import AT, a_container, an_interface
from tests.tables import each_row
from tests.unit.agent.core.scenes import ONE, a_task, a_world, calls_of, statuses, the_call

_NS = int(AT.timestamp()) * 10**9
NETWORK, NAMESPACE = "~internal~ecs~pause", "~internal~ecs~pause~namespace"


def an_awsvpc_task(*containers: object, **fields: object) -> Task:
    return a_task(*containers, network_mode=NetworkMode.AWSVPC, interface=an_interface(), **fields)  # type: ignore[arg-type]


@each_row(
    "fields, added",
    [
        ({}, []),
        ({"pid_mode": "host", "ipc_mode": "none"}, []),
        ({"pid_mode": "task"}, [NAMESPACE]),
        ({"ipc_mode": "task", "network_mode": NetworkMode.HOST}, [NAMESPACE]),
        ({"interface": an_interface()}, [NETWORK]),
        ({"interface": an_interface(), "pid_mode": "task", "ipc_mode": "task"}, [NETWORK, NAMESPACE]),
    ],
)
def test_what_is_added(fields: dict[str, object], added: list[str]) -> None:
    task = pauses.with_pauses(a_task(a_container("app"), **fields))
    assert [c.name for c in task.containers] == [*added, "app"]
    kinds = {NETWORK: ContainerKind.CNI_PAUSE, NAMESPACE: ContainerKind.NAMESPACE_PAUSE}
    assert [c.kind for c in task.containers[:-1]] == [kinds[name] for name in added]


def test_their_names_in_docker_are_their_own_and_stay_the_same() -> None:
    task = an_awsvpc_task(pid_mode="task")
    suffixes = [c.name_suffix for c in pauses.with_pauses(task).containers[:2]]
    assert len({*suffixes}) == 2
    assert {len(suffix) for suffix in suffixes} == {20}
    assert [c.name_suffix for c in pauses.with_pauses(task).containers[:2]] == suffixes


def test_the_network_is_made_first_then_the_pause_container_then_the_others() -> None:
    world = a_world(task_network=TaskNetwork(bridge="ecs-1", subnet="10.213.0.0/20"))
    world.submit(an_awsvpc_task(a_container("app")))
    assert [(call.kind, call.name) for call in calls_of(world, CreateResource)] == [(TASK_NETWORK, "ecs-1")]
    assert calls_of(world, CreateContainer) == []
    world.finish(the_call(world, CreateResource))
    assert the_call(world, CreateContainer).container_name == NETWORK
    world.run_calls()
    assert statuses(world) == {NETWORK: "RESOURCES_PROVISIONED", "app": "RUNNING"}


def test_the_digest_of_an_image_does_not_wait_for_a_pid_namespace() -> None:
    world = a_world()
    world.submit(a_task(a_container("app"), pid_mode="task"))
    world.finish(the_call(world, ResolveManifest))
    assert statuses(world) == {NAMESPACE: "PULLED", "app": "MANIFEST_PULLED"}
    world.run_calls()
    assert statuses(world) == {NAMESPACE: "RUNNING", "app": "RUNNING"}


def test_a_task_that_cannot_run_here_gets_none() -> None:
    world = a_world()
    world.submit(a_task(a_container("app"), pid_mode="task", unsupported="GPUs"))
    assert [c.name for c in world.task(ONE).containers] == ["app"]


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        (PortMapping(container_port=80), [80]),
        (PortMapping(container_port=53, protocol="udp"), [53]),
        (PortMapping(container_port=53), []),
        (PortMapping(container_port_range="8000-8001"), [8000, 8001]),
        (PortMapping(container_port_range="x"), []),
    ],
)
def test_a_container_shows_its_own_of_the_ports_that_are_published(mapping: PortMapping, expected: list[int]) -> None:
    bindings = tuple(
        PortBinding(container_port=port, host_port=port + 1, protocol=protocol, host_ip="127.0.0.1")
        for port, protocol in ((80, "tcp"), (53, "udp"), (8000, "tcp"), (8001, "tcp"))
    )
    task = pauses.with_pauses(an_awsvpc_task(a_container("app", port_mappings=(mapping,))))
    pause, app = task.containers
    assert pauses.published_ports(task, app) == ()
    pause = a_container(NETWORK, kind=pause.kind, bindings=bindings, known=ContainerStatus.RUNNING)
    task = a_task(pause, app)
    assert [binding.container_port for binding in pauses.published_ports(task, app)] == expected
    assert pauses.published_ports(task, pause) == ()


@each_row(
    "seen, has_died",
    [
        ({}, True),
        ({"stop_asked_at": AT, "died_at_ns": _NS + 10**6}, False),
        ({"stop_asked_at": AT, "died_at_ns": 0}, False),
        ({"stop_asked_at": AT, "died_at_ns": _NS - 10**6}, True),  # with the PID namespace, the others were killed
        ({"started_at": ""}, False),
        ({"known": ContainerStatus.RUNNING}, False),
    ],
)
def test_which_end_was_not_the_agents(seen: dict[str, object], has_died: bool) -> None:
    fields = {"known": ContainerStatus.STOPPED, "started_at": "2024-05-17T11:00:00Z", **seen}
    assert pauses.has_died(a_container(kind=ContainerKind.NAMESPACE_PAUSE, **fields)) is has_died
