"""A slow or dead agent costs its own connection, never a caller's time."""

from __future__ import annotations

import asyncio

from aiohttp import WSMsgType, web

from ecscope.control.agent_socket import AgentSocket
from tests.agent_ends import served, until

NEVER_S = 1e9


class Handler:
    """Keeps the socket of each connection, and what it received."""

    def __init__(self, *, most_waiting: int = 10) -> None:
        self.sockets: list[AgentSocket] = []
        self.received: list[str | None] = []
        self.ticks: list[float] = []
        self.ended = 0
        self.deadline = NEVER_S
        self._most_waiting = most_waiting

    async def handle(self, request: web.Request) -> web.StreamResponse:
        socket = AgentSocket(request, most_waiting=self._most_waiting)
        await socket.accept()
        self.sockets.append(socket)
        try:
            await socket.run(receive=self.received.append, tick=self._tick, next_deadline=lambda: self.deadline)
        finally:
            self.ended += 1
        return socket.response

    def _tick(self, now_s: float) -> None:
        self.ticks.append(now_s)
        self.deadline = NEVER_S


async def test_both_ways() -> None:
    handler = Handler()
    async with served(handler.handle) as (client, url), client.ws_connect(url) as agent:
        await until(lambda: handler.sockets)
        assert handler.sockets[0].send(lambda: ["one", "two"])
        assert [await agent.receive_str(), await agent.receive_str()] == ["one", "two"]
        await agent.send_str("three")
        await agent.send_bytes(b"four")
        await until(lambda: handler.received == ["three", None])
    await until(lambda: handler.ended == 1)


async def test_frames_are_made_when_they_are_sent() -> None:
    handler = Handler()
    words = ["early"]
    async with served(handler.handle) as (client, url), client.ws_connect(url) as agent:
        await until(lambda: handler.sockets)
        handler.sockets[0].send(lambda: list(words))
        words[:] = ["late"]
        assert await agent.receive_str() == "late"


async def test_who_does_not_read_is_cut_off_and_blocks_nobody() -> None:
    handler = Handler(most_waiting=4)
    async with served(handler.handle) as (client, url):
        agent = await client.ws_connect(url, max_msg_size=0)
        await until(lambda: handler.sockets)
        socket, block = handler.sockets[0], "x" * 4_000_000
        for _ in range(200):  # far more than the system's buffers hold
            if not socket.send(lambda: [block]):
                break
            await asyncio.sleep(0.001)
        else:
            raise AssertionError("everything was taken")
        await until(lambda: handler.ended == 1)
        await agent.close()


async def test_closed_in_good_form() -> None:
    handler = Handler()
    async with served(handler.handle) as (client, url), client.ws_connect(url) as agent:
        await until(lambda: handler.sockets)
        handler.sockets[0].close(1008, "go away")
        handler.sockets[0].close(1001, "said before")
        end = await agent.receive()
        assert (end.type, end.data, end.extra) == (WSMsgType.CLOSE, 1008, "go away")
    await until(lambda: handler.ended == 1)


async def test_time_is_told_when_it_has_come() -> None:
    handler = Handler()
    handler.deadline = asyncio.get_running_loop().time() + 0.02
    async with served(handler.handle) as (client, url), client.ws_connect(url):
        await until(lambda: len(handler.ticks) == 1)
