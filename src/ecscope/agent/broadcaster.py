"""One value that is replaced again and again, for any number of listeners, which need not poll.

A listener gets the newest value when it asks for the next; values that were replaced in between are skipped. So a slow
listener costs nothing, and never blocks the publisher.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Broadcaster(Generic[T]):
    """See the module docstring. All methods belong to one event loop."""

    def __init__(self, value: T) -> None:
        self._newest = value
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def newest(self) -> T:
        """What was published last."""
        return self._newest

    def publish(self, value: T) -> None:
        """Replace the value; never blocks. The same object again wakes no listener."""
        if value is self._newest:
            return
        self._newest = value
        waiting, self._waiting = self._waiting, set()
        for waiter in waiting:
            if not waiter.done():  # else who waited has been cancelled
                waiter.set_result(None)

    async def changed(self, seen: T) -> T:
        """The newest value, as soon as it is another object than ``seen``. Cancelling is safe."""
        while self._newest is seen:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(waiter)
            try:
                await waiter
            finally:
                self._waiting.discard(waiter)
        return self._newest

    async def until(self, is_wanted: Callable[[T], bool]) -> T:
        """The newest value, as soon as one is as wanted. Cancelling is safe."""
        value = self._newest
        while not is_wanted(value):
            value = await self.changed(value)
        return value
