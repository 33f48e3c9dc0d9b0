"""What ECS is told: which news makes a state change, in what order changes go, what a crash leaves."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from ecscope.agent.core import events as ev
from ecscope.agent.core.actions import SubmitTaskStateChange, Timer, TimerKind
from ecscope.agent.core.state import PullBehavior, Settings
from ecscope.model import history
from ecscope.model.container import ContainerKind, NamedError, PortBinding, RestartPolicy
from ecscope.model.status import ContainerStatus, ReportedStatus, TaskStatus
from ecscope.model.task import Task
from tests.builders import AT, a_container, a_failure, a_task, an_arn
from tests.world import World

ONE = an_arn(1)
CACHED = Settings(joins_cluster=True, pull_behavior=PullBehavior.PREFER_CACHED, cleanup_wait_s=600.0)


@pytest.fixture
def world() -> World:
    """A registered instance whose images are all there, without digests: nothing is PENDING first."""
    made = World(settings=CACHED)
    made.connect()
    made.register()
    made.run_calls()
    return made


def run(world: World, task: Task) -> None:
    world.payload(task)
    world.run_calls()


def changes(world: World) -> list[tuple[str, list[tuple[str, str]]]]:
    """What was told, as (status, [(container, status)])."""
    return [
        (s.change.status.value, [(c.container_name, c.status.value) for c in s.change.containers]) for s in world.told
    ]


def drain_timer(task_arn: str = ONE) -> Timer:
    return Timer(kind=TimerKind.REPORT_DRAIN, task_arn=task_arn)


def test_a_task_is_pending_once_a_digest_is_resolved() -> None:
    world = World(settings=msgspec.structs.replace(CACHED, pull_behavior=PullBehavior.DEFAULT))
    world.connect()
    world.register()
    run(world, a_task())
    world.accept_all()
    assert changes(world) == [("PENDING", [("app", "PENDING")]), ("RUNNING", [("app", "RUNNING")])]
    pending, running = (s.change for s in world.told)
    assert pending.containers[0].image_digest.startswith("sha256:")
    assert pending.pull_stopped_at is None
    assert running.pull_started_at is not None
    assert running.pull_stopped_at is not None


def test_running_is_told_when_all_containers_run(world: World) -> None:
    run(world, a_task(a_container("app"), a_container("side", essential=False)))
    world.accept_all()
    assert changes(world)[-1] == ("RUNNING", [("app", "RUNNING"), ("side", "RUNNING")])


def test_an_end_is_told_with_its_exit_code(world: World) -> None:
    run(world, a_task())
    world.accept_all()
    world.exits(world.box(ONE, "app"), 3)
    world.run_calls()
    world.accept_all()
    change = world.told[-1].change
    assert change.status is ReportedStatus.STOPPED
    assert change.execution_stopped_at == AT
    assert [(c.status, c.exit_code) for c in change.containers] == [(ReportedStatus.STOPPED, 3)]
    assert change.containers[0].runtime_id == world.task(ONE).containers[0].docker_id


def test_a_container_without_consequences_waits_for_the_drain_timer(world: World) -> None:
    run(world, a_task(a_container("main"), a_container("one", essential=False)))
    world.accept_all()
    world.exits(world.box(ONE, "one"), 7)
    world.run_calls()
    assert not world.submits
    assert world.timers[drain_timer()] == AT + timedelta(seconds=CACHED.report_drain_s)
    world.advance(CACHED.report_drain_s)
    world.accept_all()
    assert changes(world)[-1] == ("RUNNING", [("one", "STOPPED")])
    assert drain_timer() not in world.timers


def test_news_that_waits_is_taken_along_by_the_next_change(world: World) -> None:
    run(world, a_task(a_container("main"), a_container("one", essential=False)))
    world.accept_all()
    world.exits(world.box(ONE, "one"), 7)
    world.exits(world.box(ONE, "main"), 0)
    world.run_calls()
    world.accept_all()
    assert changes(world)[-1] == ("STOPPED", [("one", "STOPPED"), ("main", "STOPPED")])
    assert drain_timer() not in world.timers


def test_the_first_error_is_the_containers_reason(world: World) -> None:
    error = NamedError(name="CannotPullContainerError", message="no")
    container = a_container("app", error=error, bindings=(PortBinding(container_port=80, host_port=8080),))
    run(world, a_task(container))
    world.accept_all()
    told = world.told[-1].change.containers[0]
    assert told.reason == "CannotPullContainerError: no"
    assert told.bindings == (PortBinding(container_port=80, host_port=8080),)


def test_a_tasks_reason_begins_with_a_capital(world: World) -> None:
    world.payload(a_task(terminal_reason="resource cannot be initialized", desired=TaskStatus.STOPPED))
    world.run_calls()
    world.accept_all()
    assert [s.change.reason for s in world.told] == ["Resource cannot be initialized"]


def test_changes_of_one_task_go_one_after_the_other(world: World) -> None:
    run(world, a_task())
    world.exits(world.box(ONE, "app"), 0)
    world.run_calls()
    assert [s.change.status.value for s in world.submits][:1] == ["PENDING"]
    assert len(world.submits) == 1
    world.accept_all()
    assert world.statuses_told(ONE) == ["PENDING", "RUNNING", "STOPPED"]


def test_only_so_many_tasks_report_at_once_and_the_others_follow_in_order(world: World) -> None:
    tasks = CACHED.reports_at_once + 5
    for number in range(1, tasks + 1):
        world.payload(a_task(number=number, unsupported="x"), message_id=f"m{number}")
    assert len(world.submits) == CACHED.reports_at_once
    world.accept_all()
    assert [s.task_arn for s in world.told] == [an_arn(number) for number in range(1, tasks + 1)]


def test_nothing_is_told_before_the_instance_is_registered() -> None:
    world = World(settings=CACHED)
    world.connect()
    run(world, a_task())
    assert not world.submits
    world.register()
    assert [s.task_arn for s in world.submits] == [ONE]


def test_a_restart_tells_what_was_not_accepted_and_nothing_else(world: World) -> None:
    run(world, a_task())
    world.accept(world.submits[0])
    under_way = world.submits[0].change
    world.restart_agent()
    assert [s.change for s in world.submits] == [under_way]
    world.accept_all()
    world.restart_agent()
    assert not world.submits


def test_news_that_waited_for_the_timer_waits_anew_after_a_restart(world: World) -> None:
    run(world, a_task(a_container("main"), a_container("one", essential=False)))
    world.accept_all()
    world.exits(world.box(ONE, "one"), 7)
    world.run_calls()
    world.restart_agent()
    world.run_calls()
    world.advance(CACHED.report_drain_s)
    world.accept_all()
    assert changes(world)[-1] == ("RUNNING", [("one", "STOPPED")])


def test_what_ecs_refuses_is_dropped_and_said(world: World) -> None:
    run(world, a_task())
    submit = world.submits.pop()
    world.send(ev.StateChangeRefused(**world.head(), task_arn=ONE, number=submit.change.number, failure=a_failure()))
    assert world.submits[0].change.number == submit.change.number + 1
    note = next(n for n in world.notes if type(n.what) is history.StateChangeRefused)
    assert note.detail["code"] == "InvalidParameterException"


def test_an_answer_to_no_question_changes_nothing(world: World) -> None:
    run(world, a_task())
    before = world.state
    world.send(ev.StateChangeAccepted(**world.head(), task_arn=ONE, number=99))
    world.send(ev.StateChangeAccepted(**world.head(), task_arn=an_arn(5), number=1))
    assert world.state == before


def test_a_stopped_task_stays_until_ecs_knows(world: World) -> None:
    run(world, a_task())
    world.exits(world.box(ONE, "app"), 0)
    world.run_calls()
    world.advance(4000)
    world.run_calls()
    assert ONE in world.state.tasks
    world.accept_all()
    world.run_calls()
    assert ONE not in world.state.tasks
    assert not world.boxes


def test_a_restart_by_policy_is_not_told(world: World) -> None:
    policy = RestartPolicy(enabled=True, restart_attempt_period_s=60)
    run(world, a_task(a_container("app", restart_policy=policy)))
    world.accept_all()
    told = len(world.told)
    world.now += timedelta(seconds=100)
    world.exits(world.box(ONE, "app"), 1)
    world.run_calls()
    assert world.task(ONE).containers[0].restart_count == 1
    assert not world.submits
    assert len(world.told) == told


def test_a_drain_timer_without_news_does_nothing(world: World) -> None:
    run(world, a_task())
    world.accept_all()
    decision = world.send(ev.TimerFired(**world.head(), timer=drain_timer()))
    assert not [a for a in decision.actions if isinstance(a, SubmitTaskStateChange)]


def test_without_a_cluster_nobody_is_told() -> None:
    world = World(settings=msgspec.structs.replace(CACHED, joins_cluster=False))
    world.connect()
    world.submit(a_task())
    world.run_calls()
    assert world.task(ONE).known is TaskStatus.RUNNING
    assert world.task(ONE).containers[0].known is ContainerStatus.RUNNING
    assert not world.submits
    assert not world.task(ONE).state_changes


def test_what_the_agent_made_up_is_not_told(world: World) -> None:
    """engine.md §1.3."""
    run(world, a_task(a_container("app"), a_container("~internal~ecs~pause", kind=ContainerKind.NAMESPACE_PAUSE)))
    world.accept_all()
    world.stop(ONE)
    world.run_calls()
    world.accept_all()
    assert world.task(ONE).known is TaskStatus.STOPPED
    assert {name for _, containers in changes(world) for name, _ in containers} == {"app"}
