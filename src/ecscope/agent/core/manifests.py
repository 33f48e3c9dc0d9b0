"""ECS lists the tasks that should be here; what runs beside that list is stopped, once ECS confirms it.

Source: agent-protocol.md §4.7.
"""

from __future__ import annotations

from ecscope.agent.core import admission
from ecscope.agent.core.actions import AcknowledgeMessage, VerifyStop
from ecscope.agent.core.events import ManifestReceived, StopVerified
from ecscope.agent.core.state import MANIFEST_SEQUENCE_KEY
from ecscope.agent.core.step import Step
from ecscope.model import history
from ecscope.model.status import TaskStatus


def received(step: Step, event: ManifestReceived) -> None:
    """Only a manifest that is newer than all that was heard counts."""
    if event.timeline <= step.manifest_sequence:
        step.note(
            history.NoChange(
                why=f"manifest {event.message_id} with timeline {event.timeline}"
                f" is not newer than {step.manifest_sequence}"
            )
        )
        return
    raise_sequence(step, event.timeline)
    step.manifest_message_id = event.message_id
    step.act(
        AcknowledgeMessage(
            message_id=event.message_id,
            cluster_arn=event.cluster_arn,
            container_instance_arn=event.container_instance_arn,
        )
    )
    beside = tuple(
        arn
        for arn, task in step.tasks.items()
        if task.desired is TaskStatus.RUNNING and not task.is_refused and arn not in event.running
    )
    step.note(
        history.ManifestReceived(
            message_id=event.message_id, timeline=event.timeline, running=len(event.running), beside=len(beside)
        )
    )
    if beside:
        step.act(VerifyStop(message_id=event.message_id, cluster_arn=event.cluster_arn, task_arns=beside))


def stop_verified(step: Step, event: StopVerified) -> None:
    """Only the answer to the newest question counts, and only once."""
    if not step.manifest_message_id or event.message_id != step.manifest_message_id:
        step.note(history.NoChange(why=f"the stop verification {event.message_id} was not asked for"))
        return
    step.manifest_message_id = ""
    for arn in event.task_arns:
        task = step.tasks.get(arn)
        if task is not None:
            admission.request_stop(step, task, f"ACS manifest {event.message_id}")


def raise_sequence(step: Step, sequence: int) -> None:
    """Remember the newest sequence number, over restarts too."""
    if sequence > step.manifest_sequence:
        step.manifest_sequence = sequence
        step.remember(MANIFEST_SEQUENCE_KEY, str(sequence))
