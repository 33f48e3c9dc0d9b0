"""Each event goes where it belongs: results and their failures, notices and inspections, and what comes too late."""

from __future__ import annotations

from typing import Any

import pytest

from ecscope.agent.core import decide as module
from ecscope.agent.core import events as ev
from ecscope.agent.core.actions import (
    CreateContainer,
    InspectContainer,
    InspectImage,
    PullImage,
    ReconnectRuntime,
    ResolveManifest,
    StartContainer,
    StopContainer,
    Timer,
    TimerKind,
)
from ecscope.agent.core.decide import decide
from ecscope.agent.core.state import PullBehavior
from ecscope.agent.core.step import Step
from ecscope.model import history
from ecscope.model.arn import DockerId
from ecscope.model.container import NamedError, RestartPolicy
from ecscope.model.runtime import PullProgress, RuntimeAction, RuntimeNotice
from ecscope.model.status import ContainerStatus, TaskStatus
from tests.builders import AT, a_container, a_volume, an_arn
from tests.unit.agent.core.scenes import (
    NO_IMAGE,
    ONE,
    a_task,
    a_world,
    brought_to,
    calls_of,
    exits,
    fails,
    go_on_to,
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


# --- a start that fails: engine.md §3.2, the table ---

REFUSED_START = NamedError(name="CannotStartContainerError", message="Error response from daemon: no such file")
MAY_RUN = [
    timeout("started", "3m0s"),
    NamedError(name="CannotInspectContainerError", message="no answer"),
    NamedError(name="CannotStartContainerError", message="Post http://docker/start: EOF"),
]


@pytest.mark.parametrize("error", MAY_RUN, ids=lambda error: error.name)
@pytest.mark.parametrize("runs", [True, False])
def test_a_start_that_may_have_succeeded_forces_a_stop(error: NamedError, runs: bool) -> None:
    world = brought_to(a_task(), StartContainer)
    call = the_call(world, StartContainer)
    if runs:
        world._happen(call)
    fails(world, call, error)
    assert statuses(world) == {"app": "CREATED"}, "not stopped before Docker has been asked to"
    assert the_call(world, StopContainer)
    world.run_calls()
    app = the_container(world)
    assert (app.known, app.error, app.may_be_running) == (ContainerStatus.STOPPED, error, False)
    assert app.exit_code == (143 if runs else None)
    assert world.box(ONE, "app").status is not ContainerStatus.RUNNING


@pytest.mark.parametrize(
    "error",
    [
        REFUSED_START,
        NamedError(name="CannotStartContainerError", message="EOF was not expected"),
        NamedError(name="UnknownError", message="EOF"),
    ],
    ids=str,
)
def test_any_other_failure_stops_the_container_without_a_call(error: NamedError) -> None:
    world = brought_to(a_task(), StartContainer)
    inspection = world.box(ONE, "app").inspection()
    fails(world, the_call(world, StartContainer), error, inspection=inspection)
    app = the_container(world)
    assert (app.known, app.error, app.exit_code) == (ContainerStatus.STOPPED, error, None)
    assert (app.created_at, app.image_id) == (inspection.created_at, inspection.image_id)
    assert not world.calls
    assert told(world, history.ContainerError) == [f"start failed: {error}"]


def test_a_start_that_failed_and_is_seen_running_is_stopped() -> None:
    world = brought_to(a_task(), StartContainer)
    box = world._happen(the_call(world, StartContainer))
    assert box is not None
    fails(world, the_call(world, StartContainer), REFUSED_START, inspection=box.inspection())
    assert the_call(world, StopContainer)


@pytest.mark.parametrize("error", [REFUSED_START, *MAY_RUN], ids=lambda error: error.name)
def test_a_first_start_that_fails_after_it_was_seen_running_is_no_restart(error: NamedError) -> None:
    """A look caused by a health notice can come before the start's own answer."""
    world = brought_to(a_task(a_container(health_check_is_docker=True)), StartContainer)
    call = the_call(world, StartContainer)
    world._happen(call)
    notices(world, RuntimeAction.HEALTH)
    world.finish(the_call(world, InspectContainer))
    assert statuses(world) == {"app": "RUNNING"}
    fails(world, call, error)
    assert statuses(world) == {"app": "RUNNING"}, "it does run, so it is stopped by Docker"
    world.run_calls()
    assert world.box(ONE, "app").status is ContainerStatus.STOPPED
    assert (the_container(world).error, the_container(world).exit_code) == (error, 143)


# --- a stop that fails: engine.md §3.1 ---

CANNOT_STOP = NamedError(name="CannotStopContainerError", message="Error response from daemon: cannot kill")


def test_a_failed_stop_counts_as_stopped_with_its_error_when_docker_answers() -> None:
    world = running(a_task())
    world.stop(ONE)
    fails(world, the_call(world, StopContainer), CANNOT_STOP, runtime_answers=True)
    app = the_container(world)
    assert (app.known, app.error, app.exit_code) == (ContainerStatus.STOPPED, CANNOT_STOP, None)
    assert world.task(ONE).known is TaskStatus.STOPPED


def test_a_failed_stop_of_what_died_meanwhile_keeps_the_code_of_its_death() -> None:
    world = running(a_task())
    world.stop(ONE)
    notices(world, RuntimeAction.DIE, exit_code=137)
    fails(world, the_call(world, StopContainer), CANNOT_STOP, runtime_answers=True)
    assert the_container(world).exit_code == 137


@pytest.mark.parametrize("is_unreachable", [True, False])
def test_a_failed_stop_changes_nothing_when_docker_does_not_answer_and_is_tried_again(is_unreachable: bool) -> None:
    """engine.md §3.1: status unchanged, retried later."""
    world = running(a_task())
    world.stop(ONE)
    call = the_call(world, StopContainer)
    fails(world, call, CANNOT_STOP, runtime_answers=False, is_unreachable=is_unreachable)
    assert (statuses(world), the_container(world).error) == ({"app": "RUNNING"}, None)
    assert world.reconnect_wanted
    world.run_calls()
    assert (statuses(world), the_container(world).exit_code) == ({"app": "STOPPED"}, 143)


def test_a_stop_of_a_container_that_is_gone_has_vanished() -> None:
    world = running(a_task())
    world.stop(ONE)
    world.calls.remove(the_call(world, StopContainer))
    world.send(ev.ContainerStopDone(**here(world), inspection=None))
    assert str(the_container(world).error) == "ContainerVanishedError: No container matching saved ID found"


@pytest.mark.parametrize("answer", ["done", "failed"])
def test_the_end_of_a_stop_of_what_is_known_to_be_stopped_changes_no_end(answer: str) -> None:
    world = running(a_task())
    world.stop(ONE)
    call = the_call(world, StopContainer)
    world.advance(400)  # the regular look sees the end first
    world._happen(call)
    world.finish(the_call(world, InspectContainer))
    assert (statuses(world), the_container(world).exit_code) == ({"app": "STOPPED"}, 143)
    if answer == "done":
        world.finish(call)
        assert the_container(world).error is None
    else:
        fails(world, call, CANNOT_STOP, runtime_answers=True)
    app = the_container(world)
    assert (app.known, app.exit_code, app.in_flight) == (ContainerStatus.STOPPED, 143, None)


def test_a_start_that_fails_after_the_end_was_seen_changes_no_end() -> None:
    world = brought_to(a_task(a_container(health_check_is_docker=True)), StartContainer)
    call = the_call(world, StartContainer)
    box = world._happen(call)
    assert box is not None
    box.status, box.exit_code, box.ends = ContainerStatus.STOPPED, 7, 1
    notices(world, RuntimeAction.HEALTH)
    world.finish(the_call(world, InspectContainer))
    fails(world, call, MAY_RUN[1])
    app = the_container(world)
    assert (app.known, app.exit_code) == (ContainerStatus.STOPPED, 7)
    assert not world.calls


# --- Docker is away: nothing is known about the outcome, and it is no error of the container ---


@pytest.mark.parametrize(
    "kind", [ResolveManifest, PullImage, CreateContainer, StartContainer, StopContainer, InspectImage]
)
@pytest.mark.parametrize("effect", [True, False])
def test_a_call_that_did_not_reach_docker_is_no_error_and_is_done_again(kind: type[Any], effect: bool) -> None:
    behavior = PullBehavior.PREFER_CACHED if kind is InspectImage else PullBehavior.DEFAULT
    world = a_world(pull_behavior=behavior)
    world.submit(a_task())
    if kind is StopContainer:
        world.run_calls()
        world.stop(ONE)
    go_on_to(world, kind)
    world.finish(the_call(world, kind), outcome="unreachable", effect=effect)
    app = the_container(world)
    assert (app.in_flight, app.error) == (None, None)
    assert (world.calls, world.state.runtime_connected, world.state.reconciled) == ([], False, False)
    assert world.reconnect_wanted
    world.run_calls()
    assert statuses(world) == {"app": "STOPPED" if kind is StopContainer else "RUNNING"}
    assert (the_container(world).error, world.created, world.box(ONE, "app").starts) == (None, 1, 1)


def test_docker_is_asked_to_come_back_once_however_many_calls_did_not_reach_it() -> None:
    world = a_world()
    world.submit(a_task(a_container("a"), a_container("b")))
    asked = 0
    for call in calls_of(world, ResolveManifest):
        world.calls.remove(call)
        event = ev.ManifestFailed(
            **world.head(), task_arn=ONE, container_name=call.container_name, error=NO_IMAGE, is_unreachable=True
        )  # type: ignore[arg-type]
        asked += sum(isinstance(a, ReconnectRuntime) for a in world.send(event).actions)
    assert asked == 1


def test_a_pull_that_failed_while_docker_went_away_is_done_again() -> None:
    world = brought_to(a_task(), PullImage)
    world.disconnect()
    fails(world, the_call(world, PullImage), NO_IMAGE)
    assert statuses(world) == {"app": "MANIFEST_PULLED"}
    assert not world.calls
    world.run_calls()
    assert (statuses(world), the_container(world).error) == ({"app": "RUNNING"}, NO_IMAGE)


def test_a_pull_that_failed_after_a_stop_request_is_not_looked_into() -> None:
    world = brought_to(a_task(), PullImage)
    call = the_call(world, PullImage)
    world._take = lambda action: None  # type: ignore[method-assign]  # the cancel comes too late
    world.stop(ONE)
    fails(world, call, NO_IMAGE)
    assert statuses(world) == {"app": "STOPPED"}


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


# --- what nobody knows, and what nobody asked for ---


def test_a_result_for_an_unknown_task_or_container_changes_nothing() -> None:
    world = running(a_task())
    before = world.state
    for arn, name in ((an_arn(7), "app"), (ONE, "nobody")):
        world.send(ev.ContainerCreated(**world.head(), task_arn=arn, container_name=name, docker_id=DockerId("f")))  # type: ignore[arg-type]
        assert world.state is before
        assert told(world, history.NoChange)[-1] == f"{name} of {arn} is not known (any more)"


def test_a_timer_of_an_unknown_task_changes_nothing() -> None:
    world = running(a_task())
    before = world.state
    other = an_arn(7)
    for event in (
        ev.TimerFired(**world.head(), timer=Timer(kind=kind, task_arn=other))  # type: ignore[arg-type]
        for kind in TimerKind
        if kind is not TimerKind.IMAGE_CLEANUP
    ):
        world.send(event)
        assert world.state is before
        assert told(world, history.NoChange)[-1] == f"{other} is not known (any more)"


def test_a_result_of_no_call_changes_nothing() -> None:
    world = running(a_task())
    before = world.state
    world.send(ev.ContainerCreated(**here(world), docker_id=DockerId("f")))
    world.send(ev.ContainerStopFailed(**here(world), error=CANNOT_STOP, is_unreachable=True, runtime_answers=False))
    assert (world.state, world.reconnect_wanted) == (before, False)
    assert told(world, history.NoChange)[-1] == f"app of {ONE} has no such call under way"


def test_progress_is_only_told() -> None:
    world = brought_to(a_task(), PullImage)
    before = world.state
    progress = PullProgress(layers_total=4, layers_done=1, bytes_total=100, bytes_done=25)
    world.send(ev.ImagePullProgressed(**here(world), progress=progress))
    assert world.state is before
    note = world.notes[-1]
    assert (type(note.what), note.text) == (history.ImagePullProgress, "1 of 4 layers")
    assert note.detail == {"layersDone": 1, "layersTotal": 4, "bytesDone": 25, "bytesTotal": 100}


def test_what_came_further_meanwhile_is_not_taken_back_by_a_late_answer() -> None:
    """A listing may show a container before the answer of its own create is in."""
    world = brought_to(a_task(), CreateContainer)
    box = world._happen(the_call(world, CreateContainer))
    assert box is not None
    box.status, box.starts = ContainerStatus.RUNNING, 1
    call = world.calls.pop()
    world.connect()
    world.run_calls()
    assert statuses(world) == {"app": "RUNNING"}
    world.calls.append(call)
    world.finish(call)
    assert (statuses(world), the_container(world).docker_id) == ({"app": "RUNNING"}, box.docker_id)


# --- the door itself ---


def test_the_same_input_gives_the_same_output() -> None:
    world = a_world()
    event = ev.TaskReceived(id="x", at=AT, task=a_task(volumes=(a_volume(),)), requested_by="test")
    assert decide(world.state, event) == decide(world.state, event)


def test_an_endless_loop_would_be_cut_off_with_the_event_that_led_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROUNDS", 1)
    event = ev.TaskReceived(id="event-9", at=AT, task=a_task(), requested_by="test")
    with pytest.raises(AssertionError, match=r"rules do not come to rest after TaskReceived.*event-9"):
        decide(a_world().state, event)


def test_an_event_that_is_no_result_would_be_told() -> None:
    """A new kind of result without a rule is a bug, and says so."""
    world = brought_to(a_task(), PullImage)
    step = Step(world.state, ev.CallCancelled(**here(world)))
    with pytest.raises(AssertionError, match="not a result of a container call"):
        module._take_result(step, world.task(ONE), the_container(world), ev.ContainerEvent(**here(world)))
