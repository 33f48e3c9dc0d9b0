"""Orders of events that are easily forgotten: what overtakes what, and that it ends in the same place."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from ecscope.agent.core import events as ev
from ecscope.agent.core.actions import (
    CreateContainer,
    InspectContainer,
    PullImage,
    StartContainer,
    StopContainer,
)
from ecscope.model import history
from ecscope.model.container import NamedError, RestartPolicy
from ecscope.model.runtime import RuntimeAction
from ecscope.model.status import ContainerStatus, TaskStatus
from tests.builders import a_container
from tests.tables import each_row
from tests.unit.agent.core.scenes import (
    ONE,
    a_task,
    brought_to,
    calls_of,
    fails,
    notices,
    running,
    statuses,
    the_call,
    the_container,
    told,
)
from tests.world import Box, World

REFUSED_START = NamedError(name="CannotStartContainerError", message="Error response from daemon: no such file")


def started_and_ended(world: World, code: int) -> tuple[StartContainer, Box, Any]:
    """Docker has started the container, inspected it for the answer, and its program has ended since."""
    call = the_call(world, StartContainer)
    box = world._happen(call)
    assert box is not None
    early = box.inspection()
    world.exits(box, code)
    return call, box, early


@pytest.mark.parametrize("inspected_before_the_end", [True, False])
def test_a_die_before_the_answer_of_the_start(inspected_before_the_end: bool) -> None:
    """The answer may have been read before the end: then it is looked at again."""
    world = brought_to(a_task(), StartContainer)
    call, box, early = started_and_ended(world, 3)
    assert [type(c) for c in world.calls] == [StartContainer], "the start's answer is awaited"
    world.calls.remove(call)
    inspection = early if inspected_before_the_end else box.inspection()
    world.send(ev.ContainerStarted(**world.head(), task_arn=ONE, container_name="app", inspection=inspection))  # type: ignore[arg-type]
    assert statuses(world) == {"app": "RUNNING" if inspected_before_the_end else "STOPPED"}
    world.run_calls()
    app = the_container(world)
    assert (app.known, app.exit_code, app.error) == (ContainerStatus.STOPPED, 3, None)
    assert world.task(ONE).known is TaskStatus.STOPPED
    assert told(world, history.ContainerStartedFromOutside) == []


def test_a_die_of_a_container_that_could_not_be_started_leaves_the_error_to_the_start() -> None:
    """Docker tells of a die then, with an error of its own; the reason is what the start call says."""
    world = brought_to(a_task(), StartContainer)
    notices(world, RuntimeAction.DIE, exit_code=127)
    assert [type(c) for c in world.calls] == [StartContainer]
    fails(world, the_call(world, StartContainer), REFUSED_START)
    app = the_container(world)
    assert (app.known, app.exit_code, app.error) == (ContainerStatus.STOPPED, None, REFUSED_START)


def test_a_start_answered_after_its_end_was_seen_is_looked_at_again_and_not_stopped_once_more() -> None:
    world = brought_to(a_task(a_container(health_check_is_docker=True)), StartContainer)
    call, _, early = started_and_ended(world, 3)
    notices(world, RuntimeAction.HEALTH)
    world.finish(the_call(world, InspectContainer))
    assert statuses(world) == {"app": "STOPPED"}
    world.calls.remove(call)
    world.send(ev.ContainerStarted(**world.head(), task_arn=ONE, container_name="app", inspection=early))  # type: ignore[arg-type]
    world.run_calls()
    assert the_container(world).exit_code == 3
    assert told(world, history.ContainerStartedFromOutside) == []
    assert not world.task(ONE).stopped_again


def test_an_end_of_the_new_run_before_the_answer_of_its_restart() -> None:
    policy = RestartPolicy(enabled=True, restart_attempt_period_s=60)
    world = running(a_task(a_container(restart_policy=policy)))
    world.advance(61)
    world.exits(world.box(ONE, "app"), 1)
    world.finish(the_call(world, InspectContainer))
    call, _, early = started_and_ended(world, 5)
    world.calls.remove(call)
    world.send(ev.ContainerStarted(**world.head(), task_arn=ONE, container_name="app", inspection=early))  # type: ignore[arg-type]
    world.run_calls()
    app = the_container(world)
    assert (app.known, app.exit_code, app.restart_count) == (ContainerStatus.STOPPED, 5, 1)


@pytest.mark.parametrize("order", list(itertools.permutations(("stop", "die", "answer"))))
@pytest.mark.parametrize("late", [True, False])
def test_a_stop_a_die_and_the_answer_of_the_start_in_any_order(order: tuple[str, ...], late: bool) -> None:
    """Whether the answer was read before the container ended (``late``) or when it was given."""
    world = brought_to(a_task(), StartContainer)
    call = the_call(world, StartContainer)
    box = world._happen(call)
    assert box is not None
    early = box.inspection()
    for what in order:
        match what:
            case "stop":
                world.stop(ONE)
            case "die":
                world.exits(box, 3)
            case _:
                world.calls.remove(call)
                seen = early if late else box.inspection()
                world.send(ev.ContainerStarted(**world.head(), task_arn=ONE, container_name="app", inspection=seen))  # type: ignore[arg-type]
    world.run_calls()
    app = the_container(world)
    assert (app.known, app.exit_code, app.error, app.in_flight) == (ContainerStatus.STOPPED, 3, None, None)
    assert world.task(ONE).known is TaskStatus.STOPPED
    assert box.starts == 1


@each_row("order", list(itertools.permutations(("die", "destroy", "inspect"))))
def test_a_container_killed_and_removed_by_hand_in_any_order_of_notices(order: tuple[str, ...]) -> None:
    """engine.md, Seen running 10: exit code 137 and no reason, unless the removal is all that was seen."""
    world = running(a_task())
    box = world.box(ONE, "app")
    box.status, box.exit_code = ContainerStatus.STOPPED, 137
    del world.boxes[box.name]
    for what in order:
        if what == "inspect":
            for call in calls_of(world, InspectContainer):
                world.finish(call)
        else:
            world.notice(box, RuntimeAction(what))
    world.run_calls()
    app = the_container(world)
    died_first = order.index("die") < order.index("inspect") or order[0] == "inspect"
    assert (app.known, app.exit_code) == (ContainerStatus.STOPPED, 137 if died_first else None)
    assert (app.error is None) is died_first


def test_a_create_that_timed_out_but_was_seen_in_a_listing_is_cleaned_up_by_its_id() -> None:
    world = brought_to(a_task(), CreateContainer, cleanup_wait_s=60.0)
    call = the_call(world, CreateContainer)
    box = world._happen(call)
    assert box is not None
    world.calls.clear()
    world.connect()
    world.run_calls()
    timeout = NamedError(
        name="DockerTimeoutError", message="Could not transition to created; timed out after waiting 4m0s"
    )
    world.calls.append(call)
    fails(world, call, timeout)
    app = the_container(world)
    assert (app.known, app.docker_id, app.error) == (ContainerStatus.STOPPED, box.docker_id, timeout)
    world.advance(60)
    world.run_calls()
    assert (world.boxes, world.state.tasks) == ({}, {})


def test_results_of_an_earlier_connection_come_after_the_new_one_was_listed() -> None:
    world = brought_to(a_task(), StartContainer)
    call = the_call(world, StartContainer)
    world._happen(call)
    world.disconnect()
    world.calls.clear()
    world.connect()
    world.run_calls()
    assert statuses(world) == {"app": "RUNNING"}
    assert the_container(world).in_flight is ContainerStatus.RUNNING, "its result is still awaited"
    world.calls.append(call)
    world.finish(call, outcome="unreachable", effect=False)
    world.run_calls()
    app = the_container(world)
    assert (app.known, app.in_flight, app.error, world.box(ONE, "app").starts) == (
        ContainerStatus.RUNNING,
        None,
        None,
        1,
    )


def test_a_task_stopped_and_docker_gone_and_the_agent_killed_at_once() -> None:
    world = running(a_task(a_container("app"), a_container("side", essential=False)))
    world.stop(ONE)
    world.disconnect()
    world.restart_agent()
    world.run_calls()
    assert world.task(ONE).known is TaskStatus.STOPPED
    assert all(box.status is ContainerStatus.STOPPED for box in world.boxes.values())


def test_a_pull_that_ends_in_the_moment_of_the_stop_request_creates_nothing() -> None:
    world = brought_to(a_task(), PullImage)
    call = the_call(world, PullImage)
    world._take = lambda action: None  # type: ignore[method-assign]  # the cancel finds the pull just ended
    world.stop(ONE)
    world.finish(call)
    assert (statuses(world), world.boxes, world.calls) == ({"app": "STOPPED"}, {}, [])


def test_the_same_notice_twice_gives_the_same_end() -> None:
    world = running(a_task())
    box = world.box(ONE, "app")
    world.exits(box, 3)
    world.notice(box, RuntimeAction.DIE)
    assert len(calls_of(world, InspectContainer)) == 2
    world.run_calls()
    moves = [text for text in told(world, history.ContainerStatusChanged) if "STOPPED" in text]
    assert moves == ["RUNNING → STOPPED: exited"]


def test_an_old_listing_after_a_new_connect_gives_nothing_up() -> None:
    """Two connects in a row: the first listing may be older than a container."""
    world = running(a_task())
    world.connect()
    world.connect()
    old = ev.RuntimeListed(**world.head(), containers=())  # type: ignore[arg-type]
    world.send(old)
    world.run_calls()
    assert (statuses(world), the_container(world).error) == ({"app": "RUNNING"}, None)
    assert not calls_of(world, StopContainer)


def test_health_and_end_whose_answers_change_places() -> None:
    world = running(a_task(a_container(health_check_is_docker=True)))
    box = world.box(ONE, "app")
    notices(world, RuntimeAction.HEALTH)
    healthy = box.inspection()
    world.exits(box, 3)
    of_health, of_end = calls_of(world, InspectContainer)
    world.finish(of_end)
    assert statuses(world) == {"app": "STOPPED"}
    world.calls.remove(of_health)
    event = ev.ContainerInspected(**world.head(), docker_id=box.docker_id, inspection=healthy, seen=of_health.seen)  # type: ignore[arg-type]
    world.send(event)
    world.run_calls()
    assert (the_container(world).exit_code, told(world, history.ContainerStartedFromOutside)) == (3, [])
