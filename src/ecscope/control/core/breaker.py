"""Failing tasks of a service: how many in a row, how long to wait then, and when a deployment fails.

Two counts, apart: *failed tasks* are ECS's, which the circuit breaker looks at and a healthy task resets; *failed
starts* are tries, each of any number of tasks, and decide how long the next try waits.

Source: control-plane.md §8.3.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from ecscope.control.core.deployments import (
    circuit_breaker,
    has_check,
    healthy_at,
    primary,
    with_deployment,
    with_deployment_again,
    with_primary,
)
from ecscope.control.core.records import Deployment, Service, Task
from ecscope.control.core.service_events import INCONSISTENT, complain, say
from ecscope.control.core.state import Settings
from ecscope.control.core.statuses import RolloutState, StopCode
from ecscope.control.core.step import Step
from ecscope.model.status import HealthStatus

TRIES_UNTIL_COMPLAINT = 3
FEWEST, MOST = 3, 200
"""Bounds of a threshold in percent."""
FAILED_REASON = "ECS deployment circuit breaker: tasks failed to start."
UNHEALTHY_REASON = "Task failed container health checks"
"""Why the service itself stops a task that failed."""
_FAILURES = (StopCode.ESSENTIAL_CONTAINER_EXITED, StopCode.TASK_FAILED_TO_START)


def threshold(service: Service) -> int:
    """So many failed tasks give a deployment up."""
    given = circuit_breaker(service).threshold_configuration
    if given.type == "COUNT":
        return max(1, given.value)
    share = -(-service.desired_count * given.value // 100)
    return max(1, share) if given.type == "UNBOUNDED_PERCENT" else min(max(share, FEWEST), MOST)


def delay(settings: Settings, tries: int) -> timedelta:
    """How long to wait after this many failed starts: twice as long each time, up to a cap."""
    longest = settings.start_backoff_cap_s
    if tries > 32:
        return timedelta(seconds=longest)
    return timedelta(seconds=min(settings.start_backoff_first_s * 2 ** (tries - 1), longest))


def has_failed(task: Task) -> bool:
    """It ended by itself, or failed its health checks. Any other stop is not a failure of the task."""
    return task.stop_code in _FAILURES or task.stopped_reason == UNHEALTHY_REASON


def counted(step: Step, service: Service) -> Service:
    """The service with what this event did to the tasks of its PRIMARY deployment. To be asked once an event."""
    for was, now in step.changed_tasks():
        if now is None or now.service_arn != service.arn or not service.deployments:
            continue
        deployment = primary(service)
        if now.deployment_id != deployment.id:
            continue
        if now.is_stopped and not (was and was.is_stopped):
            service = _after_end(step, service, now)
        elif _turned_healthy(was, now) and deployment.failed_tasks and _resets(service):
            service = with_primary(service, failed_tasks=0, updated_at=step.at)
    return service


def calmed(step: Step, service: Service, tasks: tuple[Task, ...]) -> Service:
    """The service with no failure held against it that a healthy task has made good."""
    deployment = primary(service)
    own = [task for task in tasks if task.deployment_id == deployment.id]
    if deployment.failed_tasks and _resets(service) and any(_made_good(step, service, task) for task in own):
        service = with_primary(service, failed_tasks=0, updated_at=step.at)
    at = calm_at(step, service, tasks)
    if at is not None and at <= step.at:
        service = with_primary(service, starts_failed=0, next_start_at=None)
    return service


def calm_at(step: Step, service: Service, tasks: tuple[Task, ...]) -> datetime | None:
    """When its tasks will have run long enough for the failed starts to be forgotten; ``None``: not at present."""
    deployment = primary(service)
    own = [task for task in tasks if task.deployment_id == deployment.id and not task.is_to_stop]
    if not deployment.starts_failed or len(own) < service.desired_count:
        return None
    if not all(task.is_running for task in own):
        return None
    newest = max((task.started_at or task.created_at for task in own), default=deployment.failed_at or step.at)
    return newest + timedelta(seconds=step.settings.start_backoff_cap_s)


def tripped(step: Step, service: Service) -> Service:
    """The service after its circuit breaker has looked: as it was, FAILED, or on its way back."""
    deployment = primary(service)
    configuration = circuit_breaker(service)
    if not configuration.enable or deployment.rollout_state != RolloutState.IN_PROGRESS:
        return service
    if not deployment.failed_tasks or deployment.failed_tasks < threshold(service):
        return service
    service = failed(step, service, FAILED_REASON)
    service = say(step, service, f"(deployment {deployment.id}) deployment failed: tasks failed to start.")
    if configuration.rollback and not deployment.rolls_back:
        service = rolled_back(step, service)
    return service


def failed(step: Step, service: Service, reason: str) -> Service:
    """The service with its PRIMARY deployment marked as failed."""
    return with_primary(
        service, rollout_state=RolloutState.FAILED, rollout_reason=reason, updated_at=step.at, finished_at=step.at
    )


def rolled_back(step: Step, service: Service) -> Service:
    """The service on its way back to its last COMPLETED deployment; as it was when there is none.

    Tasks of that deployment which still run stay, and so does its ID.
    """
    last, given_up = service.last_completed, primary(service)
    if not last.id or last.id == given_up.id:
        return service
    again = _standing(service, last.id)
    if again is not None:
        service = with_deployment_again(step, service, again, rolls_back=given_up.id)
    else:
        service = with_deployment(
            step,
            service,
            definition_arn=last.definition_arn,
            settings=last.settings,
            rolls_back=given_up.id,
        )
    return say(step, service, f"rolling back to deployment {primary(service).id}.")


def _standing(service: Service, deployment_id: str) -> Deployment | None:
    return next((one for one in service.deployments if one.id == deployment_id), None)


def _after_end(step: Step, service: Service, task: Task) -> Service:
    if not has_failed(task):
        return service
    deployment = primary(service)
    changes = {"failed_tasks": deployment.failed_tasks + 1, "failed_at": step.at, "updated_at": step.at}
    if deployment.rollout_state == RolloutState.COMPLETED:
        changes["failed_tasks"] = 0  # no longer evaluated
    ran_s = (step.at - task.started_at).total_seconds() if task.started_at else 0.0
    tries = deployment.starts_failed
    if ran_s >= step.settings.start_backoff_cap_s:
        changes["starts_failed"] = tries = 0
    elif deployment.next_start_at is None or task.created_at >= deployment.next_start_at:
        tries += 1
        changes |= {"starts_failed": tries, "next_start_at": step.at + delay(step.settings, tries)}
    service = with_primary(service, **changes)
    return complain(step, service, INCONSISTENT) if tries >= TRIES_UNTIL_COMPLAINT else service


def _resets(service: Service) -> bool:
    return circuit_breaker(service).reset_on_healthy_task


def _turned_healthy(was: Task | None, now: Task) -> bool:
    is_new = was is None or was.health is not HealthStatus.HEALTHY
    return is_new and has_check(now) and now.health is HealthStatus.HEALTHY


def _made_good(step: Step, service: Service, task: Task) -> bool:
    """Without a health check, time makes a task healthy: after the last failure, it counts."""
    at = None if has_check(task) else healthy_at(step, task)
    failed_at = primary(service).failed_at
    return at is not None and at <= step.at and (failed_at is None or at > failed_at)
