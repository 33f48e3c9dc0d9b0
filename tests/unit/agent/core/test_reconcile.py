"""After a (re)connect the listing is compared with what is known: engine.md §13, whichever side was restarted."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ecscope.agent.core import events as ev
from ecscope.agent.core.actions import (
    CreateContainer,
    InspectContainer,
    ListContainers,
    RemoveOrphan,
    StartContainer,
    StopContainer,
    Timer,
    TimerKind,
)
from ecscope.agent.core.decide import decide
from ecscope.agent.core.restore import restored_state
from ecscope.agent.core.state import Settings
from ecscope.model import history
from ecscope.model.container import NamedError, RestartPolicy
from ecscope.model.runtime import RuntimeAction
from ecscope.model.status import ContainerStatus, TaskStatus
from ecscope.model.task import HostResourcesHeld
from tests.builders import AT, a_container, an_arn
from tests.unit.agent.core.scenes import (
    ONE,
    TWO,
    a_task,
    a_world,
    brought_to,
    calls_of,
    exits,
    running,
    statuses,
    the_call,
    the_container,
    told,
)
from tests.world import HOST, INSTANCE, Box, World

replace = msgspec.structs.replace


def restarted(world: World) -> World:
    """kill -9, start, and everything answers."""
    world.restart_agent()
    world.run_calls()
    return world


def listing(world: World, *rows: ev.ListedContainer) -> None:
    """Answer the listing under way with just these rows."""
    world.calls.remove(the_call(world, ListContainers))
    world.send(ev.RuntimeListed(**world.head(), containers=rows))  # type: ignore[arg-type]


def a_row(box: Box, **seen: Any) -> ev.ListedContainer:
    inspection = replace(box.inspection(), **seen)
    return ev.ListedContainer(
        docker_id=box.docker_id, docker_name=box.name, task_arn=box.task_arn, inspection=inspection
    )


# --- connecting ---


def test_every_connect_asks_for_a_listing_and_nothing_is_begun_before_it_is_in() -> None:
    world = a_world()
    world.connect()
    world.submit(a_task())
    assert [type(c) for c in world.calls] == [ListContainers]
    assert world.state.host == HOST
    world.run_calls()
    assert world.task(ONE).known is TaskStatus.RUNNING
    assert told(world, history.RuntimeConnected) == ["connected to Docker 20.10"] * 2


def test_a_disconnect_is_remembered_once() -> None:
    world = a_world()
    world.disconnect()
    before = world.state
    world.disconnect()
    assert world.state is before
    assert (before.runtime_connected, before.reconciled) == (False, False)
    assert told(world, history.RuntimeDisconnected) == ["lost Docker: connection refused"]


def test_a_listing_of_a_connection_that_is_gone_is_not_believed() -> None:
    world = a_world()
    world.disconnect()
    before = world.state
    world.send(ev.RuntimeListed(**world.head(), containers=()))  # type: ignore[arg-type]
    assert world.state is before


# --- the Docker id is known: engine.md §13 ---


def test_a_listing_that_fails_leads_to_a_new_connection_and_nothing_is_begun_before() -> None:
    """ADR 0001: it is an event, and that the agent begins anew is the core's to say."""
    world = running(a_task())
    world.disconnect()
    world.connect()
    assert not world.reconnect_wanted
    world.finish(world.calls[0], outcome="failed", effect=False)
    assert world.reconnect_wanted
    assert not world.state.runtime_connected
    assert told(world, history.RuntimeDisconnected)[-1].startswith("lost Docker: its containers could not be listed")
    world.submit(a_task(number=2))
    assert not world.calls
    before = world.state
    world.send(ev.RuntimeListFailed(**world.head(), error=NamedError(name="CannotListContainersError", message="no")))
    assert world.state is before, "an answer of the connection that was given up"
    world.run_calls()
    assert world.task(TWO).known is TaskStatus.RUNNING


def test_containers_keep_running_while_the_agent_is_away() -> None:
    world = restarted(running(a_task()))
    assert statuses(world) == {"app": "RUNNING"}
    assert world.created == 1
    assert world.box(ONE, "app").starts == 1


def test_a_container_that_exited_meanwhile_gets_its_true_exit_code() -> None:
    world = running(a_task())
    world.exits(world.box(ONE, "app"), 3, noticed=False)
    restarted(world)
    app = the_container(world)
    assert (app.known, app.exit_code, app.error) == (ContainerStatus.STOPPED, 3, None)
    assert app.finished_at
    assert world.task(ONE).known is TaskStatus.STOPPED


@pytest.mark.parametrize(
    "error",
    [
        NamedError(name="OutOfMemoryError", message="Container killed due to memory usage"),
        NamedError(name="DockerStateError", message="no such device"),
    ],
)
def test_an_error_of_the_container_itself_is_recorded(error: NamedError) -> None:
    world = running(a_task())
    box = world.box(ONE, "app")
    world.restart_agent()
    row = a_row(box, status=ContainerStatus.STOPPED, exit_code=137, error=error, oom_killed=True)
    listing(world, row)
    app = the_container(world)
    assert (app.known, app.exit_code, app.error, app.oom_killed) == (ContainerStatus.STOPPED, 137, error, True)


def test_a_container_that_vanished_while_nobody_looked() -> None:
    """engine.md §10.5, §13, Seen running 10: no exit code, and CreatedAt disappears."""
    world = running(a_task())
    world.remove_by_hand(world.box(ONE, "app"), noticed=False)
    world.restart_agent()
    listing(world)
    assert statuses(world) == {"app": "RUNNING"}, "the listing may be older than the container: look again first"
    world.run_calls()
    app = the_container(world)
    assert (app.known, app.exit_code, app.created_at) == (ContainerStatus.STOPPED, None, "")
    assert str(app.error) == "ContainerVanishedError: No container matching saved ID found"
    assert told(world, history.ContainerVanished) == [str(app.error)]


def test_a_container_missing_from_an_old_listing_but_there_stays() -> None:
    world = running(a_task())
    world.restart_agent()
    listing(world)
    world.run_calls()
    assert statuses(world) == {"app": "RUNNING"}


def test_a_stopped_container_that_vanished_keeps_its_end_and_loses_only_its_creation_time() -> None:
    """engine.md §13: the error is only recorded unless it was STOPPED already."""
    world = running(a_task())
    exits(world, code=3)
    world.remove_by_hand(world.box(ONE, "app"), noticed=False)
    restarted(world)
    app = the_container(world)
    assert (app.exit_code, app.error, app.created_at) == (3, None, "")
    before = world.state.tasks
    world.connect()
    world.run_calls()
    assert world.state.tasks == before, "a second listing finds nothing new"


def test_what_could_not_be_inspected_is_looked_at_again() -> None:
    world = running(a_task())
    box = world.box(ONE, "app")
    world.restart_agent()
    listing(world, ev.ListedContainer(docker_id=box.docker_id, docker_name=box.name, task_arn=ONE, inspection=None))
    assert the_call(world, InspectContainer) == InspectContainer(docker_id=box.docker_id, seen=None)


def test_a_stopped_container_learns_what_docker_knows_of_its_end() -> None:
    world = running(a_task())
    exits(world, code=3)
    box = world.box(ONE, "app")
    world.restart_agent()
    listing(world, a_row(box, finished_at="2024-05-17T12:30:00Z"))
    assert the_container(world).finished_at == "2024-05-17T12:30:00Z"


def test_a_known_status_is_never_lowered() -> None:
    world = running(a_task())
    box = world.box(ONE, "app")
    world.restart_agent()
    listing(world, a_row(box, status=ContainerStatus.CREATED))
    assert statuses(world) == {"app": "RUNNING"}


def test_a_container_that_exited_while_nobody_looked_is_not_restarted_by_policy() -> None:
    """engine.md §13."""
    world = running(a_task(a_container(restart_policy=RestartPolicy(enabled=True, restart_attempt_period_s=0))))
    world.exits(world.box(ONE, "app"), 1, noticed=False)
    restarted(world)
    assert world.task(ONE).known is TaskStatus.STOPPED
    assert world.box(ONE, "app").starts == 1


def test_a_stopped_container_that_runs_again_is_stopped_again() -> None:
    """engine.md §3.2."""
    world = running(a_task())
    exits(world, code=3)
    box = world.box(ONE, "app")
    world.restart_agent()
    box.status, box.starts = ContainerStatus.RUNNING, 2
    world.finish(the_call(world, ListContainers))
    assert the_call(world, StopContainer)
    world.run_calls()
    assert box.status is ContainerStatus.STOPPED
    assert the_container(world).exit_code == 3


# --- only the name is known, or neither: engine.md §13 ---


@pytest.mark.parametrize("effect", [True, False])
def test_a_create_whose_answer_was_lost_is_found_by_name_or_done_again_under_the_same_name(effect: bool) -> None:
    world = brought_to(a_task(), CreateContainer)
    call = the_call(world, CreateContainer)
    if effect:
        world._happen(call)
    name = the_container(world).docker_name
    restarted(world)
    assert world.created == 1
    assert list(world.boxes) == [name]
    assert statuses(world) == {"app": "RUNNING"}


def test_a_create_of_a_task_that_is_to_stop_is_waited_for_until_the_listing_tells() -> None:
    world = brought_to(a_task(), CreateContainer)
    world._happen(the_call(world, CreateContainer))
    world.restart_agent()
    world.stop(ONE)
    assert statuses(world) == {"app": "PULLED"}
    world.run_calls()
    app = the_container(world)
    assert (app.known, bool(app.docker_id)) == (ContainerStatus.STOPPED, True)


@pytest.mark.parametrize("effect", [True, False])
def test_a_start_whose_answer_was_lost_is_seen_or_done_again(effect: bool) -> None:
    world = brought_to(a_task(), StartContainer)
    if effect:
        world._happen(the_call(world, StartContainer))
    restarted(world)
    assert statuses(world) == {"app": "RUNNING"}
    assert world.box(ONE, "app").starts == 1


def test_a_start_that_the_engine_dropped_with_its_client_is_done_again() -> None:
    world = brought_to(a_task(), StartContainer)
    world.restart_agent()
    listing(world, a_row(world.box(ONE, "app"), start_dropped=True))
    assert statuses(world) == {"app": "CREATED"}
    world.run_calls()
    app = the_container(world)
    assert (app.known, app.error, app.exit_code) == (ContainerStatus.RUNNING, None, None)
    assert world.box(ONE, "app").starts == 1


def test_a_start_that_was_refused_while_the_agent_ended_is_not_done_again() -> None:
    world = brought_to(a_task(), StartContainer)
    world.restart_agent()
    error = NamedError(name="DockerStateError", message='exec: "/no-such-program": no such file or directory')
    listing(world, a_row(world.box(ONE, "app"), status=ContainerStatus.STOPPED, error=error))
    app = the_container(world)
    assert (app.known, app.error, world.task(ONE).known) == (ContainerStatus.STOPPED, error, TaskStatus.STOPPED)
    assert not calls_of(world, StartContainer)


def test_a_dropped_start_of_a_task_that_is_to_stop_stays_undone() -> None:
    world = brought_to(a_task(), StartContainer)
    world.stop(ONE)
    world.restart_agent()
    listing(world, a_row(world.box(ONE, "app"), start_dropped=True))
    app = the_container(world)
    assert (app.known, app.error, app.exit_code) == (ContainerStatus.STOPPED, None, None)
    assert not calls_of(world, StartContainer)


def test_a_create_under_way_that_the_listing_shows_already_is_not_hurried() -> None:
    world = brought_to(a_task(), CreateContainer)
    call = the_call(world, CreateContainer)
    box = world._happen(call)
    assert box is not None
    world.connect()
    listing(world, a_row(box))
    app = the_container(world)
    assert (app.docker_id, app.in_flight) == (box.docker_id, ContainerStatus.CREATED)
    assert not calls_of(world, StartContainer)
    world.run_calls()
    assert statuses(world) == {"app": "RUNNING"}


def test_what_had_not_begun_is_simply_begun() -> None:
    world = World()
    world.submit(a_task())
    restarted(world)
    assert statuses(world) == {"app": "RUNNING"}


# --- what goes on ---


def test_timers_of_running_tasks_are_set_again() -> None:
    world = restarted(running(a_task()))
    assert Timer(kind=TimerKind.STEADY_CHECK, task_arn=ONE) in world.timers
    assert Timer(kind=TimerKind.IMAGE_CLEANUP) in world.timers


def test_a_stop_requested_while_docker_is_away_is_carried_out_when_it_is_back() -> None:
    world = running(a_task())
    world.disconnect()
    world.stop(ONE)
    assert statuses(world) == {"app": "RUNNING"}
    assert not world.calls
    world.run_calls()
    assert world.task(ONE).known is TaskStatus.STOPPED


# --- orphans ---


def an_orphan(world: World, arn: Any = TWO) -> Box:
    box = Box("f" * 64, "ecs-lost-1-app-0", arn, "app", status=ContainerStatus.RUNNING, starts=1)  # type: ignore[arg-type]
    world.boxes[box.name] = box
    return box


def test_a_container_of_an_unknown_task_is_reported_and_left_alone() -> None:
    world = World()
    box = an_orphan(world)
    world.run_calls()
    assert world.boxes == {box.name: box}
    assert told(world, history.OrphanContainerFound) == [
        f"container {box.name} carries {TWO}, which is not a task of this agent; left alone"
    ]


def test_a_container_of_an_unknown_task_is_reported_once() -> None:
    """However often the engine comes back; and again if it was gone meanwhile."""
    world = World()
    box = an_orphan(world)
    world.run_calls()
    for _ in range(2):
        world.disconnect()
        world.run_calls()
    assert len(told(world, history.OrphanContainerFound)) == 1
    del world.boxes[box.name]
    world.disconnect()
    world.run_calls()
    an_orphan(world)
    world.disconnect()
    world.run_calls()
    assert len(told(world, history.OrphanContainerFound)) == 2


@pytest.mark.parametrize("outcome", ["done", "failed"])
def test_a_container_whose_task_record_was_lost_is_removed(outcome: str) -> None:
    world = World()
    box = an_orphan(world)
    world.state = restored_state(instance=INSTANCE, settings=world.settings, lost_task_arns=[TWO])
    world.connect()
    world.finish(the_call(world, ListContainers))
    assert the_call(world, RemoveOrphan).docker_id == box.docker_id
    world.finish(the_call(world, RemoveOrphan), outcome=outcome, effect=False)
    assert told(world, history.OrphanContainerFound) == [
        f"container {box.name} belongs to {TWO}, whose record could not be read; removing it"
    ]
    assert len(told(world, history.CleanupFailed)) == (outcome == "failed")


# --- the regular look: engine.md §2.1 ---


def test_a_quiet_task_is_looked_at_every_five_minutes_and_a_half() -> None:
    world = running(a_task(a_container("a"), a_container("b", essential=False)))
    world.exits(world.box(ONE, "b"), 0, noticed=False)
    world.advance(300)
    assert {c.seen for c in calls_of(world, InspectContainer)} == {None}
    assert len(calls_of(world, InspectContainer)) == 2
    world.run_calls()
    assert statuses(world) == {"a": "RUNNING", "b": "STOPPED"}
    world.advance(300)
    assert len(calls_of(world, InspectContainer)) == 1, "and again, for what has not stopped"


def test_the_restart_policy_does_apply_to_the_regular_look() -> None:
    """engine.md §13, the last line."""
    world = running(a_task(a_container(restart_policy=RestartPolicy(enabled=True, restart_attempt_period_s=60))))
    world.exits(world.box(ONE, "app"), 1, noticed=False)
    world.advance(300)
    world.run_calls()
    assert (statuses(world), world.box(ONE, "app").starts) == ({"app": "RUNNING"}, 2)


def test_a_look_that_failed_changes_nothing() -> None:
    """engine.md §13: a failed inspect yields NONE and is dropped."""
    world = running(a_task())
    world.advance(300)
    before = world.state
    world.finish(the_call(world, InspectContainer), outcome="failed")
    assert world.state is before


def test_without_docker_the_look_is_only_put_off() -> None:
    world = running(a_task())
    world.disconnect()
    world.advance(300)
    assert not world.calls
    assert Timer(kind=TimerKind.STEADY_CHECK, task_arn=ONE) in world.timers


def test_a_stopped_task_is_not_looked_at() -> None:
    world = running(a_task())
    exits(world)
    before = world.state
    world.send(ev.TimerFired(**world.head(), timer=Timer(kind=TimerKind.STEADY_CHECK, task_arn=ONE)))  # type: ignore[arg-type]
    assert (world.state, world.calls) == (before, [])


def test_a_notice_of_a_container_that_is_not_ours_changes_nothing() -> None:
    world = World()
    box = an_orphan(world)
    world.run_calls()
    before = world.state
    for action in RuntimeAction:
        world.notice(box, action)
    assert world.state is before
    assert told(world, history.NoChange)[-1] == "health_status of a container that is not ours"


def test_a_listing_is_taken_in_however_many_tasks_are_kept() -> None:
    """Thousands of short tasks stay listed until their clean-up."""
    stopped = a_task(
        a_container(known=ContainerStatus.STOPPED, desired=ContainerStatus.STOPPED),
        known=TaskStatus.STOPPED,
        desired=TaskStatus.STOPPED,
        host_resources=HostResourcesHeld.RELEASED,
        stopped_at=AT,
    )
    tasks = [replace(stopped, arn=an_arn(number)) for number in range(10_001)]
    state = restored_state(instance=INSTANCE, settings=Settings(), tasks=tasks)
    state = decide(state, ev.RuntimeConnected(id="e1", at=AT, version="20.10", resources=HOST)).state
    assert decide(state, ev.RuntimeListed(id="e2", at=AT, containers=())).state.reconciled
