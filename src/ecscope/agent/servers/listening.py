"""Listening sockets, and what happens when a port is taken.

A taken port must not keep the agent from running its tasks: listening is tried again in the background, without end.

Source: introspection-api.md §1, §8; task-metadata-api.md §1.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Awaitable, Callable
from random import random

from ecscope.backoff import Backoff

LISTEN_AGAIN = Backoff(tries=None, first_s=1.0, cap_s=60.0, factor=2.0, jitter=0.2)
"""Source: introspection-api.md §1.2; task-metadata-api.md §1."""

_BACKLOG = 1024


class Listening:
    """The listening sockets of one server.

    ``what`` is served, in the words of the log. ``addresses`` are IP addresses; ``port`` 0 takes
    a free one, another for each address. ``log`` is the server's own.
    """

    def __init__(
        self,
        what: str,
        *,
        addresses: tuple[str, ...],
        port: int,
        log: logging.Logger,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = random,
    ) -> None:
        self._what = what
        self._addresses = addresses
        self._port = port
        self._sleep = sleep
        self._random = random
        self._log = log
        self._listeners: list[asyncio.Server] = []
        self._opening: asyncio.Server | None = None
        """Has its socket, and may not listen yet: left so when ``start`` is cancelled."""
        self._retrying: asyncio.Task[None] | None = None
        self._is_somewhere = asyncio.Event()

    @property
    def bound(self) -> tuple[tuple[str, int], ...]:
        """Address and port of every listening socket."""
        names = (socket.getsockname() for listener in self._listeners for socket in listener.sockets)
        return tuple((name[0], name[1]) for name in names)

    async def start(self, accept: Callable[[], asyncio.BaseProtocol]) -> None:
        """Listen where it is possible now; what is taken is tried again in the background. Never raises ``OSError``.

        ``accept`` gives the protocol for one new connection.
        """
        missing = await self._listen(accept, self._addresses, is_first=True)
        if missing:
            self._retrying = asyncio.create_task(self._keep_trying(accept, missing), name=f"{self._what}: listen again")

    async def somewhere(self) -> None:
        """Wait until one of the addresses is being listened on."""
        await self._is_somewhere.wait()

    async def stop(self) -> None:
        """No new connection from here on; those there are stay. May be repeated."""
        if self._retrying is not None:
            self._retrying.cancel()
            await asyncio.gather(self._retrying, return_exceptions=True)
            self._retrying = None
        self._close_opening()
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()

    def _close_opening(self) -> None:
        if self._opening is not None:
            self._opening.close()
            self._opening = None

    async def _keep_trying(self, accept: Callable[[], asyncio.BaseProtocol], missing: tuple[str, ...]) -> None:
        for wait_s in LISTEN_AGAIN.waits(self._random):
            await self._sleep(wait_s)
            missing = await self._listen(accept, missing, is_first=False)
            if not missing:
                return

    async def _listen(
        self, accept: Callable[[], asyncio.BaseProtocol], addresses: tuple[str, ...], *, is_first: bool
    ) -> tuple[str, ...]:
        """The addresses where it has to be tried again."""
        loop = asyncio.get_running_loop()
        missing = []
        for address in addresses:
            try:
                self._opening = await loop.create_server(
                    accept, address, self._port, backlog=_BACKLOG, start_serving=False
                )
                await self._opening.start_serving()
            except OSError as error:
                self._close_opening()
                if _is_absent(address, error):
                    self._log.info("not serving %s on %s: this host has no such address family", self._what, address)
                    continue
                missing.append(address)
                if is_first:
                    self._log.error(
                        "cannot serve %s on %s port %d: %s; the agent runs without it and tries again. "
                        "If another agent runs on this host, stop one of them.",
                        self._what,
                        address,
                        self._port,
                        error.strerror or error,
                    )
            else:
                self._listeners.append(self._opening)
                self._opening = None
                self._is_somewhere.set()
                if not is_first:
                    self._log.info("now serving %s on %s port %d", self._what, address, self._port)
        return tuple(missing)


def _is_absent(address: str, error: OSError) -> bool:
    """The host lacks the whole family; an address of its own that is not there yet may still come."""
    if error.errno == errno.EAFNOSUPPORT:
        return True
    return error.errno == errno.EADDRNOTAVAIL and address in ("::1", "::")
