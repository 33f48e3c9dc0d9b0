"""A port that is taken, and a sleep that lasts as long as the test wants."""

from __future__ import annotations

import asyncio
import socket


class FakeSleep:
    """Sleeps as long as the test lets it, and remembers for how long it was asked to."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self._asked = asyncio.Event()
        self._awake = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.waits.append(seconds)
        self._asked.set()
        await self._awake.wait()
        self._awake.clear()

    async def until_asked(self) -> None:
        await self._asked.wait()
        self._asked.clear()

    def wake(self) -> None:
        self._awake.set()


def a_taken_port() -> tuple[socket.socket, int]:
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    return taken, taken.getsockname()[1]
