"""What the servers over aiohttp have in common: connections that repeat nothing, and answers that name no library."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from http import HTTPStatus

from aiohttp import web

from ecscope.timed_connection import TIMEOUT_S, TimedConnection


class QuietConnection(TimedConnection):
    """Where a request cannot be read the library would log, and send back, what was sent: that may be a secret."""

    def __init__(
        self,
        server: web.Server,
        *,
        asker: str,
        log: logging.Logger,
        timeout_s: float = TIMEOUT_S,
        admit: Callable[[asyncio.BaseTransport], bool] | None = None,
    ) -> None:
        """``asker`` sends the requests, in the words of the log; ``admit``: whether a peer is answered."""
        settings = {"auto_decompress": False}  # the body is not read
        super().__init__(server, timeout_s=timeout_s, admit=admit, settings=settings)
        self._asker = asker
        self._log = log

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        level = logging.ERROR if status == HTTPStatus.INTERNAL_SERVER_ERROR else logging.DEBUG
        self._log.log(level, "%s's request was answered with %d: %s", self._asker, status, type(exc).__name__)
        answer = Unnamed(status=status)
        answer.force_close()
        return answer


class Unnamed(web.Response):
    """Without the name of the library among the headers."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        del self.headers["Server"]
