"""Listening: families that are missing, and ports that are taken."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
from typing import Any

import pytest

from ecscope.agent.servers import listening as listening_module
from ecscope.agent.servers.listening import Listening
from tests.tables import each_row
from tests.unit.agent.servers.ports import FakeSleep, a_taken_port

LOG = logging.getLogger("ecscope.listening_test")


def a_listening(*, port: int = 0, addresses: tuple[str, ...] = ("127.0.0.1",), sleep: FakeSleep) -> Listening:
    return Listening("tests", addresses=addresses, port=port, log=LOG, sleep=sleep, random=lambda: 0.5)


def lines(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == level and record.name == LOG.name]


@each_row(
    "address, number, is_absent",
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
    assert listening_module._is_absent(address, OSError(number, "x")) is is_absent


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
        listening = a_listening(addresses=("127.0.0.1", "::1"), sleep=FakeSleep())
        await listening.start(asyncio.Protocol)
        hosts = [host for host, _ in listening.bound]
        await listening.stop()
        return hosts

    with caplog.at_level(logging.INFO), asyncio.Runner(loop_factory=LoopWithoutIPv6) as runner:
        assert runner.run(start_and_stop()) == ["127.0.0.1"]
    assert lines(caplog, logging.INFO) == ["not serving tests on ::1: this host has no such address family"]
    assert lines(caplog, logging.ERROR) == []


async def test_a_taken_port_is_tried_again_for_ever_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    taken, port = a_taken_port()
    sleep = FakeSleep()
    listening = a_listening(port=port, sleep=sleep)
    with caplog.at_level(logging.INFO):
        await listening.start(asyncio.Protocol)
        for _ in range(8):
            await sleep.until_asked()
            sleep.wake()
        await sleep.until_asked()
        assert sleep.waits == pytest.approx([seconds * 1.1 for seconds in (1, 2, 4, 8, 16, 32, 60, 60, 60)])
        assert len(lines(caplog, logging.ERROR)) == 1
        assert f"cannot serve tests on 127.0.0.1 port {port}" in lines(caplog, logging.ERROR)[0]
        taken.close()
        sleep.wake()
        while not listening.bound:
            await asyncio.sleep(0)
    assert len(lines(caplog, logging.ERROR)) == 1
    assert lines(caplog, logging.INFO) == [f"now serving tests on 127.0.0.1 port {port}"]
    assert listening.bound == (("127.0.0.1", port),)
    await listening.stop()
    assert listening.bound == ()


async def test_it_can_be_stopped_while_it_waits_for_the_port() -> None:
    taken, port = a_taken_port()
    sleep = FakeSleep()
    listening = a_listening(port=port, sleep=sleep)
    await listening.start(asyncio.Protocol)
    await sleep.until_asked()
    await listening.stop()
    await listening.stop()
    taken.close()


async def test_who_is_cancelled_while_it_opens_leaves_no_socket() -> None:
    for turns in range(12):
        listening = a_listening(sleep=FakeSleep())
        starting = asyncio.create_task(listening.start(asyncio.Protocol))
        for _ in range(turns):
            await asyncio.sleep(0)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await listening.stop()
        assert listening.bound == ()
    gc.collect()  # a socket that was left open is a warning, and so an error
