"""A websocket over real sockets: dialled as it was signed, refused with its words, closed in time."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import WSCloseCode, WSMsgType, web

from ecscope.agent.cluster.websocket import FAILURES, Refused, Websocket, WebsocketTimes, close, dialled, reason_of

TIMES = WebsocketTimes(close_s=0.2)
LARGEST_REFUSAL_BYTES = 65536

Serve = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def served(serve: Serve) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/{any:.*}", serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def a_dial(url: str, **changes: Any) -> AsyncIterator[Websocket]:
    arguments: dict[str, Any] = {
        "headers": {"X-Amz-Date": "20261123T145920Z"},
        "proxy": None,
        "times": TIMES,
        "largest_frame_bytes": 100,
    }
    async with dialled(url, **(arguments | changes)) as websocket:
        yield websocket


async def failed(url: str, **changes: Any) -> Exception:
    with pytest.raises((Refused, *FAILURES)) as failure:
        async with a_dial(url, **changes):
            pass
    assert isinstance(failure.value, Exception)
    return failure.value


def refusing(status: int, body: str, **headers: str) -> Serve:
    async def serve(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=body, headers=headers)

    return serve


class Server:
    """Takes a websocket, says ``frame``, reads until its end."""

    def __init__(self, frame: str = "hello") -> None:
        self.frame = frame
        self.requests: list[web.Request] = []
        self.closed_with: tuple[int | None, str | None] | None = None
        self.ended = asyncio.Event()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        websocket = web.WebSocketResponse(timeout=0.2, autoclose=False)
        await websocket.prepare(request)
        await websocket.send_str(self.frame)
        message = await websocket.receive()
        if message.type is WSMsgType.CLOSE:
            self.closed_with = message.data, message.extra
            await websocket.close()
        self.ended.set()
        return websocket


# --- the dial ------------------------------------------------------------------------------------


async def test_the_address_is_dialled_as_it_was_signed_with_no_header_of_its_own() -> None:
    server = Server()
    async with served(server.serve) as url, a_dial(f"{url}/ws?arn=a%3Ab%2Fc&x=%7E") as websocket:
        assert (await websocket.receive()).data == "hello"
    request = server.requests[0]
    assert request.raw_path == "/ws?arn=a%3Ab%2Fc&x=%7E"
    assert request.headers["X-Amz-Date"] == "20261123T145920Z"
    assert not {"User-Agent", "Accept", "Accept-Encoding"} & set(request.headers)


async def test_a_proxy_is_dialled_where_one_is_given() -> None:
    server = Server()
    async with served(server.serve) as url, a_dial("http://ecs.invalid/ws", proxy=url) as websocket:
        assert (await websocket.receive()).data == "hello"
    assert server.requests[0].host == "ecs.invalid"


async def test_a_frame_that_is_too_large_ends_it() -> None:
    async with served(Server("x" * 101).serve) as url, a_dial(url, largest_frame_bytes=100) as websocket:
        assert (await websocket.receive()).type is WSMsgType.ERROR


# --- a refusal, and other failures ---------------------------------------------------------------


async def test_a_refusal_keeps_its_words_as_they_came() -> None:
    async with served(refusing(403, " no\nright ")) as url:
        refusal = await failed(url)
    assert isinstance(refusal, Refused)
    assert (refusal.status, refusal.body) == (403, " no\nright ")


async def test_a_redirect_is_a_refusal() -> None:
    """It would take signed headers elsewhere."""
    server = Server()
    async with served(server.serve) as elsewhere, served(refusing(302, "", Location=elsewhere)) as url:
        refusal = await failed(url)
    assert isinstance(refusal, Refused)
    assert (refusal.status, server.requests) == (302, [])


async def test_a_refusal_without_end_is_cut() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=503)
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 10_000)
        except ConnectionError:
            return response

    async with served(endless) as url:
        refusal = await failed(url)
    assert isinstance(refusal, Refused)
    assert refusal.body == "x" * LARGEST_REFUSAL_BYTES


async def test_a_refusal_that_breaks_off_is_one_without_words() -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\nhalf")
        request.transport.close()
        return web.Response()

    async with served(cut) as url:
        refusal = await failed(url)
    assert isinstance(refusal, Refused)
    assert (refusal.status, refusal.body) == (503, "")


async def test_who_never_answers_is_given_up() -> None:
    released = asyncio.Event()

    async def silent(request: web.Request) -> web.StreamResponse:
        await released.wait()
        return web.Response()

    times = WebsocketTimes(dial_s=0.05)
    async with served(silent) as url:
        failure = await failed(url, times=times)
        released.set()
    assert reason_of(failure, times=times) == "no answer within 0.05 s"


async def test_a_wrong_handshake_is_told() -> None:
    async def wrong(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
        )
        request.transport.close()
        return web.Response()

    async with served(wrong) as url:
        failure = await failed(url)
    assert reason_of(failure, times=TIMES) == "status 101: Invalid challenge response"


async def test_what_is_no_address_is_a_failure() -> None:
    for url in ("ftp://ecs.example", "http://:80", "http://[::1"):
        assert reason_of(await failed(url), times=TIMES)


async def test_a_proxy_that_is_away_is_told_without_its_password() -> None:
    reason = reason_of(await failed("http://ecs.invalid/", proxy="http://user:hush@127.0.0.1:1"), times=TIMES)
    assert reason == "the proxy 127.0.0.1:1 cannot be reached: Connection refused"


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_nobody_there_is_told_in_the_system_s_words(scheme: str) -> None:
    reason = reason_of(await failed(f"{scheme}://127.0.0.1:1/"), times=TIMES)
    assert reason == "Cannot connect to host 127.0.0.1:1: Connection refused"


async def test_an_unknown_name_is_told() -> None:
    reason = reason_of(await failed("https://ecs.invalid/"), times=TIMES)
    assert reason.startswith("the name ecs.invalid cannot be resolved: ")
    assert "ssl:" not in reason


async def test_plain_http_where_tls_is_expected_is_told() -> None:
    async with served(refusing(400, "")) as url:
        reason = reason_of(await failed(url.replace("http:", "https:")), times=TIMES)
    assert reason.startswith(f"no TLS connection to {url.removeprefix('http://')}: ")


async def test_a_proxy_that_refuses_is_told_without_its_password() -> None:
    async def no_tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(no_tunnel, "127.0.0.1", 0)
    async with server:
        proxy = f"http://user:hush@127.0.0.1:{server.sockets[0].getsockname()[1]}"
        reason = reason_of(await failed("https://ecs.invalid/", proxy=proxy), times=TIMES)
    assert reason == "status 407: Who are you"


def test_a_failure_without_words_is_told_by_its_name() -> None:
    assert reason_of(aiohttp.ClientConnectionError(), times=TIMES) == "ClientConnectionError"


# --- the end -------------------------------------------------------------------------------------


async def test_leaving_says_that_it_goes_away() -> None:
    server = Server()
    async with served(server.serve) as url:
        async with a_dial(url):
            pass
        await asyncio.wait_for(server.ended.wait(), 5)
    assert server.closed_with == (WSCloseCode.GOING_AWAY, "")


async def test_what_was_closed_with_other_words_stays_so() -> None:
    server = Server()
    async with served(server.serve) as url:
        async with a_dial(url) as websocket:
            await close(websocket, 1000, "enough", within_s=0.2)
        await asyncio.wait_for(server.ended.wait(), 5)
    assert server.closed_with == (1000, "enough")


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_a_server_that_reads_nothing_keeps_no_socket(is_cancelled: bool) -> None:
    released = asyncio.Event()

    async def deaf(request: web.Request) -> web.StreamResponse:
        websocket = web.WebSocketResponse(timeout=0.1)
        await websocket.prepare(request)
        assert request.transport is not None
        request.transport.pause_reading()  # type: ignore[attr-defined]  # a BaseTransport that can
        await released.wait()
        return websocket

    connections: list[socket.socket] = []

    async def talk(url: str) -> None:
        async with a_dial(url, times=WebsocketTimes(close_s=60.0 if is_cancelled else 0.1)) as websocket:
            connections.append(websocket.get_extra_info("socket"))
            try:
                async with asyncio.timeout(0.1):
                    await websocket.send_str("x" * 30_000_000)
            except TimeoutError:
                leaving.set()

    leaving = asyncio.Event()
    async with served(deaf) as url:
        talking = asyncio.create_task(talk(url))
        await asyncio.wait_for(leaving.wait(), 5)
        if is_cancelled:
            talking.cancel()
        await asyncio.wait_for(asyncio.gather(talking, return_exceptions=True), 5)
        async with asyncio.timeout(5):
            while connections[0].fileno() != -1:
                await asyncio.sleep(0.01)
        released.set()
    assert talking.cancelled() is is_cancelled
