"""A probe that hangs, fails or is not allowed costs its share of the time and no more."""

from __future__ import annotations

import asyncio
import threading
import time

from ecscope.agent.diagnosis.doctor.facts import NotKnown
from ecscope.agent.probes.gather import _in_thread, _within


async def test_a_look_that_hangs_is_not_known_after_its_share() -> None:
    never = threading.Event()
    begun_s = time.monotonic()
    assert await _within(0.05, _in_thread(never.wait)) == NotKnown(why="no answer within 0.05 s")
    assert time.monotonic() - begun_s < 5
    never.set()  # the thread is a daemon: it would not keep the process alive either


async def test_a_look_that_fails_is_not_known() -> None:
    def refused() -> None:
        raise PermissionError(13, "Permission denied", "/proc/1/fd")

    assert await _within(5, _in_thread(refused)) == NotKnown(why="Permission denied")


async def test_a_look_that_succeeds() -> None:
    assert await _within(5, _in_thread(lambda: 7)) == 7
    await asyncio.sleep(0)
