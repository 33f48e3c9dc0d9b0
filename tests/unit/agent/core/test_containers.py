"""Facts move a container's known status forward, and what was learned first or last stays by the rules."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from ecscope.agent.core import events as ev
from ecscope.agent.core.actions import InspectContainer, ListContainers, StartContainer, StopContainer
from ecscope.agent.core.containers import is_overtaken, settle_call, with_error, with_metadata
from ecscope.agent.core.state import PullBehavior
from ecscope.model import history
from ecscope.model.arn import DockerId
from ecscope.model.container import (
    ContainerInspection,
    ContainerNetwork,
    Dependency,
    DependencyCondition,
    Health,
    Mount,
    NamedError,
    PortBinding,
    RestartPolicy,
)
from ecscope.model.history import HistoryEntry
from ecscope.model.runtime import RuntimeAction
from ecscope.model.status import ContainerStatus, HealthStatus, TaskStatus
from ecscope.model.waiting import WaitingReason
from tests.builders import a_container, an_arn
from tests.tables import each_row
from tests.unit.agent.core.scenes import (
    ONE,
    a_task,
    brought_to,
    calls_of,
    exits,
    fails,
    notices,
    running,
    statuses,
    the_call,
    the_container,
    told,
)
from tests.world import World

replace = msgspec.structs.replace

FIRST = NamedError(name="CannotPullImageManifestError", message="no")
SECOND = NamedError(name="CannotCreateContainerError", message="no")
ALWAYS = RestartPolicy(enabled=True, ignored_exit_codes=(3,), restart_attempt_period_s=60)


def seen(status: ContainerStatus = ContainerStatus.RUNNING, **fields: Any) -> ContainerInspection:
    return replace(ContainerInspection(docker_id=DockerId("a"), status=status), **fields)


def inspected(world: World, status: ContainerStatus, *, why: RuntimeAction | None = None, **fields: Any) -> None:
    """An inspection arrives that shows this."""
    container = the_container(world)
    inspection = replace(world.box(ONE, "app").inspection(), status=status, **fields)
    world.send(
        ev.ContainerInspected(**world.head(), docker_id=container.docker_id, inspection=inspection, seen=why)  # type: ignore[arg-type]
    )


# --- small questions ---


def test_an_ended_call_leaves_no_trace() -> None:
    idle = a_container()
    assert settle_call(idle) is idle
    for busy in (a_container(in_flight=ContainerStatus.PULLED), a_container(cancelling=True)):
        assert settle_call(busy) == idle


def test_the_first_error_is_kept_for_ever() -> None:
    """engine.md §3.2, §15 5."""
    container = a_container()
    assert with_error(container, None) is container
    failed = with_error(container, FIRST)
    assert failed.error == FIRST
    assert with_error(failed, SECOND) is failed
    assert with_error(failed, None) is failed


def test_metadata_is_taken_over_and_what_docker_does_not_say_stays() -> None:
    known = a_container(
        image_id="i1", created_at="c1", started_at="s1", last_started_at="s1", finished_at="f1", exit_code=3,
        oom_killed=True, bindings=(PortBinding(container_port=80, host_port=1),), mounts=(Mount(name="m1"),),
    )  # fmt: skip
    assert with_metadata(known, seen()) == known
    told_all = seen(
        image_id="i2", created_at="c2", started_at="s2", finished_at="f2", exit_code=4,
        bindings=(PortBinding(container_port=80, host_port=2),), mounts=(Mount(name="m2"),),
    )  # fmt: skip
    after = with_metadata(known, told_all)
    assert (after.image_id, after.created_at, after.finished_at, after.exit_code) == ("i2", "c2", "f2", 4)
    assert (after.started_at, after.last_started_at) == ("s1", "s2"), "the first start stays"
    assert after.bindings == known.bindings, "as first reported, never refreshed"
    assert after.mounts == (Mount(name="m2"),)
    assert after.oom_killed
    fresh = with_metadata(a_container(), told_all)
    assert (fresh.started_at, fresh.bindings) == ("s2", told_all.bindings)


EARLY, LATE = "2024-05-17T12:00:01Z", "2024-05-17T12:00:02Z"


@each_row(
    "known, inspection, overtaken",
    [
        ({}, seen(started_at=EARLY), False),  # nothing is known yet
        ({"last_started_at": EARLY}, seen(), False),  # nothing is said
        ({"last_started_at": EARLY}, seen(started_at=LATE), False),  # a newer run
        ({"last_started_at": LATE}, seen(started_at=EARLY), True),  # an older run
        ({"last_started_at": LATE}, seen(ContainerStatus.STOPPED, started_at=EARLY), True),
        ({"last_started_at": EARLY}, seen(started_at=EARLY), False),  # the same run, which has not ended
        ({"last_started_at": EARLY, "finished_at": LATE}, seen(started_at=EARLY), True),  # it has ended since
        ({"last_started_at": LATE, "finished_at": EARLY}, seen(started_at=LATE), False),  # the run before has
        ({"last_started_at": EARLY, "finished_at": LATE}, seen(ContainerStatus.STOPPED, started_at=EARLY), False),
    ],
)
def test_an_answer_read_before_what_is_known_is_told_by_docker_times(
    known: dict[str, str], inspection: ContainerInspection, overtaken: bool
) -> None:
    assert is_overtaken(a_container(**known), inspection) is overtaken


# --- statuses: engine.md §12 ---


def test_backward_and_equal_statuses_are_dropped() -> None:
    world = running(a_task())
    before = world.state
    inspected(world, ContainerStatus.CREATED)
    assert world.state is before
    exits(world, code=3)
    before = world.state
    inspected(world, ContainerStatus.STOPPED, exit_code=9)
    assert world.state is before


def test_running_on_running_refreshes_metadata() -> None:
    """engine.md §12: e.g. bindings that came late."""
    world = running(a_task())
    binding = (PortBinding(container_port=80, host_port=8080),)
    inspected(world, ContainerStatus.RUNNING, bindings=binding)
    assert the_container(world).bindings == binding
    before = world.state
    inspected(world, ContainerStatus.RUNNING, bindings=binding)
    assert world.state is before, "nothing new, nothing to save"


def test_created_on_created_changes_nothing() -> None:
    world = brought_to(a_task(), StartContainer)
    before = world.state
    inspected(world, ContainerStatus.CREATED)
    assert world.state is before


def test_a_container_seen_ahead_of_what_is_known_is_taken_forward() -> None:
    world = brought_to(a_task(), StartContainer)
    inspected(world, ContainerStatus.RUNNING, started_at=EARLY)
    assert statuses(world) == {"app": "RUNNING"}
    assert the_container(world).started_at == EARLY
    world.run_calls()
    assert statuses(world) == {"app": "RUNNING"}


def test_a_container_that_ended_soon_after_its_start_may_never_be_seen_running() -> None:
    """engine.md, Seen running 3."""
    world = brought_to(a_task(), StartContainer)
    call = the_call(world, StartContainer)
    box = world._happen(call)
    assert box is not None
    box.status, box.exit_code, box.ends = ContainerStatus.STOPPED, 0, 1
    world.calls.remove(call)
    world.send(ev.ContainerStarted(**world.head(), task_arn=ONE, container_name="app", inspection=box.inspection()))  # type: ignore[arg-type]
    assert the_container(world).exit_code == 0
    moves = told(world, history.ContainerStatusChanged)
    assert moves[-1] == "CREATED → STOPPED: ended before it was seen running"


def detail_of(world: World, text: str) -> HistoryEntry:
    moves = [n for n in world.notes if type(n.what) is history.ContainerStatusChanged and n.text.startswith(text)]
    return moves[-1]


def test_the_history_of_an_end_says_how_it_ended() -> None:
    world = running(a_task())
    box = world.box(ONE, "app")
    box.status, box.exit_code, box.ends = ContainerStatus.STOPPED, 137, 1
    error = NamedError(name="OutOfMemoryError", message="Container killed due to memory usage")
    inspected(world, ContainerStatus.STOPPED, exit_code=137, oom_killed=True, error=error)
    note = detail_of(world, "RUNNING → STOPPED")
    assert note.text == "RUNNING → STOPPED: killed by the kernel: out of memory"
    assert note.detail == {
        "why": "killed by the kernel: out of memory",
        "from": "RUNNING", "to": "STOPPED", "dockerId": box.docker_id, "exitCode": 137, "signal": 9,
        "oomKilled": True, "reason": str(error), "finishedAt": box.inspection().finished_at,
    }  # fmt: skip
    assert the_container(world).error == error


def test_the_history_of_a_pull_and_a_start_says_of_what_and_when() -> None:
    world = running(a_task())
    pulled, started = detail_of(world, "MANIFEST_PULLED → PULLED"), detail_of(world, "CREATED → RUNNING")
    assert pulled.detail["image"] == "ecscope-sample:latest"
    assert pulled.detail["fromLocalImage"] is False
    assert started.detail["startedAt"] == the_container(world).started_at
    local = running(a_task(), pull_behavior=PullBehavior.PREFER_CACHED)
    assert detail_of(local, "MANIFEST_PULLED → PULLED").detail["fromLocalImage"] is True


def test_an_end_that_was_never_a_run_has_neither_code_nor_time() -> None:
    """engine.md §10.4: containers that never ran have no exit code."""
    world = brought_to(a_task(), StartContainer)
    fails(world, the_call(world, StartContainer), NamedError(name="CannotStartContainerError", message="no"))
    note = detail_of(world, "CREATED → STOPPED")
    assert note.detail["exitCode"] is None
    assert {"signal", "finishedAt"}.isdisjoint(note.detail)


# --- restart policy in motion: engine.md §10.2 ---


def policed(policy: RestartPolicy = ALWAYS, **fields: Any) -> World:
    """It runs, since one second after the task came."""
    return running(a_task(a_container(restart_policy=policy, **fields)))


def test_a_container_that_ends_is_started_again_and_its_task_stays_running() -> None:
    """engine.md §10.2: docker start of the same container, restart count + 1, no state event."""
    world = policed()
    started = the_container(world).started_at
    world.advance(61)
    exits(world, code=1)
    app = the_container(world)
    assert (app.known, app.restart_count, app.exit_code) == (ContainerStatus.RUNNING, 1, None)
    assert app.last_restarted_at == world.now
    assert (app.started_at, app.last_started_at > started) == (started, True)
    assert app.finished_at, "Seen running 11: FinishedAt of the previous run on a RUNNING container"
    assert (world.created, world.box(ONE, "app").starts) == (1, 2)
    assert (world.task(ONE).known, world.task(ONE).desired) == (TaskStatus.RUNNING, TaskStatus.RUNNING)
    assert told(world, history.ContainerRestarted) == ["exited with 1; restarted by its restart policy"]
    assert [t for t in told(world, history.ContainerStatusChanged) if "STOPPED" in t] == []


def test_the_start_of_a_restart_says_that_it_is_one() -> None:
    world = policed()
    world.advance(61)
    world.exits(world.box(ONE, "app"), 1)
    world.finish(the_call(world, InspectContainer))
    assert the_call(world, StartContainer).container_name == "app"


@pytest.mark.parametrize(
    ("code", "ran_s", "why"),
    [
        (3, 61, "exit code 3 should be ignored"),
        (1, 31, "it ran 30 s, less than restartAttemptPeriod 60 s"),
    ],
)
def test_otherwise_the_ordinary_end_follows(code: int, ran_s: int, why: str) -> None:
    """engine.md §10.2, Seen running 14."""
    world = policed()
    world.advance(ran_s)
    exits(world, code=code)
    assert world.task(ONE).known is TaskStatus.STOPPED
    assert the_container(world).exit_code == code
    assert f"not restarted: {why}" in told(world, history.ContainerNotRestarted)


def test_a_container_that_is_being_stopped_is_not_restarted() -> None:
    world = policed()
    world.advance(61)
    world.stop(ONE)
    world.exits(world.box(ONE, "app"), 143)
    world.run_calls()
    assert (world.task(ONE).known, world.box(ONE, "app").starts) == (TaskStatus.STOPPED, 1)


def test_a_stop_requested_between_the_end_and_its_inspection_wins() -> None:
    world = policed()
    world.advance(61)
    world.exits(world.box(ONE, "app"), 1)
    world.stop(ONE)
    world.run_calls()
    assert (world.task(ONE).known, world.box(ONE, "app").starts) == (TaskStatus.STOPPED, 1)
    assert the_container(world).exit_code == 1


def test_a_stop_requested_while_it_is_started_again_stops_the_new_run() -> None:
    world = policed()
    world.advance(61)
    world.exits(world.box(ONE, "app"), 1)
    world.finish(the_call(world, InspectContainer))
    world.stop(ONE)
    assert not calls_of(world, StopContainer), "the start is under way: its result is awaited"
    world.run_calls()
    box = world.box(ONE, "app")
    assert (world.task(ONE).known, box.starts, box.status) == (TaskStatus.STOPPED, 2, ContainerStatus.STOPPED)
    assert the_container(world).exit_code == 143


def test_the_end_that_led_to_a_restart_seen_a_second_time_changes_nothing() -> None:
    world = policed()
    world.advance(61)
    world.exits(world.box(ONE, "app"), 1)
    world.finish(the_call(world, InspectContainer))
    before = world.state
    inspected(world, ContainerStatus.STOPPED, exit_code=1)
    assert world.state is before


def test_an_end_read_before_the_restart_and_told_after_it_does_not_stop_the_container() -> None:
    """Two looks at the same end; the second answer is late."""
    world = policed()
    world.advance(61)
    world.exits(world.box(ONE, "app"), 1)
    late = world.box(ONE, "app").inspection()
    world.run_calls()
    docker_id = the_container(world).docker_id
    world.send(
        ev.ContainerInspected(**world.head(), docker_id=docker_id, inspection=late, seen=RuntimeAction.DIE, exit_code=1)  # type: ignore[arg-type]
    )
    assert statuses(world) == {"app": "RUNNING"}
    assert the_call(world, InspectContainer).seen is RuntimeAction.START
    world.run_calls()
    assert statuses(world) == {"app": "RUNNING"}
    assert world.box(ONE, "app").starts == 2


def to_the_restart() -> World:
    world = policed()
    world.advance(61)
    world.exits(world.box(ONE, "app"), 9)
    world.finish(the_call(world, InspectContainer))
    return world


CANNOT = NamedError(name="CannotStartContainerError", message="Error response from daemon: no such device")


def test_a_restart_that_fails_ends_the_container_as_its_last_run_ended() -> None:
    """The error of a restart is not the reason, and the code that Docker gives a failed start is not the exit."""
    world = to_the_restart()
    refused = replace(world.box(ONE, "app").inspection(), exit_code=128)
    fails(world, the_call(world, StartContainer), CANNOT, inspection=refused)
    app = the_container(world)
    assert (app.known, app.exit_code, app.error) == (ContainerStatus.STOPPED, 9, None)
    assert world.task(ONE).known is TaskStatus.STOPPED
    assert told(world, history.ContainerError) == [f"restart failed: {CANNOT}"]
    assert not world.calls


def test_a_restart_that_timed_out_but_runs_is_a_restart() -> None:
    world = to_the_restart()
    box = world._happen(the_call(world, StartContainer))
    assert box is not None
    fails(world, the_call(world, StartContainer), CANNOT, inspection=box.inspection())
    app = the_container(world)
    assert (app.known, app.exit_code, app.error) == (ContainerStatus.RUNNING, None, None)
    assert world.task(ONE).desired is TaskStatus.RUNNING


def test_a_restart_of_which_nothing_can_be_seen_is_looked_at_so_that_nothing_runs_unknown() -> None:
    world = to_the_restart()
    world._happen(the_call(world, StartContainer))
    fails(world, the_call(world, StartContainer), CANNOT, inspection=None)
    assert (statuses(world), the_container(world).exit_code) == ({"app": "STOPPED"}, 9)
    world.run_calls()
    assert world.box(ONE, "app").status is ContainerStatus.STOPPED
    assert the_container(world).exit_code == 9


def test_a_restart_that_fails_after_the_container_was_seen_to_end_changes_nothing_more() -> None:
    world = to_the_restart()
    world.remove_by_hand(world.box(ONE, "app"), noticed=False)
    inspection = ContainerInspection(
        docker_id=the_container(world).docker_id, status=ContainerStatus.STOPPED, exit_code=5,
        finished_at="2024-05-17T13:00:00Z",
    )  # fmt: skip
    world.send(
        ev.ContainerInspected(**world.head(), docker_id=inspection.docker_id, inspection=inspection, seen=None)  # type: ignore[arg-type]
    )
    assert "not restarted: it ran 0 s, less than restartAttemptPeriod 60 s" in told(
        world, history.ContainerNotRestarted
    )
    fails(world, the_call(world, StartContainer), CANNOT)
    assert the_container(world).exit_code == 5


def test_an_end_while_another_call_is_under_way_is_no_restart() -> None:
    policy = RestartPolicy(enabled=True, restart_attempt_period_s=0)
    world = policed(policy)
    world.advance(1)
    world.exits(world.box(ONE, "app"), 9)
    world.finish(the_call(world, InspectContainer))
    inspected(world, ContainerStatus.STOPPED, exit_code=5, finished_at="2024-05-17T13:00:00Z")
    assert "not restarted: another call is under way" in told(world, history.ContainerNotRestarted)


def test_a_restart_whose_answer_never_came_is_settled_by_the_listing() -> None:
    for effect in (True, False):
        world = to_the_restart()
        world.finish(the_call(world, StartContainer), outcome="unreachable", effect=effect)
        assert statuses(world) == {"app": "RUNNING"}
        world.run_calls()
        app, box = the_container(world), world.box(ONE, "app")
        assert (app.known, app.exit_code, app.restart_count) == (ContainerStatus.RUNNING, None, 1)
        assert (box.status, box.starts) == (ContainerStatus.RUNNING, 2), "done, or done again: the saved state says so"


@pytest.mark.parametrize("dropped", [True, False])
def test_a_restart_that_was_cut_off_with_the_agent_is_made_good(dropped: bool) -> None:
    """Engines from 26 on drop a start whose client has gone; the agent may also have ended before it asked."""
    world = to_the_restart()
    world.restart_agent()
    ended = replace(world.box(ONE, "app").inspection(), start_dropped=dropped)
    listing(world, replace(ended, exit_code=None) if dropped else ended)
    assert the_container(world).exit_code == 9
    world.run_calls()
    app = the_container(world)
    assert (app.known, app.exit_code, app.restart_count) == (ContainerStatus.RUNNING, None, 1)
    assert world.box(ONE, "app").starts == 2


def test_a_restart_that_was_refused_while_the_agent_ended_is_not_tried_again() -> None:
    world = to_the_restart()
    world.restart_agent()
    refused = NamedError(name="DockerStateError", message="no such device")
    listing(world, replace(world.box(ONE, "app").inspection(), exit_code=128, error=refused))
    app = the_container(world)
    assert (app.known, app.exit_code, app.error) == (ContainerStatus.STOPPED, 9, None)
    assert not world.calls


def test_a_restart_that_was_cut_off_is_not_made_good_when_the_task_is_to_stop() -> None:
    world = to_the_restart()
    world.stop(ONE)
    world.restart_agent()
    listing(world, replace(world.box(ONE, "app").inspection(), exit_code=None, start_dropped=True))
    app = the_container(world)
    assert (app.known, app.exit_code, app.error) == (ContainerStatus.STOPPED, 9, None)
    assert world.box(ONE, "app").starts == 1


def listing(world: World, inspection: ContainerInspection) -> None:
    """Answer the listing under way with this one container."""
    world.calls.remove(the_call(world, ListContainers))
    row = ev.ListedContainer(
        docker_id=inspection.docker_id, docker_name=inspection.docker_name, task_arn=ONE, inspection=inspection
    )
    world.send(ev.RuntimeListed(**world.head(), containers=(row,)))


def test_a_container_that_vanished_in_a_restart_has_no_exit_code() -> None:
    """engine.md, Seen running 10."""
    world = to_the_restart()
    world.calls.clear()
    world.remove_by_hand(world.box(ONE, "app"), noticed=False)
    world.restart_agent()
    world.run_calls()
    app = the_container(world)
    assert (app.exit_code, str(app.error)) == (
        None,
        "ContainerVanishedError: No container matching saved ID found",
    )


# --- removed or started from outside ---


def test_a_container_removed_by_force_has_its_exit_code_and_no_reason() -> None:
    """engine.md, Seen running 10: STOPPED, exit code 137, no reason."""
    world = running(a_task())
    world.remove_by_hand(world.box(ONE, "app"))
    world.run_calls()
    app = the_container(world)
    assert (app.known, app.exit_code, app.error) == (ContainerStatus.STOPPED, 137, None)
    assert world.task(ONE).known is TaskStatus.STOPPED


def test_a_created_container_removed_by_hand_has_vanished() -> None:
    world = running(a_task(a_container("app", essential=False), a_container("main")))
    world.disconnect()
    world.remove_by_hand(world.box(ONE, "app"), noticed=False)
    world.run_calls()
    assert statuses(world) == {"app": "STOPPED", "main": "RUNNING"}
    assert the_container(world).error is not None


def test_a_stopped_container_that_somebody_starts_is_stopped_once_more_and_only_once_per_task() -> None:
    """engine.md §3.2, the last line."""
    world = running(a_task(a_container("app"), a_container("b")))
    world.stop(ONE)
    world.run_calls()
    box = world.box(ONE, "app")
    for times in (1, 2):
        box.status, box.starts = ContainerStatus.RUNNING, box.starts + 1
        world.notice(box, RuntimeAction.START)
        world.run_calls()
        stopped_again = box.status is ContainerStatus.STOPPED
        assert stopped_again is (times == 1)
        assert statuses(world)["app"] == "STOPPED"
    assert told(world, history.ContainerStartedFromOutside) == [
        "was started from outside after it had stopped; stopping it once more"
    ]


def test_a_stopped_container_that_only_seems_to_run_is_left_alone() -> None:
    """A look before the end whose answer comes after it."""
    world = running(a_task())
    late = world.box(ONE, "app").inspection()
    exits(world, code=3)
    docker_id = the_container(world).docker_id
    world.send(
        ev.ContainerInspected(**world.head(), docker_id=docker_id, inspection=late, seen=RuntimeAction.HEALTH)  # type: ignore[arg-type]
    )
    world.run_calls()
    assert told(world, history.ContainerStartedFromOutside) == []
    assert not world.task(ONE).stopped_again


def test_a_container_that_was_started_again_while_it_was_being_stopped_is_stopped_again() -> None:
    world = running(a_task())
    world.stop(ONE)
    call = the_call(world, StopContainer)
    box = world._happen(call)
    assert box is not None
    world.notice(box, RuntimeAction.DIE)
    box.status, box.starts = ContainerStatus.RUNNING, 2
    world.notice(box, RuntimeAction.START)
    world.calls.remove(call)
    world.send(ev.ContainerStopDone(**world.head(), task_arn=ONE, container_name="app", inspection=box.inspection()))  # type: ignore[arg-type]
    assert statuses(world) == {"app": "STOPPED"}
    world.run_calls()
    assert box.status is ContainerStatus.STOPPED


# --- health: engine.md §10.1 ---


@pytest.mark.parametrize("checked", [True, False])
def test_only_a_docker_health_check_counts(checked: bool) -> None:
    world = running(a_task(a_container(health_check_is_docker=checked)))
    box = world.box(ONE, "app")
    box.health = HealthStatus.UNHEALTHY
    world.notice(box, RuntimeAction.HEALTH)
    world.run_calls()
    expected = HealthStatus.UNHEALTHY if checked else HealthStatus.UNKNOWN
    assert the_container(world).health.status is expected
    assert told(world, history.ContainerHealthChanged) == (["UNKNOWN → UNHEALTHY"] if checked else [])


def test_an_unhealthy_container_is_not_stopped() -> None:
    """engine.md §10.1: the scheduler replaces it, not the agent."""
    world = running(a_task(a_container(health_check_is_docker=True)))
    world.box(ONE, "app").health = HealthStatus.UNHEALTHY
    notices(world, RuntimeAction.HEALTH)
    world.run_calls()
    assert world.task(ONE).desired is TaskStatus.RUNNING
    assert not world.calls


def test_a_new_output_with_the_same_verdict_is_kept_without_a_word() -> None:
    world = running(a_task(a_container(health_check_is_docker=True)))
    inspected(world, ContainerStatus.RUNNING, health=Health(output="slow", exit_code=0))
    assert the_container(world).health.output == "slow"
    assert told(world, history.ContainerHealthChanged) == []


def test_a_grace_time_is_the_containers_own_or_else_the_agents() -> None:
    """engine.md §3.1."""
    for own, expected in ((None, 17), (0, 17), (5, 5)):
        world = running(a_task(a_container(stop_timeout_s=own)), stop_timeout_s=17)
        world.stop(ONE)
        assert the_call(world, StopContainer).grace_s == expected


def test_a_run_is_timed_from_the_agents_clock() -> None:
    world = policed()
    world.advance(61)
    exits(world, code=1)
    assert the_container(world).last_restarted_at == world.now
    world.advance(59)
    exits(world, code=1)
    assert world.task(ONE).known is TaskStatus.STOPPED
    assert world.now - timedelta(seconds=59) == the_container(world).last_restarted_at


def test_what_holds_a_container_back_is_remembered_once_and_forgotten_when_it_is_over() -> None:
    depends = Dependency(container_name="db", condition=DependencyCondition.HEALTHY)
    world = World()
    world.connect()
    world.run_calls()
    world.submit(a_task(a_container("db", health_check_is_docker=True), a_container("app", depends_on=(depends,))))
    world.run_calls()
    app = world.task(an_arn()).container("app")
    assert app is not None
    assert (app.waiting.reason, app.waiting.on) == (WaitingReason.DEPENDENCY, "db HEALTHY")
    told = [note.text for note in world.notes if type(note.what) is history.ContainerWaitsForDependency]
    assert told == ["waits for db HEALTHY"]
    box = world.box(an_arn(), "db")
    box.health = HealthStatus.HEALTHY
    world.notice(box, RuntimeAction.HEALTH)
    world.run_calls()
    app = world.task(an_arn()).container("app")
    assert app is not None
    assert (app.waiting, app.is_running) == (None, True)


def test_a_container_that_ended_is_shown_with_its_last_addresses() -> None:
    bridge = (ContainerNetwork(name="bridge", ipv4="172.17.0.2"),)
    running = with_metadata(a_container(), seen(ContainerStatus.RUNNING, networks=bridge, labels={"a": "b"}))
    assert (running.networks, running.labels) == (bridge, {"a": "b"})
    freed = seen(ContainerStatus.STOPPED, networks=(ContainerNetwork(name="bridge"),))
    assert with_metadata(running, freed).networks == bridge
    assert with_metadata(a_container(), freed).networks == freed.networks
    moved = seen(ContainerStatus.RUNNING, networks=(ContainerNetwork(name="bridge", ipv4="172.17.0.9"),))
    assert with_metadata(running, moved).networks == moved.networks
    assert with_metadata(running, seen(ContainerStatus.RUNNING)).networks == bridge
