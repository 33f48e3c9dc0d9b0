"""How everything around the engine hands events to it: one ``Inbox`` stamps them and posts them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypedDict

from ecscope.agent.core.events import AnyEvent


class Stamp(TypedDict):
    """What every event carries: ``RuntimeConnected(**inbox.stamp(), …)``."""

    id: str
    at: datetime


class Inbox:
    """See the module docstring. Belongs to the engine's event loop."""

    def __init__(
        self, post: Callable[[AnyEvent], None], *, new_id: Callable[[], str], now: Callable[[], datetime]
    ) -> None:
        """
        Args:
            post: takes an event; never blocks, never raises.
            new_id: a fresh event ID at each call.
            now: aware UTC.
        """
        self._post = post
        self._new_id = new_id
        self._now = now

    def now(self) -> datetime:
        """The moment, aware UTC."""
        return self._now()

    def stamp(self) -> Stamp:
        """ID and time for one event."""
        return {"id": self._new_id(), "at": self._now()}

    def post(self, event: AnyEvent) -> None:
        """Hand over an event; never blocks, never raises."""
        self._post(event)
