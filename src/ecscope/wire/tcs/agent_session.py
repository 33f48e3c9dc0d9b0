"""The agent's side of one telemetry connection: what is due when. No I/O and no clock.

Times are seconds on a clock that never goes back. The order of calls: ``received`` for each
frame, and ``due`` no later than ``next_at_s``.

Source: agent-protocol.md §5.1, §5.3.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import Enum

import msgspec

from ecscope.model.instance_status import InstanceStatus
from ecscope.wire.tcs.messages import ServiceMessage, ServiceMessageKind, parse_service_frame


class SessionTimes(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds. Reading has no limit: a heartbeat is expected sooner than the 3 min that it would be."""

    publish_s: float = 20.0
    """From one report to the next, and from the opening to the first look at the instance's status."""
    heartbeat_s: float = 60.0
    heartbeat_spread_s: float = 60.0
    """A random part of this is added each time."""
    age_s: float = 1800.0
    age_spread_s: float = 300.0
    """A random part of this is added."""


_SIGNS_OF_LIFE = frozenset(
    {
        ServiceMessageKind.HEARTBEAT,
        ServiceMessageKind.ACK_METRICS,
        ServiceMessageKind.ACK_HEALTH,
        ServiceMessageKind.ACK_INSTANCE_STATUS,
    }
)


class Due(Enum):
    """What is to be sent now."""

    METRICS = "metrics"
    """And health."""
    INSTANCE_STATUS = "instance status"


class Close(msgspec.Struct, frozen=True, kw_only=True):
    """The connection is to be closed now."""

    code: int
    text: str
    is_clean: bool
    """It ends as planned."""


class Reports:
    """What has been reported and when, over all connections of a process."""

    def __init__(self, *, at_s: float) -> None:
        """``at_s``: when the first report on metrics is due."""
        self.metrics_due_at_s = at_s
        self.status_checked_at: datetime | None = None
        """``checked_at`` of the instance status that was last reported."""


class TcsSession:
    """One connection, from its opening on."""

    def __init__(
        self,
        *,
        reports: Reports,
        opened_at_s: float,
        random: Callable[[], float],
        times: SessionTimes | None = None,
    ) -> None:
        """``random`` gives numbers from 0 to 1, a new one for each wait that is to vary."""
        self._times = times or SessionTimes()
        self._reports = reports
        self._random = random
        self._expires_at_s = opened_at_s + self._times.age_s + self._times.age_spread_s * random()
        self._status_due_at_s = opened_at_s + self._times.publish_s
        self._lifeless_at_s = 0.0
        self._expect_heartbeat(opened_at_s)

    @property
    def next_at_s(self) -> float:
        """When ``due`` has something to say at the earliest."""
        return min(
            self._reports.metrics_due_at_s,
            self._status_due_at_s,
            self._lifeless_at_s,
            self._expires_at_s,
        )

    def received(self, text: str | bytes, now_s: float) -> ServiceMessage:
        """Take a frame in. Raises ``BadFrame``; such a frame counts for nothing."""
        message = parse_service_frame(text)
        if message.kind in _SIGNS_OF_LIFE:
            self._expect_heartbeat(now_s)
        return message

    def due(self, now_s: float, status: InstanceStatus) -> tuple[Due, ...] | Close:
        """What is to be done at ``now_s``; each thing is said once."""
        if now_s >= self._expires_at_s:
            return Close(code=1000, text="ConnectionExpired: Reconnect to continue", is_clean=True)
        if now_s >= self._lifeless_at_s:
            return Close(code=1000, text="no heartbeat and no acknowledgement came in time", is_clean=False)
        found = []
        if now_s >= self._reports.metrics_due_at_s:
            self._reports.metrics_due_at_s = self._next_turn(self._reports.metrics_due_at_s, now_s)
            found.append(Due.METRICS)
        if now_s >= self._status_due_at_s:
            self._status_due_at_s = self._next_turn(self._status_due_at_s, now_s)
            if status.checked_at != self._reports.status_checked_at:
                found.append(Due.INSTANCE_STATUS)
        return tuple(found)

    def reported(self, status: InstanceStatus) -> None:
        """It was sent, and is not sent again until there was another check."""
        self._reports.status_checked_at = status.checked_at

    def _expect_heartbeat(self, now_s: float) -> None:
        times = self._times
        self._lifeless_at_s = now_s + times.heartbeat_s + times.heartbeat_spread_s * self._random()

    def _next_turn(self, due_at_s: float, now_s: float) -> float:
        """The first turn after ``now_s``; turns that were missed are not made up for."""
        every_s = self._times.publish_s
        return due_at_s + every_s * (1 + (now_s - due_at_s) // every_s)
