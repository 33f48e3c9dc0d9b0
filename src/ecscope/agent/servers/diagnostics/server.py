"""The server on port 51680, on loopback: its routes, and who may ask."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable

from aiohttp import web

from ecscope.agent.core.state import AgentState
from ecscope.agent.servers import go_json
from ecscope.agent.servers.diagnostics.hosts import is_allowed, names_of
from ecscope.agent.servers.diagnostics.instance import NotRegistered, instance
from ecscope.agent.servers.listening import Listening
from ecscope.agent.servers.web import QuietConnection, Unnamed
from ecscope.timed_connection import TIMEOUT_S

_log = logging.getLogger("ecscope.diagnostics")

PORT = 51680
LOOPBACK = ("127.0.0.1", "::1")
_LAST_ANSWERS_S = 1.0
_HEADERS = {"Content-Type": "application/json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_METHODS = ("GET", "HEAD")


class DiagnosticsServer:
    """Serves the published state. ``port`` 0 takes a free one, another for each address."""

    def __init__(
        self,
        state: Callable[[], AgentState],
        *,
        port: int = PORT,
        addresses: tuple[str, ...] = LOOPBACK,
        timeout_s: float = TIMEOUT_S,
        hostname: Callable[[], str] = socket.gethostname,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._state = state
        self._timeout_s = timeout_s
        self._hostname = hostname
        self._listening = Listening("diagnostics", addresses=addresses, port=port, log=_log, sleep=sleep)
        self._web: web.Server | None = None

    @property
    def bound(self) -> tuple[tuple[str, int], ...]:
        """Address and port of every listening socket."""
        return self._listening.bound

    async def start(self) -> None:
        """Listen where it is possible now; what is taken is tried again in the background. Never raises ``OSError``."""
        self._web = web.Server(self._handle)
        await self._listening.start(self._accept)

    async def stop(self) -> None:
        """Stop listening; what is under way is answered. May be repeated."""
        await self._listening.stop()
        if self._web is not None:
            await self._web.shutdown(timeout=_LAST_ANSWERS_S)
            self._web = None

    def _accept(self) -> asyncio.Protocol:
        assert self._web is not None
        return QuietConnection(self._web, asker="a client", log=_log, timeout_s=self._timeout_s)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(request.protocol, QuietConnection)
        request.protocol.asked()
        hosts = request.headers.getall("Host", [])
        if len(hosts) != 1 or not is_allowed(hosts[0], names_of(self._hostname())):
            return _refusal(
                403, "HostNotAllowed", "Ask by an IP address, as localhost, or by the name of this host (Host header)."
            )
        if request.path != "/":
            return _refusal(404, "NotFound", "Page not found. The state of the container instance is at /.")
        if request.method not in _METHODS:
            answer = _refusal(405, "MethodNotAllowed", "This page can only be read.")
            answer.headers["Allow"] = ", ".join(_METHODS)
            return answer
        shown = instance(self._state())
        return _answer(503 if isinstance(shown, NotRegistered) else 200, shown)


def _answer(status: int, body: object) -> web.Response:
    return Unnamed(status=status, headers=_HEADERS, body=go_json.encode(body))


def _refusal(status: int, error: str, message: str) -> web.Response:
    return _answer(status, {"Error": error, "Message": message})
