"""Services and their deployments as the API shows them. Counts are taken from the tasks.

Source: the service model of ECS (2014-11-13); control-plane.md §8.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ecscope.control.api.lookup import arn_of
from ecscope.control.api.shapes import moment, tags
from ecscope.control.core import breaker
from ecscope.control.core.deployments import circuit_breaker, counts, tasks_of
from ecscope.control.core.records import Deployment, Service, Task
from ecscope.control.core.statuses import DeploymentStatus, RolloutState
from ecscope.control.core.step import Step

_OF_BOTH = frozenset(("launchType", "capacityProviderStrategy", "networkConfiguration"))
"""Members of a service that it has from its PRIMARY deployment: a rollback gives back those of an earlier one."""


def service(step: Step, record: Service, *, with_tags: bool = False) -> dict[str, object]:
    """``Service``."""
    tasks = tasks_of(step, record)
    count = counts(tasks)
    shown: dict[str, object] = {
        "serviceArn": record.arn,
        "serviceName": record.name,
        "clusterArn": arn_of(step, "cluster", record.cluster),
        "loadBalancers": [],
        "serviceRegistries": [],
        "status": record.status,
        "desiredCount": record.desired_count,
        "runningCount": count.running,
        "pendingCount": count.pending,
        "deployments": [_deployment(record, one, tasks) for one in record.deployments],
        "events": [
            {"id": event.id, "createdAt": moment(event.created_at), "message": event.message} for event in record.events
        ],
        "createdAt": moment(record.created_at),
        "createdBy": record.created_by,
        "schedulingStrategy": record.scheduling_strategy,
        "deploymentController": {"type": "ECS"},
        "tags": tags(record.tags) if with_tags else [],
        **record.body,
    }
    if record.deployments:
        shown["taskDefinition"] = record.deployments[0].definition_arn
        shown |= {
            name: record.deployments[0].settings[name] for name in _OF_BOTH & record.deployments[0].settings.keys()
        }
        shown["currentServiceRevisions"] = [_revision_summary(step, record, one, tasks) for one in record.deployments]
        if record.deployments[0].rollout_state == RolloutState.IN_PROGRESS:
            shown["currentServiceDeployment"] = deployment_arn(step, record, record.deployments[0])
    elif record.past_deployments:
        shown["taskDefinition"] = record.past_deployments[0].definition_arn
    return shown


def _deployment(record: Service, one: Deployment, tasks: Iterable[Task]) -> dict[str, object]:
    """``Deployment``. An older one wants no more than it still has."""
    own = [task for task in tasks if task.deployment_id == one.id]
    count = counts(own)
    kept = sum(not task.is_to_stop for task in own)
    return {
        "id": one.id,
        "status": one.status,
        "taskDefinition": one.definition_arn,
        "desiredCount": record.desired_count if one.status == DeploymentStatus.PRIMARY else kept,
        "pendingCount": count.pending,
        "runningCount": count.running,
        "failedTasks": one.failed_tasks,
        "createdAt": moment(one.created_at),
        "updatedAt": moment(one.updated_at),
        "rolloutState": one.rollout_state,
        "rolloutStateReason": one.rollout_reason,
        **one.settings,
    }


# --- service deployments and revisions --------------------------------------------------------------


def deployment_arn(step: Step, record: Service, one: Deployment) -> str:
    return arn_of(step, "service-deployment", record.cluster, record.name, _digits(one))


def revision_arn(step: Step, record: Service, one: Deployment) -> str:
    return arn_of(step, "service-revision", record.cluster, record.name, _digits(one))


def service_deployment_brief(step: Step, record: Service, one: Deployment) -> dict[str, object]:
    """``ServiceDeploymentBrief``."""
    shown: dict[str, object] = {
        "serviceDeploymentArn": deployment_arn(step, record, one),
        "serviceArn": record.arn,
        "clusterArn": arn_of(step, "cluster", record.cluster),
        "createdAt": moment(one.created_at),
        "startedAt": moment(one.created_at),
        "targetServiceRevisionArn": revision_arn(step, record, one),
        "status": service_deployment_status(record, one),
        "statusReason": one.rollout_reason,
    }
    if one.finished_at is not None:
        shown["finishedAt"] = moment(one.finished_at)
    return shown


def service_deployment(step: Step, record: Service, one: Deployment) -> dict[str, object]:
    """``ServiceDeployment``."""
    tasks = tasks_of(step, record)
    shown = service_deployment_brief(step, record, one)
    del shown["targetServiceRevisionArn"]
    others = (
        [other for other in record.deployments if other.id != one.id] if one.status == DeploymentStatus.PRIMARY else []
    )
    shown |= {
        "updatedAt": moment(one.updated_at),
        "sourceServiceRevisions": [_revision_summary(step, record, other, tasks) for other in others],
        "targetServiceRevision": _revision_summary(step, record, one, tasks),
        "deploymentConfiguration": record.body.get("deploymentConfiguration", {}),
        "deploymentCircuitBreaker": {
            "status": _breaker_status(record, one),
            "failureCount": one.failed_tasks,
            "threshold": breaker.threshold(record),
        },
    }
    rollback = rollback_of(record, one)
    if rollback is not None:
        shown["rollback"] = {
            "reason": rollback.rollout_reason,
            "startedAt": moment(rollback.updated_at if rollback.finished_at is None else one.updated_at),
            "serviceRevisionArn": revision_arn(step, record, rollback),
        }
    return shown


def service_deployment_status(record: Service, one: Deployment) -> str:
    """One of ``ServiceDeploymentStatus``: what gave way to a newer one before it was done was STOPPED."""
    if one.rollout_state == RolloutState.COMPLETED:
        return "SUCCESSFUL"
    if one.rollout_state == RolloutState.IN_PROGRESS:
        return "IN_PROGRESS" if one.status == DeploymentStatus.PRIMARY else "STOPPED"
    rollback = rollback_of(record, one)
    if rollback is None:
        return "STOPPED"
    return {
        "SUCCESSFUL": "ROLLBACK_SUCCESSFUL",
        "IN_PROGRESS": "ROLLBACK_IN_PROGRESS",
    }.get(service_deployment_status(record, rollback), "ROLLBACK_FAILED")


def rollback_of(record: Service, one: Deployment) -> Deployment | None:
    """The deployment that took the place of one that failed."""
    return next((other for other in all_deployments(record) if other.rolls_back == one.id), None)


def all_deployments(record: Service) -> Sequence[Deployment]:
    """Newest first, the INACTIVE ones too."""
    return (*record.deployments, *record.past_deployments)


def revision(step: Step, record: Service, one: Deployment) -> dict[str, object]:
    """``ServiceRevision``."""
    definition = step.task_definitions.get(one.definition_arn)
    containers = definition.members.container_definitions if definition is not None else ()
    return {
        "serviceRevisionArn": revision_arn(step, record, one),
        "serviceArn": record.arn,
        "clusterArn": arn_of(step, "cluster", record.cluster),
        "taskDefinition": one.definition_arn,
        "createdAt": moment(one.created_at),
        "loadBalancers": [],
        "serviceRegistries": [],
        "containerImages": [{"containerName": each.name, "image": each.image} for each in containers],
        "guardDutyEnabled": False,
        **one.settings,
    }


def _revision_summary(step: Step, record: Service, one: Deployment, tasks: Iterable[Task]) -> dict[str, object]:
    shown = _deployment(record, one, tasks)
    return {
        "arn": revision_arn(step, record, one),
        "requestedTaskCount": shown["desiredCount"],
        "runningTaskCount": shown["runningCount"],
        "pendingTaskCount": shown["pendingCount"],
    }


def _breaker_status(record: Service, one: Deployment) -> str:
    if not circuit_breaker(record).enable:
        return "DISABLED"
    return {RolloutState.IN_PROGRESS: "MONITORING", RolloutState.FAILED: "TRIGGERED"}.get(
        one.rollout_state, "MONITORING_COMPLETE"
    )


def _digits(one: Deployment) -> str:
    return one.id.rsplit("/", 1)[-1]
