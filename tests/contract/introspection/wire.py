"""A server on real sockets, and a client that shows every byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from ecscope.agent.core.state import AgentState
from ecscope.agent.servers.introspection.protocol import Limits
from ecscope.agent.servers.introspection.server import IntrospectionServer

LIMITS = Limits(read_timeout_s=5.0, write_timeout_s=5.0, linger_s=0.2)
ANSWER_WITHIN_S = 10.0
"""Bound for a test that would otherwise hang; never waited for when all is well."""


@asynccontextmanager
async def serving(
    state: AgentState | Callable[[], AgentState],
    *,
    license_dir: Path = Path("/nonexistent"),
    limits: Limits = LIMITS,
    addresses: tuple[str, ...] = ("127.0.0.1",),
    runtime_stats: bool = False,
) -> AsyncIterator[IntrospectionServer]:
    """The server on a free port, stopped afterwards."""
    server = IntrospectionServer(
        state if callable(state) else lambda: state,
        addresses=addresses,
        port=0,
        license_dir=license_dir,
        limits=limits,
        runtime_stats=runtime_stats,
    )
    await server.start()
    try:
        yield server
    finally:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            await server.stop()


def port_of(server: IntrospectionServer) -> int:
    return server.bound[0][1]


async def exchange(server: IntrospectionServer, request: bytes, *, half_close: bool = False) -> bytes:
    """All the server sends until it closes; the last request in ``request`` must make it close."""
    reader, writer = await asyncio.open_connection(*server.bound[0])
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            writer.write(request)
            await writer.drain()
            if half_close:
                writer.write_eof()
            return await reader.read()
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def one_answer(reader: asyncio.StreamReader, *, has_body: bool = True) -> tuple[bytes, bytes]:
    """Head (without the empty line) and body of the next answer on a connection that stays open."""
    async with asyncio.timeout(ANSWER_WITHIN_S):
        head = (await reader.readuntil(b"\r\n\r\n"))[:-4]
        if not has_body:
            return head, b""
        fields = {name: value for name, _, value in (line.partition(b": ") for line in head.split(b"\r\n")[1:])}
        if b"Content-Length" in fields:
            return head, await reader.readexactly(int(fields[b"Content-Length"]))
        assert fields.get(b"Transfer-Encoding") == b"chunked", head
        size = int(await reader.readuntil(b"\r\n"), 16)
        body = await reader.readexactly(size)
        assert await reader.readexactly(7) == b"\r\n0\r\n\r\n"
        return head, body
