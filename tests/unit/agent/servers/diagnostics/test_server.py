"""Port 51680 on sockets: the first page, who may ask, and a port that is taken."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from ecscope.agent.core.state import AgentState, Settings
from ecscope.agent.servers.diagnostics import server as server_module
from ecscope.agent.servers.diagnostics.server import DiagnosticsServer
from ecscope.model.container_instance import ContainerInstance, Obstacle, ObstacleKind
from tests.unit.agent.servers.ports import FakeSleep, a_taken_port

STATE = AgentState(
    instance=ContainerInstance(cluster="web", arn="arn:i", agent_version="v"), settings=Settings(joins_cluster=True)
)
OBSTRUCTED = msgspec.structs.replace(
    STATE,
    obstacle=Obstacle(
        kind=ObstacleKind.NO_CREDENTIALS,
        message="no AWS credentials were found",
        since=datetime(2026, 11, 26, 21, 5, 9, tzinfo=UTC),
        detail={"lookedIn": "environment"},
    ),
)


@asynccontextmanager
async def a_server(state: Any = STATE, **settings: Any) -> AsyncIterator[DiagnosticsServer]:
    read = state if callable(state) else lambda: state
    server = DiagnosticsServer(
        read, **{"port": 0, "addresses": ("127.0.0.1",), "hostname": lambda: "build-7.example.org", **settings}
    )
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
        await server.stop()


async def sent(server: DiagnosticsServer, raw: bytes) -> tuple[str, dict[str, str], bytes]:
    """Status line, header and body of all that comes until the server closes."""
    reader, writer = await asyncio.open_connection(*server.bound[0])
    writer.write(raw)
    try:
        async with asyncio.timeout(10):
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
        await writer.wait_closed()
    status, *lines = head.decode().split("\r\n")
    return status, dict(line.split(": ", 1) for line in lines), body


def request(host: str = "localhost", *, target: str = "/", method: str = "GET") -> bytes:
    return f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()


def test_it_is_on_loopback() -> None:
    assert server_module.LOOPBACK == ("127.0.0.1", "::1")
    assert server_module.PORT == 51680


async def test_a_registered_instance() -> None:
    async with a_server() as server:
        status, header, body = await sent(server, request())
    assert status == "HTTP/1.1 200 OK"
    assert json.loads(body) == {
        "Status": "Registered", "Cluster": "web", "ContainerInstanceArn": "arn:i", "Version": "v",
    }  # fmt: skip
    header.pop("Date")
    assert header == {
        "Content-Type": "application/json",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Content-Length": str(len(body)),
        "Connection": "close",
    }


async def test_what_was_answered_on_51678_before_the_registration_is_the_first_page() -> None:
    async with a_server(OBSTRUCTED) as server:
        status, header, body = await sent(server, request())
        head_status, _, nothing = await sent(server, request(method="HEAD"))
    assert status == head_status == "HTTP/1.1 503 Service Unavailable"
    assert nothing == b""
    assert header["Content-Type"] == "application/json"
    assert body == (
        b'{"Error":"ContainerInstanceNotRegistered","Reason":"NoCredentials","Message":"no AWS credentials were found",'
        b'"Detail":{"LookedIn":"environment"},"Since":"2026-11-26T21:05:09Z"}'
    )


@pytest.mark.parametrize(
    ("raw", "status", "error"),
    [
        (request("evil.example"), "403 Forbidden", "HostNotAllowed"),
        (b"GET / HTTP/1.0\r\n\r\n", "403 Forbidden", "HostNotAllowed"),
        (request("evil.example", target="/nope"), "403 Forbidden", "HostNotAllowed"),
        (request(target="/v1/tasks"), "404 Not Found", "NotFound"),
        (request(method="POST"), "405 Method Not Allowed", "MethodNotAllowed"),
    ],
)
async def test_refused(raw: bytes, status: str, error: str) -> None:
    async with a_server() as server:
        told, header, body = await sent(server, raw)
    assert told.partition(" ")[2] == status
    assert json.loads(body)["Error"] == error
    assert ("Allow" in header) == (error == "MethodNotAllowed")


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]:51680", "build-7", "Build-7.Example.Org:51680"])
async def test_hosts_that_may_be_named(host: str) -> None:
    async with a_server() as server:
        status, _, _ = await sent(server, request(host))
    assert status == "HTTP/1.1 200 OK"


async def test_what_fails_names_no_reason_to_the_client(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> AgentState:
        raise ValueError("a secret")

    async with a_server(fail) as server:
        status, header, body = await sent(server, request())
    assert (status, body) == ("HTTP/1.1 500 Internal Server Error", b"")
    assert "Server" not in header
    assert [record.getMessage() for record in caplog.records] == [
        "a client's request was answered with 500: ValueError"
    ]


async def test_what_cannot_be_read_is_refused_and_not_repeated(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        async with a_server() as server:
            status, _, body = await sent(server, b"GET / HTTP/1.1\r\nHost: localhost\r\nsecret\r\n\r\n")
    assert status.endswith(" 400 Bad Request")
    assert body == b""
    assert not caplog.records


async def test_two_hosts_are_one_too_many() -> None:
    async with a_server() as server:
        status, _, body = await sent(server, request("localhost\r\nHost: evil.example"))
    assert status.endswith(" 400 Bad Request")
    assert body == b""


async def test_a_silent_client_is_cut() -> None:
    async with a_server(timeout_s=0.1) as server:
        assert await sent(server, b"GET /") == ("", {}, b"")


async def test_a_taken_port_is_said_once_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    taken, port = a_taken_port()
    sleep = FakeSleep()
    with caplog.at_level(logging.INFO):
        async with a_server(port=port, sleep=sleep) as server:
            for _ in range(3):
                await sleep.until_asked()
                sleep.wake()
            await sleep.until_asked()
            assert server.bound == ()
            taken.close()
            sleep.wake()
            while not server.bound:
                await asyncio.sleep(0)
            status, _, _ = await sent(server, request())
    assert status == "HTTP/1.1 200 OK"
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert said[0].startswith(f"cannot serve diagnostics on 127.0.0.1 port {port}: ")
    assert said[1] == f"now serving diagnostics on 127.0.0.1 port {port}"
