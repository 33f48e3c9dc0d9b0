"""Agents' websockets against a server of the control plane, in one process: what a test of either end needs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import count

from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from ecscope.control.core.errors import ApiError
from ecscope.control.core.events import AnyEvent
from ecscope.control.core.records import Json
from ecscope.control.core.state import ControlState
from tests.control_builders import AT, a_cluster, an_instance

INSTANCE = an_instance()


class Ends:
    """What the servers of agents' websockets are given, and what they did with it."""

    def __init__(self) -> None:
        gone = an_instance(9, status="INACTIVE")
        self.state = ControlState(clusters={"default": a_cluster()}, instances={INSTANCE.arn: INSTANCE, gone.arn: gone})
        self.events: list[AnyEvent] = []
        self.asked: list[tuple[str, str]] = []
        self.is_permitted = True
        self._numbers = count(1)

    def permit(self, request: web.Request, right: str, about: Json) -> None:
        self.asked.append((right, about["containerInstance"]))
        if not self.is_permitted:
            raise ApiError("AccessDeniedException", f"User: x is not authorized to perform: ecs:{right}")

    def permit_frame(self, request: web.Request, headers: Sequence[tuple[str, str]], content: str) -> None:
        if ("Authorization", "good") not in headers:
            raise ApiError("InvalidSignatureException", "it does not match")

    def now(self) -> datetime:
        return AT

    def new_id(self) -> str:
        return f"{next(self._numbers):032x}"

    def of(self, kind: type[AnyEvent]) -> list[AnyEvent]:
        return [event for event in self.events if isinstance(event, kind)]


@asynccontextmanager
async def served(
    handle: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> AsyncIterator[tuple[ClientSession, str]]:
    """A client and the address of a server that hands every request to ``handle``."""
    app = web.Application()
    app.router.add_get("/ws", handle)
    async with TestServer(app) as server, ClientSession() as client:
        yield client, str(server.make_url("/ws"))


async def until(is_so: Callable[[], object], what: str = "it") -> None:
    """Fails after a minute: a busy machine is slow, and only what never comes takes so long."""
    async with asyncio.timeout(60):
        while not is_so():  # nothing tells when
            await asyncio.sleep(0.005)
    assert is_so(), what
