"""One client of a server of aiohttp, and the time that it may take: to ask something, and to take what it is sent.

The library alone keeps a connection for as long as its client takes no answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

TIMEOUT_S = 5.0
"""For a whole request, for the silence before the first one, and for a client that takes nothing of its answers.
Source: introspection-api.md §1."""


class TimedConnection(web.RequestHandler):
    """The protocol of one connection. The request handler calls ``asked`` for each request."""

    def __init__(
        self,
        server: web.Server,
        *,
        timeout_s: float = TIMEOUT_S,
        idle_s: float | None = None,
        admit: Callable[[asyncio.BaseTransport], bool] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """See the class.

        Args:
            idle_s: between two requests; ``timeout_s`` unless given.
            admit: whether a peer is answered; others are cut off at once. ``None``: everybody is.
            settings: further ones of the library.
        """
        loop = asyncio.get_running_loop()
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=timeout_s if idle_s is None else idle_s,
            lingering_time=timeout_s,
            access_log=None,  # type: ignore[arg-type]  # the library's own way to have none
            **(settings or {}),
        )
        self._timeout_s = timeout_s
        self._admit = admit
        self._made_at_s = loop.time()
        self._has_asked = False
        self._wire: asyncio.Transport | None = None
        """As ``transport``, which the library forgets before everything is sent."""
        self._unsent, self._unsent_since_s = 0, 0.0
        self._looking: asyncio.TimerHandle | None = None

    def asked(self) -> None:
        """A whole request is there."""
        self._has_asked = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert isinstance(transport, asyncio.Transport)
        if self._admit is not None and not self._admit(transport):
            self.force_close()
            transport.abort()
            return
        self._wire = transport
        self._look()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._looking is not None:
            self._looking.cancel()
        self._wire = self._looking = None
        super().connection_lost(exc)

    def _look(self) -> None:
        if self._wire is None:
            return
        now_s = self._loop.time()
        unsent = self._wire.get_write_buffer_size()
        if unsent == 0 or unsent != self._unsent:
            self._unsent, self._unsent_since_s = unsent, now_s
        elif now_s - self._unsent_since_s >= self._timeout_s:
            self._wire.abort()
            return
        if not self._has_asked and now_s - self._made_at_s >= self._timeout_s:
            self.force_close()
        self._looking = self._loop.call_later(self._timeout_s / 5, self._look)
