"""Deployments of a service: how one begins and ends, its limits, and which of its tasks count as what.

Source: control-plane.md §8.1, §8.2.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from ecscope.control.core.records import CompletedDeployment, Deployment, Json, Service, Task
from ecscope.control.core.service_events import say
from ecscope.control.core.service_members import CircuitBreaker
from ecscope.control.core.statuses import DeploymentStatus, RolloutState
from ecscope.control.core.step import Step
from ecscope.model.status import HealthStatus

_PRIMARY, _ACTIVE = DeploymentStatus.PRIMARY, DeploymentStatus.ACTIVE
_HEALTHY, _UNHEALTHY = HealthStatus.HEALTHY, HealthStatus.UNHEALTHY
"""Asked of thousands of tasks at a time; a name is found faster than a member of an enum."""
PAST_KEPT = 20
REPLICA_PERCENTS = (100, 200)
DAEMON_PERCENTS = (0, 100)
"""Minimum healthy and maximum, unless given."""


class Limits(msgspec.Struct, frozen=True):
    """How many tasks there must and may be."""

    lower: int
    """So many healthy ones at least are not stopped."""
    upper: int
    """So many at most are there."""


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What users see of a deployment's or a service's tasks."""

    running: int
    pending: int


def limits(service: Service, desired: int) -> Limits:
    """Half a task more is healthy, half a task less is allowed."""
    configuration = service.members.deployment_configuration
    minimum, maximum = DAEMON_PERCENTS if service.is_daemon else REPLICA_PERCENTS
    if configuration.minimum_healthy_percent is not None:
        minimum = configuration.minimum_healthy_percent
    if configuration.maximum_percent is not None:
        maximum = configuration.maximum_percent
    return Limits(lower=-(-desired * minimum // 100), upper=desired * maximum // 100)


def circuit_breaker(service: Service) -> CircuitBreaker:
    """``deploymentCircuitBreaker``, as it is configured."""
    return service.members.deployment_configuration.deployment_circuit_breaker


def primary(service: Service) -> Deployment:
    """The newest one; there is one as long as the service is not INACTIVE."""
    return service.deployments[0]


def tasks_of(step: Step, service: Service) -> tuple[Task, ...]:
    """Its tasks that are not STOPPED, oldest first."""
    tasks = (step.tasks[arn] for arn in step.tasks_of.get(service.arn, ()))
    return tuple(sorted(tasks, key=lambda task: (task.created_at, task.arn)))


def counts(tasks: Iterable[Task]) -> Counts:
    """A task with a pending stop request counts as running until it has stopped."""
    running = pending = 0
    for task in tasks:
        running += task.is_running
        pending += task.last_status.is_pending
    return Counts(running=running, pending=pending)


# --- health ---------------------------------------------------------------------------------------


def has_check(task: Task) -> bool:
    """Whether health checks decide; one of a container that is not essential does not count."""
    return any(container.has_health_check and container.is_essential for container in task.containers)


def healthy_at(step: Step, task: Task) -> datetime | None:
    """Since when, or from when on, it counts as healthy; ``None``: not as things are."""
    if task.is_to_stop or not task.is_running:
        return None
    began_at = task.started_at or task.created_at
    if has_check(task):
        return began_at if task.health is _HEALTHY else None
    return began_at + timedelta(seconds=step.settings.healthy_after_s)


def is_healthy(step: Step, task: Task) -> bool:
    at = healthy_at(step, task)
    return at is not None and at <= step.at


def graced_until(service: Service, task: Task) -> datetime:
    """Before this, no failed health check is held against it."""
    grace = timedelta(seconds=service.members.health_check_grace_period_seconds)
    return (task.started_at or task.created_at) + grace


def is_unhealthy(step: Step, service: Service, task: Task) -> bool:
    """Its health checks failed."""
    return task.health is _UNHEALTHY and has_check(task) and graced_until(service, task) <= step.at


def is_protected(step: Step, task: Task) -> bool:
    """Neither scale-in nor a deployment may stop it."""
    return task.is_protected and task.protected_until is not None and task.protected_until > step.at


# --- beginning and end ------------------------------------------------------------------------------


def with_deployment(
    step: Step, service: Service, *, definition_arn: str, settings: Json, rolls_back: str = ""
) -> Service:
    """The service with a new PRIMARY deployment; the one before is ACTIVE until its tasks are gone."""
    deployment_id = f"ecs-svc/{step.new_digits(19)}"
    reason = f"ECS deployment {deployment_id} in progress."
    if rolls_back:
        reason = f"ECS deployment circuit breaker: rolling back to deploymentId {deployment_id}."
    deployment = Deployment(
        id=deployment_id,
        status=_PRIMARY,
        definition_arn=definition_arn,
        desired_count=service.desired_count,
        created_at=step.at,
        updated_at=step.at,
        rollout_reason=reason,
        rolls_back=rolls_back,
        settings=settings,
    )
    return _in_front(step, service, deployment, service.deployments)


def with_deployment_again(step: Step, service: Service, old: Deployment, *, rolls_back: str) -> Service:
    """The service with one of its ACTIVE deployments as PRIMARY again: its tasks stay."""
    again = msgspec.structs.replace(
        old,
        status=_PRIMARY,
        desired_count=service.desired_count,
        updated_at=step.at,
        finished_at=None,
        failed_tasks=0,
        starts_failed=0,
        next_start_at=None,
        rollout_state=RolloutState.IN_PROGRESS,
        rollout_reason=f"ECS deployment circuit breaker: rolling back to deploymentId {old.id}.",
        rolls_back=rolls_back,
    )
    return _in_front(step, service, again, tuple(other for other in service.deployments if other.id != old.id))


def _in_front(step: Step, service: Service, deployment: Deployment, others: tuple[Deployment, ...]) -> Service:
    older = (
        msgspec.structs.replace(other, status=_ACTIVE, updated_at=step.at, finished_at=other.finished_at or step.at)
        if other.status == _PRIMARY
        else other
        for other in others
    )
    return msgspec.structs.replace(
        service, deployments=(deployment, *older), last_problem="", last_problem_at=None, steady_said_at=None
    )


def with_primary(service: Service, **changes: Any) -> Service:
    """The service with its PRIMARY deployment changed."""
    changed = msgspec.structs.replace(primary(service), **changes)
    return msgspec.structs.replace(service, deployments=(changed, *service.deployments[1:]))


def without_drained(step: Step, service: Service, tasks: Iterable[Task]) -> Service:
    """The service without older deployments that have no task left."""
    alive = {task.deployment_id for task in tasks}
    kept = tuple(one for one in service.deployments if one.status == _PRIMARY or one.id in alive)
    gone = [one for one in service.deployments if one not in kept]
    return _with_past(step, service, kept, gone) if gone else service


def ended(step: Step, service: Service) -> Service:
    """The service without any deployment: it is INACTIVE."""
    return _with_past(step, service, (), service.deployments)


def _with_past(step: Step, service: Service, kept: tuple[Deployment, ...], gone: Iterable[Deployment]) -> Service:
    past = (
        msgspec.structs.replace(
            one, status=DeploymentStatus.INACTIVE, updated_at=step.at, finished_at=one.finished_at or step.at
        )
        for one in gone
    )
    return msgspec.structs.replace(
        service, deployments=kept, past_deployments=(*past, *service.past_deployments)[:PAST_KEPT]
    )


def completed(step: Step, service: Service) -> Service:
    """The service with its PRIMARY deployment COMPLETED: what a circuit breaker would roll back to."""
    deployment = primary(service)
    service = with_primary(
        service,
        rollout_state=RolloutState.COMPLETED,
        rollout_reason=f"ECS deployment {deployment.id} completed.",
        updated_at=step.at,
        finished_at=step.at,
        failed_tasks=0,
    )
    last = CompletedDeployment(id=deployment.id, definition_arn=deployment.definition_arn, settings=deployment.settings)
    service = msgspec.structs.replace(service, last_completed=last)
    return say(step, service, f"(deployment {deployment.id}) deployment completed.")
