"""Unit tests of the order in which the server for containers and the way to it come and go."""

from __future__ import annotations

import asyncio
import logging

import pytest

from ecscope.agent.servers.taskmetadata.redirect import RedirectFailed
from ecscope.agent.servers.taskmetadata.service import serve


class Parts:
    """Server and way in one; ``told`` is what was asked of them."""

    def __init__(self, *, is_port_free: bool = True, failure: str = "") -> None:
        self.told: list[str] = []
        self.port_is_free = asyncio.Event()
        if is_port_free:
            self.port_is_free.set()
        self._failure = failure

    async def start(self) -> None:
        self.told.append("start")

    async def listening(self) -> None:
        await self.port_is_free.wait()

    async def stop(self) -> None:
        self.told.append("stop")

    async def put(self) -> None:
        self.told.append("put")
        if self._failure:
            raise RedirectFailed(self._failure)

    async def remove(self) -> None:
        self.told.append("remove")


async def lived(parts: Parts) -> list[str]:
    life = asyncio.create_task(serve(parts, parts))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not life.done()
    life.cancel()
    await asyncio.gather(life, return_exceptions=True)
    return parts.told


async def test_they_come_one_after_the_other_and_go_in_the_reverse_order() -> None:
    assert await lived(Parts()) == ["start", "put", "remove", "stop"]


async def test_no_way_leads_to_the_server_of_another_agent() -> None:
    assert await lived(Parts(is_port_free=False)) == ["start", "stop"]


async def test_a_way_that_cannot_be_laid_is_told_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    assert await lived(Parts(failure="iptables: denied")) == ["start", "put", "remove", "stop"]
    assert (
        "may not reach task metadata or the credentials of their roles: iptables: denied. The agent needs"
        in caplog.text
    )
