"""The server for containers and the way to it, for as long as the agent lives."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from ecscope.agent.servers.taskmetadata.redirect import RedirectFailed

_log = logging.getLogger("ecscope.taskmetadata")


class Server(Protocol):
    """``taskmetadata.server``."""

    async def start(self) -> None:
        """Listen, now or as soon as the port is free."""

    async def listening(self) -> None:
        """Wait until it listens."""

    async def stop(self) -> None:
        """Answer what is under way, and end."""


class Way(Protocol):
    """``taskmetadata.redirect``."""

    async def put(self) -> None:
        """Raises ``RedirectFailed``."""

    async def remove(self) -> None:
        """Never raises."""


async def serve(server: Server, way: Way) -> None:
    """Until cancelled. The way is laid only to a server of our own: the port may be another agent's."""
    try:
        await server.start()
        await server.listening()
        try:
            await _lead_there(way)
        finally:
            await way.remove()
    finally:
        await server.stop()


async def _lead_there(way: Way) -> None:
    try:
        await way.put()
    except RedirectFailed as error:
        _log.warning(
            "containers may not reach task metadata or the credentials of their roles: %s. The agent needs iptables and"
            " CAP_NET_ADMIN for the redirect from 169.254.170.2; see docs/real-instance.md",
            error,
        )
    await asyncio.Event().wait()
