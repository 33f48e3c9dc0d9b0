"""The agents' connections: which one belongs to an instance, what is sent when it opens, what the agent reports.

An agent that is gone changes nothing about its tasks. Source: control-plane.md §4; agent-protocol.md §4.5-§4.7.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec

from ecscope.control.core import tasks
from ecscope.control.core.effects import ConfirmStop, Disconnect, SendCredentials, SendManifest
from ecscope.control.core.events import (
    AgentConnected,
    AgentDisconnected,
    HealthReported,
    InstanceStatusReported,
    MessageAcknowledged,
    StopVerificationAsked,
)
from ecscope.control.core.records import Task
from ecscope.control.core.statuses import InstanceStatus
from ecscope.control.core.step import Step

INACTIVE_KEPT = timedelta(days=1)
"""How long a deregistered container instance is shown. Its agent asks once an hour whether that still holds; later it
learns that the instance is not known. Source: agent-protocol.md §4.10."""


def connected(step: Step, event: AgentConnected) -> None:
    """The newest connection represents the instance, and is sent what it may have missed."""
    instance = step.instances.get(event.instance_arn)
    if instance is None or instance.status == InstanceStatus.INACTIVE:
        step.act(
            Disconnect(
                instance_arn=event.instance_arn,
                connection_id=event.connection_id,
                reason="the container instance is not registered",
            )
        )
        return
    if instance.connection_id and instance.connection_id != event.connection_id:
        step.act(
            Disconnect(
                instance_arn=instance.arn,
                connection_id=instance.connection_id,
                reason="another connection was opened for the container instance",
            )
        )
    instance = step.instances.put(
        instance.arn,
        msgspec.structs.replace(
            instance,
            connection_id=event.connection_id,
            connectivity_at=instance.connectivity_at if instance.is_connected else step.at,
            version_info={**instance.version_info, **event.version_info},
            version=instance.version + 1,
        ),
    )
    here = _tasks_on(step, instance.arn)
    step.act(
        SendManifest(
            instance_arn=instance.arn,
            message_id=step.new_uuid(),
            timeline=step.next_sequence(),  # below that of the payload, or the agent takes it for an old one
            task_arns=tuple(task.arn for task in here if not task.is_to_stop),
        )
    )
    with_roles = tuple(task.arn for task in here if task.credentials_id or task.execution_credentials_id)
    if event.wants_credentials and with_roles:
        step.act(SendCredentials(instance_arn=instance.arn, task_arns=with_roles))
    tasks.send(step, instance, [task for task in here if not task.is_acknowledged])


def disconnected(step: Step, event: AgentDisconnected) -> None:
    """Unless a newer connection took its place."""
    instance = step.instances.get(event.instance_arn)
    if instance is not None and instance.connection_id == event.connection_id:
        step.instances.put(
            instance.arn,
            msgspec.structs.replace(instance, connection_id="", connectivity_at=step.at, version=instance.version + 1),
        )


def acknowledged(step: Step, event: MessageAcknowledged) -> None:
    tasks.acknowledge(step, event.instance_arn, event.message_id)


def stop_asked(step: Step, event: StopVerificationAsked) -> None:
    """Confirm those that are not to run there: unknown, another instance's, or to be stopped."""
    stray = tuple(
        arn
        for arn in event.task_arns
        if (task := step.tasks.get(arn)) is None or task.instance_arn != event.instance_arn or task.is_to_stop
    )
    if stray:
        step.act(ConfirmStop(instance_arn=event.instance_arn, message_id=event.message_id, task_arns=stray))


def health(step: Step, event: HealthReported) -> None:
    """Health checks of containers; of tasks on this very instance only."""
    for reported in event.containers:
        task = step.tasks.get(reported.task_arn)
        if task is not None and task.instance_arn == event.instance_arn:
            tasks.heal(step, task, reported.container_name, reported.health)


def instance_status(step: Step, event: InstanceStatusReported) -> None:
    instance = step.instances.get(event.instance_arn)
    if instance is not None and instance.health != event.details:
        step.instances.put(
            instance.arn, msgspec.structs.replace(instance, health=event.details, version=instance.version + 1)
        )


def expire(step: Step) -> None:
    """Forget container instances that were deregistered a day ago."""
    for instance in tuple(step.instances):
        gone_at = instance.connectivity_at if instance.status == InstanceStatus.INACTIVE else None
        if gone_at is not None and gone_at + INACTIVE_KEPT <= step.at:
            step.instances.drop(instance.arn)


def _tasks_on(step: Step, instance_arn: str) -> list[Task]:
    """Not STOPPED, in the order of creation."""
    here = (step.tasks[arn] for arn in step.tasks_on.get(instance_arn, ()))
    return sorted(here, key=lambda task: (task.created_at, task.arn))
