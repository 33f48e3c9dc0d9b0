"""Keeps the connection to the runtime: connect, listen, notice the end, connect again.

Reports to the engine when the connection is made and when it is lost; an outage is logged once, not at every attempt.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ecscope.agent.core.events import RuntimeConnected, RuntimeDisconnected, RuntimeNoticed
from ecscope.agent.inbox import Inbox
from ecscope.agent.runtime.interface import Runtime, RuntimeFailure
from ecscope.backoff import Backoff
from ecscope.model.resources import HostResources
from ecscope.model.runtime import EngineInfo

_log = logging.getLogger("ecscope.docker")

_PROVEN_S = 10.0
"""A connection that lasted this long was a good one, and its end is logged again."""


class RuntimeConnection:
    """See the module docstring."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        inbox: Inbox,
        resources_of: Callable[[EngineInfo], HostResources],
        backoff: Backoff,
        proven_s: float = _PROVEN_S,
    ) -> None:
        """``backoff`` never ends; it is reset after a connection that lasted ``proven_s``.

        Not after every connection: if one call failed each time, connects and complete listings would
        follow each other without a pause.
        """
        self._runtime = runtime
        self._inbox = inbox
        self._resources_of = resources_of
        self._backoff = backoff
        self._proven_s = proven_s
        self._listening: asyncio.Task[None] | None = None
        self._problem = ""

    @property
    def problem(self) -> str:
        """Why the runtime could not be used the last time; ``""``: it could, or was not tried yet."""
        return self._problem

    def reconnect(self) -> None:
        """A call could not reach the runtime: close the stream, if it still looks open, and connect again."""
        if self._listening is not None:
            self._listening.cancel()

    async def run(self) -> None:
        """For ever. Cancelling is safe."""
        clock = asyncio.get_running_loop().time
        said = ""
        waits = self._backoff.waits()
        while True:
            connected_at: float | None = None
            try:
                info = await self._runtime.connect()
                connected_at = clock()
                await self._listen(info)
                reason = "the connection was closed after a failed call"
            except RuntimeFailure as failure:
                reason = failure.error.message
            if connected_at is not None and clock() - connected_at >= self._proven_s:
                said = ""
                waits = self._backoff.waits()
            self._problem = reason
            self._inbox.post(RuntimeDisconnected(**self._inbox.stamp(), reason=reason))
            if reason != said:
                _log.warning(
                    "Docker cannot be used: %s. Trying again until it can; containers keep running meanwhile.", reason
                )
                said = reason
            await asyncio.sleep(next(waits))

    async def _listen(self, info: EngineInfo) -> None:
        """Return on ``reconnect``; raise ``RuntimeFailure`` when the stream ends."""
        self._listening = asyncio.create_task(self._follow(info), name="runtime notices")
        try:
            await asyncio.shield(self._listening)
        except asyncio.CancelledError:
            if not self._listening.cancelled():  # not the stream but the agent ends
                self._listening.cancel()
                await asyncio.gather(self._listening, return_exceptions=True)
                raise
        finally:
            self._listening = None

    async def _follow(self, info: EngineInfo) -> None:
        async with self._runtime.notices() as notices:
            self._problem = ""
            self._inbox.post(
                RuntimeConnected(**self._inbox.stamp(), version=info.version, resources=self._resources_of(info))
            )
            async for notice in notices:
                self._inbox.post(RuntimeNoticed(**self._inbox.stamp(), notice=notice))
