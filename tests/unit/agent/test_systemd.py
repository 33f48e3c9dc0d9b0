"""systemd is told over its socket, the watchdog is fed in time, and nothing happens without either."""

import asyncio
import socket
from pathlib import Path

import pytest

from ecscope.agent.systemd import READY, Systemd


@pytest.fixture
def manager(tmp_path: Path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(5)
        yield receiver


def test_a_message_arrives(manager: socket.socket) -> None:
    Systemd({"NOTIFY_SOCKET": manager.getsockname()}, pid=7).notify(READY)
    assert manager.recv(64) == b"READY=1"


def test_an_abstract_socket_is_named_with_an_at_sign() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind("\0ecscope-test-notify")
        Systemd({"NOTIFY_SOCKET": "@ecscope-test-notify"}, pid=7).notify(READY)
        assert receiver.recv(64) == b"READY=1"


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": "/nowhere/at-all"}])
def test_nobody_who_listens_is_no_error(environ: dict[str, str]) -> None:
    Systemd(environ, pid=7).notify(READY)


async def test_the_watchdog_is_fed_more_often_than_it_asks(manager: socket.socket) -> None:
    systemd = Systemd({"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "60000", "WATCHDOG_PID": "7"}, pid=7)
    feeding = asyncio.create_task(systemd.feed_watchdog())
    manager.setblocking(False)
    loop = asyncio.get_running_loop()
    first = await loop.sock_recv(manager, 64)
    at = loop.time()
    assert (first, await loop.sock_recv(manager, 64)) == (b"WATCHDOG=1", b"WATCHDOG=1")
    assert loop.time() - at >= 0.01
    feeding.cancel()
    await asyncio.gather(feeding, return_exceptions=True)


@pytest.mark.parametrize(
    "environ",
    [
        {"WATCHDOG_USEC": "60000"},
        {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "60000", "WATCHDOG_PID": "8"},
        {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "soon"},
        {"NOTIFY_SOCKET": "/x"},
    ],
)
async def test_a_watchdog_of_another_process_or_none_is_not_fed(environ: dict[str, str]) -> None:
    systemd = Systemd(environ, pid=7)
    assert systemd.watchdog_s == 0
    await asyncio.wait_for(systemd.feed_watchdog(), 1)
