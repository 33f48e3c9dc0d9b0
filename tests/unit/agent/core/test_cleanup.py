"""A stopped task stays listed for a while, then everything of it goes: engine.md §11."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ecscope.agent.core import events as ev
from ecscope.agent.core.actions import (
    CreateContainer,
    CreateResource,
    RemoveContainer,
    RemoveResource,
    SetTimer,
    Timer,
    TimerKind,
)
from ecscope.model import history
from ecscope.model.container import NamedError
from ecscope.model.status import TaskStatus
from ecscope.model.task import VolumeKind
from ecscope.model.task_resource import VOLUME
from tests.builders import AT, a_container, a_volume
from tests.unit.agent.core.scenes import (
    ONE,
    a_task,
    a_world,
    brought_to,
    calls_of,
    exits,
    fails,
    go_on_to,
    running,
    the_call,
    the_container,
    told,
)
from tests.world import World

CLEANUP = Timer(kind=TimerKind.CLEANUP, task_arn=ONE)
DATA = a_volume(docker_name="ecs-sample-1-data-0")
IN_USE = NamedError(name="CannotRemoveContainerError", message="Error response from daemon: in use")


def stopped(*containers: Any, **settings: Any) -> World:
    world = running(a_task(*containers, volumes=(DATA,)), **settings)
    world.stop(ONE)
    world.run_calls()
    assert world.task(ONE).known is TaskStatus.STOPPED
    return world


def test_containers_of_a_stopped_task_are_kept_for_three_hours() -> None:
    """engine.md §11, §15 8."""
    world = stopped()
    assert world.timers[CLEANUP] == AT + timedelta(hours=3)
    world.advance(3 * 3600 - 1)
    world.run_calls()
    assert len(world.boxes) == 1
    world.advance(1)
    world.run_calls()
    assert (world.boxes, world.volumes, world.state.tasks, world.state.docker_ids) == ({}, set(), {}, {})
    assert told(world, history.TaskCleanedUp) == ["its containers and volumes are removed"]


def test_the_wait_has_the_configured_jitter() -> None:
    world = running(a_task(), cleanup_wait_s=60.0, cleanup_jitter_s=7.0)
    world.exits(world.box(ONE, "app"), 0)
    decisions = []
    original = world.send
    world.send = lambda event: decisions.append(original(event)) or decisions[-1]  # type: ignore[method-assign]
    world.run_calls()
    timers = [a for d in decisions for a in d.actions if isinstance(a, SetTimer) and a.timer == CLEANUP]
    assert timers == [SetTimer(timer=CLEANUP, delay_s=60.0, jitter_s=7.0)]


def test_the_wait_goes_on_after_a_restart_where_it_was() -> None:
    """engine.md §11: partly elapsed time survives restarts."""
    world = stopped(cleanup_wait_s=100.0)
    world.now += timedelta(seconds=40)
    world.restart_agent()
    world.run_calls()
    assert world.timers[CLEANUP] == AT + timedelta(seconds=100)
    world.now += timedelta(seconds=400)
    world.restart_agent()
    world.run_calls()
    assert world.timers[CLEANUP] == world.now, "long past: at once"


def test_a_clock_that_was_set_back_makes_the_wait_no_longer() -> None:
    world = stopped(cleanup_wait_s=100.0)
    world.now -= timedelta(seconds=4000)
    world.restart_agent()
    world.run_calls()
    assert world.timers[CLEANUP] == world.now + timedelta(seconds=100)


def test_containers_go_before_the_volumes_they_use() -> None:
    world = stopped(a_container("a"), a_container("b"))
    world.advance(3 * 3600)
    assert {c.container_name for c in calls_of(world, RemoveContainer)} == {"a", "b"}
    assert not calls_of(world, RemoveResource)
    for call in calls_of(world, RemoveContainer):
        world.finish(call)
    assert the_call(world, RemoveResource) == RemoveResource(task_arn=ONE, kind=VOLUME, name="data")
    world.finish(the_call(world, RemoveResource))
    assert ONE not in world.state.tasks


def test_only_volumes_of_the_task_go() -> None:
    """engine.md §9: shared volumes are kept after the task, and paths are the host's."""
    shared = a_volume("shared", kind=VolumeKind.SHARED, docker_name="shared")
    path = a_volume("path", kind=VolumeKind.BIND, source_path="/srv")
    world = running(a_task(volumes=(shared, path, DATA)), cleanup_wait_s=60.0)
    world.stop(ONE)
    world.run_calls()
    world.advance(60)
    world.run_calls()
    assert world.volumes == {"shared"}


def test_a_container_that_was_never_created_needs_no_removal() -> None:
    world = a_world(cleanup_wait_s=60.0)
    world.submit(a_task(desired=TaskStatus.STOPPED))
    world.advance(60)
    assert not world.calls
    assert world.state.tasks == {}


def test_a_container_whose_id_never_came_is_removed_by_its_name() -> None:
    world = brought_to(a_task(), CreateContainer, cleanup_wait_s=60.0)
    timeout = NamedError(
        name="DockerTimeoutError", message="Could not transition to created; timed out after waiting 4m0s"
    )
    call = the_call(world, CreateContainer)
    world._happen(call)  # it was made all the same
    fails(world, call, timeout)
    assert world.task(ONE).known is TaskStatus.STOPPED
    world.advance(60)
    assert the_call(world, RemoveContainer).docker_id == the_container(world).docker_name
    world.run_calls()
    assert (world.boxes, world.state.tasks) == ({}, {})


def test_each_failure_is_only_remembered() -> None:
    """engine.md §11."""
    world = stopped()
    world.advance(3 * 3600)
    call = the_call(world, RemoveContainer)
    world.calls.remove(call)
    world.send(ev.ContainerRemoved(**world.head(), task_arn=ONE, container_name="app", error=IN_USE))  # type: ignore[arg-type]
    world.finish(the_call(world, RemoveResource), outcome="failed", effect=False)
    assert told(world, history.CleanupFailed) == [
        f"could not remove the container: {IN_USE}",
        "could not remove volume data: CannotStartContainerError: Error response from daemon: no",
    ]
    assert world.state.tasks == {}


def test_clean_up_waits_while_docker_is_away_and_goes_on_afterwards() -> None:
    world = stopped()
    world.disconnect()
    world.advance(3 * 3600)
    assert world.task(ONE).cleanup_due
    assert not world.calls
    world.run_calls()
    assert (world.boxes, world.volumes, world.state.tasks) == ({}, set(), {})


@pytest.mark.parametrize("kind", [RemoveContainer, RemoveResource])
def test_a_removal_that_did_not_reach_docker_is_asked_for_again(kind: type[RemoveContainer | RemoveResource]) -> None:
    world = stopped()
    world.advance(3 * 3600)
    go_on_to(world, kind)
    world.finish(the_call(world, kind), outcome="unreachable", effect=False)
    assert world.reconnect_wanted
    assert not world.calls, "nothing is asked of Docker until it is back"
    assert told(world, history.CleanupFailed) == []
    world.run_calls()
    assert (world.boxes, world.volumes, world.state.tasks) == ({}, set(), {})


def test_clean_up_goes_on_after_the_agent_was_killed_in_the_middle() -> None:
    world = stopped()
    world.advance(3 * 3600)
    world.finish(the_call(world, RemoveContainer))
    world.restart_agent()
    world.run_calls()
    assert (world.boxes, world.volumes, world.state.tasks) == ({}, set(), {})


def test_a_second_cleanup_timer_changes_nothing() -> None:
    world = stopped()
    world.advance(3 * 3600)
    before = world.state
    world.send(ev.TimerFired(**world.head(), timer=CLEANUP))  # type: ignore[arg-type]
    assert world.state is before
    assert len(world.calls) == 1


def test_a_cleanup_timer_of_a_live_task_changes_nothing() -> None:
    world = running(a_task())
    before = world.state
    world.send(ev.TimerFired(**world.head(), timer=CLEANUP))  # type: ignore[arg-type]
    assert world.state is before


def test_a_volume_that_was_being_created_when_its_task_stopped_is_cleaned_up_too() -> None:
    """A stop while volumes are being created: the answer comes after everything else is over."""
    world = brought_to(a_task(volumes=(DATA,)), CreateResource, cleanup_wait_s=60.0)
    world.calls = [the_call(world, CreateResource)]
    container = the_container(world)
    assert container.in_flight is not None
    world.send(ev.ManifestResolved(**world.head(), task_arn=ONE, container_name="app", digest=""))  # type: ignore[arg-type]
    world.stop(ONE)
    assert world.task(ONE).known is TaskStatus.STOPPED
    world.advance(60)
    assert ONE in world.state.tasks, "it waits for the answer"
    world.run_calls()
    assert (world.volumes, world.state.tasks) == (set(), {})


def test_a_volume_whose_creation_was_never_answered_is_cleaned_up_too() -> None:
    world = brought_to(a_task(volumes=(DATA,)), CreateResource, cleanup_wait_s=60.0)
    world._happen(the_call(world, CreateResource))
    world.stop(ONE)
    world.restart_agent()
    world.run_calls()
    world.advance(60)
    world.run_calls()
    assert (world.volumes, world.state.tasks) == (set(), {})


def test_a_removal_reported_for_a_container_of_nobody_changes_nothing() -> None:
    world = stopped()
    before = world.state
    world.send(ev.ContainerRemoved(**world.head(), task_arn=ONE, container_name="nobody"))  # type: ignore[arg-type]
    assert world.state is before


def test_a_container_destroyed_by_our_own_clean_up_is_not_called_vanished() -> None:
    world = stopped()
    box = world.box(ONE, "app")
    world.advance(3 * 3600)
    world.remove_by_hand(box)
    assert told(world, history.ContainerVanished) == []


def test_the_exit_that_ended_a_task_is_kept_until_it_is_cleaned_up() -> None:
    world = running(a_task())
    exits(world, code=3)
    world.advance(3600)
    assert the_container(world).exit_code == 3
