"""What each result of a call makes of its container, failures and late answers included."""

from __future__ import annotations

from typing import Any

import pytest

from ecscope.agent.core import call_results
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
)
from ecscope.agent.core.state import PullBehavior
from ecscope.agent.core.step import Step
from ecscope.model import history
from ecscope.model.arn import DockerId
from ecscope.model.container import NamedError
from ecscope.model.runtime import PullProgress, RuntimeAction
from ecscope.model.status import ContainerStatus, TaskStatus
from tests.builders import a_container, an_arn
from tests.unit.agent.core.scenes import (
    NO_IMAGE,
    ONE,
    a_task,
    a_world,
    brought_to,
    calls_of,
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
        NamedError(name="CannotStartContainerError", message="Error response from daemon: unexpected EOF"),
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


# --- what nobody knows, and what nobody asked for ---


def test_a_result_for_an_unknown_task_or_container_changes_nothing() -> None:
    world = running(a_task())
    before = world.state
    for arn, name in ((an_arn(7), "app"), (ONE, "nobody")):
        world.send(ev.ContainerCreated(**world.head(), task_arn=arn, container_name=name, docker_id=DockerId("f")))  # type: ignore[arg-type]
        assert world.state is before
        assert told(world, history.NoChange)[-1] == f"{name} of {arn} is not known (any more)"


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


def test_an_event_that_is_no_result_would_be_told() -> None:
    """A new kind of result without a rule is a bug, and says so."""
    world = brought_to(a_task(), PullImage)
    step = Step(world.state, ev.CallCancelled(**here(world)))
    with pytest.raises(AssertionError, match="not a result of a container call"):
        call_results._take_result(step, world.task(ONE), the_container(world), ev.ContainerEvent(**here(world)))
