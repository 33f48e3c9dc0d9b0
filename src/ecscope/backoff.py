"""Trying again: how often, and how long to wait in between.

Pure numbers and one loop around them; what is worth another try is the caller's to say.
Sleep and randomness come from outside, so that no test waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from random import random
from typing import TypeVar

import msgspec

T = TypeVar("T")


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """A policy: waits start at ``first_s`` and grow by ``factor`` up to ``cap_s``."""

    tries: int | None
    """Including the first one; ``None``: no limit."""
    first_s: float
    cap_s: float
    factor: float = 1.0
    jitter: float = 0.0
    """Each wait grows by a random part of itself, at most this part (0.2: up to a fifth)."""

    def waits(self, random: Callable[[], float] = random) -> Iterator[float]:
        """The waits in seconds, one fewer than the tries."""
        wait_s, left = self.first_s, self.tries
        while left is None or left > 1:
            yield wait_s + wait_s * self.jitter * random()
            wait_s = min(wait_s * self.factor, self.cap_s)
            left = None if left is None else left - 1


class Retry:
    """Carries a policy out."""

    def __init__(
        self, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep, random: Callable[[], float] = random
    ) -> None:
        self._sleep = sleep
        self._random = random

    async def run(
        self, policy: Backoff, attempt: Callable[[], Awaitable[T]], *, is_worth_retrying: Callable[[Exception], bool]
    ) -> T:
        """The first success of ``attempt``; else the failure of its last try. May be cancelled at any time."""
        waits = policy.waits(self._random)
        while True:
            try:
                return await attempt()
            except Exception as failure:
                wait_s = next(waits, None)
                if wait_s is None or not is_worth_retrying(failure):
                    raise
            await self._sleep(wait_s)
