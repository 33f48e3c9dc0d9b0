"""A real engine pulls from a real registry: digests, credentials, errors, and pulls that are called off."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

import pytest

from ecscope.agent.runtime.docker.auth import credentials_for, parse_engine_auth
from ecscope.agent.runtime.docker.runtime import DockerRuntime
from ecscope.agent.runtime.docker.timeouts import Timeouts
from ecscope.agent.runtime.interface import RuntimeFailure
from ecscope.backoff import Retry
from ecscope.model.image_reference import parse_image_reference
from ecscope.model.runtime import PullProgress
from tests.builders import SAMPLE_IMAGE
from tests.integration.docker.registry import PASSWORD, USER, Registry


def ignore(_: PullProgress) -> None:
    pass


class NoWait:
    """Stands in for sleep, and counts."""

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self, _: float) -> None:
        self.count += 1


def a_name() -> str:
    return f"ecscope-test/{uuid4().hex[:8]}:1"


async def test_digest_pull_by_digest_and_tag(runtime: DockerRuntime, registry: Registry) -> None:
    reference = registry.put(SAMPLE_IMAGE, a_name())
    try:
        digest = await runtime.resolve_digest(reference, None)
        assert digest.startswith("sha256:")
        by_digest = parse_image_reference(reference).with_digest(digest)
        await runtime.pull_image(by_digest, None, ignore)
        assert await runtime.inspect_image(reference) is None
        await runtime.tag_image(by_digest, reference)
        found = await runtime.inspect_image(reference)
        assert found is not None
        assert reference in found.repo_tags
        assert by_digest in found.repo_digests
    finally:
        registry.forget(reference)


async def test_pull_by_tag(runtime: DockerRuntime, registry: Registry) -> None:
    reference = registry.put(SAMPLE_IMAGE, a_name())
    try:
        await runtime.pull_image(reference, None, ignore)
        assert await runtime.inspect_image(reference) is not None
    finally:
        registry.forget(reference)


async def test_what_the_registry_does_not_have(docker_endpoint: str, registry: Registry) -> None:
    sleep = NoWait()
    runtime = DockerRuntime(docker_endpoint, retry=Retry(sleep=sleep))
    reference = f"{registry.host}/ecscope-test/none:1"
    with pytest.raises(RuntimeFailure) as manifest:
        await runtime.resolve_digest(reference, None)
    assert sleep.count == 8
    with pytest.raises(RuntimeFailure) as pull:
        await runtime.pull_image(reference, None, ignore)
    await runtime.close()
    assert sleep.count == 8 + 4
    assert str(manifest.value).startswith("CannotPullImageManifestError: Error response from daemon: ")
    told = str(pull.value).removeprefix("CannotPullContainerError: Error response from daemon: ")
    assert told in (
        f"manifest for {reference} not found: manifest unknown: manifest unknown",
        f'failed to resolve reference "{reference}": {reference}: not found',  # with the containerd image store
    )


async def test_credentials_open_a_closed_registry(docker_endpoint: str, closed_registry: Registry) -> None:
    reference = closed_registry.put(SAMPLE_IMAGE, a_name(), auth=True)
    good = {closed_registry.host: {"username": USER, "password": PASSWORD}}
    bad = {f"{closed_registry.host}/ecscope-test": {"username": USER, "password": "wr0ng-pass"}}
    runtime = DockerRuntime(docker_endpoint, retry=Retry(sleep=NoWait()))
    try:
        for data in ({}, bad, {**good, **bad}):
            auth = credentials_for(reference, parse_engine_auth("docker", json.dumps(data)).credentials)
            for call in (runtime.resolve_digest(reference, auth), runtime.pull_image(reference, auth, ignore)):
                with pytest.raises(RuntimeFailure) as caught:
                    await call
                assert "Error response from daemon" in str(caught.value)
                assert "wr0ng-pass" not in str(caught.value)
        auth = credentials_for(reference, parse_engine_auth("docker", json.dumps(good)).credentials)
        assert (await runtime.resolve_digest(reference, auth)).startswith("sha256:")
        await runtime.pull_image(reference, auth, ignore)
        assert await runtime.inspect_image(reference) is not None
    finally:
        await runtime.close()
        closed_registry.forget(reference)


class SlowRegistry:
    """In front of a real registry: of each layer it hands on half, with a pause, then drop by drop."""

    def __init__(self, host: str) -> None:
        self._host, self._port = host.split(":")
        self.port = 0
        self.slowed = asyncio.Event()
        self.given_up = asyncio.Event()
        """A connection was closed before its layer was through."""
        self.all_given = False
        self._served: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._served[task] = writer
        far_reader, far_writer = await asyncio.open_connection(self._host, int(self._port))
        answers = asyncio.create_task(self._answer(far_reader, writer))
        with suppress(OSError):
            while data := await reader.read(65536):
                far_writer.write(data)
                await far_writer.drain()
        if self.slowed.is_set() and not self.all_given:
            self.given_up.set()
        answers.cancel()
        await asyncio.gather(answers, return_exceptions=True)
        for one in (far_writer, writer):
            one.transport.abort()
        del self._served[task]

    async def close(self) -> None:
        for writer in self._served.values():
            writer.transport.abort()
        if self._served:
            await asyncio.wait(list(self._served))

    async def _answer(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        given, rests = 0, 3
        with suppress(OSError):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
                given += len(data)
                if given > LAYER_BYTES // 4 and rests:  # the engine tells of it once a second at least
                    rests -= 1
                    await asyncio.sleep(1.2)
                if given > LAYER_BYTES // 2:
                    # Drop by drop: the engine looks whether it is still wanted when something comes.
                    self.slowed.set()
                    while drop := await source.read(1000):
                        sink.write(drop)
                        await sink.drain()
                        await asyncio.sleep(0.1)
                    self.all_given = True


LAYER_BYTES = 4_000_000
"""Of which half comes at once. An engine with the containerd image store counts in steps of 1 MiB."""


@asynccontextmanager
async def slow(registry: Registry) -> AsyncIterator[SlowRegistry]:
    made = SlowRegistry(registry.host)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made
        await made.close()


async def test_a_pull_tells_progress_and_cancelling_it_ends_it_in_the_engine_too(
    runtime: DockerRuntime, registry: Registry
) -> None:
    name = a_name()
    registry.put_new(name, size=LAYER_BYTES)
    seen: list[PullProgress] = []
    async with slow(registry) as line:
        pull = asyncio.create_task(runtime.pull_image(f"127.0.0.1:{line.port}/{name}", None, seen.append))
        await asyncio.wait_for(line.slowed.wait(), 20)
        assert not line.given_up.is_set()
        pull.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pull
        await asyncio.wait_for(line.given_up.wait(), 20)
    assert seen
    assert seen[-1].layers_total == 1
    assert seen[-1].layers_done == 0
    assert seen[-1].bytes_total >= LAYER_BYTES
    assert 0 < seen[-1].bytes_done < LAYER_BYTES
    assert await runtime.inspect_image(f"127.0.0.1:{line.port}/{name}") is None


async def test_a_pull_that_takes_too_long_is_given_up(docker_endpoint: str, registry: Registry) -> None:
    name = a_name()
    registry.put_new(name, size=LAYER_BYTES)
    runtime = DockerRuntime(docker_endpoint, timeouts=Timeouts(pull_s=1.0))
    async with slow(registry) as line:
        with pytest.raises(RuntimeFailure) as caught:
            await runtime.pull_image(f"127.0.0.1:{line.port}/{name}", None, ignore)
    await runtime.close()
    assert str(caught.value) == "DockerTimeoutError: Could not transition to pulled; timed out after waiting 1s"
