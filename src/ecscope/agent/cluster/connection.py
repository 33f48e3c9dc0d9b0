"""Keeps one websocket of ECS open: dial, converse, notice the end, dial again. What is said over it is the subclass's.

Says each problem once in the log, not in a loop: again only after a connection that held. Decides nothing: when to dial
again is ``wire.acs.reconnect``'s to say.

Source: agent-protocol.md §4.1-§4.3, §5.1.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from random import random

import aiohttp
import msgspec

from ecscope.agent.aws.interface import AwsCallFailed, WebsocketSigner
from ecscope.agent.cluster.websocket import FAILURES, End, Refused, Websocket, WebsocketTimes, dialled, reason_of
from ecscope.wire.acs.messages import shortened
from ecscope.wire.acs.reconnect import CLEAN_CODES, Reconnect, UnusableEndpoint

NOT_READ = "ECS does not read what it is sent"
CUT = "the connection was cut"
_MOST_SAID = 20


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """The other end of a connection."""

    name: str
    """In the log."""
    log: logging.Logger
    meanwhile: str
    """What holds without a connection, for the log."""
    largest_frame_bytes: int
    """Of a frame that it sends."""


class Dialling(msgspec.Struct, frozen=True, kw_only=True):
    """What all connections to ECS are dialled with."""

    signer: WebsocketSigner
    proxy: Callable[[str], str | None] = lambda url: None
    """For an address; ``None``: none."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    """Between two dials."""
    chance: Callable[[], float] = random
    """0 to 1, for waits with a random part."""


class Connection(ABC):
    """See the module docstring. All callables are called in the loop and must not block."""

    def __init__(
        self,
        service: Service,
        dialling: Dialling,
        *,
        times: WebsocketTimes,
        reconnect: Reconnect,
        disconnected: Callable[[str], None] = lambda reason: None,
    ) -> None:
        """Nothing is opened before ``run``.

        Args:
            disconnected: with the reason, at the end of each connection, and after each dial that gave none.
        """
        self._service = service
        self._dialling = dialling
        self._disconnected = disconnected
        self._times = times
        self._reconnect = reconnect
        self._opened_at_s = 0.0
        self._said: set[str] = set()
        self._has_complained = False

    async def run(self) -> None:
        """For ever. Cancelling is safe."""
        while True:
            await self._dialling.sleep(await self._connect_once())

    # --- what differs -------------------------------------------------------------------------

    @abstractmethod
    async def _url(self) -> str:
        """Where to dial now. Raises ``AwsCallFailed``, ``UnusableEndpoint``."""

    @abstractmethod
    async def _converse(self, websocket: Websocket, url: str) -> End:
        """All that is said over a connection that was just opened, and that is closed afterwards."""

    def _after_refusal(self, body: str) -> float | None:
        """Seconds to wait where a refusal is an answer rather than a failure to connect; ``None``: it is a failure."""
        return None

    # --- one connection -----------------------------------------------------------------------

    async def _connect_once(self) -> float:
        """One dial and, if it succeeds, the whole life of the connection. Gives the seconds to wait before the next."""
        kind = None
        async with contextlib.AsyncExitStack() as closing:
            try:
                url = await self._url()
                websocket = await closing.enter_async_context(
                    dialled(
                        url,
                        headers=await self._dialling.signer.upgrade_headers(url),
                        proxy=self._dialling.proxy(url),
                        times=self._times,
                        largest_frame_bytes=self._service.largest_frame_bytes,
                    )
                )
            except Refused as refusal:
                wait_s = self._after_refusal(refusal.body)
                if wait_s is not None:
                    return wait_s
                kind = f"status {refusal.status}"  # the words may name each request
                reason = f"ECS refused it with {kind}: {shortened(refusal.body) or 'no reason given'}"
            except (AwsCallFailed, UnusableEndpoint) as failure:
                reason = str(failure)
            except FAILURES as failure:
                reason = shortened(reason_of(failure, times=self._times))
            else:
                return await self._live(websocket, url)
        self._disconnected(reason)
        name = self._service.name[0].upper() + self._service.name[1:]
        self._say(
            f"{name} cannot be reached: {reason}. Trying again until it can; {self._service.meanwhile}.", kind=kind
        )
        return self._reconnect.after_failure()

    async def _live(self, websocket: Websocket, url: str) -> float:
        clock = asyncio.get_running_loop().time
        self._opened_at_s = clock()
        self._say(f"connected to {self._service.name}", level=logging.INFO)
        end = await self._converse(websocket, url)
        lived_s = clock() - self._opened_at_s
        self._disconnected(end.reason)
        level = logging.INFO if end.is_clean else logging.WARNING
        self._say(f"the connection to {self._service.name} ended: {end.reason}", level=level)
        return self._reconnect.after_end(lived_s=lived_s, is_clean=end.is_clean)

    # --- the log ------------------------------------------------------------------------------

    def _say(self, text: str, *, kind: str | None = None, level: int = logging.WARNING) -> None:
        """Once for a ``kind``, until a connection has held; ``None``: for a text."""
        kind = kind or text
        if kind not in self._said and len(self._said) < _MOST_SAID:
            self._said.add(kind)
            self._has_complained |= level >= logging.WARNING
            self._service.log.log(level, "%s", text)

    def _note_sign_of_life(self) -> None:
        """To be called now and then: once the connection has lasted, its end is logged again."""
        if self._said and asyncio.get_running_loop().time() - self._opened_at_s >= self._times.proven_s:
            self._said.clear()
            if self._has_complained:
                self._has_complained = False
                self._service.log.info("the connection to %s holds", self._service.name)


def end_of(kind: aiohttp.WSMsgType, data: object, extra: str | None) -> End:
    """From the last frame: a close, an unexpected type, or the end of the stream."""
    match kind:
        case aiohttp.WSMsgType.CLOSE:
            said = f"with code {data}" if data else "without a code"
            words = shortened(extra or "")
            return End(f"ECS closed it {said}" + (f", {words}" if words else ""), is_clean=data in CLEAN_CODES)
        case aiohttp.WSMsgType.ERROR:
            return End(f"invalid websocket frame received: {shortened(str(data))}", is_clean=False)
        case aiohttp.WSMsgType.BINARY:
            return End("ECS sent a binary frame", is_clean=False)
        case _:
            return End(CUT, is_clean=True)
