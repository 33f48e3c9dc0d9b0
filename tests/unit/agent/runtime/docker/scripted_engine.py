"""An engine on a unix socket that says what a test wrote: a server with knobs, no Docker behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

VERSION = {"Version": "99.0", "ApiVersion": "1.41", "MinAPIVersion": "1.12"}


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What to do with a request."""

    status: int = 200
    body: bytes = b""
    chunks: tuple[bytes | float, ...] | None = None
    """Not ``None``: a chunked answer; a number waits that many seconds."""
    then_hang: bool = False
    """Say nothing more, and keep the connection."""
    then_drop: bool = False
    """Close the connection without ending the answer."""
    silent: bool = False
    """Not even a status line."""


def answer(document: object, status: int = 200) -> Reply:
    return Reply(status=status, body=json.dumps(document).encode())


def refusal(status: int, message: str) -> Reply:
    return answer({"message": message}, status)


HANG = Reply(silent=True, then_hang=True)
DROP = Reply(silent=True, then_drop=True)

Script = Callable[[Request], Reply]


class ScriptedEngine:
    """The server. ``/version`` is answered from ``version``; everything else by ``script``."""

    def __init__(self, socket_path: Path, script: Script) -> None:
        self.socket_path = socket_path
        self.endpoint = f"unix://{socket_path}"
        self.script = script
        self.version: dict[str, Any] | None = dict(VERSION)
        self.requests: list[Request] = []
        self.closed_early = 0
        """Connections that the client closed while an answer hung."""
        self.closed = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()

    def paths(self) -> list[str]:
        return [request.path for request in self.requests if request.path != "/version"]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with suppress(asyncio.IncompleteReadError):
                while await self._serve_one(reader, writer):
                    pass
        except ConnectionError:
            self._note_early_close()  # there was still something to say or to read
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            writer.close()
            self._connections.discard(task)

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {key.lower(): value for key, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        parts = urlsplit(target)
        query = {key: values[0] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
        request = Request(method=method, path=unquote(parts.path), query=query, headers=headers, body=body)
        self.requests.append(request)
        reply = answer(self.version) if request.path == "/version" and self.version else self.script(request)
        return await self._reply(reply, reader, writer)

    async def _reply(self, reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if not reply.silent:
            framing = f"Content-Length: {len(reply.body)}" if reply.chunks is None else "Transfer-Encoding: chunked"
            writer.write(f"HTTP/1.1 {reply.status} Said\r\n{framing}\r\n\r\n".encode() + reply.body)
            await writer.drain()
        for chunk in reply.chunks or ():
            if isinstance(chunk, bytes):
                writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                await writer.drain()
            else:
                await asyncio.sleep(chunk)
        if reply.then_hang:
            await reader.read()
            self._note_early_close()
            return False
        if reply.then_drop:
            return False
        if reply.chunks is not None:
            writer.write(b"0\r\n\r\n")
            await writer.drain()
        return True

    def _note_early_close(self) -> None:
        self.closed_early += 1
        self.closed.set()

    async def stop(self) -> None:
        """Close the socket and every connection."""
        self._server.close()
        for task in list(self._connections):
            task.cancel()
        while self._connections:
            await asyncio.sleep(0)
        await self._server.wait_closed()
        self.socket_path.unlink(missing_ok=True)

    async def start(self) -> None:
        # A full backlog refuses at once on a unix socket; the engine's own is far longer than asyncio's.
        self._server = await asyncio.start_unix_server(self._serve, self.socket_path, backlog=1024)


@asynccontextmanager
async def scripted_engine(folder: Path, script: Script) -> AsyncIterator[ScriptedEngine]:
    engine = ScriptedEngine(folder / "docker.sock", script)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()
