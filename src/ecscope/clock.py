"""Where moments come from. The core never asks: an event carries its own moment.

Waiting and deadlines belong to the event loop (``loop.time``), not to this clock.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the moment."""

    def now(self) -> datetime:
        """Aware UTC."""


class SystemClock:
    """The host's clock, which may be set back: never subtract two of its moments to measure a duration."""

    def now(self) -> datetime:
        return datetime.now(UTC)
