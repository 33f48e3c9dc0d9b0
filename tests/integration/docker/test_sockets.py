"""What the socket can do to us: be absent, be silent, go away under a call, and come back."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from uuid import uuid4

import pytest

from ecscope.agent.core.container_config import container_config
from ecscope.agent.runtime.docker.runtime import DockerRuntime
from ecscope.agent.runtime.docker.timeouts import Timeouts
from ecscope.agent.runtime.interface import RuntimeFailure
from ecscope.model.runtime import RuntimeNotice
from tests.builders import a_container, a_task
from tests.session import TEST_PREFIX


async def failure_of(call: object) -> RuntimeFailure:
    with pytest.raises(RuntimeFailure) as caught:
        await call  # type: ignore[misc]
    return caught.value


class Wire:
    """A socket in front of the engine's that can be cut."""

    def __init__(self, path: Path, target: str) -> None:
        self.path = path
        self.endpoint = f"unix://{path}"
        self._target = target
        self._pumps: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def connect(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self.path)

    async def cut(self) -> None:
        """Nobody listens any more, and every connection breaks."""
        self._server.close()
        self.path.unlink(missing_ok=True)
        for writer in list(self._writers):
            writer.transport.abort()
        while self._pumps:
            await asyncio.wait(self._pumps)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(self._target)
        self._writers |= {writer, far_writer}
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            pump = asyncio.create_task(self._pump(source, sink))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        sink.close()
        self._writers.discard(sink)


@asynccontextmanager
async def wire(folder: Path, endpoint: str) -> AsyncIterator[Wire]:
    made = Wire(folder / "docker.sock", endpoint.removeprefix("unix://"))
    await made.connect()
    try:
        yield made
    finally:
        await made.cut()


async def test_an_absent_socket(tmp_path: Path) -> None:
    runtime = DockerRuntime(f"unix://{tmp_path}/none.sock")
    for call in (runtime.connect(), runtime.ping(), runtime.inspect_container("x")):
        failure = await failure_of(call)
        assert failure.is_unreachable
        assert f"Cannot connect to the Docker daemon at unix://{tmp_path}/none.sock." in str(failure)
    await runtime.close()


async def test_a_socket_without_anybody_behind(tmp_path: Path) -> None:
    path = tmp_path / "stale.sock"
    with socket.socket(socket.AF_UNIX) as nobody:  # not asyncio's server, which from Python 3.13 on removes its socket
        nobody.bind(str(path))
    runtime = DockerRuntime(f"unix://{path}")
    failure = await failure_of(runtime.connect())
    await runtime.close()
    assert failure.is_unreachable


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open every socket")
async def test_a_socket_that_is_not_ours(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    server = await asyncio.start_unix_server(lambda _r, w: w.close(), path)
    path.chmod(0)
    runtime = DockerRuntime(f"unix://{path}")
    failure = await failure_of(runtime.connect())
    await runtime.close()
    server.close()
    assert "Run the agent as a user of the docker group." in str(failure)


async def test_a_silent_socket(tmp_path: Path) -> None:
    ended = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        ended.set()
        writer.close()

    server = await asyncio.start_unix_server(silent, tmp_path / "docker.sock")
    runtime = DockerRuntime(f"unix://{tmp_path}/docker.sock", timeouts=Timeouts(version_s=0.1))
    failure = await failure_of(runtime.connect())
    await asyncio.wait_for(ended.wait(), 5)
    await runtime.close()
    server.close()
    assert failure.is_timeout
    assert failure.is_unreachable
    assert str(failure) == "DockerTimeoutError: Could not transition to connected; timed out after waiting 100ms"


async def test_a_socket_that_goes_away_and_comes_back(tmp_path: Path, docker_endpoint: str) -> None:
    async with wire(tmp_path, docker_endpoint) as line:
        runtime = DockerRuntime(line.endpoint)
        first = await runtime.connect()
        opened = asyncio.Event()
        stream = asyncio.create_task(_listen(runtime, opened))
        await asyncio.wait_for(opened.wait(), 5)
        await line.cut()
        assert (await failure_of(stream)).is_unreachable
        assert (await failure_of(runtime.ping())).is_unreachable
        await line.connect()
        assert await runtime.connect() == first
        await runtime.ping()
        await runtime.close()


async def test_a_call_under_way_when_the_socket_goes_away(
    tmp_path: Path, docker_endpoint: str, sample_image: str
) -> None:
    container = a_container(docker_name=f"{TEST_PREFIX}{uuid4().hex[:8]}", command=("sleep", "1000"))
    spec = container_config(
        task=a_task(container),
        container=container,
        host_ports={},
        cluster=f"{TEST_PREFIX}sockets",
        region="",
        image_environment_names=frozenset(),
    )
    direct = DockerRuntime(docker_endpoint)
    docker_id = await direct.create_container(spec, timeout_s=60)
    try:
        await direct.start_container(docker_id, timeout_s=60)
        async with wire(tmp_path, docker_endpoint) as line:
            runtime = DockerRuntime(line.endpoint)
            await runtime.connect()
            stop = asyncio.create_task(runtime.stop_container(docker_id, grace_s=2))
            await asyncio.sleep(0.3)
            await line.cut()
            failure = await failure_of(stop)
            await runtime.close()
        assert failure.is_unreachable
        assert str(failure).startswith("CannotStopContainerError: error during connect: POST ")
        assert str(failure).endswith("EOF")
    finally:
        await direct.remove_container(docker_id, force=True)
        await direct.close()


async def _listen(runtime: DockerRuntime, opened: asyncio.Event) -> list[RuntimeNotice]:
    async with runtime.notices() as notices:
        opened.set()
        return [notice async for notice in notices]
