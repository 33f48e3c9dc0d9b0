"""What ECS says over ACS, as events of the core. Translates, and decides nothing.

Source: agent-protocol.md §4.5-§4.8.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from ecscope.agent.core.events import (
    AnyEvent,
    AttachmentsReceived,
    CredentialsReceived,
    ManifestReceived,
    PayloadReceived,
    StopVerified,
    UnreadableTask,
)
from ecscope.model.arn import TaskArn
from ecscope.model.attachment import Attachment
from ecscope.model.credentials import RoleType, TaskCredentials
from ecscope.model.task import Task
from ecscope.wire.acs.messages import (
    AttachInstanceNetworkInterfacesMessage,
    AttachTaskNetworkInterfacesMessage,
    CoreMessage,
    IAMRoleCredentialsMessage,
    PayloadMessage,
    TaskIdentifier,
    TaskManifestMessage,
    TaskStopVerificationAck,
)
from ecscope.wire.acs.payload import PayloadTask, RoleCredentials
from ecscope.wire.acs.to_task import TaskConversionError, credentials_of

_LONGEST_WAIT_MS = 24 * 3600 * 1000
"""ECS waits five minutes. A day is as good as no limit, and any number then gives a valid moment."""


def event_of(
    message: CoreMessage,
    *,
    to_task: Callable[[PayloadTask], Task],
    id: str,  # noqa: A002 (the event's own name for it)
    at: datetime,
) -> AnyEvent:
    """The event for a message delivered by ``wire.acs.agent_session``.

    Args:
        to_task: raises ``TaskConversionError``, which spoils that one task and not the message.
    """
    match message:
        case PayloadMessage():
            return _payload(message, to_task, id, at)
        case TaskManifestMessage():
            return ManifestReceived(
                id=id,
                at=at,
                message_id=message.message_id or "",
                cluster_arn=message.cluster_arn or "",
                container_instance_arn=message.container_instance_arn or "",
                timeline=message.timeline or 0,
                running=frozenset(_arns(message.tasks, desired="RUNNING")),
            )
        case AttachTaskNetworkInterfacesMessage() | AttachInstanceNetworkInterfacesMessage():
            return _attachments(message, id, at)
        case TaskStopVerificationAck():
            return StopVerified(
                id=id, at=at, message_id=message.message_id or "", task_arns=tuple(_arns(message.stop_tasks))
            )
        case IAMRoleCredentialsMessage():
            return CredentialsReceived(
                id=id, at=at, message_id=message.message_id or "", credentials=_credentials(message)
            )


def _payload(message: PayloadMessage, to_task: Callable[[PayloadTask], Task], id_: str, at: datetime) -> AnyEvent:
    tasks: list[Task] = []
    unreadable: list[UnreadableTask] = []
    credentials: list[TaskCredentials] = []
    for task in message.tasks or ():
        try:
            tasks.append(to_task(task))
            credentials += credentials_of(task)
        except TaskConversionError as error:
            unreadable.append(UnreadableTask(task_arn=TaskArn(task.arn or ""), error=str(error)))
    return PayloadReceived(
        id=id_,
        at=at,
        message_id=message.message_id or "",
        cluster_arn=message.cluster_arn or "",
        container_instance_arn=message.container_instance_arn or "",
        sequence_number=message.seq_num,
        tasks=tuple(tasks),
        unreadable=tuple(unreadable),
        credentials=tuple(credentials),
    )


def _attachments(
    message: AttachTaskNetworkInterfacesMessage | AttachInstanceNetworkInterfacesMessage, id_: str, at: datetime
) -> AnyEvent:
    """An interface without an attachment ARN cannot be reported, so it is not awaited either."""
    task_arn = message.task_arn if isinstance(message, AttachTaskNetworkInterfacesMessage) else None
    return AttachmentsReceived(
        id=id_,
        at=at,
        message_id=message.message_id or "",
        cluster_arn=message.cluster_arn or "",
        container_instance_arn=message.container_instance_arn or "",
        attachments=tuple(
            Attachment(
                arn=interface.attachment_arn,
                mac_address=(interface.mac_address or "").lower(),
                expires_at=at + timedelta(milliseconds=min(message.wait_timeout_ms or 0, _LONGEST_WAIT_MS)),
                task_arn=TaskArn(task_arn or ""),
            )
            for interface in message.elastic_network_interfaces or ()
            if interface.attachment_arn
        ),
    )


def _credentials(message: IAMRoleCredentialsMessage) -> TaskCredentials:
    given = message.role_credentials or RoleCredentials()
    return TaskCredentials(
        task_arn=TaskArn(message.task_arn or ""),
        role_type=RoleType(message.role_type),
        credentials_id=given.credentials_id or "",
        role_arn=given.role_arn or "",
        access_key_id=given.access_key_id or "",
        secret_access_key=given.secret_access_key or "",
        session_token=given.session_token or "",
        expiration=given.expiration or "",
        scope=given.credential_scope or "",
    )


def _arns(tasks: tuple[TaskIdentifier, ...] | None, *, desired: str | None = None) -> list[TaskArn]:
    """Those with this desired status; ``None``: all."""
    return [TaskArn(task.task_arn) for task in tasks or () if task.task_arn and desired in (None, task.desired_status)]
