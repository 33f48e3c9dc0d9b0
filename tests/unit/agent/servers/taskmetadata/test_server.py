"""Unit tests of the server for containers, on a socket: with botocore, and with clients that mean no good."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.utils import ContainerMetadataFetcher

from ecscope.agent.core.state import AgentState
from ecscope.agent.servers.taskmetadata.audit import AuditLog
from ecscope.agent.servers.taskmetadata.server import TaskMetadataServer
from tests.unit.agent.servers.ports import FakeSleep, a_taken_port
from tests.unit.agent.servers.taskmetadata.recorded import APP, RecordedSources, a_recorded_state
from tests.unit.agent.servers.taskmetadata.scenes import RECORDED_ID, STATE


@asynccontextmanager
async def a_server(state: Any = lambda: STATE, **settings: Any) -> AsyncIterator[TaskMetadataServer]:
    server = TaskMetadataServer(
        state, rates=(40, 60), **{"port": 0, "audit": AuditLog(None), "sources": RecordedSources(STATE), **settings}
    )
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
        await server.stop()


async def sent(server: TaskMetadataServer, raw: bytes) -> bytes:
    """All that comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.bound[0][1])
    writer.write(raw)
    try:
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()


async def test_botocore_gets_its_credentials() -> None:
    async with a_server() as server:
        url = f"http://127.0.0.1:{server.bound[0][1]}/v2/credentials/{RECORDED_ID}"
        got = await asyncio.to_thread(ContainerMetadataFetcher().retrieve_full_uri, url)
    assert got["AccessKeyId"] == "AKIDTASKROLE"
    assert got["Token"] == "task-role-token"


async def test_the_headers_are_the_recorded_ones_and_no_others() -> None:
    async with a_server() as server:
        raw = await sent(server, b"GET /nope HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    head, _, body = raw.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    assert status == "HTTP/1.1 404 Not Found"
    assert {line.split(":")[0] for line in lines} == {
        "Content-Type",
        "X-Content-Type-Options",
        "X-Rate-Limit-Duration",
        "X-Rate-Limit-Limit",
        "X-Rate-Limit-Request-Forwarded-For",
        "X-Rate-Limit-Request-Remote-Addr",
        "Date",
        "Content-Length",
        "Connection",
    }
    assert body == b"404 page not found\n"


async def test_a_target_is_seen_as_it_was_sent() -> None:
    async with a_server() as server:
        raw = await sent(server, b"PUT //v2/./credentials/%41 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 301 ")
    assert b"Location: /v2/credentials/A\r\n" in raw


@pytest.mark.parametrize("raw", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HT"])
async def test_who_says_nothing_or_half_a_request_is_cut_off(raw: bytes) -> None:
    async with a_server(timeout_s=0.05) as server:
        await sent(server, raw)


async def test_who_takes_no_answers_is_cut_off() -> None:
    request = f"GET /v2/credentials/{RECORDED_ID} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    async with a_server(timeout_s=0.2) as server:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # so few answers fill it
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, server.bound[0])
        _reader, writer = await asyncio.open_connection(sock=client, limit=1)
        with pytest.raises(ConnectionError):
            while True:  # and reads nothing
                writer.write(request * 100)
                await writer.drain()
        writer.transport.abort()


@pytest.mark.parametrize("wait_s", [0.0, 0.01])
@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HT",
        b"GET /v2/credentials HTTP/1.1\r\nHost: a\r\n\r\n" * 300,
        b"POST /nope HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc",
        b"nonsense\r\n\r\n",
    ],
    ids=["half-a-head", "many", "half-a-body", "nonsense"],
)
async def test_a_container_that_resets_leaves_no_line(
    raw: bytes, wait_s: float, caplog: pytest.LogCaptureFixture
) -> None:
    def leave(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # to close is to reset
            client.sendall(raw)
            time.sleep(wait_s)

    async with a_server(timeout_s=0.2) as server:
        for _ in range(10):
            await asyncio.to_thread(leave, server.bound[0][1])
        assert (await sent(server, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).startswith(b"HTTP/1.1")
        await asyncio.sleep(0.5)  # so long the rest of a body is waited for
    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING] == []


async def test_a_fault_costs_one_answer(caplog: pytest.LogCaptureFixture) -> None:
    states = iter([RuntimeError("bug"), STATE])

    def state() -> AgentState:
        found = next(states)
        if isinstance(found, RuntimeError):
            raise found
        return found

    async with a_server(state) as server:
        request = f"GET /v2/credentials/{RECORDED_ID} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
        first, second = await sent(server, request), await sent(server, request)
    assert first.startswith(b"HTTP/1.1 500 ")
    assert [record.getMessage() for record in caplog.records] == [
        "a container's request was answered with 500: RuntimeError"
    ]
    assert second.startswith(b"HTTP/1.1 200 ")
    assert "task-role-secret" not in caplog.text


async def test_what_was_sent_amiss_is_neither_logged_nor_sent_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with a_server() as server:
        raw = await sent(server, f"GET / HTTP/1.1\r\nbad header line {RECORDED_ID}\r\n\r\n".encode())
    assert raw.startswith(b"HTTP/1.0 400 ")  # its version was not read either
    assert RECORDED_ID.encode() not in raw
    assert b"Server" not in raw
    assert caplog.text == ""


async def test_a_slow_body_is_not_waited_for() -> None:
    async with a_server(timeout_s=0.05) as server:
        raw = await sent(server, b"POST /nope HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
    assert raw.startswith(b"HTTP/1.1 404 ")


async def test_a_request_that_cannot_be_read_is_refused() -> None:
    async with a_server() as server:
        assert (await sent(server, b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).startswith(
            b"HTTP/1.1 400 "
        )


async def test_requests_are_audited(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    async with a_server(audit=AuditLog(path)) as server:
        await sent(
            server,
            b"GET /v2/credentials/other HTTP/1.1\r\nHost: a\r\nUser-Agent: Wget\r\nConnection: close\r\n\r\n",
        )
    assert ' "/v2/credentials" "Wget" -' in path.read_text()


async def test_a_taken_port_is_tried_until_it_is_free(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    other, port = a_taken_port()
    sleep = FakeSleep()
    async with a_server(port=port, sleep=sleep) as server:
        await sleep.until_asked()
        assert server.bound == ()
        other.close()
        sleep.wake()
        await asyncio.wait_for(server.listening(), 5)
        assert server.bound == (("127.0.0.1", port),)
    assert [r.levelname for r in caplog.records if "cannot serve containers" in r.getMessage()] == ["ERROR"]
    assert f"now serving containers on 127.0.0.1 port {port}" in caplog.text


async def test_an_end_while_the_port_is_taken() -> None:
    other, port = a_taken_port()
    with other:
        async with a_server(port=port):
            pass


async def test_a_body_is_read_where_it_is_looked_at() -> None:
    state, path = a_recorded_state(), f"/api/{APP}/task-protection/v1/state"
    sources = RecordedSources(state)
    body = b'{"ProtectionEnabled":true}'
    head = f"PUT {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    async with a_server(lambda: state, sources=sources) as server:
        raw = await sent(server, head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert raw.startswith(b"HTTP/1.1 200 ")
        chunked = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        assert (await sent(server, head.encode() + chunked)).startswith(b"HTTP/1.1 200 ")
        huge = b"Content-Length: 200000\r\n\r\n" + b"[" * 200_000
        assert (await sent(server, head.encode() + huge)).startswith(b"HTTP/1.1 400 ")
    assert [call[1]["protectionEnabled"] for call in sources.calls] == [True, True]


async def test_a_body_that_does_not_come_costs_its_client_the_connection() -> None:
    path = f"/api/{APP}/task-protection/v1/state"
    request = f"PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc".encode()
    async with a_server(timeout_s=0.1) as server:
        slow = asyncio.create_task(sent(server, request))
        assert (await sent(server, b"GET / HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.0 404 "), "others are answered"
        assert b" 200 " not in (await slow)[:20]


async def test_the_headers_of_a_fault_come_twice_and_an_empty_answer_has_no_type() -> None:
    state = a_recorded_state()
    async with a_server(lambda: state) as server:
        path = f"/api/{APP}/fault/v1/network-latency/status"
        raw = await sent(server, f"POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        assert raw.count(b"X-Rate-Limit-Limit: ") == 2
        raw = await sent(server, f"DELETE {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    assert raw.startswith(b"HTTP/1.1 405 ")
    assert b"Content-Type" not in raw
    assert b"Allow:" not in raw
