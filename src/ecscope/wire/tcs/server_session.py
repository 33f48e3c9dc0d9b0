"""The control plane's side of one telemetry connection: frames and the time in, outputs and the next deadline out.

Acknowledges what the agent reports and passes on what a control plane wants to know of it. Metrics are acknowledged
and not kept. Opens nothing, sends nothing, asks no clock.

Source: agent-protocol.md §5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec

from ecscope.wire.tcs.messages import (
    AgentFrame,
    BadFrame,
    InstanceStatusEntry,
    PublishHealth,
    PublishInstanceStatus,
    PublishMetrics,
    ServiceMessage,
    ServiceMessageKind,
    parse_agent_frame,
    service_frame,
    split_agent_frame,
)

Headers = Sequence[tuple[str, str]]

HEARTBEAT_S = 30.0
"""Agents wait for one, or for an acknowledgement, for 60 s at least."""
_MOST_NOTES = 20


class Reply(msgspec.Struct, frozen=True):
    """Send this frame."""

    text: str


class HealthReceived(msgspec.Struct, frozen=True):
    """How containers' health checks stand: task ARN, container name, ``HEALTHY``, ``UNHEALTHY``, ``UNKNOWN``."""

    containers: tuple[tuple[str, str, str], ...]


class StatusReceived(msgspec.Struct, frozen=True):
    """How the instance's container runtime is."""

    entries: tuple[InstanceStatusEntry, ...]


class Note(msgspec.Struct, frozen=True):
    """For the log."""

    text: str


Output = Reply | HealthReceived | StatusReceived | Note


class TcsServerSession:
    """See the module docstring. One object for one connection; call in the order of events."""

    def __init__(
        self, *, now: float, fault_of: Callable[[Headers, str], str], heartbeat_s: float = HEARTBEAT_S
    ) -> None:
        """``now``: seconds of any steady clock, here and below.

        ``fault_of`` takes the header block and the JSON of a frame and says what is wrong with its signature; ``""``:
        nothing. A frame without a header block is taken on the word of the connection's signature.
        """
        self._fault_of = fault_of
        self._heartbeat_s = heartbeat_s
        self._next_beat_at = now + heartbeat_s
        self._notes = 0

    @property
    def next_deadline(self) -> float:
        """When ``tick`` has something to say."""
        return self._next_beat_at

    def tick(self, now: float) -> list[Output]:
        """A heartbeat, where it is due. May be called at any time."""
        if now < self._next_beat_at:
            return []
        self._next_beat_at = now + self._heartbeat_s
        return [Reply(service_frame(ServiceMessage(kind=ServiceMessageKind.HEARTBEAT)))]

    def receive(self, text: str) -> list[Output]:
        """What one text frame gives. Never raises."""
        try:
            headers, content = split_agent_frame(text)
            fault = self._fault_of(headers, content) if headers else ""
            if fault:
                return self._complain(fault)
            frame = parse_agent_frame(content)
        except BadFrame as error:
            return self._complain(str(error))
        return self._taken(frame)

    def receive_binary(self) -> list[Output]:
        """What a binary frame gives: it is never a message."""
        return self._note("the agent sent a binary frame")

    def _taken(self, frame: AgentFrame) -> list[Output]:
        match frame.message:
            case PublishMetrics():
                return [_ack(ServiceMessageKind.ACK_METRICS)]
            case PublishHealth(tasks=tasks):
                containers = tuple(
                    (task.task_arn, container.container_name, container.health_status)
                    for task in tasks
                    for container in task.containers
                )
                return [_ack(ServiceMessageKind.ACK_HEALTH), *([HealthReceived(containers)] if containers else [])]
            case PublishInstanceStatus(statuses=entries):
                return [_ack(ServiceMessageKind.ACK_INSTANCE_STATUS), *([StatusReceived(entries)] if entries else [])]

    def _complain(self, fault: str) -> list[Output]:
        complaint = ServiceMessage(kind=ServiceMessageKind.BAD_REQUEST, text=fault)
        return [Reply(service_frame(complaint)), *self._note(f"the agent sent what cannot be used: {fault}")]

    def _note(self, text: str) -> list[Output]:
        """A handful for a connection: what an agent sends must not fill the log."""
        self._notes += 1
        if self._notes > _MOST_NOTES:
            return []
        return [Note(text if self._notes < _MOST_NOTES else "further notes about this connection are left out")]


def _ack(kind: ServiceMessageKind) -> Reply:
    return Reply(service_frame(ServiceMessage(kind=kind)))


def moment(epoch_s: float) -> datetime | None:
    """Aware UTC; ``None``: no moment that can be."""
    try:
        return datetime.fromtimestamp(epoch_s, UTC)
    except (OverflowError, ValueError, OSError):
        return None
