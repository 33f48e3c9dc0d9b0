"""Notices of Docker and looks at containers: what is kept, what makes the agent look, what is left to an answer."""

from __future__ import annotations

from typing import Any

import pytest

from ecscope.agent.core import events as ev
from ecscope.agent.core.actions import (
    InspectContainer,
    StartContainer,
    StopContainer,
)
from ecscope.model import history
from ecscope.model.arn import DockerId
from ecscope.model.container import NamedError, RestartPolicy
from ecscope.model.runtime import RuntimeAction, RuntimeNotice
from ecscope.model.status import ContainerStatus
from tests.builders import a_container
from tests.unit.agent.core.scenes import (
    ONE,
    a_task,
    brought_to,
    calls_of,
    exits,
    notices,
    running,
    statuses,
    the_call,
    the_container,
    told,
)
from tests.world import World


def timeout(doing: str, after: str) -> NamedError:
    return NamedError(
        name="DockerTimeoutError", message=f"Could not transition to {doing}; timed out after waiting {after}"
    )


def here(world: World) -> dict[str, Any]:
    return {**world.head(), "task_arn": ONE, "container_name": "app"}


# --- notices: engine.md §12, the table ---


@pytest.mark.parametrize("action", [RuntimeAction.CREATE, RuntimeAction.START, RuntimeAction.STOP])
def test_what_is_known_from_the_call_itself_changes_nothing(action: RuntimeAction) -> None:
    """A die always precedes a stop; a start of a running container says nothing new."""
    world = running(a_task())
    before = world.state
    notices(world, action)
    assert (world.state, world.calls) == (before, [])
    assert told(world, history.NoChange) == ["known from the call itself"]


def test_a_start_noticed_while_it_is_under_way_is_left_to_its_answer() -> None:
    world = brought_to(a_task(), StartContainer)
    notices(world, RuntimeAction.START)
    assert [type(c) for c in world.calls] == [StartContainer]


def test_a_created_container_that_somebody_starts_is_seen_running() -> None:
    world = brought_to(a_task(), StartContainer)
    box = world._happen(the_call(world, StartContainer))
    assert box is not None
    world.finish(the_call(world, StartContainer), outcome="unreachable", effect=False)
    world.connect()
    notices(world, RuntimeAction.START)
    assert the_call(world, InspectContainer).seen is RuntimeAction.START
    world.run_calls()
    assert (statuses(world), box.starts) == ({"app": "RUNNING"}, 1)


def test_a_die_is_looked_into_and_its_code_remembered() -> None:
    world = running(a_task())
    notices(world, RuntimeAction.DIE, exit_code=137)
    assert the_container(world).die_exit_code == 137
    call = the_call(world, InspectContainer)
    assert (call.seen, call.exit_code) == (RuntimeAction.DIE, 137)


def test_a_die_of_a_stopped_container_changes_nothing() -> None:
    world = running(a_task())
    exits(world, code=3)
    before = world.state
    notices(world, RuntimeAction.DIE, exit_code=9)
    assert (world.state, world.calls) == (before, [])
    assert told(world, history.NoChange)[-1] == "the same death again"


def dies(world: World, *, exit_code: int, signal: int | None = None, time_ns: int = 1715947200123456789) -> None:
    docker_id = the_container(world).docker_id
    notice = RuntimeNotice(
        docker_id=docker_id, action=RuntimeAction.DIE, time_ns=time_ns, exit_code=exit_code, signal=signal
    )
    world.send(ev.RuntimeNoticed(**world.head(), notice=notice))


def test_what_only_a_die_says_is_kept() -> None:
    """The signal, and the moment to the nanosecond: what tells a kill by hand from a crash."""
    world = running(a_task())
    dies(world, exit_code=137, signal=9)
    container = the_container(world)
    assert (container.die_exit_code, container.die_signal, container.died_at_ns) == (137, 9, 1715947200123456789)
    (died,) = [n.what for n in world.notes if isinstance(n.what, history.ContainerDied)]
    assert died == history.ContainerDied(exit_code=137, signal=9, time_ns=1715947200123456789, stop_requested=False)


def test_a_die_after_the_answer_of_our_stop_is_kept_once_and_says_that_we_asked() -> None:
    world = running(a_task())
    world.stop(ONE)
    world.finish(the_call(world, StopContainer))
    assert statuses(world) == {"app": "STOPPED"}
    dies(world, exit_code=143, signal=15)
    dies(world, exit_code=143, signal=15)
    assert the_container(world).die_signal == 15
    (died,) = [n.what for n in world.notes if isinstance(n.what, history.ContainerDied)]
    assert (died.signal, died.stop_requested) == (15, True)
    assert told(world, history.ContainerStopping) == ["asking Docker to stop it; it has 30 s before SIGKILL"]
    assert world.calls == []


def test_each_death_of_a_container_that_is_restarted_is_kept() -> None:
    policy = RestartPolicy(enabled=True, restart_attempt_period_s=0)
    world = running(a_task(a_container(restart_policy=policy)))
    for nth in (1, 2):
        world.advance(5)
        box = world.box(ONE, "app")
        box.status, box.exit_code, box.ends = ContainerStatus.STOPPED, nth, box.ends + 1
        dies(world, exit_code=nth, signal=None, time_ns=nth)
        world.run_calls()
    assert [n.what.exit_code for n in world.notes if isinstance(n.what, history.ContainerDied)] == [1, 2]
    assert (the_container(world).restart_count, the_container(world).die_exit_code) == (2, None)


def test_a_die_while_the_container_is_stopped_by_us_is_left_to_the_answer() -> None:
    world = running(a_task())
    world.stop(ONE)
    notices(world, RuntimeAction.DIE, exit_code=143)
    assert [type(c) for c in world.calls] == [StopContainer]


def test_a_die_that_cannot_be_looked_into_has_the_code_of_the_notice() -> None:
    """engine.md §10.4."""
    world = running(a_task())
    notices(world, RuntimeAction.DIE, exit_code=3)
    world.finish(the_call(world, InspectContainer), outcome="failed")
    app = the_container(world)
    assert (app.known, app.exit_code, app.error) == (ContainerStatus.STOPPED, 3, None)
    before = world.state
    call = InspectContainer(docker_id=app.docker_id, seen=RuntimeAction.DIE, exit_code=9)
    world.calls.append(call)
    world.finish(call, outcome="failed")
    assert world.state is before, "a second failure tells nothing new"


def test_out_of_memory_is_only_remembered() -> None:
    """engine.md §12: log only."""
    world = running(a_task())
    before = world.state
    notices(world, RuntimeAction.OOM)
    assert (world.state, world.calls) == (before, [])
    assert told(world, history.ContainerOutOfMemory) == ["the kernel killed a process: out of memory"]


def test_a_destroyed_container_is_looked_for() -> None:
    world = running(a_task())
    notices(world, RuntimeAction.DESTROY)
    assert the_call(world, InspectContainer).seen is RuntimeAction.DESTROY


def test_a_destroyed_container_with_a_call_under_way_is_left_to_its_answer() -> None:
    world = running(a_task())
    world.stop(ONE)
    before = world.state
    notices(world, RuntimeAction.DESTROY)
    assert world.state is before
    assert [type(c) for c in world.calls] == [StopContainer]


def test_a_stopped_container_destroyed_from_outside_is_remembered() -> None:
    world = running(a_task())
    exits(world)
    world.remove_by_hand(world.box(ONE, "app"))
    assert told(world, history.ContainerVanished) == ["removed from Docker from outside"]


@pytest.mark.parametrize("checked", [True, False])
def test_a_health_notice_is_looked_into_when_docker_checks(checked: bool) -> None:
    world = running(a_task(a_container(health_check_is_docker=checked)))
    notices(world, RuntimeAction.HEALTH)
    assert bool(calls_of(world, InspectContainer)) is checked


def test_a_health_notice_of_a_stopped_container_changes_nothing() -> None:
    world = running(a_task(a_container(health_check_is_docker=True)))
    exits(world)
    notices(world, RuntimeAction.HEALTH)
    assert not world.calls


def test_without_docker_no_notice_is_looked_into() -> None:
    world = running(a_task(a_container(health_check_is_docker=True)))
    world.disconnect()
    for action in RuntimeAction:
        notices(world, action, exit_code=1)
    assert not world.calls


# --- inspections ---


def test_a_container_not_found_while_a_call_is_under_way_is_left_to_its_answer() -> None:
    world = running(a_task())
    world.advance(400)
    world.stop(ONE)
    look = the_call(world, InspectContainer)
    world.calls.remove(look)
    before = world.state
    event = ev.ContainerInspected(
        **world.head(), docker_id=look.docker_id, inspection=None, is_not_found=True, seen=None
    )  # type: ignore[arg-type]
    world.send(event)
    assert world.state is before


def test_a_stopped_container_that_is_not_found_has_not_vanished() -> None:
    world = running(a_task())
    exits(world, code=3)
    before = world.state
    docker_id = the_container(world).docker_id
    event = ev.ContainerInspected(**world.head(), docker_id=docker_id, inspection=None, is_not_found=True, seen=None)  # type: ignore[arg-type]
    world.send(event)
    assert world.state is before


def test_an_inspection_of_a_container_that_is_not_ours_changes_nothing() -> None:
    world = running(a_task())
    before = world.state
    event = ev.ContainerInspected(
        **world.head(), docker_id=DockerId("f"), inspection=None, is_not_found=True, seen=None
    )  # type: ignore[arg-type]
    world.send(event)
    assert world.state is before
    assert told(world, history.NoChange)[-1] == "inspection of a container that is not ours (any more)"
