"""What clients see on the wire before the instance is registered, and the moment it is."""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import pytest

from ecscope.agent.core.state import AgentState
from ecscope.model.container_instance import Obstacle, ObstacleKind
from tests.builders import a_container, a_task, an_arn
from tests.contract.introspection.captures import state_of
from tests.contract.introspection.wire import exchange, port_of, serving

OPEN = state_of([a_task(a_container(docker_id=f"{1:064x}"), number=1)])
CLOSED = msgspec.structs.replace(
    OPEN,
    obstacle=Obstacle(
        kind=ObstacleKind.NO_CREDENTIALS,
        message="no AWS credentials were found",
        since=datetime(2026, 11, 26, 21, 5, 9, tzinfo=UTC),
        detail={"lookedIn": "environment"},
    ),
)
BODY = (
    b'{"Error":"ContainerInstanceNotRegistered","Reason":"NoCredentials","Message":"no AWS credentials were found",'
    b'"Detail":{"LookedIn":"environment"},"Since":"2026-11-26T21:05:09Z"}'
)
TARGETS = (
    "/v1/metadata",
    "/v1/tasks",
    f"/v1/tasks?taskarn={an_arn(1)}",
    "/v1/tasks?dockerid=0",
    "/v1/tasks?dockerid=x",
)


@pytest.mark.parametrize("target", TARGETS)
async def test_every_byte_of_a_refusal(target: str) -> None:
    async with serving(CLOSED) as server:
        raw = await exchange(server, b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % target.encode())
    lines, body = raw.split(b"\r\n\r\n", 1)
    status, *fields = lines.split(b"\r\n")
    assert status == b"HTTP/1.1 503 Service Unavailable"
    assert [field for field in fields if not field.startswith(b"Date: ")] == [
        b"Content-Type: application/json",
        b"Content-Length: %d" % len(BODY),
        b"Connection: close",
    ]
    assert body == BODY


async def test_one_connection_lives_through_the_opening_and_the_log_stays_quiet(
    caplog: pytest.LogCaptureFixture,
) -> None:
    state = CLOSED

    def read() -> AgentState:
        return state

    def register() -> None:
        nonlocal state
        state = OPEN

    async with serving(read) as server:
        with caplog.at_level(logging.INFO):
            await asyncio.to_thread(through_the_opening, port_of(server), register)
    assert not caplog.records


def through_the_opening(port: int, register: Callable[[], None]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for method in ("GET", "HEAD", "POST"):
        for _ in range(20):
            for target in TARGETS:
                connection.request(method, target)
                answer = connection.getresponse()
                assert (answer.status, answer.read()) == (503, b"" if method == "HEAD" else BODY)
    connection.request("GET", "/")
    assert json.loads(connection.getresponse().read())["AvailableCommands"]
    socket = connection.sock
    register()
    connection.request("GET", "/v1/tasks")
    assert len(json.loads(connection.getresponse().read())["Tasks"]) == 1
    assert connection.sock is socket
    connection.close()
