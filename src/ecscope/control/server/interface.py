"""What the front needs from the holder of the state."""

from __future__ import annotations

from typing import Protocol

from ecscope.control.core.events import ApiRequest
from ecscope.control.core.records import Json
from ecscope.control.core.state import ControlState


class Writer(Protocol):
    """The one that changes the state."""

    @property
    def state(self) -> ControlState:
        """The newest published one."""

    async def ask(self, event: ApiRequest) -> Json:
        """Decide, save, publish, act; gives the answer. What only reads is answered from ``state``.

        Raises ``ApiError`` when it is refused, and nothing changed.
        """
