"""Limits, health and the life of a deployment."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ecscope.control.core.deployments import (
    PAST_KEPT,
    Counts,
    Limits,
    completed,
    counts,
    ended,
    graced_until,
    has_check,
    healthy_at,
    is_healthy,
    is_protected,
    is_unhealthy,
    limits,
    primary,
    tasks_of,
    with_deployment,
    with_deployment_again,
    without_drained,
)
from ecscope.control.core.records import CompletedDeployment, Task, TaskContainer
from ecscope.control.core.state import ControlState, Settings
from ecscope.control.core.step import Step
from ecscope.model.status import HealthStatus
from tests.control_builders import AT, a_control_task, a_request, a_service
from tests.tables import each_row


def a_step(**settings: Any) -> Step:
    return Step(ControlState(settings=Settings(**settings)), a_request("UpdateService"))


def a_running_task(number: int = 1, **fields: Any) -> Task:
    return a_control_task(number, **{"last_status": "RUNNING", "started_at": AT, **fields})


def a_checked_task(**fields: Any) -> Task:
    container = TaskContainer(name="app", arn="a", image="i", has_health_check=True)
    return a_running_task(**{"containers": (container,), **fields})


@each_row(
    "desired, minimum, maximum, expected",
    [
        (4, 100, 200, Limits(4, 8)),
        (4, 50, 200, Limits(2, 8)),
        (3, 50, 150, Limits(2, 4)),
        (1, 50, 150, Limits(1, 1)),
        (1, 0, 100, Limits(0, 1)),
        (10, 33, 133, Limits(4, 13)),
        (0, 100, 200, Limits(0, 0)),
    ],
)
def test_the_lower_limit_is_rounded_up_and_the_upper_one_down(
    desired: int, minimum: int, maximum: int, expected: Limits
) -> None:
    configuration = {"minimumHealthyPercent": minimum, "maximumPercent": maximum}
    assert limits(a_service(body={"deploymentConfiguration": configuration}), desired) == expected


def test_what_is_not_configured_depends_on_the_strategy() -> None:
    assert limits(a_service(), 3) == Limits(3, 6)
    assert limits(a_service(scheduling_strategy="DAEMON"), 3) == Limits(0, 3)


def test_a_task_counts_by_what_its_agent_last_said() -> None:
    tasks = [
        a_running_task(),
        a_running_task(desired_status="STOPPED"),
        a_control_task(),
        a_control_task(last_status="STOPPING"),
    ]
    assert counts(tasks) == Counts(running=2, pending=1)


def test_without_a_check_time_makes_a_task_healthy() -> None:
    task = a_running_task(started_at=AT - timedelta(seconds=40))
    assert is_healthy(a_step(healthy_after_s=40), task)
    assert not is_healthy(a_step(healthy_after_s=41), task)
    assert not is_healthy(a_step(), a_running_task())
    assert healthy_at(a_step(), a_running_task()) == AT + timedelta(seconds=5)
    assert healthy_at(a_step(), a_control_task()) is None
    assert healthy_at(a_step(), a_running_task(desired_status="STOPPED")) is None


def test_with_a_check_only_the_check_counts() -> None:
    step, service = a_step(healthy_after_s=40), a_service()
    assert has_check(a_checked_task())
    assert not is_healthy(step, a_checked_task())
    assert is_healthy(step, a_checked_task(health=HealthStatus.HEALTHY))
    assert is_unhealthy(step, service, a_checked_task(health=HealthStatus.UNHEALTHY))
    assert not is_unhealthy(step, service, a_running_task(health=HealthStatus.UNHEALTHY))
    patient = a_service(body={"healthCheckGracePeriodSeconds": 30})
    assert graced_until(patient, a_checked_task()) == AT + timedelta(seconds=30)
    assert not is_unhealthy(step, patient, a_checked_task(health=HealthStatus.UNHEALTHY))


def test_protection_ends() -> None:
    later = AT + timedelta(seconds=1)
    assert is_protected(a_step(), a_running_task(is_protected=True, protected_until=later))
    assert not is_protected(a_step(), a_running_task(is_protected=True, protected_until=AT))
    assert not is_protected(a_step(), a_running_task(protected_until=later))


def test_tasks_come_oldest_first_in_every_process() -> None:
    step, service = a_step(), a_service()
    for number, at in ((3, AT), (1, AT), (2, AT - timedelta(seconds=1))):
        step.put_task(a_control_task(number, service_arn=service.arn, created_at=at))
    assert [task.arn[-1] for task in tasks_of(step, service)] == ["2", "1", "3"]


def test_a_deployment_begins_in_front_and_leaves_by_the_back() -> None:
    step = a_step()
    service = with_deployment(step, a_service(desired_count=2), definition_arn="d:1", settings={})
    first = primary(service)
    assert first.rollout_reason == f"ECS deployment {first.id} in progress."
    assert first.id.startswith("ecs-svc/")
    service = completed(step, service)
    assert service.last_completed == CompletedDeployment(id=first.id, definition_arn="d:1")
    service = with_deployment(step, service, definition_arn="d:2", settings={})
    assert [(one.status, one.definition_arn) for one in service.deployments] == [("PRIMARY", "d:2"), ("ACTIVE", "d:1")]
    last_one = a_control_task(deployment_id=first.id)
    assert without_drained(step, service, [last_one]) is service
    drained = without_drained(step, service, [])
    assert [one.status for one in drained.deployments] == ["PRIMARY"]
    assert [(one.id, one.status) for one in drained.past_deployments] == [(first.id, "INACTIVE")]
    assert [one.status for one in ended(step, drained).past_deployments] == ["INACTIVE", "INACTIVE"]


def test_an_older_deployment_can_come_back_with_its_tasks() -> None:
    step = a_step()
    service = with_deployment(step, a_service(), definition_arn="d:1", settings={})
    old = primary(service)
    service = with_deployment(step, service, definition_arn="d:2", settings={})
    bad = primary(service)
    service = with_deployment_again(step, service, service.deployments[1], rolls_back=bad.id)
    assert [(one.id, one.status) for one in service.deployments] == [(old.id, "PRIMARY"), (bad.id, "ACTIVE")]
    assert primary(service).rolls_back == bad.id
    assert primary(service).rollout_reason == f"ECS deployment circuit breaker: rolling back to deploymentId {old.id}."


def test_so_many_past_deployments_are_kept() -> None:
    step, service = a_step(), a_service()
    for _ in range(PAST_KEPT + 5):
        service = without_drained(step, with_deployment(step, service, definition_arn="d", settings={}), [])
    assert len(service.past_deployments) == PAST_KEPT
    assert service.past_deployments[0].created_at == AT
