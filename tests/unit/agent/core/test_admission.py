"""A task is taken in, refused, or known already; a stop request is remembered: engine.md §2."""

from __future__ import annotations

from typing import Any

import pytest

from ecscope.agent.core import events as ev
from ecscope.model import history
from ecscope.model.container import Dependency, DependencyCondition, PortMapping
from ecscope.model.status import ContainerStatus, TaskStatus
from ecscope.model.task import HostResourcesHeld, VolumeKind
from tests.builders import a_container, a_task_file, a_volume
from tests.unit.agent.core.scenes import ONE, TWO, a_task, a_world, exits, running, statuses, told
from tests.world import SUBMITTED, World


def head(world: World) -> dict[str, Any]:
    return world.head()


def on(name: str) -> tuple[Dependency, ...]:
    return (Dependency(container_name=name, condition=DependencyCondition.START),)


def test_an_unknown_task_is_stored_with_what_it_implies_and_needs_and_started() -> None:
    """engine.md §2 step 3."""
    world = a_world()
    world.submit(a_task(a_container("app", links=("db",), cpu_units=7), a_container("db")))
    task = world.task(ONE)
    assert task.containers[0].definition.depends_on == on("db")
    assert task.needs.cpu_units == 7
    assert task.host_resources is HostResourcesHeld.HELD
    assert told(world, history.TaskAccepted) == [f"sample:1 from task file {a_task_file(task)}"]
    assert len(world.calls) == 2


def test_a_known_task_is_not_started_again() -> None:
    world = running(a_task(), joins_cluster=True)
    before = world.state
    world.submit(a_task())
    assert world.state is before
    assert told(world, history.NoChange)[-1] == "the task is known already"


def test_of_a_known_task_only_the_desired_status_moves_and_only_forward() -> None:
    """engine.md §1.4, §2 step 3."""
    world = running(a_task(), joins_cluster=True)
    world.submit(a_task(a_container("another"), desired=TaskStatus.STOPPED))
    world.submit(a_task())
    assert world.task(ONE).desired is TaskStatus.STOPPED
    world.run_calls()
    assert statuses(world) == {"app": "STOPPED"}


def test_an_unknown_task_that_is_to_stop_is_accepted_and_stopped_at_once() -> None:
    """engine.md §2 step 4: containers never created."""
    world = a_world()
    world.submit(a_task(a_container("a"), a_container("b"), desired=TaskStatus.STOPPED))
    task = world.task(ONE)
    assert task.known is TaskStatus.STOPPED
    assert [(c.docker_name, c.exit_code) for c in task.containers] == [("", None), ("", None)]
    assert not world.calls


@pytest.mark.parametrize(
    "containers",
    [
        (a_container("a", depends_on=on("b")), a_container("b", depends_on=on("a"))),
        (a_container("a", depends_on=on("nobody")),),
        (a_container("a", links=("nobody",)),),
        (
            a_container("a", depends_on=(Dependency(container_name="b", condition=DependencyCondition.HEALTHY),)),
            a_container("b"),
        ),
    ],
)
def test_a_task_whose_dependencies_cannot_be_resolved_is_listed_as_stopped_with_the_official_reason(
    containers: tuple[Any, ...],
) -> None:
    """engine.md §2 step 3, §10.5, Seen running 4."""
    world = a_world()
    world.submit(a_task(*containers))
    task = world.task(ONE)
    assert task.known is TaskStatus.STOPPED
    assert task.terminal_reason == f"Task dependencies cannot be resolved, taskArn: {ONE}"
    assert task.host_resources is HostResourcesHeld.RELEASED
    assert not world.calls


def test_a_container_with_more_memory_than_its_task_is_refused_and_not_listed() -> None:
    """engine.md §2 step 2, Seen running 4."""
    world = a_world()
    world.submit(a_task(a_container("a", memory_mib=128), a_container("b", memory_mib=513), memory_mib=512))
    assert world.state.tasks == {}
    assert told(world, history.TaskRefused) == [
        f"ResourceInitializationError: resource cannot be initialized for task {ONE}: task memory spec builder: "
        "container memory limit(513) greater than task memory limit(512)"
    ]


def test_a_volume_of_the_task_that_is_to_be_autoprovisioned_is_refused() -> None:
    """engine.md §9."""
    world = a_world()
    world.submit(a_task(volumes=(a_volume("v", autoprovision=True),)))
    assert world.state.tasks == {}
    assert told(world, history.TaskRefused) == ["volume [v] : task scoped volume could not be autoprovisioned"]
    shared = a_volume("v", kind=VolumeKind.SHARED, docker_name="v", autoprovision=True)
    world.submit(a_task(number=2, volumes=(shared,)))
    assert TWO in world.state.tasks


@pytest.mark.parametrize("task_memory", [0, 513])
def test_a_container_within_its_task_memory_is_accepted(task_memory: int) -> None:
    world = a_world()
    world.submit(a_task(a_container(memory_mib=513), memory_mib=task_memory))
    assert ONE in world.state.tasks


# --- stop requests ---


def test_a_stop_request_is_remembered_with_who_asked_first() -> None:
    world = running(a_task(), joins_cluster=True)
    for message_id in ("alice", "bob"):
        world.payload(a_task(desired=TaskStatus.STOPPED), message_id=message_id)
    assert world.task(ONE).stop_requested_by == "ACS payload alice"
    assert told(world, history.TaskStopRequested) == ["stop requested by ACS payload alice"]
    assert told(world, history.NoChange)[-1] == "ACS payload bob asks for a stop that is under way or done"


def test_a_task_of_non_essential_containers_stays_desired_running_until_a_stop_is_requested() -> None:
    """engine.md §1.4, Seen running 5."""
    world = running(a_task(a_container(essential=False)), joins_cluster=True)
    exits(world)
    assert world.task(ONE).known is TaskStatus.STOPPED
    assert world.task(ONE).desired is TaskStatus.RUNNING
    world.stop(ONE)
    task = world.task(ONE)
    assert (task.desired, task.stop_requested_by) == (TaskStatus.STOPPED, f"ACS payload {SUBMITTED}")
    assert task.containers[0].desired is ContainerStatus.STOPPED


def test_a_task_file_replaced_while_its_image_is_pulled_runs_the_new_task_only() -> None:
    """The old pull is cancelled, its port is free at once, and the new task takes it."""
    mapping = (PortMapping(container_port=80, host_port=8080),)
    world = a_world()
    old, new = a_task(a_container(port_mappings=mapping)), a_task(a_container(port_mappings=mapping), number=2)
    world.send(ev.TaskFilesScanned(**head(world), files={"f": ev.TaskFile(task=old, digest="old")}))
    world.finish(world.calls[0])  # the manifest
    world.send(ev.TaskFilesScanned(**head(world), files={"f": ev.TaskFile(task=new, digest="new")}))
    world.run_calls()
    assert (world.task(ONE).known, world.task(TWO).known) == (TaskStatus.STOPPED, TaskStatus.RUNNING)
    assert [b.task_arn for b in world.boxes.values()] == [TWO]
    assert world.state.sources["f"].task_arn == TWO


def test_volumes_and_containers_are_taken_as_they_come() -> None:
    world = a_world()
    world.submit(a_task(volumes=(a_volume(docker_name="ecs-data"),)))
    assert [v.name for v in world.task(ONE).volumes] == ["data"]
