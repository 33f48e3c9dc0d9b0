"""Listening: families that are missing, ports that are taken, and an end that lets answers finish."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from pathlib import Path
from typing import Any

import pytest

from ecscope.agent.core.state import AgentState
from ecscope.agent.introspection import server as server_module
from ecscope.agent.introspection.server import IntrospectionServer
from ecscope.model.container_instance import ContainerInstance

STATE = AgentState(
    instance=ContainerInstance(cluster="default", arn="arn:instance", agent_version="Amazon ECS Agent - v1 (a)")
)


class FakeSleep:
    """Sleeps as long as the test lets it, and remembers for how long it was asked to."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self._asked = asyncio.Event()
        self._awake = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.waits.append(seconds)
        self._asked.set()
        await self._awake.wait()
        self._awake.clear()

    async def until_asked(self) -> None:
        await self._asked.wait()
        self._asked.clear()

    def wake(self) -> None:
        self._awake.set()


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


def lines(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno == level and record.name == "ecscope.introspection"
    ]


def a_taken_port() -> tuple[socket.socket, int]:
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    return taken, taken.getsockname()[1]


def test_it_binds_to_loopback_unless_told_otherwise() -> None:
    assert server_module.LOOPBACK == ("127.0.0.1", "::1")
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


@pytest.mark.parametrize(
    ("address", "number", "is_absent"),
    [
        ("::1", errno.EADDRNOTAVAIL, True),
        ("::", errno.EADDRNOTAVAIL, True),
        ("::1", errno.EAFNOSUPPORT, True),
        ("192.0.2.1", errno.EADDRNOTAVAIL, False),
        ("::1", errno.EADDRINUSE, False),
        ("127.0.0.1", errno.EACCES, False),
    ],
)
def test_which_errors_mean_that_the_family_is_missing(address: str, number: int, is_absent: bool) -> None:
    assert server_module._is_absent(address, OSError(number, "x")) is is_absent


class LoopWithoutIPv6(asyncio.SelectorEventLoop):
    """The event loop of a host that has no IPv6."""

    async def create_server(  # type: ignore[override] # four overloads, of which one is used
        self, factory: Any, host: Any = None, port: Any = None, **options: Any
    ) -> asyncio.Server:
        if ":" in host:
            raise OSError(errno.EADDRNOTAVAIL, "cannot assign requested address")
        return await super().create_server(factory, host, port, **options)


def test_a_missing_family_is_skipped_with_one_note(caplog: pytest.LogCaptureFixture) -> None:
    async def start_and_stop() -> list[str]:
        server = a_server(addresses=("127.0.0.1", "::1"))
        await server.start()
        hosts = [host for host, _ in server.bound]
        await server.stop()
        return hosts

    with caplog.at_level(logging.INFO), asyncio.Runner(loop_factory=LoopWithoutIPv6) as runner:
        assert runner.run(start_and_stop()) == ["127.0.0.1"]
    assert len(lines(caplog, logging.INFO)) == 1
    assert lines(caplog, logging.ERROR) == []


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
