"""The event loop's clock in a test's hands: nothing waits, time jumps from timer to timer."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Clock:
    """Stands in for the loop's clock: when nothing is left to do at this moment, time jumps to the next timer."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._real_time = loop.time
        self.now_s = 1000.0
        self.__enter__()

    def __enter__(self) -> Clock:
        self._loop.time = lambda: self.now_s  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.time = self._real_time  # type: ignore[method-assign]

    async def run(self, call: Coroutine[Any, Any, Any], *, limit_s: float = 100_000.0) -> Any:
        """The result of ``call``, time jumping from timer to timer meanwhile."""
        task = asyncio.ensure_future(call)
        end_s = self.now_s + limit_s
        while not task.done():
            await self._settle()
            if not task.done():
                assert self._jump(end_s), "nothing would ever happen any more"
        return await task

    async def pass_s(self, seconds: float) -> None:
        """Let that much time pass."""
        end_s = self.now_s + seconds
        await self._settle()
        while self._jump(end_s):
            await self._settle()
        self.now_s = end_s
        await self._settle()

    def _jump(self, end_s: float) -> bool:
        timers = [timer for timer in self._loop._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
        due_s = min((timer.when() for timer in timers), default=end_s + 1)
        if due_s > end_s:
            return False
        self.now_s = max(self.now_s, due_s)
        return True

    async def _settle(self) -> None:
        for _ in range(30):
            await asyncio.sleep(0)
