"""The link tells when the runtime comes and goes, says it once, and always comes back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from ecscope.agent.core import events as ev
from ecscope.agent.runtime.fake import FakeRuntime
from ecscope.agent.runtime_link import RuntimeLink
from ecscope.backoff import Backoff
from tests.builders import AT, SAMPLE_IMAGE
from tests.world import HOST


class Rig:
    def __init__(self) -> None:
        self.runtime = FakeRuntime(images=[SAMPLE_IMAGE])
        self.events: list[ev.AnyEvent] = []
        self.link = RuntimeLink(
            runtime=self.runtime,
            post=self.events.append,
            resources_of=lambda info: HOST,
            backoff=Backoff(tries=None, first_s=0.0, cap_s=0.0),
            new_id=lambda: "id",
            now=lambda: AT,
        )

    async def until(self, wanted: Callable[[list[str]], bool]) -> None:
        async with asyncio.timeout(5):
            while not wanted([type(event).__name__ for event in self.events]):
                await asyncio.sleep(0)


@asynccontextmanager
async def a_link(*, away: bool = False) -> AsyncIterator[Rig]:
    rig = Rig()
    if away:
        rig.runtime.go_away()
    running = asyncio.create_task(rig.link.run())
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
        rig.link.reconnect()
        await rig.until(lambda names: names == ["RuntimeConnected", "RuntimeDisconnected", "RuntimeConnected"])


async def test_a_reconnect_while_there_is_nothing_to_drop_is_harmless() -> None:
    rig = Rig()
    rig.link.reconnect()
    assert rig.events == []
