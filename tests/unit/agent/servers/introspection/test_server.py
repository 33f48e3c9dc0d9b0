"""Both families, a port that is taken, and an end that lets answers finish."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from pathlib import Path

import pytest

from ecscope.agent.core.state import AgentState
from ecscope.agent.servers.introspection import server as server_module
from ecscope.agent.servers.introspection.server import IntrospectionServer
from ecscope.model.container_instance import ContainerInstance
from tests.unit.agent.servers.ports import FakeSleep, a_taken_port

STATE = AgentState(
    instance=ContainerInstance(cluster="default", arn="arn:instance", agent_version="Amazon ECS Agent - v1 (a)")
)


def a_server(
    *, port: int = 0, addresses: tuple[str, ...] = ("127.0.0.1",), sleep: FakeSleep | None = None, jitter: float = 0.0
) -> IntrospectionServer:
    return IntrospectionServer(
        lambda: STATE,
        addresses=addresses,
        port=port,
        license_dir=Path("/nonexistent"),
        sleep=sleep or FakeSleep(),
        random=lambda: jitter,
    )


async def get(host: str, port: int) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    raw = await reader.read()
    writer.close()
    await writer.wait_closed()
    return raw


async def test_clients_that_pipeline_and_leave_leave_no_lines(caplog: pytest.LogCaptureFixture) -> None:
    server = a_server()
    await server.start()
    request = b"GET /v1/tasks HTTP/1.1\r\nHost: a\r\n\r\n"

    def leave() -> None:
        with socket.create_connection(server.bound[0]) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close is a reset
            client.sendall(request * 1000)

    for _ in range(20):
        await asyncio.to_thread(leave)
    assert (await get(*server.bound[0])).startswith(b"HTTP/1.1 200 OK")
    await server.stop()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def lines(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno == level and record.name == "ecscope.introspection"
    ]


def test_it_listens_on_every_address_unless_told_otherwise() -> None:
    assert server_module.EVERYWHERE == ("0.0.0.0", "::")
    assert server_module.PORT == 51678


async def test_both_families() -> None:
    server = a_server(addresses=("127.0.0.1", "::1"))
    await server.start()
    bound = dict(server.bound)
    assert set(bound) <= {"127.0.0.1", "::1"}
    assert bound
    for host, port in bound.items():
        assert (await get(host, port)).startswith(b"HTTP/1.1 200 OK\r\n")
    await server.stop()
    assert server.bound == ()


async def test_a_taken_port_is_tried_again_for_ever_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    taken, port = a_taken_port()
    sleep = FakeSleep()
    server = a_server(port=port, sleep=sleep, jitter=0.5)
    with caplog.at_level(logging.INFO):
        await server.start()
        for _ in range(8):
            await sleep.until_asked()
            sleep.wake()
        await sleep.until_asked()
        assert sleep.waits == [seconds + seconds * 0.2 * 0.5 for seconds in (1, 2, 4, 8, 16, 32, 60, 60, 60)]
        assert len(lines(caplog, logging.ERROR)) == 1
        assert str(port) in lines(caplog, logging.ERROR)[0]
        taken.close()
        sleep.wake()
        while not server.bound:
            await asyncio.sleep(0)
    assert len(lines(caplog, logging.ERROR)) == 1
    assert lines(caplog, logging.INFO) == [f"now serving introspection on 127.0.0.1 port {port}"]
    assert (await get("127.0.0.1", port)).startswith(b"HTTP/1.1 200 OK\r\n")
    await server.stop()


async def test_it_can_be_stopped_while_it_waits_for_the_port() -> None:
    taken, port = a_taken_port()
    sleep = FakeSleep()
    server = a_server(port=port, sleep=sleep)
    await server.start()
    await sleep.until_asked()
    await server.stop()
    await server.stop()
    taken.close()


async def test_stop_before_start() -> None:
    await a_server().stop()


async def test_a_request_in_flight_finishes_after_stop() -> None:
    server = a_server()
    await server.start()
    host, port = server.bound[0]
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"GET / HTTP/1.1\r\nHost:")
    while server.open_connections == 0:
        await asyncio.sleep(0)
    await get(host, port)  # what was sent before is read before
    stopping = asyncio.create_task(server.stop())
    await asyncio.sleep(0)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, port)
    writer.write(b" a\r\n\r\n")
    raw = await reader.read()
    assert raw.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nConnection: close\r\n" in raw
    await stopping
    writer.close()
    await writer.wait_closed()


def test_profiling_gives_five_minutes_for_writing() -> None:
    def limits(*, runtime_stats: bool) -> float:
        return IntrospectionServer(
            lambda: STATE, license_dir=Path("/"), runtime_stats=runtime_stats
        )._limits.write_timeout_s

    assert limits(runtime_stats=False) == 5.0
    assert limits(runtime_stats=True) == 300.0
