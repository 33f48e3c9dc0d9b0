"""ECS attaches network interfaces; each is reported once it is found, and forgotten if it is not found in time.

They are saved until ECS has heard of them, so that a restart loses none. The interface itself is left as it is:
tasks that need one of their own are refused.

Source: agent-protocol.md §3.7, §3.8, §4.8.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ecscope.agent.core.actions import AcknowledgeMessage, AwaitInterface, SubmitAttachmentStateChange
from ecscope.agent.core.events import (
    AttachmentAccepted,
    AttachmentExpired,
    AttachmentRefused,
    AttachmentsReceived,
    InterfaceAppeared,
)
from ecscope.agent.core.state import ATTACHMENTS_KEY
from ecscope.agent.core.step import Step
from ecscope.model import history
from ecscope.model.attachment import Attachment

replace = msgspec.structs.replace


def take(
    step: Step,
    event: AttachmentsReceived | InterfaceAppeared | AttachmentAccepted | AttachmentRefused | AttachmentExpired,
) -> None:
    """Whatever happened to attachments."""
    match event:
        case AttachmentsReceived():
            _received(step, event)
        case InterfaceAppeared():
            _appeared(step, event)
        case _:
            _ended(step, event)


def _received(step: Step, event: AttachmentsReceived) -> None:
    """Take over what is not known yet; acknowledge the message in any case."""
    for attachment in event.attachments:
        if attachment.arn in step.attachments:
            step.note(history.NoChange(why=f"{attachment.arn} is known already"))
            continue
        _put(step, attachment)
        step.note(
            history.AttachmentReceived(
                attachment_arn=attachment.arn,
                mac_address=attachment.mac_address,
                task_arn=attachment.task_arn,
                message_id=event.message_id,
            )
        )
        _go_on(step, attachment)
    step.act(
        AcknowledgeMessage(
            message_id=event.message_id,
            cluster_arn=event.cluster_arn,
            container_instance_arn=event.container_instance_arn,
        )
    )


def _appeared(step: Step, event: InterfaceAppeared) -> None:
    """The interface is there."""
    attachment = step.attachments.get(event.attachment_arn)
    if attachment is None or attachment.is_attached:
        step.note(history.NoChange(why=f"{event.attachment_arn} is not awaited (any more)"))
        return
    attachment = _put(step, replace(attachment, is_attached=True))
    step.note(
        history.AttachmentAttached(
            attachment_arn=attachment.arn, mac_address=attachment.mac_address, task_arn=attachment.task_arn
        )
    )
    _go_on(step, attachment)


def _ended(step: Step, event: AttachmentAccepted | AttachmentRefused | AttachmentExpired) -> None:
    """ECS knows, will never know, or does not want to know any more."""
    attachment = step.attachments.get(event.attachment_arn)
    if attachment is None:
        step.note(history.NoChange(why=f"{event.attachment_arn} is not known (any more)"))
        return
    match event:
        case AttachmentAccepted():
            _forget(step, attachment, "reported to ECS as attached")
        case AttachmentRefused():
            _forget(step, attachment, f"ECS refuses the report that it is attached: {event.failure}")
        case AttachmentExpired():
            why = "cannot be reported to ECS as attached" if attachment.is_attached else "it did not come"
            _forget(step, attachment, f"{why} before {attachment.expires_at:%H:%M:%S}Z, when ECS gives it up")


def resume(step: Step) -> None:
    """What was under way when the last process ended is started again."""
    for attachment in tuple(step.attachments):
        _go_on(step, attachment)


def restored(saved: str) -> Mapping[str, Attachment]:
    """What ``ATTACHMENTS_KEY`` holds. What cannot be read is forgotten: ECS lets it expire."""
    try:
        attachments = msgspec.json.decode(saved, type=tuple[Attachment, ...]) if saved else ()
    except msgspec.MsgspecError:
        attachments = ()
    return {attachment.arn: attachment for attachment in attachments}


def _go_on(step: Step, attachment: Attachment) -> None:
    left_s = (attachment.expires_at - step.at).total_seconds()
    if left_s <= 0:
        _forget(step, attachment, "ECS has given it up")
    elif attachment.is_attached:
        step.act(
            SubmitAttachmentStateChange(attachment_arn=attachment.arn, task_arn=attachment.task_arn, limit_s=left_s)
        )
    else:
        step.act(AwaitInterface(attachment_arn=attachment.arn, mac_address=attachment.mac_address, limit_s=left_s))


def _put(step: Step, attachment: Attachment) -> Attachment:
    step.attachments.put(attachment.arn, attachment)
    _save(step)
    return attachment


def _forget(step: Step, attachment: Attachment, why: str) -> None:
    step.attachments.drop(attachment.arn)
    _save(step)
    step.note(
        history.AttachmentEnded(
            attachment_arn=attachment.arn, mac_address=attachment.mac_address, task_arn=attachment.task_arn, why=why
        )
    )


def _save(step: Step) -> None:
    saved = msgspec.json.encode(tuple(step.attachments)).decode() if step.attachments else ""
    step.remember(ATTACHMENTS_KEY, saved)
