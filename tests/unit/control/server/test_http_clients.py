"""Clients that are silent, slow, or gone cost a connection for seconds, and no line of the log."""

from __future__ import annotations

import logging
import socket
import struct
import time
from collections.abc import Iterator

import pytest
from aiohttp import web

from ecscope.control.agent_socket import AgentSocket
from ecscope.control.server.http import Limits
from tests.control_server import ControlServer
from tests.control_signing import signed_headers

LIMITS = Limits(request_s=0.3, idle_s=30.0)
UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)


async def agents_socket(request: web.Request) -> web.StreamResponse:
    """As those of ACS and TCS, without their sessions."""
    agent = AgentSocket(request)
    await agent.accept()
    agent.send(lambda: ["x" * 1000] * 100)
    await agent.run(receive=lambda text: None, tick=lambda now_s: None, next_deadline=lambda: float("inf"))
    return agent.response


@pytest.fixture(scope="module")
def server() -> Iterator[ControlServer]:
    with ControlServer(routes={"/ws": agents_socket}, limits=LIMITS) as server:
        yield server


def connected(server: ControlServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def head(server: ControlServer, *, body: bytes, action: str = "ListClusters") -> bytes:
    headers = signed_headers(server.principals.administrator, url=f"{server.url}/", body=body, action=action)
    lines = ["POST / HTTP/1.1", *(f"{name}: {value}" for name, value in headers), f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode()


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # so that to close is a reset
    client.close()


def all_that_comes(client: socket.socket) -> bytes:
    got = b""
    while part := client.recv(1 << 16):
        got += part
    return got


@pytest.mark.parametrize("sent", [b"", b"POST / HT", b"POST / HTTP/1.1\r\nHost: a\r\n"])
def test_who_asks_nothing_is_cut_off(server: ControlServer, sent: bytes) -> None:
    with connected(server) as client:
        client.sendall(sent)
        assert all_that_comes(client) == b""


def test_who_sends_half_a_body_is_cut_off(server: ControlServer, caplog: pytest.LogCaptureFixture) -> None:
    with connected(server) as client:
        client.sendall(head(server, body=b'{"maxResults": 1}') + b'{"max')
        assert all_that_comes(client) == b""
    assert caplog.text == ""


@pytest.mark.parametrize(
    "sent",
    [b"POST / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n"],
    ids=["unsigned", "nothing-there"],
)
def test_who_shows_no_signature_gets_one_answer_and_keeps_no_connection(server: ControlServer, sent: bytes) -> None:
    with connected(server) as client:
        client.sendall(sent)
        got = all_that_comes(client)
    assert got.startswith(b"HTTP/1.1 4")
    assert b"Connection: close" in got


def test_who_signs_may_come_again_on_the_connection_later(server: ControlServer) -> None:
    request = head(server, body=b"{}") + b"{}"
    with connected(server) as client:
        for _ in range(2):
            client.sendall(request)
            assert client.recv(1 << 16).startswith(b"HTTP/1.1 200 OK")
            time.sleep(LIMITS.request_s * 3)  # longer than anything else may take


@pytest.mark.parametrize("wait_s", [0.0, 0.001, 0.02])
@pytest.mark.parametrize("what", ["half-a-head", "half-a-body", "a-request", "many-requests", "upgrade", "bad-frames"])
def test_a_client_that_resets_is_no_bug(
    server: ControlServer, caplog: pytest.LogCaptureFixture, what: str, wait_s: float
) -> None:
    body = b'{"maxResults": 1}'
    whole = head(server, body=body) + body
    upgrade = UPGRADE.format(path="/ws").encode()
    sent = {
        "half-a-head": whole[:40],
        "half-a-body": whole[:-5],
        "a-request": whole,
        "many-requests": whole * 300,
        "upgrade": upgrade,
        "bad-frames": upgrade + b"\x89\x80\0\0\0\0" * 50 + b"\xff\xff",
    }[what]
    for _ in range(10):
        client = connected(server)
        client.sendall(sent)
        if wait_s:
            time.sleep(wait_s)
        reset(client)
    assert server.send("ListClusters", b"{}").status == 200
    assert [(each.name, each.getMessage()) for each in caplog.records if each.levelno >= logging.WARNING] == []
