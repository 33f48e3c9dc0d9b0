"""Keeps the connection to ACS, as ``cluster.connection`` does: feeds ``wire.acs.agent_session``, and does what it says.

Tells its owner each time the connection is there. Decides nothing: ``wire.acs.agent_session`` says what a frame means.

Source: agent-protocol.md §4.1-§4.3.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

import aiohttp

from ecscope.agent.cluster.connection import NOT_READ, Connection, Dialling, Service, end_of
from ecscope.agent.cluster.websocket import End, Websocket, WebsocketTimes, close
from ecscope.wire.acs.agent_session import AcsSession, Close, Deliver, HeartbeatSeen, Note, Output, Reply, SessionTimes
from ecscope.wire.acs.messages import CoreMessage, shortened
from ecscope.wire.acs.reconnect import Reconnect, inactive_instance

_log = logging.getLogger("ecscope.acs")

_SERVICE = Service(
    name="ACS",
    log=_log,
    meanwhile="tasks keep running meanwhile",
    largest_frame_bytes=32 * 1024 * 1024,
)
_MOST_UNSENT_CHARACTERS = 4 * 1024 * 1024
"""Some ten thousand answers. A server that asks and never reads loses the connection."""


class Address(Protocol):
    """The address to dial at an endpoint: ``wire.acs.reconnect.connect_url`` with what the agent knows of itself."""

    def __call__(self, endpoint: str, *, send_credentials: bool) -> str:
        """Raises ``UnusableEndpoint``."""


class ConnectionTimes(WebsocketTimes, frozen=True, kw_only=True):
    """Seconds. Source: agent-protocol.md §4.1, §4.3."""

    session: SessionTimes = SessionTimes()


class _Connection:
    """One open websocket, and what is still to be sent over it."""

    def __init__(self, websocket: Websocket, session: AcsSession) -> None:
        self.websocket = websocket
        self.session = session
        self.unsent: deque[str] = deque()
        self.unsent_characters = 0
        self.has_unsent = asyncio.Event()

    def put(self, text: str) -> None:
        self.unsent.append(text)
        self.unsent_characters += len(text)
        self.has_unsent.set()


class AcsConnection(Connection):
    """See the module docstring. All callables are called in the loop and must not block."""

    def __init__(
        self,
        dialling: Dialling,
        *,
        endpoint: Callable[[], Awaitable[str]],
        address: Address,
        deliver: Callable[[CoreMessage], None],
        connected: Callable[[], None],
        deregistered: Callable[[str], None],
        heartbeat: Callable[[], None],
        disconnected: Callable[[str], None] = lambda reason: None,
        times: ConnectionTimes | None = None,
        reconnect: Reconnect | None = None,
    ) -> None:
        """Nothing is opened before ``run``.

        Args:
            endpoint: from DiscoverPollEndpoint, ``http://…`` or ``https://…``; raises ``AwsCallFailed``.
            deliver: what the core decides about; the answer comes through ``send``.
            connected: at each connection.
            deregistered: with ECS's words, whenever it says that the instance is not registered.
            heartbeat: after each heartbeat was answered.
        """
        times = times or ConnectionTimes()
        super().__init__(
            _SERVICE,
            dialling,
            disconnected=disconnected,
            times=times,
            reconnect=reconnect or Reconnect(chance=dialling.chance),
        )
        self._endpoint = endpoint
        self._address = address
        self._deliver = deliver
        self._connected = connected
        self._deregistered = deregistered
        self._heartbeat = heartbeat
        self._session_times = times.session
        self._connection: _Connection | None = None
        self._was_connected = False

    def send(self, text: str) -> None:
        """Send a frame. Without a connection it is dropped: ECS sends again what was not answered."""
        if self._connection is None:
            _log.debug("an answer to ECS was dropped: no ACS connection")
            return
        self._connection.put(text)

    async def _url(self) -> str:
        return self._address(await self._endpoint(), send_credentials=not self._was_connected)

    def _after_refusal(self, body: str) -> float | None:
        words = inactive_instance(body)
        if words is None:
            return None
        words = shortened(words)
        self._deregistered(words)
        self._say(
            f"ACS is asked again in an hour: this container instance is not registered any more"
            f" ({words or 'no reason given'})",
            level=logging.INFO,  # what to do about it is said where it is decided
        )
        return self._reconnect.after_refusal_for_good()

    async def _converse(self, websocket: Websocket, url: str) -> End:
        session = AcsSession(
            now=self._opened_at_s,
            heartbeat_share=self._dialling.chance(),
            age_share=self._dialling.chance(),
            times=self._session_times,
        )
        connection = self._connection = _Connection(websocket, session)
        self._was_connected = True
        try:
            self._connected()
            end = await self._read_and_write(connection)
        finally:
            self._connection = None
        if session.dropped > 1:
            self._say(f"{session.dropped} messages of this ACS connection could not be used", kind="dropped")
        return end

    async def _read_and_write(self, connection: _Connection) -> End:
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
                        return end_of(frame.type, frame.data, frame.extra)
            for output in [*outputs, *session.tick(clock())]:
                if isinstance(output, Close):
                    await close(connection.websocket, output.code, output.text, within_s=self._times.close_s)
                    return End(output.reason, output.is_clean)
                self._carry_out(output, connection)
            if connection.unsent_characters > _MOST_UNSENT_CHARACTERS and len(connection.unsent) > 1:
                return End(NOT_READ, is_clean=False)
            self._note_sign_of_life()

    async def _write(self, connection: _Connection) -> End:
        while True:
            while connection.unsent:
                text = connection.unsent.popleft()
                try:
                    async with asyncio.timeout(self._times.write_s):
                        await connection.websocket.send_str(text)
                except TimeoutError:
                    return End(NOT_READ, is_clean=False)
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
