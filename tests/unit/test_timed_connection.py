"""A client has so long to ask and to take its answers, and no longer; one that does both keeps its connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from ecscope.timed_connection import TimedConnection

TIMEOUT_S = 0.2
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@asynccontextmanager
async def serving(*, idle_s: float | None = None, body: bytes = b"x") -> AsyncIterator[tuple[web.Server, int]]:
    async def handle(request: web.BaseRequest) -> web.Response:
        assert isinstance(request.protocol, TimedConnection)
        request.protocol.asked()
        return web.Response(body=body)

    server = web.Server(handle)
    listening = await asyncio.get_running_loop().create_server(
        lambda: TimedConnection(server, timeout_s=TIMEOUT_S, idle_s=idle_s), "127.0.0.1", 0
    )
    yield server, listening.sockets[0].getsockname()[1]
    listening.close()
    await server.shutdown(1)


async def all_that_comes(port: int, sent: bytes) -> tuple[bytes, float]:
    """Until the server closes, and after how many seconds that is."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began_s = asyncio.get_running_loop().time()
    writer.write(sent)
    async with asyncio.timeout(10):
        got = await reader.read()
    writer.close()
    return got, asyncio.get_running_loop().time() - began_s


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\n"])
async def test_who_asks_nothing_is_cut_off_without_a_word(sent: bytes) -> None:
    async with serving(idle_s=60) as (_, port):
        got, took_s = await all_that_comes(port, sent)
    assert got == b""
    assert TIMEOUT_S * 0.9 <= took_s < 5


async def test_a_connection_ends_when_nothing_more_is_asked() -> None:
    async with serving() as (_, port):
        got, _ = await all_that_comes(port, GET)
    assert got.count(b"HTTP/1.1 200 OK") == 1


async def test_between_requests_a_connection_may_be_idle_for_longer() -> None:
    async with serving(idle_s=60) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(GET)
            assert (await reader.readuntil(b"\r\n\r\nx")).startswith(b"HTTP/1.1 200 OK")
            await asyncio.sleep(TIMEOUT_S * 3)
        writer.close()


@pytest.mark.parametrize("ending", [b"", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"])
async def test_who_takes_no_answers_is_cut_off(ending: bytes) -> None:
    async with serving(idle_s=60, body=b"x" * 100_000) as (server, port):
        _reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
        writer.write(GET * 200 + ending)
        async with asyncio.timeout(10):
            while not server.connections:
                await asyncio.sleep(0.01)
            while server.connections:
                await asyncio.sleep(0.01)
        writer.transport.abort()


async def test_a_slow_client_that_takes_its_answer_gets_it_whole() -> None:
    body = b"x" * 20_000_000
    async with serving(body=body) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 16)
        writer.write(GET)
        await reader.readuntil(b"\r\n\r\n")
        left, began_s = len(body), asyncio.get_running_loop().time()
        while left:
            left -= len(await reader.readexactly(min(left, 1_000_000)))
            await asyncio.sleep(TIMEOUT_S / 5)
        assert asyncio.get_running_loop().time() - began_s > TIMEOUT_S
        writer.close()
