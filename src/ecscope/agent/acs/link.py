"""Keeps the connection to ACS: dial, feed ``wire.acs_session``, notice the end, dial again.

Tells its owner each time the connection is there and each time it is gone. Says each problem once in the log, not in a
loop: again only after a connection that held. Decides nothing: what a frame means is ``wire.acs_session``'s to say,
when to dial again ``wire.acs_reconnect``'s.

Source: agent-protocol.md §4.1-§4.3.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import traceback
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import random
from typing import Protocol

import aiohttp

from ecscope.agent.aws.interface import AwsCallFailed, WebsocketSigner
from ecscope.agent.dial.websocket import FAILURES, End, Refused, Websocket, WebsocketTimes, close, dialled, reason_of
from ecscope.wire.acs import CoreMessage, shortened
from ecscope.wire.acs_reconnect import CLEAN_CODES, Reconnect, UnusableEndpoint, inactive_instance
from ecscope.wire.acs_session import AcsSession, Close, Deliver, HeartbeatSeen, Note, Output, Reply, SessionTimes

_log = logging.getLogger("ecscope.acs")

_LARGEST_FRAME_BYTES = 32 * 1024 * 1024
_MOST_UNSENT_CHARACTERS = 4 * 1024 * 1024
"""Some ten thousand answers. A server that asks and never reads loses the connection."""
_NOT_READ = "ECS does not read what it is sent"
_MOST_SAID = 20


class Address(Protocol):
    """The address to dial at an endpoint: ``wire.acs_reconnect.connect_url`` with what the agent knows of itself."""

    def __call__(self, endpoint: str, *, send_credentials: bool) -> str:
        """Raises ``UnusableEndpoint``."""


class LinkTimes(WebsocketTimes, frozen=True, kw_only=True):
    """Seconds. Source: agent-protocol.md §4.1, §4.3."""

    session: SessionTimes = SessionTimes()


class _Connection:
    """One open websocket, and what is still to be sent over it."""

    def __init__(self, websocket: Websocket, session: AcsSession, opened_at: float) -> None:
        self.websocket = websocket
        self.opened_at = opened_at
        self.session = session
        self.unsent: deque[str] = deque()
        self.unsent_characters = 0
        self.has_unsent = asyncio.Event()

    def put(self, text: str) -> None:
        self.unsent.append(text)
        self.unsent_characters += len(text)
        self.has_unsent.set()


class AcsLink:
    """See the module docstring. All callables are called in the loop and must not block."""

    def __init__(
        self,
        *,
        endpoint: Callable[[], Awaitable[str]],
        address: Address,
        signer: WebsocketSigner,
        deliver: Callable[[CoreMessage], None],
        connected: Callable[[], None],
        disconnected: Callable[[str], None],
        deregistered: Callable[[str], None],
        heartbeat: Callable[[], None],
        proxy: Callable[[str], str | None] = lambda url: None,
        times: LinkTimes | None = None,
        reconnect: Reconnect | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random,
    ) -> None:
        """Nothing is opened before ``run``.

        Args:
            endpoint: from DiscoverPollEndpoint, ``http://…`` or ``https://…``; raises ``AwsCallFailed``.
            deliver: what the core decides about; the answer comes through ``send``.
            connected: at each connection.
            disconnected: with the reason, at the end of each, and after each dial that gave none.
            deregistered: with ECS's words, whenever it says that the instance is not registered.
            heartbeat: after each heartbeat was answered.
            proxy: for an address, ``None``: none.
        """
        self._endpoint = endpoint
        self._address = address
        self._signer = signer
        self._deliver = deliver
        self._connected = connected
        self._disconnected = disconnected
        self._deregistered = deregistered
        self._heartbeat = heartbeat
        self._proxy = proxy
        self._times = times or LinkTimes()
        self._reconnect = reconnect or Reconnect(chance=chance)
        self._sleep = sleep
        self._chance = chance
        self._connection: _Connection | None = None
        self._was_connected = False
        self._said: set[str] = set()
        self._has_complained = False

    def send(self, text: str) -> None:
        """Send a frame. Without a connection it is dropped: ECS sends again what was not answered."""
        if self._connection is None:
            _log.debug("an answer to ECS was dropped: there is no ACS connection")
            return
        self._connection.put(text)

    async def run(self) -> None:
        """For ever. Cancelling is safe."""
        while True:
            await self._sleep(await self._connect_once())

    async def _connect_once(self) -> float:
        """One dial and, if it succeeds, the whole life of the connection. Gives the seconds to wait before the next."""
        kind = None
        async with contextlib.AsyncExitStack() as closing:
            try:
                connection = await closing.enter_async_context(self._dialled())
            except Refused as refusal:
                words = inactive_instance(refusal.body)
                if words is not None:
                    return self._is_deregistered(shortened(words))
                kind = f"status {refusal.status}"  # the words may name each request
                reason = f"ECS refused it with {kind}: {shortened(refusal.body) or 'no reason given'}"
            except (AwsCallFailed, UnusableEndpoint) as failure:
                reason = str(failure)
            except FAILURES as failure:
                reason = shortened(reason_of(failure, times=self._times))
            else:
                return await self._live(connection)
        self._disconnected(reason)
        self._say(
            f"ACS cannot be reached: {reason}. Trying again until it can; tasks keep running meanwhile.", kind=kind
        )
        return self._reconnect.after_failure()

    def _is_deregistered(self, words: str) -> float:
        self._deregistered(words)
        self._say(
            f"ECS says that this container instance is not registered any more ({words or 'no reason given'}). "
            "Asking again in an hour; to register it anew, stop the agent, remove its saved state, and start it."
        )
        return self._reconnect.after_refusal_for_good()

    # --- one connection -----------------------------------------------------------------------

    @asynccontextmanager
    async def _dialled(self) -> AsyncIterator[_Connection]:
        """An open connection; leaving the context closes it, whatever state it is in."""
        times = self._times
        url = self._address(await self._endpoint(), send_credentials=not self._was_connected)
        headers = await self._signer.upgrade_headers(url)
        async with dialled(
            url,
            headers=headers,
            proxy=self._proxy(url),
            times=times,
            largest_frame_bytes=_LARGEST_FRAME_BYTES,
        ) as websocket:
            now = asyncio.get_running_loop().time()
            session = AcsSession(now=now, heartbeat_share=self._chance(), age_share=self._chance(), times=times.session)
            self._connection = _Connection(websocket, session, now)
            try:
                yield self._connection
            finally:
                self._connection = None

    async def _live(self, connection: _Connection) -> float:
        """Until the connection ends. Gives the seconds to wait before the next dial."""
        self._was_connected = True
        self._say("connected to ECS over ACS", level=logging.INFO)
        self._connected()
        end = await self._converse(connection)
        lived_s = asyncio.get_running_loop().time() - connection.opened_at
        if connection.session.dropped > 1:
            self._say(f"{connection.session.dropped} messages of this ACS connection could not be used", kind="dropped")
        self._disconnected(end.reason)
        self._say(f"the ACS connection ended: {end.reason}", level=logging.INFO if end.is_clean else logging.WARNING)
        return self._reconnect.after_end(lived_s=lived_s, is_clean=end.is_clean)

    async def _converse(self, connection: _Connection) -> End:
        """Reading and writing do not wait for each other."""
        reading = asyncio.create_task(self._read(connection), name="ACS reader")
        writing = asyncio.create_task(self._write(connection), name="ACS writer")
        try:
            ended, _ = await asyncio.wait((reading, writing), return_when=asyncio.FIRST_COMPLETED)
            return (reading if reading in ended else writing).result()
        finally:
            reading.cancel()
            writing.cancel()
            await asyncio.gather(reading, writing, return_exceptions=True)

    async def _read(self, connection: _Connection) -> End:
        clock = asyncio.get_running_loop().time
        session = connection.session
        while True:
            outputs: list[Output] = []
            try:
                async with asyncio.timeout_at(session.next_deadline):
                    frame = await connection.websocket.receive()
            except TimeoutError:
                pass
            else:
                match frame.type:
                    case aiohttp.WSMsgType.TEXT:
                        outputs = session.receive(frame.data, clock())
                    case aiohttp.WSMsgType.BINARY:
                        outputs = session.receive_binary()
                    case _:
                        return _end_of(frame.type, frame.data, frame.extra)
            for output in [*outputs, *session.tick(clock())]:
                if isinstance(output, Close):
                    await close(connection.websocket, output.code, output.text, within_s=self._times.close_s)
                    return End(output.reason, output.is_clean)
                self._carry_out(output, connection)
            if connection.unsent_characters > _MOST_UNSENT_CHARACTERS and len(connection.unsent) > 1:
                return End(_NOT_READ, is_clean=False)
            if self._said and clock() - connection.opened_at >= self._times.proven_s:
                self._forget_what_was_said()

    async def _write(self, connection: _Connection) -> End:
        while True:
            while connection.unsent:
                text = connection.unsent.popleft()
                try:
                    async with asyncio.timeout(self._times.write_s):
                        await connection.websocket.send_str(text)
                except TimeoutError:
                    return End(_NOT_READ, is_clean=False)
                except (aiohttp.ClientError, OSError) as error:
                    return End(shortened(str(error)) or "the connection was lost", is_clean=True)
                finally:
                    connection.unsent_characters -= len(text)
            connection.has_unsent.clear()
            await connection.has_unsent.wait()

    def _carry_out(self, output: Reply | Deliver | HeartbeatSeen | Note, connection: _Connection) -> None:
        match output:
            case Reply():
                connection.put(output.text)
            case HeartbeatSeen():
                self._heartbeat()
            case Note():
                _log.warning("%s", output.text)
            case Deliver():
                try:
                    self._deliver(output.message)
                except Exception as error:  # a fault of ours in one message must not cost the channel
                    at = traceback.extract_tb(error.__traceback__)[-1]  # not the error's text: it may quote a secret
                    self._say(
                        f"{type(output.message).__name__} could not be handled and was not acknowledged: "
                        f"{type(error).__name__} in {at.name}, line {at.lineno}. Please report this."
                    )

    # --- the log ------------------------------------------------------------------------------

    def _say(self, text: str, *, kind: str | None = None, level: int = logging.WARNING) -> None:
        """Once for a ``kind``, until a connection has held; ``None``: for a text."""
        kind = kind or text
        if kind not in self._said and len(self._said) < _MOST_SAID:
            self._said.add(kind)
            self._has_complained |= level >= logging.WARNING
            _log.log(level, "%s", text)

    def _forget_what_was_said(self) -> None:
        """The connection holds: what ends it will be news."""
        self._said.clear()
        if self._has_complained:
            self._has_complained = False
            _log.info("the ACS connection holds")


def _end_of(kind: aiohttp.WSMsgType, data: object, extra: str | None) -> End:
    """From the frame that is the last one."""
    if kind is aiohttp.WSMsgType.ERROR:
        return End(f"what came was no websocket frame: {shortened(str(data))}", is_clean=False)
    if kind is aiohttp.WSMsgType.CLOSE:
        said = f"with code {data}" if data else "without a code"
        words = shortened(extra or "")
        return End(f"ECS closed it {said}" + (f", {words}" if words else ""), is_clean=data in CLEAN_CODES)
    return End("the connection was cut", is_clean=True)
