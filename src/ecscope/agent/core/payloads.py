"""ECS hands over tasks: what is taken in, what is refused, what is acknowledged.

Nothing is acknowledged before it is saved, because an acknowledgement is an action. ECS sends
again what was not acknowledged, and a known ARN is not taken in twice.

Source: agent-protocol.md §4.5.
"""

from __future__ import annotations

from ecscope.agent.core import admission, credentials, manifests
from ecscope.agent.core.actions import AcknowledgeMessage
from ecscope.agent.core.events import PayloadReceived, UnreadableTask
from ecscope.agent.core.step import Step
from ecscope.model import history
from ecscope.model.status import TaskStatus
from ecscope.model.task import Task


def received(step: Step, event: PayloadReceived) -> None:
    """Take in all that can be; acknowledge the message only if nothing in it was unreadable."""
    if not step.settings.joins_cluster:
        step.note(history.NoChange(why="this agent has joined no cluster"))
        return
    if event.sequence_number is not None:
        manifests.raise_sequence(step, event.sequence_number)
    step.note(
        history.PayloadReceived(message_id=event.message_id, tasks=len(event.tasks), unreadable=len(event.unreadable))
    )
    requested_by = f"ACS payload {event.message_id}"
    # those that free resources first, whatever their order in the message
    for task in sorted(event.tasks, key=lambda task: task.desired is not TaskStatus.STOPPED):
        admission.take(step, task, requested_by=requested_by)
    for unreadable in event.unreadable:
        _refuse(step, unreadable, requested_by)
    for given in event.credentials:
        if given.task_arn in step.tasks:
            credentials.keep(step, given)
    if event.unreadable:
        return
    step.act(
        AcknowledgeMessage(
            message_id=event.message_id,
            cluster_arn=event.cluster_arn,
            container_instance_arn=event.container_instance_arn,
        )
    )
    for given in event.credentials:
        credentials.acknowledge(step, event.message_id, given)


def _refuse(step: Step, unreadable: UnreadableTask, requested_by: str) -> None:
    reason = f"UnrecogniedTaskError: Error loading task - {unreadable.error}"  # Quirk: spelt so officially
    if not unreadable.task_arn or unreadable.task_arn in step.tasks:
        step.note(history.TaskRefused(reason=reason, requested_by=requested_by, task_arn=unreadable.task_arn))
        return
    task = Task(arn=unreadable.task_arn, family="", version="", containers=(), received_at=step.at)
    admission.refuse(step, task, reason, requested_by=requested_by)
