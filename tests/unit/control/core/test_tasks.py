"""A task goes forward only, and says why it ended."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from ecscope.control.core.effects import SendPayload, WakeAt
from ecscope.control.core.errors import Failure
from ecscope.control.core.events import TimePassed
from ecscope.control.core.records import Task, Token
from ecscope.control.core.step import Step
from ecscope.control.core.tasks import (
    ContainerReport,
    Report,
    acknowledge,
    expire,
    heal,
    lose,
    report,
    send,
    start,
    stop,
)
from ecscope.model.resources import HostResources
from ecscope.model.status import HealthStatus, ReportedStatus
from tests.control_builders import (
    AT,
    a_cluster,
    a_control_step,
    a_control_task,
    a_state,
    a_task_definition,
    a_wanted,
    an_instance,
)
from tests.tables import each_row

RUNNING = Report(status=ReportedStatus.RUNNING)
STOPPED = Report(status=ReportedStatus.STOPPED)


def payloads(step: Step) -> list[SendPayload]:
    return [effect for effect in step.decision().effects if isinstance(effect, SendPayload)]


def of_container(status: ReportedStatus, **fields: Any) -> Report:
    return Report(containers=(ContainerReport(name="app", status=status, **fields),))


# --- start ----------------------------------------------------------------------------------------


def test_a_started_task_is_pending_told_and_counted() -> None:
    step = a_control_step(a_cluster(), an_instance())
    roles = {**a_task_definition().body, "taskRoleArn": "arn:t", "executionRoleArn": "arn:e"}
    task = start(step, a_wanted(definition=a_task_definition(body=roles), started_by="me", tags={"a": "b"}))
    assert isinstance(task, Task)
    assert (task.last_status, task.desired_status, task.instance_arn) == ("PENDING", "RUNNING", an_instance().arn)
    assert task.needs == HostResources(cpu_units=10, memory_mib=64)
    assert (task.group, task.started_by, task.tags) == ("family:sample", "me", {"a": "b"})
    assert task.credentials_id
    assert task.execution_credentials_id not in ("", task.credentials_id)
    (container,) = task.containers
    assert container.arn.startswith(f"{task.arn.replace(':task/', ':container/')}/")
    assert (container.cpu, container.memory, container.memory_reservation) == ("10", "64", "")
    assert step.tasks[task.arn] == task
    assert step.taken[task.instance_arn] == task.needs
    (payload,) = payloads(step)
    assert payload.task_arns == (task.arn,)
    assert (payload.instance_arn, payload.message_id) == (task.instance_arn, task.message_id)
    assert payload.sequence == step.decision().state.sequence
    assert not task.is_acknowledged


def test_a_task_without_roles_has_no_credentials() -> None:
    task = start(a_control_step(a_cluster(), an_instance()), a_wanted())
    assert isinstance(task, Task)
    assert task.credentials_id == task.execution_credentials_id == ""


def test_a_task_without_a_place_is_no_task() -> None:
    gone = an_instance(connection_id="")
    step = a_control_step(a_cluster(), gone)
    assert start(step, a_wanted()) == (Failure(arn=gone.arn, reason="AGENT"),)
    assert not step.tasks
    assert not step.decision().effects


# --- what agents report ---------------------------------------------------------------------------


def test_running_is_first_reported_once() -> None:
    step = a_control_step(an_instance(), a_control_task())
    task = report(step, a_control_task(), RUNNING)
    assert (task.last_status, task.started_at, task.version) == ("RUNNING", AT, 2)
    again = report(step, msgspec.structs.replace(task, started_at=AT - timedelta(hours=1)), RUNNING)
    assert (again.started_at, again.version) == (AT - timedelta(hours=1), 2)


def test_a_repeated_report_changes_nothing() -> None:
    step = a_control_step(an_instance(), a_control_task(last_status="RUNNING", started_at=AT))
    report(step, step.tasks[a_control_task().arn], RUNNING)
    assert not step.decision().records


def test_pending_stores_the_digest() -> None:
    told = of_container(ReportedStatus.PENDING, image_digest="sha256:1")
    task = report(a_control_step(), a_control_task(), msgspec.structs.replace(told, status=ReportedStatus.PENDING))
    assert task.last_status == "PENDING"
    assert task.containers[0].image_digest == "sha256:1"


def test_containers_are_taken_in_the_order_of_the_list() -> None:
    told = Report(
        status=ReportedStatus.STOPPED,
        containers=(
            ContainerReport(
                name="app", status=ReportedStatus.RUNNING, runtime_id="d1", network_bindings=({"hostPort": 1},)
            ),
            ContainerReport(name="app", status=ReportedStatus.STOPPED, exit_code=3),
            ContainerReport(name="unknown", status=ReportedStatus.STOPPED, exit_code=4),
        ),
        pull_started_at=AT,
        pull_stopped_at=AT,
        execution_stopped_at=AT,
    )
    task = report(a_control_step(), a_control_task(), told)
    (container,) = task.containers
    assert (container.last_status, container.runtime_id, container.exit_code) == ("STOPPED", "d1", 3)
    assert container.network_bindings == ({"hostPort": 1},)
    assert (task.pull_started_at, task.pull_stopped_at, task.execution_stopped_at) == (AT, AT, AT)


def test_a_late_container_report_only_fills_gaps() -> None:
    step = a_control_step(an_instance(), a_control_task())
    task = report(step, a_control_task(), of_container(ReportedStatus.STOPPED, exit_code=1, reason="new"))
    late = of_container(
        ReportedStatus.RUNNING, runtime_id="d1", exit_code=9, reason="old", network_bindings=({"hostPort": 1},)
    )
    (container,) = report(step, task, late).containers
    assert (container.last_status, container.exit_code, container.reason) == ("STOPPED", 1, "new")
    assert (container.runtime_id, container.network_bindings) == ("d1", ({"hostPort": 1},))


def test_a_container_report_may_have_no_status() -> None:
    told = Report(containers=(ContainerReport(name="app", runtime_id="d1"),))
    (container,) = report(a_control_step(), a_control_task(), told).containers
    assert (container.last_status, container.runtime_id) == ("PENDING", "d1")


def test_nothing_comes_after_stopped() -> None:
    step = a_control_step(an_instance(), a_control_task())
    ended = report(step, a_control_task(), STOPPED)
    assert report(step, ended, RUNNING) is ended
    assert report(step, ended, of_container(ReportedStatus.RUNNING)) is ended


def test_stopped_gives_back_what_the_task_took() -> None:
    step = a_control_step(an_instance(), a_control_task())
    task = report(step, a_control_task(), STOPPED)
    assert (task.last_status, task.desired_status, task.stopped_at, task.stopping_at) == ("STOPPED", "STOPPED", AT, AT)
    assert task.containers[0].last_status == "STOPPED"
    assert task.instance_arn not in step.taken
    assert WakeAt(at=AT + timedelta(hours=1)) in step.decision().effects


# --- why it ended ---------------------------------------------------------------------------------


def ended(task: Task, **fields: Any) -> tuple[str, str]:
    told = Report(status=ReportedStatus.STOPPED, **fields)
    task = report(a_control_step(), task, told)
    return task.stop_code, task.stopped_reason


EXITED = ContainerReport(name="app", status=ReportedStatus.STOPPED, exit_code=0)
FAILED = ContainerReport(name="app", status=ReportedStatus.STOPPED, reason="CannotPullContainerError: no")


@each_row(
    "task, fields, expected",
    [
        (a_control_task(started_at=AT), {}, ("EssentialContainerExited", "Essential container in task exited")),
        (a_control_task(started_at=AT), {"reason": "why"}, ("EssentialContainerExited", "why")),
        (
            a_control_task(),
            {"containers": (EXITED,)},
            ("EssentialContainerExited", "Essential container in task exited"),
        ),
        (a_control_task(), {"containers": (FAILED,)}, ("TaskFailedToStart", "CannotPullContainerError: no")),
        (
            a_control_task(),
            {"reason": "ResourceInitializationError: no"},
            ("TaskFailedToStart", "ResourceInitializationError: no"),
        ),
        (a_control_task(), {"reason": "why", "containers": (EXITED,)}, ("TaskFailedToStart", "why")),
        (a_control_task(), {}, ("TaskFailedToStart", "Task failed to start")),
        (
            a_control_task(desired_status="STOPPED", stop_code="UserInitiated", stopped_reason="enough"),
            {"containers": (EXITED,)},
            ("UserInitiated", "enough"),
        ),
    ],
)
def test_why_it_ended(task: Task, fields: dict[str, Any], expected: tuple[str, str]) -> None:
    assert ended(task, **fields) == expected


def test_a_task_that_ran_faster_than_reports_has_a_start() -> None:
    task = report(a_control_step(), a_control_task(), Report(status=ReportedStatus.STOPPED, containers=(EXITED,)))
    assert task.started_at == AT
    failed = report(a_control_step(), a_control_task(), Report(status=ReportedStatus.STOPPED, containers=(FAILED,)))
    assert failed.started_at is None


def test_an_exit_of_what_is_not_essential_is_no_reason() -> None:
    (container,) = a_control_task().containers
    side = msgspec.structs.replace(container, name="side", is_essential=False)
    told = ContainerReport(name="side", status=ReportedStatus.STOPPED, exit_code=0)
    task = a_control_task(containers=(container, side))
    assert ended(task, containers=(told,)) == ("TaskFailedToStart", "Task failed to start")


# --- stop -----------------------------------------------------------------------------------------


def test_a_task_told_to_stop_waits_for_its_agent() -> None:
    running = a_control_task(last_status="RUNNING", is_acknowledged=True, message_id="m")
    step = a_control_step(an_instance(connection_id=""), running)
    task = stop(step, running, code="UserInitiated", reason="enough")
    assert (task.last_status, task.desired_status, task.stopping_at) == ("RUNNING", "STOPPED", AT)
    assert (task.stop_code, task.stopped_reason) == ("UserInitiated", "enough")
    (payload,) = payloads(step)
    assert payload.message_id == task.message_id != "m"
    assert not task.is_acknowledged
    assert stop(step, task, code="ServiceSchedulerInitiated", reason="other") is task


@pytest.mark.parametrize("instances", [(), (an_instance(status="INACTIVE"),)], ids=["gone", "inactive"])
def test_without_an_agent_to_be_told_a_task_stops_at_once(instances: tuple[Any, ...]) -> None:
    step = a_control_step(*instances, a_control_task())
    task = stop(step, a_control_task(), code="UserInitiated", reason="enough")
    assert (task.last_status, task.stopped_at, task.stop_code) == ("STOPPED", AT, "UserInitiated")
    assert not payloads(step)


def test_a_lost_task_is_stopped_and_keeps_the_first_reason() -> None:
    step = a_control_step(an_instance(), a_control_task())
    task = lose(step, a_control_task(), code="TerminationNotice", reason="gone")
    assert (task.last_status, task.stop_code, task.stopped_reason) == ("STOPPED", "TerminationNotice", "gone")
    assert lose(step, task, code="TerminationNotice", reason="gone") is task
    asked = a_control_task(desired_status="STOPPED", stop_code="UserInitiated", stopped_reason="enough")
    assert lose(step, asked, code="TerminationNotice", reason="gone").stop_code == "UserInitiated"


# --- what agents take over ------------------------------------------------------------------------


def test_a_payload_counts_until_it_is_acknowledged() -> None:
    step = a_control_step(an_instance(), a_control_task())
    (task,) = send(step, an_instance(), [a_control_task()])
    acknowledge(step, task.instance_arn, "of something else")
    assert not step.tasks[task.arn].is_acknowledged
    acknowledge(step, task.instance_arn, task.message_id)
    assert step.tasks[task.arn].is_acknowledged
    assert step.tasks[task.arn].last_status == "PENDING"


def test_an_agent_that_took_the_stop_over_is_stopping() -> None:
    step = a_control_step(an_instance(), a_control_task(last_status="RUNNING"))
    task = stop(step, step.tasks[a_control_task().arn], code="UserInitiated", reason="enough")
    acknowledge(step, task.instance_arn, task.message_id)
    stopping = step.tasks[task.arn]
    assert stopping.last_status == "STOPPING"
    late = report(step, stopping, RUNNING)
    assert (late.last_status, late.started_at) == ("STOPPING", AT)


def test_no_payload_is_sent_about_nothing() -> None:
    step = a_control_step(an_instance())
    assert send(step, an_instance(), []) == ()
    assert not step.decision().effects


# --- health ---------------------------------------------------------------------------------------


def checked(*healths: HealthStatus, others: int = 0) -> Task:
    (container,) = a_control_task().containers
    with_check = [
        msgspec.structs.replace(container, name=f"c{number}", has_health_check=True, health=health)
        for number, health in enumerate(healths)
    ]
    without = [msgspec.structs.replace(container, name=f"o{number}") for number in range(others)]
    return a_control_task(containers=(*with_check, *without))


@pytest.mark.parametrize(
    ("task", "health"),
    [
        (checked(HealthStatus.UNKNOWN), HealthStatus.HEALTHY),
        (checked(HealthStatus.UNKNOWN, HealthStatus.HEALTHY, others=1), HealthStatus.HEALTHY),
        (checked(HealthStatus.UNKNOWN, HealthStatus.UNKNOWN), HealthStatus.UNKNOWN),
        (checked(HealthStatus.UNKNOWN, HealthStatus.UNHEALTHY), HealthStatus.UNHEALTHY),
    ],
)
def test_health_of_a_task_is_that_of_its_essential_containers(task: Task, health: HealthStatus) -> None:
    healed = heal(a_control_step(), task, "c0", HealthStatus.HEALTHY)
    assert (healed.health, healed.version) == (health, 2)
    assert heal(a_control_step(), healed, "c0", HealthStatus.HEALTHY) is healed


def test_health_of_containers_without_a_check_or_of_stopped_tasks_says_nothing() -> None:
    assert heal(a_control_step(), checked(others=1), "o0", HealthStatus.UNHEALTHY).health is HealthStatus.UNKNOWN
    stopped = a_control_task(last_status="STOPPED")
    assert heal(a_control_step(), stopped, "app", HealthStatus.UNHEALTHY) is stopped


# --- time -----------------------------------------------------------------------------------------


def test_stopped_tasks_are_forgotten_after_an_hour_and_tokens_after_a_day() -> None:
    old = a_control_task(1, last_status="STOPPED", stopped_at=AT - timedelta(hours=1))
    recent = a_control_task(2, last_status="STOPPED", stopped_at=AT - timedelta(minutes=50))
    newer = a_control_task(4, last_status="STOPPED", stopped_at=AT)
    live = a_control_task(3)
    state = msgspec.structs.replace(
        a_state(an_instance(), old, recent, newer, live),
        tokens={
            "RunTask/old": Token(digest="", resource_arns=(), at=AT - timedelta(hours=24)),
            "RunTask/new": Token(digest="", resource_arns=(), at=AT - timedelta(hours=23)),
        },
    )
    step = Step(state, TimePassed(id="1" * 32, at=AT))
    expire(step)
    decision = step.decision()
    assert set(decision.state.tasks) == {recent.arn, newer.arn, live.arn}
    assert set(decision.state.tokens) == {"RunTask/new"}
    assert decision.effects == (WakeAt(at=AT + timedelta(minutes=10)),)


def test_tasks_that_end_one_after_the_other_are_forgotten_together() -> None:
    soon = [
        a_control_task(n, last_status="STOPPED", stopped_at=AT - timedelta(minutes=59, seconds=n)) for n in range(50)
    ]
    step = Step(a_state(an_instance(), *soon), TimePassed(id="1" * 32, at=AT))
    expire(step)
    assert step.decision().effects == (WakeAt(at=AT + timedelta(minutes=1)),)


def test_time_over_nothing_wants_nothing() -> None:
    step = a_control_step(a_control_task())
    expire(step)
    assert not step.decision().effects
