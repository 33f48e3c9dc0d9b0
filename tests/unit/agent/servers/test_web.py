"""What aiohttp would log or send back of a request that cannot be read is kept to ourselves."""

from __future__ import annotations

import asyncio
import logging

import pytest
from aiohttp import web

from ecscope.agent.servers.web import QuietConnection, Unnamed

LOG = logging.getLogger("ecscope.web_test")


async def answered(raw: bytes, *, failure: Exception | None = None) -> bytes:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if failure is not None:
            raise failure
        return Unnamed(body=b"here")

    server = web.Server(handle)
    listener = await asyncio.get_running_loop().create_server(
        lambda: QuietConnection(server, asker="a client", log=LOG), "127.0.0.1", 0
    )
    reader, writer = await asyncio.open_connection(*listener.sockets[0].getsockname())
    writer.write(raw)
    try:
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()
        listener.close()
        await server.shutdown(1)


async def test_an_answer_names_no_library() -> None:
    raw = await answered(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 200 OK\r\n")
    assert raw.endswith(b"\r\n\r\nhere")
    assert b"Server" not in raw
    assert b"aiohttp" not in raw.lower()


async def test_what_cannot_be_read_is_repeated_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        raw = await answered(b"GET /secret HTTP/1.1\r\nsecret\r\n\r\n")
    assert b" 400 Bad Request\r\n" in raw
    assert b"secret" not in raw
    assert [(record.levelno, record.getMessage()) for record in caplog.records if record.name == LOG.name] == [
        (logging.DEBUG, "a client's request was answered with 400: BadHttpMessage")
    ]


async def test_a_handler_that_fails_is_an_error_without_its_words(caplog: pytest.LogCaptureFixture) -> None:
    raw = await answered(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", failure=ValueError("secret"))
    assert raw.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert b"secret" not in raw
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.ERROR, "a client's request was answered with 500: ValueError")
    ]
