"""Keeps the connection to the telemetry service: dial, send what is due, notice the end, dial again.

Says each problem once in the log, not in a loop. Decides nothing: what is due is
``wire.tcs_session``'s to say, when to dial again ``wire.acs_reconnect``'s. Nothing is kept
for later while there is no connection: the measurements themselves are, in their rings.

Source: agent-protocol.md §5.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from random import random
from typing import Protocol

import aiohttp
import msgspec
from yarl import URL

from ecscope.agent.aws.interface import AwsCallFailed, WebsocketSigner
from ecscope.agent.core.state import AgentState
from ecscope.model.instance_status import InstanceStatus
from ecscope.wire.acs_reconnect import Reconnect, ReconnectTimes, UnusableEndpoint
from ecscope.wire.tcs import (
    AgentMessage,
    BadFrame,
    MetricsReading,
    agent_frame,
    health_messages,
    instance_status_message,
    metrics_messages,
    task_healths,
)
from ecscope.wire.tcs_session import Close, Due, Reports, SessionTimes, TcsSession, is_clean_close

_log = logging.getLogger("ecscope.tcs")

_Websocket = aiohttp.ClientWebSocketResponse[bool]

_LARGEST_FRAME_BYTES = 1024 * 1024
_LARGEST_REFUSAL_BYTES = 65536
_LARGEST_TEXT = 500
"""Characters of what others say that go into the log."""
_MOST_SAID = 20


class Metrics(Protocol):
    """Where the measurements are: ``agent.stats``."""

    def reading(self) -> MetricsReading:
        """What was measured since the reading that ``reported`` last marked."""

    def reported(self) -> None:
        """The last reading has been sent."""


class Address(Protocol):
    """The address to dial: ``wire.tcs.connect_url`` with what the agent knows of itself."""

    def __call__(self, endpoint: str, *, cluster: str, container_instance: str) -> str:
        """Raises ``UnusableEndpoint``."""


class LinkTimes(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds. Source: agent-protocol.md §4.1, §5.1."""

    dial_s: float = 30.0
    """For the TCP connection, and again for all of the handshake."""
    write_s: float = 180.0
    """For one frame to be taken by the network."""
    close_s: float = 2.0
    """For the other end to answer a close."""
    proven_s: float = 60.0
    """A connection that lasted this long was a good one, and what ends it is news."""
    session: SessionTimes = SessionTimes()


RECONNECT_TIMES = ReconnectTimes(first_s=1.0, cap_s=60.0, factor=2.0, jitter=0.2)


class _End(msgspec.Struct, frozen=True):
    """How a connection ended."""

    reason: str
    is_clean: bool


class _Refused(Exception):
    """The service answered the upgrade with something other than 101."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


class TcsLink:
    """See the module docstring. All callables are called in the loop and must not block."""

    def __init__(
        self,
        *,
        endpoint: Callable[[], Awaitable[str]],
        address: Address,
        signer: WebsocketSigner,
        state: Callable[[], AgentState],
        metrics: Metrics,
        status: Callable[[], InstanceStatus],
        new_id: Callable[[], str],
        now: Callable[[], datetime],
        proxy: Callable[[str], str | None] = lambda url: None,
        tls: ssl.SSLContext | None = None,
        user_agent: str = "",
        times: LinkTimes | None = None,
        reconnect: Reconnect | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random,
    ) -> None:
        """Nothing is opened before ``run``.

        Args:
            endpoint: ``telemetryEndpoint`` of DiscoverPollEndpoint; raises ``AwsCallFailed``.
            state: the published state, of a registered instance.
            status: what the last check of the instance found.
            new_id: for messages.
            proxy: for an address, ``None``: none.
            tls: ``None``: the system's certificates.
            user_agent: ``""``: none is sent.
        """
        self._endpoint = endpoint
        self._address = address
        self._signer = signer
        self._state = state
        self._metrics = metrics
        self._status = status
        self._new_id = new_id
        self._now = now
        self._proxy = proxy
        self._tls = tls
        self._user_agent = user_agent
        self._times = times or LinkTimes()
        self._reconnect = reconnect or Reconnect(chance=chance, times=RECONNECT_TIMES)
        self._sleep = sleep
        self._chance = chance
        self._reports: Reports | None = None
        self._running: asyncio.Task[None] | None = None
        self._said: set[str] = set()

    async def run(self) -> None:
        """Until ``stop``. Cancelling is safe. May be called again afterwards."""
        self._running = asyncio.create_task(self._run(), name="TCS connections")
        try:
            await asyncio.wait((self._running,))
        finally:
            running, self._running = self._running, None
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        if not running.cancelled():
            running.result()

    def stop(self) -> None:
        """The instance is not registered any more: close the connection, and open no other one."""
        if self._running is not None:
            self._running.cancel()

    async def _run(self) -> None:
        self._reports = self._reports or Reports(at_s=asyncio.get_running_loop().time())
        while True:
            await self._sleep(await self._connect_once(self._reports))

    async def _connect_once(self, reports: Reports) -> float:
        """One dial and, if it succeeds, the whole life of the connection. Gives the seconds to wait before the next."""
        clock = asyncio.get_running_loop().time
        kind = ""
        async with contextlib.AsyncExitStack() as closing:
            try:
                websocket, url = await closing.enter_async_context(self._dialled())
            except _Refused as refusal:
                kind = f"status {refusal.status}"  # the words may name each request
                reason = f"it answered with {kind}: {refusal.body or 'no reason given'}"
            except (AwsCallFailed, UnusableEndpoint) as failure:
                reason = str(failure)
            except TimeoutError:
                reason = f"no answer within {self._times.dial_s:g} s"
            except aiohttp.ClientResponseError as error:  # its own text holds the address of a proxy, with password
                reason = f"status {error.status}: {error.message}"
            except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: no URL that can be dialled
                reason = str(error) or type(error).__name__
            else:
                self._say("connected to the telemetry service", level=logging.INFO)
                opened_at_s = clock()
                end = await self._converse(websocket, url, reports, opened_at_s)
                level = logging.INFO if end.is_clean else logging.WARNING
                self._say(f"the connection to the telemetry service ended: {_shortened(end.reason)}.", level=level)
                return self._reconnect.after_end(lived_s=clock() - opened_at_s, is_clean=end.is_clean)
        self._say(
            f"The telemetry service cannot be reached: {_shortened(reason)}. Trying again until it can; "
            "metrics and container health do not reach ECS meanwhile.",
            kind=kind,
        )
        return self._reconnect.after_failure()

    @asynccontextmanager
    async def _dialled(self) -> AsyncIterator[tuple[_Websocket, str]]:
        """An open connection and its address; leaving the context closes it, whatever state it is in."""
        times = self._times
        async with aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=times.dial_s),
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent"),
            middlewares=(_refuse_all_but_upgrades,),
        ) as http:
            instance = self._state().instance
            url = self._address(await self._endpoint(), cluster=instance.cluster, container_instance=instance.arn)
            headers = dict(await self._signer.upgrade_headers(url))
            if self._user_agent:
                headers["User-Agent"] = self._user_agent
            async with asyncio.timeout(2 * times.dial_s):
                websocket = await http.ws_connect(
                    URL(url, encoded=True),  # as it was signed
                    headers=headers,
                    proxy=self._proxy(url),
                    ssl=self._tls if self._tls is not None else True,
                    timeout=aiohttp.ClientWSTimeout(ws_receive=None, ws_close=times.close_s),
                    max_msg_size=_LARGEST_FRAME_BYTES,
                )
            connection = websocket.get_extra_info("socket")
            try:
                yield websocket, url
            finally:
                await self._close(websocket, aiohttp.WSCloseCode.GOING_AWAY, "")
                with contextlib.suppress(OSError):  # what a server does not read would keep the socket for ever
                    connection.shutdown(socket.SHUT_RDWR)

    async def _converse(self, websocket: _Websocket, url: str, reports: Reports, opened_at_s: float) -> _End:
        clock = asyncio.get_running_loop().time
        session = TcsSession(reports=reports, opened_at_s=opened_at_s, random=self._chance, times=self._times.session)
        while True:
            due = session.due(clock(), self._status())
            if isinstance(due, Close):
                await self._close(websocket, due.code, due.text)
                return _End(due.text, due.is_clean)
            try:
                for each in due:
                    await self._publish(each, websocket, url, session)
            except AwsCallFailed as failure:
                return _End(str(failure), is_clean=False)
            except TimeoutError:
                return _End("it does not read what it is sent", is_clean=False)
            except (aiohttp.ClientError, OSError):
                return await self._why_it_ended(websocket)
            except Exception as fault:  # a fault of ours in a report must not cost the agent
                return _End(f"{type(fault).__name__} in a report (please report this)", is_clean=False)
            try:
                async with asyncio.timeout_at(session.next_at_s):
                    frame = await websocket.receive()
            except TimeoutError:
                continue
            if frame.type is not aiohttp.WSMsgType.TEXT:
                return _end_of(frame.type, frame.data, frame.extra)
            self._take(session, frame.data, clock())
            if self._said and clock() - opened_at_s >= self._times.proven_s:
                self._said.clear()

    async def _why_it_ended(self, websocket: _Websocket) -> _End:
        """Nothing can be sent any more; what was received before that may say why."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._times.close_s):
                while (frame := await websocket.receive()).type is aiohttp.WSMsgType.TEXT:
                    pass
                return _end_of(frame.type, frame.data, frame.extra)
        return _End("it was cut", is_clean=True)

    def _take(self, session: TcsSession, text: str, now_s: float) -> None:
        try:
            message = session.received(text, now_s)
        except BadFrame as error:
            self._say(f"a message of the telemetry service was dropped: {_shortened(str(error))}")
            return
        if message.is_complaint:
            self._say(f"the telemetry service complains: {message.kind.value}: {_shortened(message.text)}")

    async def _publish(self, due: Due, websocket: _Websocket, url: str, session: TcsSession) -> None:
        at, state = self._now(), self._state()
        cluster, arn = state.instance.cluster, state.instance.arn
        if due is Due.METRICS:
            reading = self._metrics.reading()
            await self._send(
                websocket,
                url,
                metrics_messages(reading, cluster=cluster, container_instance=arn, message_id=self._new_id(), at=at),
            )
            self._metrics.reported()
            healths = task_healths(state.tasks.values(), at=at)
            await self._send(
                websocket,
                url,
                health_messages(healths, cluster=cluster, container_instance=arn, message_id=self._new_id(), at=at),
            )
        else:
            status = self._status()
            message = instance_status_message(
                status, cluster=cluster, container_instance=arn, request_id=self._new_id(), at=at
            )
            await self._send(websocket, url, (message,))
            session.reported(status)

    async def _send(self, websocket: _Websocket, url: str, messages: Iterable[AgentMessage]) -> None:
        for message in messages:
            frame = await self._signer.sign_frame(url, agent_frame(message))
            async with asyncio.timeout(self._times.write_s):
                await websocket.send_str(frame)

    async def _close(self, websocket: _Websocket, code: int, text: str) -> None:
        """Within ``close_s``, also towards a server that reads nothing any more."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._times.close_s):
                await websocket.close(code=code, message=text.encode())

    def _say(self, text: str, *, kind: str = "", level: int = logging.WARNING) -> None:
        """Once for a ``kind`` (``""``: for a text), until a connection has held."""
        kind = kind or text
        if kind not in self._said and len(self._said) < _MOST_SAID:
            self._said.add(kind)
            _log.log(level, "%s", text)


async def _refuse_all_but_upgrades(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """aiohttp would follow redirects, and throw the body away."""
    response = await handler(request)
    if response.status == 101:
        return response
    try:
        body = await response.content.readexactly(_LARGEST_REFUSAL_BYTES)
    except asyncio.IncompleteReadError as all_of_it:
        body = all_of_it.partial
    except aiohttp.ClientError:
        body = b""
    finally:
        response.close()
    raise _Refused(response.status, body.decode(errors="replace").strip())


def _end_of(kind: aiohttp.WSMsgType, data: object, extra: str | None) -> _End:
    """From the frame that is the last one."""
    match kind:
        case aiohttp.WSMsgType.CLOSE:
            code = data if isinstance(data, int) and data else None
            said = "without a code" if code is None else f"with code {code}"
            words = f", {extra}" if extra else ""
            return _End(f"the service closed it {said}{words}", is_clean=is_clean_close(code))
        case aiohttp.WSMsgType.ERROR:
            return _End(f"what came was no websocket frame: {data}", is_clean=False)
        case aiohttp.WSMsgType.BINARY:
            return _End("the service sent a binary frame", is_clean=False)
        case _:
            return _End("it was cut", is_clean=True)


def _shortened(text: str) -> str:
    return text if len(text) <= _LARGEST_TEXT else f"{text[:_LARGEST_TEXT]}…"
