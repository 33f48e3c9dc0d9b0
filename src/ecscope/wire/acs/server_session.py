"""The control plane's side of one ACS connection: text frames and the time in, outputs and the next deadline out.

Sends heartbeats, and drops an agent that leaves several of them unanswered. What the agent sends is passed on.
Opens nothing, sends nothing, asks no clock: the caller carries the outputs out in order.

Source: agent-protocol.md §4.2-§4.7, §4.10.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ecscope.wire.acs.messages import (
    AckRequest,
    HeartbeatAckRequest,
    HeartbeatMessage,
    IAMRoleCredentialsAckRequest,
    NackRequest,
    Refusal,
    TaskStopVerificationMessage,
    decode_from_agent,
    encode,
    shortened,
)

SILENT_CODE = 1001
"""Going away: the agent dials again at once, if it is there after all."""
_MOST_NOTES = 20
"""Notes of one connection: what an agent sends must not fill the log."""


class ServerTimes(msgspec.Struct, frozen=True, kw_only=True):
    """When heartbeats are sent, and when an agent counts as gone."""

    heartbeat_s: float = 30.0
    """Agents wait for one for 60 s at least."""
    most_unanswered: int = 3
    """After so many heartbeats in a row without a word the connection is closed."""


class Reply(msgspec.Struct, frozen=True):
    """Send this frame."""

    text: str


class Acknowledged(msgspec.Struct, frozen=True):
    """The agent took a message over."""

    message_id: str


class StopAsked(msgspec.Struct, frozen=True):
    """The agent has tasks that the manifest ``message_id`` lacks."""

    message_id: str
    task_arns: tuple[str, ...]


class Note(msgspec.Struct, frozen=True):
    """For the log."""

    text: str


class Close(msgspec.Struct, frozen=True, kw_only=True):
    """Close the connection."""

    code: int
    reason: str


Output = Reply | Acknowledged | StopAsked | Note | Close


class AcsServerSession:
    """See the module docstring. One object for one connection; call in the order of events."""

    def __init__(self, *, now: float, new_id: Callable[[], str], times: ServerTimes | None = None) -> None:
        """``now``: seconds of any steady clock, here and below. ``new_id``: names a heartbeat."""
        self._times = times or ServerTimes()
        self._new_id = new_id
        self._next_beat_at = now + self._times.heartbeat_s
        self._unanswered = 0
        self._notes = 0

    @property
    def next_deadline(self) -> float:
        """When ``tick`` has something to say."""
        return self._next_beat_at

    def tick(self, now: float) -> list[Output]:
        """A heartbeat, or the end, where it is due. May be called at any time."""
        if now < self._next_beat_at:
            return []
        self._next_beat_at = now + self._times.heartbeat_s
        if self._unanswered >= self._times.most_unanswered:
            return [Close(code=SILENT_CODE, reason=f"{self._unanswered} heartbeats were not answered")]
        self._unanswered += 1
        return [Reply(encode(HeartbeatMessage(message_id=self._new_id(), healthy=True)))]

    def receive(self, text: str) -> list[Output]:
        """What one text frame gives. Never raises."""
        message = decode_from_agent(text)
        if isinstance(message, Refusal):
            return self._note(f"the agent sent what cannot be used: {message.reason}")
        self._unanswered = 0  # whatever it says, it is there
        match message:
            case AckRequest():
                return [Acknowledged(message.message_id)] if message.message_id else []
            case TaskStopVerificationMessage():
                arns = tuple(task.task_arn for task in message.stop_candidates or () if task.task_arn)
                return [StopAsked(message.message_id, arns)] if message.message_id and arns else []
            case NackRequest():
                return self._note(f"the agent refused a message: {shortened(message.reason or 'without a reason')}")
            case HeartbeatAckRequest() | IAMRoleCredentialsAckRequest():
                return []

    def receive_binary(self) -> list[Output]:
        """What a binary frame gives: it is never a message."""
        return self._note("the agent sent a binary frame")

    def _note(self, text: str) -> list[Output]:
        self._notes += 1
        if self._notes > _MOST_NOTES:
            return []
        return [Note(text if self._notes < _MOST_NOTES else "further notes about this ACS connection are left out")]
