"""A server of websockets to try a connection against: each dial is a ``Visit``, treated as the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Generic, Protocol, Self, TypeVar

from aiohttp import WSMsgType, web

from ecscope.agent.aws.interface import AwsCallFailed


class Visit:
    """One dial of the connection, as the server sees it."""

    def __init__(self, request: web.Request) -> None:
        self.request = request
        self.websocket = web.WebSocketResponse(timeout=0.2)
        self.texts: list[str] = []
        """All that was read, oldest first."""
        self.closed_with: tuple[int, str] | None = None

    async def accept(self) -> web.WebSocketResponse:
        await self.websocket.prepare(self.request)
        return self.websocket

    async def text(self) -> str:
        """The next frame, which is one of text."""
        message = await self.websocket.receive(timeout=5)
        assert message.type is WSMsgType.TEXT, message
        self.texts.append(message.data)
        return self.texts[-1]

    async def until_closed(self) -> None:
        while (message := await self.websocket.receive(timeout=5)).type is WSMsgType.TEXT:
            self.texts.append(message.data)
        if message.type is WSMsgType.CLOSE:
            self.closed_with = (message.data, message.extra or "")

    def cut(self, last: bytes = b"") -> None:
        """Write these bytes, past the websocket, and close the socket."""
        transport = self.request.transport
        assert transport is not None
        transport.write(last)
        transport.close()


V = TypeVar("V", bound=Visit)
Serve = Callable[[V], Awaitable[web.StreamResponse | None]]


class FakeSigner:
    """A signer with one header; ``failure`` and ``frame_failure`` make it fail."""

    def __init__(self) -> None:
        self.signed: list[str] = []
        """Addresses, of upgrades and of frames."""
        self.failure: AwsCallFailed | None = None
        self.frame_failure: AwsCallFailed | None = None

    async def upgrade_headers(self, url: str) -> Mapping[str, str]:
        if self.failure:
            raise self.failure
        self.signed.append(url)
        return {"Authorization": "AWS4-HMAC-SHA256 x", "X-Amz-Date": "20261123T145920Z"}

    async def sign_frame(self, url: str, frame: str) -> str:
        if self.frame_failure:
            raise self.frame_failure
        self.signed.append(url)
        return f"Authorization: AWS4-HMAC-SHA256 y\r\nHost: h\r\nX-Amz-Date: 20261123T145920Z\r\n\r\n{frame}"


class Runnable(Protocol):
    """A connection."""

    async def run(self) -> None: ...


class ConnectionRig(Generic[V]):
    """A server that treats each dial as the next of ``serve`` says, and what came of it.

    ``connection`` is to be made with ``discover``, ``signer`` and ``sleep``. Once ``serve`` has nothing left, it waits
    until the end of the test.
    """

    connection: Runnable

    def __init__(self, visit: Callable[[web.Request], V], *serve: Serve[V], path: str) -> None:
        """``path`` is that of the endpoint."""
        self._visit = visit
        self._path = path
        self.serve = list(serve)
        self.visits: list[V] = []
        self.faults: list[BaseException] = []
        self.waits: list[float] = []
        """Before each dial but the first."""
        self.endpoint = ""
        """``""``: the server's."""
        self.signer = FakeSigner()
        self.dials_left = len(serve)
        self.done = asyncio.Event()

    async def discover(self) -> str:
        return self.endpoint

    async def sleep(self, wait_s: float) -> None:
        self.waits.append(wait_s)
        self.dials_left -= 1
        if self.dials_left <= 0:
            self.done.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        visit = self._visit(request)
        self.visits.append(visit)
        try:
            answer = await self.serve[len(self.visits) - 1](visit)
        except BaseException as fault:
            self.faults.append(fault)
            raise
        if answer is not None:
            return answer
        if not visit.websocket.prepared:
            await visit.accept()
        return visit.websocket

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        """The server, and the connection's ``run``."""
        app = web.Application()
        app.router.add_get("/{path:.*}", self._handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.endpoint = self.endpoint or f"http://127.0.0.1:{runner.addresses[0][1]}{self._path}"
        task = asyncio.create_task(self.connection.run(), name="connection under test")
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await runner.cleanup()

    async def finished(self) -> None:
        """Until each of ``serve`` was dialled and has ended; a fault of the server's side is the test's."""
        async with asyncio.timeout(20):
            await self.done.wait()
        for fault in self.faults:
            raise fault

    async def run(self) -> Self:
        """From the first dial until each of ``serve`` had its turn."""
        async with self.running():
            await self.finished()
        return self


def refusing(status: int, body: str = "", **headers: str) -> Callable[[Visit], Awaitable[web.StreamResponse]]:
    """Answers the upgrade with something else."""

    async def serve(visit: Visit) -> web.StreamResponse:
        return web.Response(status=status, text=body, headers=headers)

    return serve
