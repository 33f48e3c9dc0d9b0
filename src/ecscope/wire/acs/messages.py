"""The messages of ACS, both ways: what they hold, how a frame becomes one, and how one becomes a frame.

A frame is text: ``{"type": <class name>, "message": {…}}``. A member of the wrong JSON type refuses the whole message,
an unknown member is ignored, and absent is the same as null. Both ends use this module: the agent reads what the
server says and writes what the agent says, the control plane the other way round.

A refusal never quotes a value: payloads carry credentials.

Source: agent-protocol.md §4.2, §4.4; the service model of ACS (2014-11-13).
Difference: member names are matched exactly; the official agent ignores their case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar, get_args

import msgspec

from ecscope.wire.acs.payload import (
    Long,
    Payload,
    PayloadAttachment,
    PayloadNetworkInterface,
    PayloadTask,
    RoleCredentials,
)

M = TypeVar("M", bound=Payload)


# --- server to agent ----------------------------------------------------------------------------


class HeartbeatMessage(Payload, frozen=True, kw_only=True):
    message_id: str | None = None
    healthy: bool | None = None


class PayloadMessage(Payload, frozen=True, kw_only=True):
    """Tasks to run or to stop. Source: agent-protocol.md §4.5."""

    cluster_arn: str | None = None
    container_instance_arn: str | None = None
    message_id: str | None = None
    seq_num: Long | None = None
    timeline: Long | None = None
    generated_at: Long | None = None
    """Milliseconds since the epoch, here and below."""
    tasks: tuple[PayloadTask, ...] | None = None


class IAMRoleCredentialsMessage(Payload, frozen=True, kw_only=True):
    """Source: agent-protocol.md §4.6."""

    message_id: str | None = None
    task_arn: str | None = None
    task_cluster_arn: str | None = None
    role_type: str | None = None
    role_credentials: RoleCredentials | None = None


class TaskIdentifier(Payload, frozen=True, kw_only=True):
    """A task in a manifest or in a stop verification."""

    task_arn: str | None = None
    task_cluster_arn: str | None = None
    desired_status: str | None = None


class TaskManifestMessage(Payload, frozen=True, kw_only=True):
    """What should be here. Source: agent-protocol.md §4.7."""

    cluster_arn: str | None = None
    container_instance_arn: str | None = None
    message_id: str | None = None
    timeline: Long | None = None
    generated_at: Long | None = None
    tasks: tuple[TaskIdentifier, ...] | None = None


class TaskStopVerificationAck(Payload, frozen=True, kw_only=True):
    """Source: agent-protocol.md §4.7."""

    message_id: str | None = None
    generated_at: Long | None = None
    stop_tasks: tuple[TaskIdentifier, ...] | None = None


class AttachTaskNetworkInterfacesMessage(Payload, frozen=True, kw_only=True):
    """Source: agent-protocol.md §4.8."""

    cluster_arn: str | None = None
    container_instance_arn: str | None = None
    message_id: str | None = None
    task_arn: str | None = None
    task_cluster_arn: str | None = None
    generated_at: Long | None = None
    wait_timeout_ms: Long | None = None
    elastic_network_interfaces: tuple[PayloadNetworkInterface, ...] | None = None


class AttachInstanceNetworkInterfacesMessage(Payload, frozen=True, kw_only=True):
    """Source: agent-protocol.md §4.8."""

    cluster_arn: str | None = None
    container_instance_arn: str | None = None
    message_id: str | None = None
    generated_at: Long | None = None
    wait_timeout_ms: Long | None = None
    elastic_network_interfaces: tuple[PayloadNetworkInterface, ...] | None = None


class ConfirmAttachmentMessage(Payload, frozen=True, kw_only=True):
    """Source: agent-protocol.md §4.8."""

    cluster_arn: str | None = None
    container_instance_arn: str | None = None
    message_id: str | None = None
    task_arn: str | None = None
    task_cluster_arn: str | None = None
    generated_at: Long | None = None
    wait_timeout_ms: Long | None = None
    attachment: PayloadAttachment | None = None


class UpdateInfo(Payload, frozen=True, kw_only=True):
    location: str | None = None
    signature: str | None = None


class StageUpdateMessage(Payload, frozen=True, kw_only=True):
    """Source: agent-protocol.md §4.9."""

    cluster_arn: str | None = None
    container_instance_arn: str | None = None
    message_id: str | None = None
    update_info: UpdateInfo | None = None


class PerformUpdateMessage(Payload, frozen=True, kw_only=True):
    """Source: agent-protocol.md §4.9."""

    cluster_arn: str | None = None
    container_instance_arn: str | None = None
    message_id: str | None = None
    update_info: UpdateInfo | None = None


class CloseMessage(Payload, frozen=True, kw_only=True):
    message: str | None = None


class ErrorMessage(Payload, frozen=True, kw_only=True):
    message: str | None = None


class ServerException(Payload, frozen=True, kw_only=True):
    message: str | None = None


class BadRequestException(Payload, frozen=True, kw_only=True):
    message: str | None = None


class InvalidClusterException(Payload, frozen=True, kw_only=True):
    message: str | None = None


class InvalidInstanceException(Payload, frozen=True, kw_only=True):
    message: str | None = None


class AccessDeniedException(Payload, frozen=True, kw_only=True):
    message: str | None = None


class InactiveInstanceException(Payload, frozen=True, kw_only=True):
    """The instance is not registered any more. Has an effect only in a refused upgrade."""

    message: str | None = None


Complaint = (
    CloseMessage
    | ErrorMessage
    | ServerException
    | BadRequestException
    | InvalidClusterException
    | InvalidInstanceException
    | AccessDeniedException
    | InactiveInstanceException
)
"""Messages that only inform, and need no answer."""

Update = StageUpdateMessage | PerformUpdateMessage
Attach = AttachTaskNetworkInterfacesMessage | AttachInstanceNetworkInterfacesMessage | ConfirmAttachmentMessage

CoreMessage = (
    PayloadMessage
    | IAMRoleCredentialsMessage
    | TaskManifestMessage
    | TaskStopVerificationAck
    | AttachTaskNetworkInterfacesMessage
    | AttachInstanceNetworkInterfacesMessage
)
"""Messages that the agent's core decides about."""

ServerMessage = (
    HeartbeatMessage
    | PayloadMessage
    | IAMRoleCredentialsMessage
    | TaskManifestMessage
    | TaskStopVerificationAck
    | Attach
    | Update
    | Complaint
)


# --- agent to server ----------------------------------------------------------------------------


class AckRequest(Payload, frozen=True, kw_only=True):
    cluster: str | None = None
    container_instance: str | None = None
    message_id: str | None = None


class NackRequest(Payload, frozen=True, kw_only=True):
    cluster: str | None = None
    container_instance: str | None = None
    message_id: str | None = None
    reason: str | None = None


class HeartbeatAckRequest(Payload, frozen=True, kw_only=True):
    message_id: str | None = None


class IAMRoleCredentialsAckRequest(Payload, frozen=True, kw_only=True):
    message_id: str | None = None
    credentials_id: str | None = None
    expiration: str | None = None


class TaskStopVerificationMessage(Payload, frozen=True, kw_only=True):
    message_id: str | None = None
    stop_candidates: tuple[TaskIdentifier, ...] | None = None


AgentMessage = (
    AckRequest | NackRequest | HeartbeatAckRequest | IAMRoleCredentialsAckRequest | TaskStopVerificationMessage
)


# --- frames -------------------------------------------------------------------------------------


class Refusal(msgspec.Struct, frozen=True):
    """A frame that is not a message. It gets no answer and counts as silence."""

    reason: str
    """One clause, without anything of the frame's content."""


class _Envelope(msgspec.Struct):
    type: str
    message: msgspec.Raw


_envelopes = msgspec.json.Decoder(_Envelope)
_from_server: Mapping[str, msgspec.json.Decoder[ServerMessage]] = {
    kind.__name__: msgspec.json.Decoder(kind) for kind in get_args(ServerMessage)
}
_from_agent: Mapping[str, msgspec.json.Decoder[AgentMessage]] = {
    kind.__name__: msgspec.json.Decoder(kind) for kind in get_args(AgentMessage)
}
_encoder = msgspec.json.Encoder()

_A_TYPE = re.compile(r"[A-Za-z]{1,60}")
"""A type that may be named in a refusal; whatever looks otherwise was never one."""

_LONGEST_WORDS = 300
_A_TOKEN = re.compile(r"[A-Za-z0-9/+=_-]{60,}")


def decode_from_server(text: str) -> ServerMessage | Refusal:
    """What the server says. Never raises."""
    return _decode(text, _from_server)


def decode_from_agent(text: str) -> AgentMessage | Refusal:
    """What the agent says. Never raises."""
    return _decode(text, _from_agent)


def _decode(text: str, decoders: Mapping[str, msgspec.json.Decoder[M]]) -> M | Refusal:
    kind = ""
    try:
        envelope = _envelopes.decode(text)
        decoder = decoders.get(envelope.type)
        if decoder is None:
            named = envelope.type if _A_TYPE.fullmatch(envelope.type) else "without a proper name"
            return Refusal(f"a message of the unknown type {named}")
        kind = envelope.type
        return decoder.decode(envelope.message)
    except msgspec.ValidationError as error:  # names the member and both types, never the value
        return Refusal(f"{kind or 'the frame'}: {error}")
    except (ValueError, RecursionError):  # ValueError: msgspec's own and lone surrogates
        return Refusal(f"{kind or 'the frame'}: not JSON")


def shortened(words: str) -> str:
    """The other end's own words for the log: one line, cut, and without what is long enough for a token."""
    line = " ".join(words[: 3 * _LONGEST_WORDS].split())
    line = "".join(character if character.isprintable() else "?" for character in line)
    line = _A_TOKEN.sub("…", line)
    return line if len(line) <= _LONGEST_WORDS else line[:_LONGEST_WORDS] + "…"


def encode(message: ServerMessage | AgentMessage) -> str:
    """The frame; absent members are left out."""
    return _encoder.encode({"type": type(message).__name__, "message": message}).decode()


def ack(*, message_id: str, cluster_arn: str, container_instance_arn: str) -> str:
    """The frame by which the agent takes a message over, with what that message said about itself."""
    return encode(AckRequest(cluster=cluster_arn, container_instance=container_instance_arn, message_id=message_id))


def credentials_ack(*, message_id: str, credentials_id: str, expiration: str) -> str:
    """The frame by which the agent takes credentials over."""
    return encode(
        IAMRoleCredentialsAckRequest(message_id=message_id, credentials_id=credentials_id, expiration=expiration)
    )


def stop_verification(*, message_id: str, cluster_arn: str, task_arns: Iterable[str]) -> str:
    """The frame by which the agent asks whether tasks that a manifest does not list are to stop.

    ``message_id`` and ``cluster_arn`` are the manifest's.
    """
    candidates = (
        TaskIdentifier(task_arn=arn, task_cluster_arn=cluster_arn, desired_status="STOPPED") for arn in task_arns
    )
    return encode(TaskStopVerificationMessage(message_id=message_id, stop_candidates=tuple(candidates)))
