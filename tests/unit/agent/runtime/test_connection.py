"""The connection tells when the runtime comes and goes, says it once, and always comes back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from ecscope.agent.core import events as ev
from ecscope.agent.inbox import Inbox
from ecscope.agent.runtime.connection import RuntimeConnection
from ecscope.backoff import Backoff
from tests.builders import AT, SAMPLE_IMAGE
from tests.simulated_knobs import FakeRuntime
from tests.world import HOST

AT_ONCE = Backoff(tries=None, first_s=0.0, cap_s=0.0)
SLOWER_AND_SLOWER = Backoff(tries=None, first_s=0.01, cap_s=1.0, factor=10.0)


class Rig:
    def __init__(self, *, backoff: Backoff = AT_ONCE, proven_s: float = 10.0) -> None:
        self.runtime = FakeRuntime(images=[SAMPLE_IMAGE])
        self.events: list[ev.AnyEvent] = []
        self.connection = RuntimeConnection(
            runtime=self.runtime,
            inbox=Inbox(self.events.append, new_id=lambda: "id", now=lambda: AT),
            resources_of=lambda info: HOST,
            backoff=backoff,
            proven_s=proven_s,
        )

    async def until(self, wanted: Callable[[list[str]], bool]) -> None:
        async with asyncio.timeout(5):
            while not wanted([type(event).__name__ for event in self.events]):
                await asyncio.sleep(0)


@asynccontextmanager
async def a_link(*, away: bool = False, backoff: Backoff = AT_ONCE, proven_s: float = 10.0) -> AsyncIterator[Rig]:
    rig = Rig(backoff=backoff, proven_s=proven_s)
    if away:
        rig.runtime.go_away()
    running = asyncio.create_task(rig.connection.run())
    try:
        yield rig
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await rig.runtime.close()


async def test_connected_then_notices() -> None:
    async with a_link() as rig:
        await rig.until(lambda names: names == ["RuntimeConnected"])
        assert rig.events == [ev.RuntimeConnected(id="id", at=AT, version=rig.runtime.info.version, resources=HOST)]


async def test_absent_at_start_is_said_once_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with a_link(away=True) as rig:
        await rig.until(lambda names: names.count("RuntimeDisconnected") >= 3)
        rig.runtime.come_back()
        await rig.until(lambda names: names[-1] == "RuntimeConnected")
    assert caplog.text.count("Docker cannot be used") == 1


async def test_gone_and_back() -> None:
    async with a_link() as rig:
        await rig.until(lambda names: names == ["RuntimeConnected"])
        rig.runtime.go_away()
        await rig.until(lambda names: "RuntimeDisconnected" in names)
        rig.runtime.come_back()
        await rig.until(lambda names: names[-1] == "RuntimeConnected")


async def test_a_reconnect_that_was_asked_for() -> None:
    async with a_link() as rig:
        await rig.until(lambda names: names == ["RuntimeConnected"])
        rig.connection.reconnect()
        await rig.until(lambda names: names == ["RuntimeConnected", "RuntimeDisconnected", "RuntimeConnected"])


async def test_a_reconnect_while_there_is_nothing_to_drop_is_harmless() -> None:
    rig = Rig()
    rig.connection.reconnect()
    assert rig.events == []


async def breaks(rig: Rig, times: int) -> list[float]:
    """Give up each connection as soon as it is there; the times of the connections, of which there is one more."""
    seen = []
    for number in range(1, times + 2):
        await rig.until(lambda names, number=number: names.count("RuntimeConnected") == number)
        seen.append(asyncio.get_running_loop().time())
        if number <= times:
            rig.connection.reconnect()
    return seen


async def test_connections_that_do_not_last_are_made_ever_more_slowly_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One call that always fails must not make a storm of connects and listings."""
    caplog.set_level(logging.INFO)
    async with a_link(backoff=SLOWER_AND_SLOWER) as rig:
        first, second, third = await breaks(rig, 2)
    assert second - first >= 0.01
    assert third - second >= 0.1
    assert caplog.text.count("Docker cannot be used") == 1


async def test_after_a_connection_that_lasted_the_first_try_is_soon_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with a_link(backoff=SLOWER_AND_SLOWER, proven_s=0.0) as rig:
        times = await breaks(rig, 4)
    assert times[-1] - times[0] < 1.0, "four waits of 0.01 s, not 0.01, 0.1, 1.0 and 1.0 s"
    assert caplog.text.count("Docker cannot be used") == 4
