"""What hostile and broken clients get, over real sockets; and that the server is none the worse for it."""

from __future__ import annotations

import asyncio
import resource
import socket
import time
from pathlib import Path

import pytest

from ecscope.agent.servers.introspection.protocol import Limits
from tests.builders import a_container, a_task
from tests.contract.introspection.captures import state_of
from tests.contract.introspection.wire import ANSWER_WITHIN_S, exchange, one_answer, serving

GET = b"GET /v1/tasks HTTP/1.1\r\nHost: a\r\n\r\n"
HOST = b"Host: a\r\n"
POST = b"POST /v1/tasks HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
STATE = state_of([a_task(a_container(docker_name="ecs-x"))])

QUICK = Limits(read_timeout_s=0.3, write_timeout_s=0.3, linger_s=0.1)
"""Shorter than in production, so that a test need not wait for five seconds."""

CLOSES = {
    "bad-request-line": (b"GARBAGE\r\n\r\n", [400]),
    "no-version": (b"GET /v1/metadata\r\n", [400]),
    "no-version-LF": (b"GET /v1/metadata\n", [400]),
    "no-version-whole": (b"GET /v1/metadata\r\n\r\n", [400]),
    "no-version-unknown-method": (b"FOO /v1/metadata\r\n", [400]),
    "no-version-POST": (b"POST /v1/tasks\r\n", [400]),
    "no-version-asterisk": (b"OPTIONS *\r\n", [400]),
    "no-version-utf8": ("GET /\u00fc\r\n".encode(), [400]),
    "other-protocol": (b"GET / RTSP/1.0\r\n", [400]),
    "two-spaces": (b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", [400]),
    "bad-escape-in-path": (b"GET /%zz HTTP/1.1\r\n", [400]),
    "bad-escape-in-authority": (b"GET http://a%zz/ HTTP/1.1\r\n", [400]),
    "bad-port-in-authority": (b"GET http://a:x/ HTTP/1.1\r\n", [400]),
    "open-bracket": (b"GET http://[::1/ HTTP/1.1\r\n", [400]),
    "asterisk-and-query": (b"GET *?x HTTP/1.1\r\n", [400]),
    "empty-line": (b"\r\n", [400]),
    "empty-line-before-GET": (b"\r\n" + GET, [400]),
    "empty-line-after-GET": (GET + b"\r\n" + GET, [200, 400]),
    "4-line-ends-after-POST": (
        POST + b"\r\n\r\n" + GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        [200, 200],
    ),
    "6-line-ends-after-POST": (POST + b"\r\n\r\n\r\n" + GET, [200, 400]),
    "binary-garbage": (bytes(range(256)) * 4, [400]),
    "no-host-1.1": (b"GET / HTTP/1.1\r\n\r\n", [400]),
    "50k-headers": (b"GET / HTTP/1.1\r\n" + HOST + b"X-Header: value\r\n" * 50_000 + b"\r\n", [431]),
    "hdr-2MB": (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"x" * (2 << 20) + b"\r\n\r\n", [431]),
    "url-2MB": (b"GET /" + b"x" * (2 << 20) + b" HTTP/1.1\r\n" + HOST + b"\r\n", [431]),
    "http1.0": (b"GET / HTTP/1.0\r\n\r\n", [200]),
    "chunked-garbage": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", [400]),
    "CL+TE": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc", [400]),
    "two-CL": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", [400]),
    "CL-plus": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: +3\r\n\r\nabc", [400]),
    "CL-negative": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: -3\r\n\r\nabc", [400]),
    "space-before-colon": (b"GET / HTTP/1.1\r\n" + HOST + b"X : y\r\n\r\n", [400]),
    "obs-fold": (b"GET / HTTP/1.1\r\n" + HOST + b"X: y\r\n z\r\n\r\n", [400]),
    "NUL-in-header": (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\x00b\r\n\r\n", [400]),
    "bare-LF": (b"GET / HTTP/1.1\nHost: a\n\n", [400]),
    "HTTP/2.0-preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400]),
    "HTTP/3.7": (b"GET / HTTP/3.7\r\n" + HOST + b"\r\n", [505]),
    "expect-100": (b"POST / HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n", [200]),
    "slow-body": (b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 10\r\n\r\nabc", []),
    "slow-headers": (b"GET / HTTP/1.1\r\nHos", []),
    "slow-request-line": (b"GE", []),
    "idle-connect": (b"", []),
    "pipelined-3": (GET * 2 + GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), [200, 200, 200]),
}
"""Name → what is sent, and the statuses that come before the server closes.

A request line that Go refuses is answered as soon as it is there. Checked against Go 1.19's ``net/http``.
"""

STAYS_OPEN = {
    "hdr-1MB": (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"x" * 1_000_000 + b"\r\n\r\n", 200),
    "hdr-40KB": (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"x" * 40_000 + b"\r\n\r\n", 200),
    "url-100KB": (b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 200),
    "http1.0-keepalive": (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200),
    "absolute-form": (b"GET http://other/v1/tasks HTTP/1.1\r\n" + HOST + b"\r\n", 200),
    "bad-percent": (b"GET /v1/tasks?dockerid=%zz HTTP/1.1\r\n" + HOST + b"\r\n", 200),
    "unknown-method": (b"FOO / HTTP/1.1\r\n" + HOST + b"\r\n", 200),
    "POST-small": (b"POST /v1/tasks HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc", 200),
    "unknown-path": (b"GET /nope HTTP/1.1\r\n" + HOST + b"\r\n", 200),
    "upgrade-h2c": (b"GET / HTTP/1.1\r\n" + HOST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n", 200),
}
"""Name → what is sent, and the status of the one answer, after which the next request is served."""


def statuses(raw: bytes) -> list[int]:
    return [int(part[:3]) for part in raw.replace(b"HTTP/1.0 ", b"HTTP/1.1 ").split(b"HTTP/1.1 ")[1:]]


def rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.parametrize("case", CLOSES)
async def test_answered_and_closed(case: str) -> None:
    request, expected = CLOSES[case]
    async with serving(STATE, limits=QUICK) as server:
        assert statuses(await exchange(server, request)) == expected
        assert statuses(await exchange(server, GET, half_close=True)) == [200]


@pytest.mark.parametrize("case", STAYS_OPEN)
async def test_answered_and_open(case: str) -> None:
    request, expected = STAYS_OPEN[case]
    async with serving(STATE) as server:
        reader, writer = await asyncio.open_connection(*server.bound[0])
        writer.write(request)
        head, _ = await one_answer(reader)
        assert statuses(head) == [expected]
        writer.write(GET)
        head, _ = await one_answer(reader)
        assert statuses(head) == [200]
        writer.close()
        await writer.wait_closed()


async def test_head_has_no_body() -> None:
    async with serving(STATE) as server:
        raw = await exchange(server, b"HEAD /v1/tasks HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert statuses(raw) == [200]
        assert raw.endswith(b"\r\n\r\n")


async def test_half_closed_clients_are_answered() -> None:
    async with serving(STATE) as server:
        assert statuses(await exchange(server, GET * 3, half_close=True)) == [200, 200, 200]


@pytest.mark.parametrize("beginning", [b"", b"GET / HTTP/1.1\r\nX: "], ids=["idle", "headers"])
async def test_the_timeout_is_kept(beginning: bytes) -> None:
    async with serving(STATE, limits=QUICK) as server:
        started = time.monotonic()
        assert await exchange(server, beginning) == b""
        assert 0.29 < time.monotonic() - started < 3


async def test_a_flood_without_reading_costs_nothing() -> None:
    state = state_of([a_task(a_container(docker_name="x" * 500), number=number) for number in range(1, 101)])
    asked = 0

    def read() -> object:
        nonlocal asked
        asked += 1
        return state

    async with serving(read, limits=Limits(write_timeout_s=1.0)) as server:  # type: ignore[arg-type]
        loop = asyncio.get_running_loop()
        before = rss_bytes()
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await loop.sock_connect(client, server.bound[0])
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                await loop.sock_sendall(client, GET * 20_000)
        except (ConnectionResetError, BrokenPipeError):
            pass  # it did not read, so it was cut off
        async with asyncio.timeout(ANSWER_WITHIN_S):
            while server.open_connections:
                await asyncio.sleep(0.01)
        assert asked < 2000
        assert rss_bytes() - before < 16 << 20
        assert statuses(await exchange(server, GET, half_close=True)) == [200]
        client.close()


async def test_1000_idle_connections_do_not_slow_another_client() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 4096:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    async with serving(STATE) as server:
        idle = [await asyncio.open_connection(*server.bound[0]) for _ in range(1000)]
        reader, writer = await asyncio.open_connection(*server.bound[0])
        slowest = 0.0
        for _ in range(200):
            started = time.perf_counter()
            writer.write(GET)
            head, _ = await one_answer(reader)
            slowest = max(slowest, time.perf_counter() - started)
            assert statuses(head) == [200]
        assert server.open_connections == 1001
        assert slowest < 1
        for _, other in [*idle, (reader, writer)]:
            other.close()
        await asyncio.gather(*(other.wait_closed() for _, other in idle), return_exceptions=True)
