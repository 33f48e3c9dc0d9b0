"""The introspection server: its connections, and an end that lets answers finish.

Source: introspection-api.md §1, §8.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import random

from ecscope.agent.core.state import AgentState
from ecscope.agent.servers.bridge import BRIDGE
from ecscope.agent.servers.introspection.protocol import Connections, Limits
from ecscope.agent.servers.introspection.routes import Routes
from ecscope.agent.servers.listening import Listening
from ecscope.peers import Peers

PORT = 51678
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - who is answered is decided for each connection

PROFILING_WRITE_TIMEOUT_S = 300.0
"""Source: introspection-api.md §8."""


class IntrospectionServer:
    """Serves the published state on ``addresses`` (IP addresses; all of the host by default).

    Answered are this host and containers on Docker's default bridge; others only with ``allows_offhost``, which is
    ``ECS_ALLOW_OFFHOST_INTROSPECTION_ACCESS``.

    ``state`` must give another object whenever anything changed. ``license_dir`` holds
    ``LICENSE``, ``NOTICE`` and ``THIRD-PARTY``. ``runtime_stats`` is ``ECS_ENABLE_RUNTIME_STATS``.
    ``port`` 0 takes a free one, another for each address.
    """

    def __init__(
        self,
        state: Callable[[], AgentState],
        *,
        addresses: tuple[str, ...] = EVERYWHERE,
        allows_offhost: bool = False,
        port: int = PORT,
        license_dir: Path,
        runtime_stats: bool = False,
        hide_version: bool = False,
        limits: Limits | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = random,
        log: logging.Logger | None = None,
    ) -> None:
        self._log = log or logging.getLogger("ecscope.introspection")
        self._listening = Listening(
            "introspection", addresses=addresses, port=port, log=self._log, sleep=sleep, random=random
        )
        self._routes = Routes(
            state, license_dir=license_dir, runtime_stats=runtime_stats, hide_version=hide_version, log=self._log
        )
        default = Limits(write_timeout_s=PROFILING_WRITE_TIMEOUT_S) if runtime_stats else Limits()
        self._limits = limits or default
        peers = Peers(
            self._log, bridges=(BRIDGE,), opened_by="ECS_ALLOW_OFFHOST_INTROSPECTION_ACCESS=true opens it to all"
        )
        self._admit: Callable[[asyncio.BaseTransport], bool] = (
            (lambda transport: True) if allows_offhost else peers.admit
        )
        self._connections: Connections | None = None

    @property
    def bound(self) -> tuple[tuple[str, int], ...]:
        """Address and port of every listening socket."""
        return self._listening.bound

    @property
    def open_connections(self) -> int:
        return len(self._connections) if self._connections is not None else 0

    @property
    def is_started(self) -> bool:
        """Between ``start`` and ``stop``, on whatever addresses could be bound."""
        return self._connections is not None

    async def start(self) -> None:
        """Listen where it is possible now; what is taken is tried again in the background. Never raises ``OSError``."""
        self._connections = Connections(self._routes, self._limits, admit=self._admit)
        await self._listening.start(self._connections.accept)

    async def stop(self) -> None:
        """Stop listening and let requests in flight finish; each has its own time-out. May be repeated."""
        await self._listening.stop()
        if self._connections is not None:
            connections, self._connections = self._connections, None
            await connections.drain()
