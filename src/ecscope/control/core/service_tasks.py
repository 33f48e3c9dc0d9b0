"""The tasks that a service starts and stops, and where those of a daemon belong.

Source: control-plane.md §6.4, §8.2, §8.5.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from ecscope.control.core.breaker import UNHEALTHY_REASON
from ecscope.control.core.capacity import next_provider
from ecscope.control.core.deployments import primary
from ecscope.control.core.placement import SERVICE_STRATEGY, is_fit
from ecscope.control.core.records import Service, Task, TaskDefinition
from ecscope.control.core.statuses import InstanceStatus, StopCode
from ecscope.control.core.step import Step
from ecscope.control.core.tasks import stop
from ecscope.control.core.wanted import Wanted


def wanted(step: Step, service: Service, instance_arn: str = "") -> Wanted | None:
    """The next task of its PRIMARY deployment; ``None``: the task definition no longer exists."""
    deployment = primary(service)
    definition = step.task_definitions.get(deployment.definition_arn)
    if definition is None:
        return None
    members = service.members
    return Wanted(
        definition=definition,
        cluster=service.cluster,
        overrides={},
        group=f"service:{service.name}",
        started_by=deployment.id,
        service_arn=service.arn,
        deployment_id=deployment.id,
        launch_type=deployment.launch_type,
        capacity_provider=_next_provider(step, service),
        network=deployment.settings.get("networkConfiguration", {}),
        platform_version=deployment.settings.get("platformVersion", ""),
        tags=task_tags(service, definition),
        execute_command_enabled=members.enable_execute_command,
        constraints=members.placement_constraints,
        strategy=() if instance_arn else members.placement_strategy or SERVICE_STRATEGY,
        instance_arn=instance_arn,
    )


def _next_provider(step: Step, service: Service) -> str:
    deployment = primary(service)
    strategy = deployment.settings.get("capacityProviderStrategy", ())
    if not strategy:
        return ""
    tasks = (step.tasks[arn] for arn in step.tasks_of.get(service.arn, ()))
    own = (task for task in tasks if task.deployment_id == deployment.id and not task.is_to_stop)
    return next_provider(strategy, Counter(task.capacity_provider for task in own))


def task_tags(service: Service, definition: TaskDefinition) -> Mapping[str, str]:
    """What its tasks are tagged with."""
    source = service.members.propagate_tags
    tags = dict(service.tags if source == "SERVICE" else definition.tags if source == "TASK_DEFINITION" else {})
    if service.members.enable_ecs_managed_tags:
        tags |= {"aws:ecs:clusterName": service.cluster, "aws:ecs:serviceName": service.name}
    return tags


def places(step: Step, service: Service, tasks: Iterable[Task]) -> tuple[str, ...]:
    """ARNs of the instances that are to have a task of a daemon, whether or not it fits there now.

    One that drains keeps the daemon's task as long as there are tasks of replica services: a daemon is the last to go.
    """
    task = wanted(step, service)
    if task is None:
        return ()
    lingering = _lingering(step, service, tasks)
    instances = (one for one in step.instances if one.cluster == service.cluster)
    return tuple(
        one.arn
        for one in instances
        if one.arn in lingering or (one.status == InstanceStatus.ACTIVE and is_fit(step, task, one))
    )


def _lingering(step: Step, service: Service, tasks: Iterable[Task]) -> frozenset[str]:
    deployment_id = primary(service).id
    own = (task for task in tasks if task.deployment_id == deployment_id and not task.is_to_stop)
    here = (step.instances.get(task.instance_arn) for task in own)
    return frozenset(
        instance.arn
        for instance in here
        if instance is not None and instance.status == InstanceStatus.DRAINING and _has_replicas(step, instance.arn)
    )


def _has_replicas(step: Step, instance_arn: str) -> bool:
    here = (step.tasks[arn] for arn in step.tasks_on.get(instance_arn, ()))
    of = {task.service_arn for task in here if not task.is_on_fargate} - {""}
    return any((other := step.services.get(arn)) is None or not other.is_daemon for arn in of)


def stop_for_others(step: Step, service: Service, task: Task) -> Task:
    """Stop a task that is not wanted any more, or that another one replaces."""
    reason = f"Scaling activity initiated by (deployment {primary(service).id})"
    return stop(step, task, code=StopCode.SERVICE_SCHEDULER_INITIATED, reason=reason)


def stop_unhealthy(step: Step, task: Task) -> Task:
    return stop(step, task, code=StopCode.SERVICE_SCHEDULER_INITIATED, reason=UNHEALTHY_REASON)
