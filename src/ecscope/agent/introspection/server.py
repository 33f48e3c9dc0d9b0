"""The introspection server: listening sockets, and what happens when one cannot be had.

A taken port must not keep the agent from running its tasks: listening is tried again for ever
beside it.

Source: introspection-api.md §1, §8.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import random

from ecscope.agent.core.state import AgentState
from ecscope.agent.introspection.protocol import Connections, Limits
from ecscope.agent.introspection.routes import Routes
from ecscope.backoff import Backoff

PORT = 51678
LOOPBACK = ("127.0.0.1", "::1")

PROFILING_WRITE_TIMEOUT_S = 300.0
"""Source: introspection-api.md §8."""

LISTEN_AGAIN = Backoff(tries=None, first_s=1.0, cap_s=60.0, factor=2.0, jitter=0.2)
"""Source: introspection-api.md §1.2."""

_BACKLOG = 1024


class IntrospectionServer:
    """Serves the published state on ``addresses`` (IP addresses; the loopback ones by default).

    ``state`` must give another object whenever anything changed. ``license_dir`` holds
    ``LICENSE``, ``NOTICE`` and ``THIRD-PARTY``. ``runtime_stats`` is ``ECS_ENABLE_RUNTIME_STATS``.
    ``port`` 0 takes a free one, another for each address.
    """

    def __init__(
        self,
        state: Callable[[], AgentState],
        *,
        addresses: tuple[str, ...] = LOOPBACK,
        port: int = PORT,
        license_dir: Path,
        runtime_stats: bool = False,
        hide_version: bool = False,
        limits: Limits | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = random,
        log: logging.Logger | None = None,
    ) -> None:
        self._addresses = addresses
        self._port = port
        self._sleep = sleep
        self._random = random
        self._log = log or logging.getLogger("ecscope.introspection")
        self._routes = Routes(
            state, license_dir=license_dir, runtime_stats=runtime_stats, hide_version=hide_version, log=self._log
        )
        default = Limits(write_timeout_s=PROFILING_WRITE_TIMEOUT_S) if runtime_stats else Limits()
        self._limits = limits or default
        self._connections: Connections | None = None
        self._listeners: list[asyncio.Server] = []
        self._retrying: asyncio.Task[None] | None = None

    @property
    def bound(self) -> tuple[tuple[str, int], ...]:
        """Address and port of every listening socket."""
        names = (socket.getsockname() for listener in self._listeners for socket in listener.sockets)
        return tuple((name[0], name[1]) for name in names)

    @property
    def open_connections(self) -> int:
        return len(self._connections) if self._connections is not None else 0

    async def start(self) -> None:
        """Listen where it is possible now; what is taken is tried again in the background. Never raises ``OSError``."""
        self._connections = Connections(self._routes, self._limits)
        missing = await self._listen(self._addresses, is_first=True)
        if missing:
            self._retrying = asyncio.create_task(self._keep_trying(missing), name="introspection: listen again")

    async def stop(self) -> None:
        """Stop listening and let requests in flight finish; each has its own time-out. May be repeated."""
        if self._retrying is not None:
            self._retrying.cancel()
            await asyncio.gather(self._retrying, return_exceptions=True)
            self._retrying = None
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        if self._connections is not None:
            connections, self._connections = self._connections, None
            await connections.drain()

    async def _keep_trying(self, missing: tuple[str, ...]) -> None:
        for wait_s in LISTEN_AGAIN.waits(self._random):
            await self._sleep(wait_s)
            missing = await self._listen(missing, is_first=False)
            if not missing:
                return

    async def _listen(self, addresses: tuple[str, ...], *, is_first: bool) -> tuple[str, ...]:
        """The addresses where it has to be tried again."""
        assert self._connections is not None
        loop = asyncio.get_running_loop()
        missing = []
        for address in addresses:
            try:
                listener = await loop.create_server(self._connections.accept, address, self._port, backlog=_BACKLOG)
            except OSError as error:
                if _is_absent(address, error):
                    self._log.info("not serving introspection on %s: this host has no such address family", address)
                    continue
                missing.append(address)
                if is_first:
                    self._log.error(
                        "cannot serve introspection on %s port %d: %s; the agent runs without it and tries again. "
                        "If another agent runs on this host, stop one of them.",
                        address,
                        self._port,
                        error.strerror or error,
                    )
            else:
                self._listeners.append(listener)
                if not is_first:
                    self._log.info("now serving introspection on %s port %d", address, self._port)
        return tuple(missing)


def _is_absent(address: str, error: OSError) -> bool:
    """The host lacks the whole family; an address of its own that is not there yet may still come."""
    if error.errno == errno.EAFNOSUPPORT:
        return True
    return error.errno == errno.EADDRNOTAVAIL and address in ("::1", "::")
