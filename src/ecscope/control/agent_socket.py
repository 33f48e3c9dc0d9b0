"""One open websocket of an agent: frames wait in a bounded queue, so that a slow or dead agent does not block others.

Holds no rule: what is said to an agent, and when it counts as gone, is said by the sessions in ``wire``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress

from aiohttp import ClientError, WSMsgType, web

MOST_WAITING = 1000
"""Messages waiting to be sent. An agent that is further behind is cut off; when it reconnects, all is sent again."""
MOST_BYTES = 4 * 1024 * 1024
"""Of one frame that an agent sends; a page of telemetry has 1 MiB and a header block."""
_CLOSE_S = 2.0

REPLACED_CODE = 1008
"""Another connection took this one's place: the agent waits a little before it dials again, so that two agents of one
ARN do not chase each other without a pause. Source: agent-protocol.md §4.3."""
DEREGISTERED_CODE = 1000
"""The container instance is not registered any more. To an agent this is not a failure: it dials again at once, and the
answer says what happened. Source: agent-protocol.md §4.3, §4.10."""

Frames = Callable[[], Iterable[str]]
"""Makes the frames at the moment in which they are sent."""


class AgentSocket:
    """See the module docstring. ``run`` is its life."""

    def __init__(self, request: web.Request, *, ping_s: float | None = None, most_waiting: int = MOST_WAITING) -> None:
        """``ping_s``: ends the connection when a websocket ping that is sent so often stays unanswered."""
        self._request = request
        self._websocket = web.WebSocketResponse(
            max_msg_size=MOST_BYTES, compress=False, timeout=_CLOSE_S, heartbeat=ping_s
        )
        self._waiting: asyncio.Queue[Frames] = asyncio.Queue(most_waiting)
        self._closing: asyncio.Task[None] | None = None

    @property
    def response(self) -> web.WebSocketResponse:
        """What the handler returns."""
        return self._websocket

    async def accept(self) -> None:
        """Answer the upgrade."""
        await self._websocket.prepare(self._request)

    def send(self, frames: Frames) -> bool:
        """Queue; never blocks. ``False``: the agent is too far behind, and was cut off."""
        try:
            self._waiting.put_nowait(frames)
        except asyncio.QueueFull:
            self.abort()
            return False
        return True

    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake; a peer that does not answer is cut off after two seconds. May be repeated."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(code, reason), name="close an agent's connection")

    def abort(self) -> None:
        """Cut it off."""
        if self._request.transport is not None:
            self._request.transport.abort()

    async def run(
        self,
        *,
        receive: Callable[[str | None], None],
        tick: Callable[[float], None],
        next_deadline: Callable[[], float],
    ) -> None:
        """Until the connection has ended. ``receive`` gets text frames, and ``None`` for a binary one.

        ``tick`` is called with the loop's time when ``next_deadline`` has come.
        """
        sender = asyncio.create_task(self._send(), name="send to an agent")
        ticker = asyncio.create_task(_keep_time(tick, next_deadline), name="time of an agent's connection")
        try:
            async for frame in self._websocket:
                if frame.type is WSMsgType.TEXT:
                    receive(frame.data)
                elif frame.type is WSMsgType.BINARY:
                    receive(None)
        finally:
            sender.cancel()
            ticker.cancel()
            await asyncio.gather(sender, ticker, *([self._closing] if self._closing else []), return_exceptions=True)

    async def _send(self) -> None:
        while True:
            frames = await self._waiting.get()
            for text in frames():
                try:
                    await self._websocket.send_str(text)
                except (ConnectionError, ClientError):
                    return  # the reader sees the end, too

    async def _close(self, code: int, reason: str) -> None:
        with suppress(ConnectionError, ClientError):
            await self._websocket.close(code=code, message=reason.encode()[:120], drain=False)
        self.abort()


async def _keep_time(tick: Callable[[float], None], next_deadline: Callable[[], float]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(max(0.0, next_deadline() - loop.time()))
        tick(loop.time())
