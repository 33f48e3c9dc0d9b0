"""The server that containers ask, on loopback: its connections, and the time that each may take.

Source: task-metadata-api.md §1.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from aiohttp import web
from multidict import CIMultiDict

from ecscope.agent.core.state import AgentState
from ecscope.agent.servers.listening import Listening
from ecscope.agent.servers.targets import BadTarget
from ecscope.agent.servers.taskmetadata.audit import AuditLog
from ecscope.agent.servers.taskmetadata.routes import Request, Routes, Sources
from ecscope.agent.servers.web import QuietConnection, Unnamed
from ecscope.peers import Peers
from ecscope.timed_connection import TIMEOUT_S

_log = logging.getLogger("ecscope.taskmetadata")

PORT = 51679
_LAST_ANSWERS_S = 1.0
_LONGEST_BODY = 64 << 10
"""Bytes. Of a body that is longer the beginning is looked at."""


class TaskMetadataServer:
    """Serves the published state."""

    def __init__(
        self,
        state: Callable[[], AgentState],
        *,
        sources: Sources,
        rates: tuple[int, int],
        audit: AuditLog,
        shows_zone: bool = True,
        address: str = "127.0.0.1",
        bridge: str = "",
        port: int = PORT,
        timeout_s: float = TIMEOUT_S,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """
        Args:
            rates: requests a second of one client for one path, steady and at once.
            shows_zone: ``ECS_DISABLE_TASK_METADATA_AZ`` is not set.
            address: of this host.
            bridge: an interface whose containers alone are answered, beside this host; ``""``: all are, that come.
            port: 0 takes a free one.
        """
        self._state = state
        self._routes = Routes(steady=rates[0], burst=rates[1], sources=sources, shows_zone=shows_zone)
        self._audit = audit
        self._timeout_s = timeout_s
        self._now = now
        self._listening = Listening("containers", addresses=(address,), port=port, log=_log, sleep=sleep)
        self._admit = Peers(_log, bridges=(bridge,)).admit if bridge else None
        self._web: web.Server | None = None

    @property
    def bound(self) -> tuple[tuple[str, int], ...]:
        """Address and port of the listening socket; empty while there is none."""
        return self._listening.bound

    async def start(self) -> None:
        """Listen now or, where the port is taken, as soon as it is free. Never raises ``OSError``."""
        self._web = web.Server(self._handle)
        await self._listening.start(self._accept)

    async def listening(self) -> None:
        """Wait until it listens."""
        await self._listening.somewhere()

    async def stop(self) -> None:
        """Stop listening; what is under way is answered. May be repeated."""
        await self._listening.stop()
        if self._web is not None:
            await self._web.shutdown(timeout=_LAST_ANSWERS_S)
            self._web = None
        self._audit.close()

    def _accept(self) -> asyncio.Protocol:
        assert self._web is not None
        return QuietConnection(self._web, asker="a container", log=_log, timeout_s=self._timeout_s, admit=self._admit)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(request.protocol, QuietConnection)
        request.protocol.asked()
        peer = request.transport.get_extra_info("peername") if request.transport is not None else None
        address, port = peer[:2] if peer else ("", 0)
        body = b""
        if Routes.reads_body(request.method, request.raw_path):
            try:
                async with asyncio.timeout(self._timeout_s):
                    body = await _read(request)
            except TimeoutError:  # a client this slow is not answered either
                request.protocol.force_close()
                return Unnamed(status=408)
        asked = Request(
            target=request.raw_path,
            method=request.method,
            body=body,
            address=address,
            port=port,
            user_agent=request.headers.get("User-Agent", ""),
            forwarded_for=request.headers.get("X-Forwarded-For", ""),
        )
        try:
            now_s = asyncio.get_running_loop().time()
            answer = await self._routes.answer(asked, self._state(), at=self._now(), now_s=now_s)
        except BadTarget:
            return Unnamed(status=400)
        if answer.audit_line:
            self._audit.write(answer.audit_line)
        return Unnamed(status=answer.status, headers=CIMultiDict(answer.headers), body=answer.body)


async def _read(request: web.BaseRequest) -> bytes:
    """The body, as far as it is looked at: a longer one is not a valid request."""
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > _LONGEST_BODY:
            break
    return bytes(body)
