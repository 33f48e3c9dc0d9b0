"""How many failed tasks are too many, and how long to wait after each try."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec

from ecscope.control.core.breaker import counted, delay, failed, has_failed, rolled_back, threshold, tripped
from ecscope.control.core.deployments import completed, primary, with_deployment
from ecscope.control.core.records import Service
from ecscope.control.core.state import ControlState, Settings
from ecscope.control.core.step import Step
from tests.control_builders import AT, a_control_task, a_request, a_service
from tests.tables import each_row


def a_step(number: int = 1) -> Step:
    return Step(ControlState(), a_request("UpdateService", number))


def watched(desired: int = 1, **breaker: Any) -> Service:
    body = {"deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": True, "rollback": True, **breaker}}}
    return with_deployment(a_step(), a_service(desired_count=desired, body=body), definition_arn="d:1", settings={})


@each_row("desired, expected", [(0, 3), (1, 3), (7, 4), (25, 13), (400, 200), (5000, 200)])
def test_half_of_the_desired_count_within_bounds(desired: int, expected: int) -> None:
    assert threshold(watched(desired)) == expected


@each_row(
    "kind, value, desired, expected",
    [
        ("COUNT", 7, 1, 7),
        ("COUNT", 500, 1, 500),
        ("BOUNDED_PERCENT", 10, 100, 10),
        ("UNBOUNDED_PERCENT", 50, 1, 1),
        ("UNBOUNDED_PERCENT", 100, 1000, 1000),
        ("UNBOUNDED_PERCENT", 50, 0, 1),
    ],
)
def test_a_threshold_of_ones_own(kind: str, value: int, desired: int, expected: int) -> None:
    assert threshold(watched(desired, thresholdConfiguration={"type": kind, "value": value})) == expected


def test_each_wait_is_twice_as_long_up_to_a_cap() -> None:
    settings = Settings(start_backoff_first_s=1, start_backoff_cap_s=60)
    waits = [delay(settings, tries).total_seconds() for tries in (1, 2, 3, 6, 7, 1000)]
    assert waits == [1, 2, 4, 32, 60, 60]


@each_row(
    "code, reason, expected",
    [
        ("EssentialContainerExited", "", True),
        ("TaskFailedToStart", "", True),
        ("ServiceSchedulerInitiated", "Task failed container health checks", True),
        ("ServiceSchedulerInitiated", "Scaling activity initiated by (deployment ecs-svc/1)", False),
        ("UserInitiated", "", False),
        ("TerminationNotice", "", False),
    ],
)
def test_only_a_task_that_ended_by_itself_has_failed(code: str, reason: str, expected: bool) -> None:
    assert has_failed(a_control_task(stop_code=code, stopped_reason=reason)) is expected


def after_ends(service: Service, *, created_at: tuple[float, ...], ran_s: float | None = None) -> Service:
    """The service after tasks of its deployment failed, in one event; ``created_at`` in seconds after the start."""
    tasks = [
        a_control_task(
            number + 1,
            service_arn=service.arn,
            deployment_id=primary(service).id,
            created_at=AT + timedelta(seconds=seconds),
            started_at=None if ran_s is None else AT - timedelta(seconds=ran_s),
        )
        for number, seconds in enumerate(created_at)
    ]
    before = a_step()
    for task in tasks:
        before.put_task(task)
    step = Step(before.decision().state, a_request("SubmitTaskStateChange"))
    for task in tasks:
        step.put_task(
            msgspec.structs.replace(
                task,
                last_status="STOPPED",
                desired_status="STOPPED",
                stop_code="TaskFailedToStart",
            )
        )
    return counted(step, service)


def test_tasks_of_one_try_count_each_but_wait_once() -> None:
    service = after_ends(watched(4), created_at=(0, 0, 0, 0))
    deployment = primary(service)
    assert (deployment.failed_tasks, deployment.starts_failed) == (4, 1)
    assert deployment.next_start_at == AT + timedelta(seconds=1)
    late = primary(after_ends(service, created_at=(0.5,)))
    assert (late.failed_tasks, late.starts_failed) == (5, 1)
    again = primary(after_ends(service, created_at=(1,)))
    assert (again.failed_tasks, again.starts_failed) == (5, 2)


def test_a_task_that_ran_for_long_failed_but_not_to_start() -> None:
    deployment = primary(after_ends(watched(), created_at=(0,), ran_s=61))
    assert (deployment.failed_tasks, deployment.starts_failed, deployment.next_start_at) == (1, 0, None)


def test_tasks_of_other_services_and_deployments_do_not_count() -> None:
    service = watched()
    other = msgspec.structs.replace(service, arn="another")
    older = with_deployment(a_step(2), service, definition_arn="d:2", settings={})
    step = a_step()
    task = a_control_task(service_arn=service.arn, deployment_id=primary(service).id)
    step.put_task(
        msgspec.structs.replace(
            task, last_status="STOPPED", desired_status="STOPPED", stop_code="EssentialContainerExited"
        )
    )
    assert counted(step, older) is older
    assert counted(step, other) is other
    assert primary(counted(step, service)).failed_tasks == 1


def with_failures(service: Service, count: int) -> Service:
    deployment = msgspec.structs.replace(primary(service), failed_tasks=count)
    return msgspec.structs.replace(service, deployments=(deployment, *service.deployments[1:]))


def test_it_trips_at_its_threshold_and_has_nowhere_to_go_back_to() -> None:
    assert tripped(a_step(), with_failures(watched(), 2)) == with_failures(watched(), 2)
    given_up = tripped(a_step(), with_failures(watched(), 3))
    assert [one.rollout_state for one in given_up.deployments] == ["FAILED"]
    assert given_up.deployments[0].rollout_reason == "ECS deployment circuit breaker: tasks failed to start."


def test_it_looks_at_deployments_in_progress_only_and_when_it_is_enabled() -> None:
    done = completed(a_step(), watched())
    assert tripped(a_step(), with_failures(done, 3)) == with_failures(done, 3)
    asleep = with_failures(watched(enable=False), 300)
    assert tripped(a_step(), asleep) is asleep


def test_it_goes_back_to_the_last_completed_deployment_even_when_that_is_gone() -> None:
    service = completed(a_step(), watched())
    service = with_deployment(a_step(2), service, definition_arn="d:2", settings={})
    bad = primary(service)
    gone = msgspec.structs.replace(service, deployments=service.deployments[:1])
    back = tripped(a_step(3), with_failures(gone, 3))
    assert (primary(back).definition_arn, primary(back).rolls_back) == ("d:1", bad.id)
    assert [one.rollout_state for one in back.deployments] == ["IN_PROGRESS", "FAILED"]
    again = tripped(a_step(4), with_failures(back, 3))  # the rollback fails too: that is the end
    assert [one.rollout_state for one in again.deployments] == ["FAILED", "FAILED"]


def test_there_is_no_going_back_to_what_has_just_failed() -> None:
    service = failed(a_step(), completed(a_step(), watched()), "why")
    assert rolled_back(a_step(), service) is service
