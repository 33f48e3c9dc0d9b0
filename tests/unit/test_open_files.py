"""Many files may be open, and a process that has none left says so once, recovers, and says that once."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
from collections.abc import Iterator

import pytest

from ecscope.open_files import AcceptErrors, allow_many_files

LOG = logging.getLogger("ecscope.open_files_test")


@pytest.fixture
def limit() -> Iterator[tuple[int, int]]:
    """The limits of open files, as they are again after the test."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_as_many_files_may_be_open_as_the_host_allows(limit: tuple[int, int]) -> None:
    soft, hard = limit
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
    allow_many_files(LOG)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.read(1))
    writer.close()


def answered(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"x")
        return client.recv(1)


async def test_that_no_file_is_left_is_said_once_and_so_is_the_end(
    limit: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    loop = asyncio.get_running_loop()
    AcceptErrors(LOG, over_s=1.5).install(loop)
    server = await asyncio.start_server(echo, "127.0.0.1", 0, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    # The clients have their descriptors before the limit falls below what the server would need for its own.
    clients = [socket.socket() for _ in range(50)]
    highest = max(client.fileno() for client in clients)
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 2, limit[1]))
    for client in clients:
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", port))
    await asyncio.sleep(2.5)  # the loop has tried to accept three times

    for client in clients:
        client.close()
    assert await asyncio.to_thread(answered, port) == b"x"
    async with asyncio.timeout(10):
        while len(caplog.records) < 2:
            await asyncio.sleep(0.05)
    server.close()
    await server.wait_closed()
    said = [(record.levelname, record.name, record.getMessage()) for record in caplog.records]
    assert said == [
        (
            "ERROR",
            LOG.name,
            f"new connections cannot be accepted: Too many open files (this process may have {highest + 2} files open);"
            " they are accepted as soon as others end. If this lasts, raise the hard limit of open files (ulimit -Hn)",
        ),
        ("WARNING", LOG.name, "new connections are accepted again"),
    ]


async def test_a_server_that_was_closed_meanwhile_leaves_no_traceback(
    limit: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    AcceptErrors(LOG, over_s=0.1).install(asyncio.get_running_loop())
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    client = socket.socket()
    resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno() + 1, limit[1]))
    client.setblocking(False)
    client.connect_ex(server.sockets[0].getsockname())
    await asyncio.sleep(0.1)
    server.close()
    await asyncio.sleep(1.5)
    client.close()
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "new connections cannot be accepted",
        "new connections are accepted again",
    ]


async def test_other_errors_go_to_the_loops_own_handler(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    AcceptErrors(LOG).install(loop)
    loop.call_soon(lambda: 1 / 0)
    await asyncio.sleep(0.01)
    assert [record.name for record in caplog.records] == ["asyncio"]
    assert "ZeroDivisionError" in caplog.text
