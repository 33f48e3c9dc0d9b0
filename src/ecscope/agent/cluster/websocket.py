"""Dials a websocket of ECS and closes it in time. What goes over it, and when to dial again, is the caller's.

Source: agent-protocol.md §4.1, §5.1.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
import msgspec
from yarl import URL

from ecscope.agent.aws.failure import no_connection, why

Websocket = aiohttp.ClientWebSocketResponse[bool]

FAILURES = (aiohttp.ClientError, OSError, ValueError)
"""What a dial may raise besides ``Refused``. ``TimeoutError`` is an ``OSError``; ``ValueError``: no URL to dial."""
_LARGEST_REFUSAL_BYTES = 65536


class WebsocketTimes(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds. Source: agent-protocol.md §4.1."""

    dial_s: float = 30.0
    """For the TCP connection, and again for all of the handshake."""
    write_s: float = 180.0
    """For one frame to be taken by the network."""
    close_s: float = 2.0
    """For the other end to answer a close."""
    proven_s: float = 60.0
    """A connection that lasted this long was a good one, and its end is logged again."""


class Refused(Exception):
    """The server answered the upgrade with something other than 101. ``body`` is cut, and as it came."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


class End(msgspec.Struct, frozen=True):
    """How a connection ended."""

    reason: str
    is_clean: bool


@asynccontextmanager
async def dialled(
    url: str,
    *,
    headers: Mapping[str, str],
    proxy: str | None,
    times: WebsocketTimes,
    largest_frame_bytes: int,
) -> AsyncIterator[Websocket]:
    """An open connection; leaving the context closes it, in any state.

    Args:
        url: dialled as it is, because that is what was signed.

    Raises:
        Refused: no redirect is followed.
        FAILURES: no answer, or not one of a websocket.
    """
    async with aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=times.dial_s),
        skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent"),
        middlewares=(_refuse_all_but_upgrades,),
    ) as http:
        async with asyncio.timeout(2 * times.dial_s):
            websocket = await http.ws_connect(
                URL(url, encoded=True),
                headers=headers,
                proxy=proxy,
                timeout=aiohttp.ClientWSTimeout(ws_receive=None, ws_close=times.close_s),
                max_msg_size=largest_frame_bytes,
            )
        connection = websocket.get_extra_info("socket")
        try:
            yield websocket
        finally:
            try:
                await close(websocket, aiohttp.WSCloseCode.GOING_AWAY, "", within_s=times.close_s)
            finally:
                with contextlib.suppress(OSError):  # data that the server never reads would keep the socket open
                    connection.shutdown(socket.SHUT_RDWR)


async def close(websocket: Websocket, code: int, text: str, *, within_s: float) -> None:
    """Ask for the end. Also towards a server that reads nothing any more; no matter if it is closed already."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await websocket.close(code=code, message=text.encode())


def reason_of(error: Exception, *, times: WebsocketTimes) -> str:
    """Why a dial failed with one of ``FAILURES``, for the log; others' words are not cut."""
    match error:
        case TimeoutError():
            return f"no answer within {times.dial_s:g} s"
        case aiohttp.ClientResponseError():  # its own text holds the address of a proxy, with password
            return f"status {error.status}: {error.message}"
        case (
            aiohttp.ClientConnectorCertificateError()
            | aiohttp.ClientProxyConnectionError()
            | aiohttp.ClientConnectorDNSError()
            | aiohttp.ClientConnectorSSLError()
        ):
            peer = f"{error.host}:{error.port}"  # the proxy's where it is the proxy that cannot be reached
            return no_connection(error, endpoint=peer, proxy=peer)
        case aiohttp.ClientConnectorError():
            return f"Cannot connect to host {error.host}:{error.port}: {why(error.os_error)}"
        case _:
            return str(error) or type(error).__name__


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
    raise Refused(response.status, body.decode(errors="replace"))
