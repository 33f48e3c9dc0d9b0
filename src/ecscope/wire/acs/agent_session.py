"""The agent's side of one ACS connection: text frames and the time in, outputs and the next deadline out.

Answers what needs no decision (heartbeats, updates, volumes), passes on what the core decides about, and says
when the connection is to be closed. Opens nothing, sends nothing, asks no clock: the caller carries the outputs out
in order.

What it keeps does not grow with what arrives: of notes it remembers a handful, of frames nothing.

Source: agent-protocol.md §4.2-§4.9.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from ecscope.model.credentials import RoleType
from ecscope.wire.acs.messages import (
    AttachInstanceNetworkInterfacesMessage,
    AttachTaskNetworkInterfacesMessage,
    ConfirmAttachmentMessage,
    CoreMessage,
    HeartbeatAckRequest,
    HeartbeatMessage,
    IAMRoleCredentialsMessage,
    NackRequest,
    PayloadMessage,
    PerformUpdateMessage,
    Refusal,
    ServerMessage,
    StageUpdateMessage,
    TaskManifestMessage,
    TaskStopVerificationAck,
    ack,
    decode_from_server,
    encode,
    shortened,
)
from ecscope.wire.acs.payload import PayloadNetworkInterface

EXPIRED_CODE = 1000
EXPIRED_TEXT = "ConnectionExpired: Reconnect to continue"
SILENT_CODE = 1001
"""Going away. The official agent sends no close frame here; this one informs a server that still listens."""

_MOST_NOTES = 20
"""Notes of one connection. What a server sends must not fill the log."""

_ROLE_TYPES = frozenset(role_type.value for role_type in RoleType)


class SessionTimes(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds. The read deadline of 3 min is not here: silence ends the connection before it could."""

    heartbeat_s: float = 60.0
    heartbeat_spread_s: float = 60.0
    """Up to so much is added to ``heartbeat_s``, once for a connection."""
    age_s: float = 1800.0
    age_spread_s: float = 300.0
    """Likewise for ``age_s``."""


# --- outputs ------------------------------------------------------------------------------------


class Reply(msgspec.Struct, frozen=True):
    """Send this frame."""

    text: str


class Deliver(msgspec.Struct, frozen=True):
    """The core decides about it. What it requires is there; in credentials, the role type is a known one."""

    message: CoreMessage


class HeartbeatSeen(msgspec.Struct, frozen=True):
    """A heartbeat was answered; the agent checks its own health now. Source: agent-protocol.md §4.4."""


class Note(msgspec.Struct, frozen=True):
    """For the log."""

    text: str


class Close(msgspec.Struct, frozen=True, kw_only=True):
    """Close the connection."""

    code: int
    text: str
    """Goes with the code."""
    reason: str
    """For the log."""
    is_clean: bool
    """No fault of the connection: dial again at once."""


Output = Reply | Deliver | HeartbeatSeen | Note | Close


# --- the session --------------------------------------------------------------------------------


class AcsSession:
    """See the module docstring. One object for one connection; call in the order of events."""

    def __init__(
        self, *, now: float, heartbeat_share: float, age_share: float, times: SessionTimes | None = None
    ) -> None:
        """``now``: seconds of any steady clock, here and below. The shares, 0 to 1, say how much of each spread."""
        times = times or SessionTimes()
        self._silence_s = times.heartbeat_s + times.heartbeat_spread_s * heartbeat_share
        self._expires_at = now + times.age_s + times.age_spread_s * age_share
        self._heard_at = now
        self._said: set[str] = set()
        self.dropped = 0
        """Frames that were not a message, or lacked required members, including those that are no longer noted."""

    @property
    def next_deadline(self) -> float:
        """When ``tick`` has something to say, unless a message comes before."""
        return min(self._heard_at + self._silence_s, self._expires_at)

    def tick(self, now: float) -> list[Output]:
        """The connection's end, where it is due. May be called at any time."""
        if now >= self._expires_at:
            return [Close(code=EXPIRED_CODE, text=EXPIRED_TEXT, reason="the connection reached its age", is_clean=True)]
        if now >= self._heard_at + self._silence_s:
            reason = f"no message for {self._silence_s:.0f} s"
            return [Close(code=SILENT_CODE, text="", reason=reason, is_clean=False)]
        return []

    def receive(self, text: str, now: float) -> list[Output]:
        """What one text frame gives. Never raises."""
        message = decode_from_server(text)
        if isinstance(message, Refusal):
            return self._drop(message.reason)
        self._heard_at = now  # also for what is dropped below, and for types without a handler
        return list(self._outputs(message))

    def receive_binary(self) -> list[Output]:
        """What a binary frame gives: it is never a message."""
        return self._drop("a binary frame")

    def _outputs(self, message: ServerMessage) -> Iterator[Output]:
        match message:
            case HeartbeatMessage():
                yield Reply(encode(HeartbeatAckRequest(message_id=message.message_id)))
                yield HeartbeatSeen()
            case PayloadMessage() | TaskManifestMessage() | IAMRoleCredentialsMessage() | TaskStopVerificationAck():
                mistake = _mistake_in(message)
                yield from self._drop(mistake) if mistake else [Deliver(message)]
            case StageUpdateMessage() | PerformUpdateMessage():
                yield from self._refuse_update(message)
            case AttachTaskNetworkInterfacesMessage() | AttachInstanceNetworkInterfacesMessage():
                mistake = _mistake_in_attachment(message)
                yield from self._drop(mistake) if mistake else [Deliver(message)]
            case ConfirmAttachmentMessage():
                yield from self._accept_attachment(message)
            case _:
                words = shortened(message.message or "") or "nothing more"
                yield from self._note(f"ECS says over ACS, with {type(message).__name__}: {words}")

    def _refuse_update(self, message: StageUpdateMessage | PerformUpdateMessage) -> Iterator[Output]:
        """Source: agent-protocol.md §4.9."""
        if not message.message_id:
            yield from self._drop(f"{type(message).__name__}: messageId is missing")
            return
        staging = isinstance(message, StageUpdateMessage)
        yield Reply(
            encode(
                NackRequest(
                    cluster=message.cluster_arn,
                    container_instance=message.container_instance_arn,
                    message_id=message.message_id,
                    reason="Updates are disabled" if staging else "Cannot perform update; update not downloaded",
                )
            )
        )
        yield from self._note("ECS asked the agent to update itself, which this agent does not do: update it by hand")

    def _accept_attachment(self, message: ConfirmAttachmentMessage) -> Iterator[Output]:
        """Taken over as the official agent does, and then let expire. Source: agent-protocol.md §4.8."""
        mistake = _mistake_in_attachment(message)
        if mistake:
            yield from self._drop(mistake)
            return
        yield Reply(
            ack(
                message_id=message.message_id or "",
                cluster_arn=message.cluster_arn or "",
                container_instance_arn=message.container_instance_arn or "",
            )
        )
        yield from self._note(
            f"{type(message).__name__} was acknowledged, but this agent attaches no volumes: the attachment is never "
            "reported and ECS lets it expire"
        )

    def _drop(self, reason: str) -> list[Output]:
        self.dropped += 1
        return self._note(f"ECS sent over ACS what cannot be used, and it was dropped without an answer: {reason}")

    def _note(self, text: str) -> list[Output]:
        """Each note once for a connection, and not more than a handful."""
        if text in self._said or len(self._said) > _MOST_NOTES:
            return []
        self._said.add(text)
        if len(self._said) > _MOST_NOTES:
            return [Note("further notes about this ACS connection are left out")]
        return [Note(text)]


# --- what a message must hold -------------------------------------------------------------------


def _mistake_in(
    message: PayloadMessage | TaskManifestMessage | IAMRoleCredentialsMessage | TaskStopVerificationAck,
) -> str:
    """One clause, ``""``: there is none. Source: agent-protocol.md §4.5.1, §4.6, §4.7."""
    required: dict[str, str | None] = {"messageId": message.message_id}
    if isinstance(message, PayloadMessage | TaskManifestMessage):
        required |= {"clusterArn": message.cluster_arn, "containerInstanceArn": message.container_instance_arn}
    if isinstance(message, IAMRoleCredentialsMessage):
        credentials = message.role_credentials
        required |= {
            "taskArn": message.task_arn,
            "roleType": message.role_type,
            "roleCredentials.credentialsId": credentials.credentials_id if credentials else None,
        }
    missing = _missing(message, required)
    if missing or not isinstance(message, IAMRoleCredentialsMessage) or message.role_type in _ROLE_TYPES:
        return missing
    return "IAMRoleCredentialsMessage: roleType is neither TaskApplication nor TaskExecution"


def _mistake_in_attachment(
    message: AttachTaskNetworkInterfacesMessage | AttachInstanceNetworkInterfacesMessage | ConfirmAttachmentMessage,
) -> str:
    """Source: agent-protocol.md §4.8."""
    kind = type(message).__name__
    required: dict[str, str | None] = {
        "messageId": message.message_id,
        "clusterArn": message.cluster_arn,
        "containerInstanceArn": message.container_instance_arn,
    }
    if not isinstance(message, AttachInstanceNetworkInterfacesMessage):
        required["taskArn"] = message.task_arn
    missing = _missing(message, required)
    if missing:
        return missing
    if isinstance(message, ConfirmAttachmentMessage):
        attachment_arn = message.attachment.attachment_arn if message.attachment else None
        arns = {"taskArn": message.task_arn, "clusterArn": message.cluster_arn, "attachmentArn": attachment_arn}
        bad = [name for name, arn in arns.items() if not _is_arn(arn)]
        if message.wait_timeout_ms is not None and message.wait_timeout_ms <= 0:  # absent: 300,000
            bad.append("waitTimeoutMs")
        return f"{kind}: {', '.join(bad)} cannot be used" if bad else ""
    if (message.wait_timeout_ms or 0) <= 0:
        return f"{kind}: waitTimeoutMs is not above 0"
    interfaces = message.elastic_network_interfaces
    if not interfaces:
        return f"{kind}: elasticNetworkInterfaces is empty"
    return next((f"{kind}: {mistake}" for mistake in map(_mistake_in_interface, interfaces) if mistake), "")


def _mistake_in_interface(interface: PayloadNetworkInterface) -> str:
    if not interface.mac_address or not interface.ec2_id:
        return "a network interface lacks macAddress or ec2Id"
    if interface.ipv4_addresses:
        if not _is_gateway(interface.subnet_gateway_ipv4_address):
            return "subnetGatewayIpv4Address is not of the form address/length"
    elif not interface.ipv6_addresses or not interface.subnet_gateway_ipv6_address:
        return "a network interface has neither IPv4 addresses nor IPv6 addresses with a gateway"
    protocol = interface.interface_association_protocol or "default"
    if protocol not in ("default", "vlan"):
        return "interfaceAssociationProtocol is neither default nor vlan"
    vlan = interface.interface_vlan_properties
    if protocol == "vlan" and not (vlan and vlan.vlan_id and vlan.trunk_interface_mac_address):
        return "interfaceVlanProperties is incomplete"
    return ""


def _missing(message: ServerMessage, required: dict[str, str | None]) -> str:
    missing = [name for name, value in required.items() if not value]
    return f"{type(message).__name__}: missing {', '.join(missing)}" if missing else ""


def _is_arn(text: str | None) -> bool:
    """Six parts, the last of which may hold colons."""
    return text is not None and text.startswith("arn:") and text.count(":") >= 5


def _is_gateway(text: str | None) -> bool:
    return text is not None and re.fullmatch(r"[^/\s]+/\d+", text) is not None
