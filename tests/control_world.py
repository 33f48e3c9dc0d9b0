"""A control plane in memory: decides, publishes and remembers what it was to do. Saves nothing, sends nothing."""

from __future__ import annotations

from datetime import datetime, timedelta

from ecscope.control.api.actions import ACTIONS
from ecscope.control.core.effects import AnyEffect
from ecscope.control.core.events import AnyEvent, ApiRequest
from ecscope.control.core.records import Json
from ecscope.control.core.state import ControlState
from ecscope.control.decide import decide, read
from tests.control_builders import AT


class MemoryWriter:
    """Takes events as the true writer does: ``await world.ask(a_request("RunTask"))``."""

    def __init__(self, state: ControlState | None = None) -> None:
        self.state = state or ControlState()
        self.effects: list[AnyEffect] = []
        """All that was wanted done, oldest first."""
        self.events: list[AnyEvent] = []
        """All that was taken, refused ones too."""

    async def ask(self, event: ApiRequest) -> Json:
        if ACTIONS[event.action].is_reader:
            return read(self.state, event)
        return self.take(event) or {}

    def post(self, event: AnyEvent) -> None:
        self.take(event)

    def take(self, event: AnyEvent) -> Json | None:
        """Raises ``ApiError``, and then nothing has changed."""
        self.events.append(event)
        decision = decide(self.state, event)
        self.state = decision.state
        self.effects += decision.effects
        return decision.answer

    def drained(self) -> list[AnyEffect]:
        """The effects since the last time."""
        effects, self.effects = self.effects, []
        return effects


class HandClock:
    """Moves when a test moves it."""

    def __init__(self, at: datetime = AT) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def advance(self, seconds: float) -> datetime:
        self.at += timedelta(seconds=seconds)
        return self.at
