"""Open files of a process that serves: as many as the host allows, and what is logged when none is left.

Each client is one. Without a free one no connection can be accepted: the loop tries again each second, and every try
would log the same errors again.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from typing import Any

_OVER_S = 3.0
"""After this long without an error, connections are accepted again. The loop tries once a second."""
_NO_FILE_LEFT = "socket.accept() out of system resource"
_LISTENS_AGAIN = "_start_serving"
"""What the loop calls a second after such an error, even for a server that has been closed since."""


def allow_many_files(log: logging.Logger) -> None:
    """Raise the soft limit of this process, and of those that it starts, to the hard one.

    The usual soft limit of 1,024 is for programs that use ``select``.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError) as error:
            log.warning("the limit of open files stays at %d: %s", soft, error)


class AcceptErrors:
    """The exception handler of a loop with servers: logs once that connections cannot be accepted, and once the end.

    All other errors go to the loop's own handler.
    """

    def __init__(self, log: logging.Logger, *, over_s: float = _OVER_S) -> None:
        self._log = log
        self._over_s = over_s
        self._is_failing = False
        self._last_error_s = 0.0

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.set_exception_handler(self._handle)

    def _handle(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        message, error = str(context.get("message", "")), context.get("exception")
        if message == _NO_FILE_LEFT and isinstance(error, OSError):
            self._refused(loop, error)
        elif not (_LISTENS_AGAIN in message and isinstance(error, ValueError)):  # the socket is closed
            loop.default_exception_handler(context)

    def _refused(self, loop: asyncio.AbstractEventLoop, error: OSError) -> None:
        self._last_error_s = loop.time()
        if self._is_failing:
            return
        self._is_failing = True
        self._log.error(
            "new connections cannot be accepted: %s (this process may have %d files open); they are accepted as soon as"
            " others end. If this lasts, raise the hard limit of open files (ulimit -Hn)",
            error.strerror or error,
            resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        )
        loop.call_later(self._over_s, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        if (wait_s := self._last_error_s + self._over_s - loop.time()) > 0:
            loop.call_later(wait_s, self._look, loop)
        else:
            self._is_failing = False
            self._log.warning("new connections are accepted again")
