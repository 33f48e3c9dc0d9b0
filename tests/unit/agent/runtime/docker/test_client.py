"""One request, one answer or one failure of the right kind; nothing waits longer than its limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ecscope.agent.runtime.docker import errors
from ecscope.agent.runtime.docker.client import DockerClient
from ecscope.agent.runtime.docker.endpoint import parse_endpoint
from ecscope.agent.runtime.interface import RuntimeFailure
from tests.loop_clock import Clock
from tests.unit.agent.runtime.docker.scripted_engine import (
    DROP,
    HANG,
    Reply,
    Request,
    ScriptedEngine,
    refusal,
    scripted_engine,
)


def fine(_: Request) -> Reply:
    return Reply(body=b"fine")


@asynccontextmanager
async def client_of(engine: ScriptedEngine, *, version_timeout_s: float = 5.0) -> AsyncIterator[DockerClient]:
    client = DockerClient(parse_endpoint(engine.endpoint), version_timeout_s=version_timeout_s)
    try:
        yield client
    finally:
        await client.close()


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[ScriptedEngine]:
    async with scripted_engine(tmp_path, fine) as made:
        yield made


@pytest.fixture
async def client(engine: ScriptedEngine) -> AsyncIterator[DockerClient]:
    async with client_of(engine) as made:
        yield made


async def failure_of(client: DockerClient, *, timeout_s: float = 5.0) -> RuntimeFailure:
    with pytest.raises(RuntimeFailure) as caught:
        await client.request(errors.START, "POST", "/containers/x/start", timeout_s=timeout_s)
    return caught.value


@pytest.mark.parametrize(
    ("newest", "oldest", "pinned"),
    [("1.41", "1.12", (1, 41)), ("1.44", "1.24", (1, 44)), ("1.51", "1.45", (1, 51)), ("1.24", "1.12", (1, 24))],
)
async def test_the_newest_api_that_both_speak(
    engine: ScriptedEngine, client: DockerClient, newest: str, oldest: str, pinned: tuple[int, int]
) -> None:
    engine.version = {"Version": "1", "ApiVersion": newest, "MinAPIVersion": oldest}
    assert client.api_version is None
    await client.request(errors.PING, "GET", "/_ping", timeout_s=5)
    await client.request(errors.PING, "GET", "/_ping", timeout_s=5)
    assert client.api_version == pinned
    prefix = f"/v{pinned[0]}.{pinned[1]}"
    assert [request.path for request in engine.requests] == ["/version", f"{prefix}/_ping", f"{prefix}/_ping"]


async def test_an_engine_that_is_too_old(engine: ScriptedEngine, client: DockerClient) -> None:
    engine.version = {"Version": "1.11", "ApiVersion": "1.23", "MinAPIVersion": "1.12"}
    with pytest.raises(RuntimeFailure) as caught:
        await client.negotiate(errors.CONNECT)
    assert str(caught.value) == (
        f"CannotGetDockerclientError: the Docker Engine 1.11 at {engine.endpoint} speaks API 1.12 to 1.23, "
        "the agent 1.24 and later: use a newer engine"
    )


@pytest.mark.parametrize("version", [{"Version": "1"}, {"Version": "1", "ApiVersion": "new"}])
async def test_something_else_listens_there(
    engine: ScriptedEngine, client: DockerClient, version: dict[str, str]
) -> None:
    engine.version = version
    with pytest.raises(RuntimeFailure, match="is not a Docker Engine"):
        await client.negotiate(errors.CONNECT)


async def test_a_request_carries_query_body_and_headers(engine: ScriptedEngine, client: DockerClient) -> None:
    answer = await client.request(
        errors.CREATE,
        "POST",
        "/containers/create",
        query={"name": "a b&c"},
        body=b"{}",
        headers={"X-Registry-Auth": "x"},
        timeout_s=5,
    )
    assert (answer.status, answer.body) == (200, b"fine")
    request = engine.requests[-1]
    assert (request.method, request.query, request.body) == ("POST", {"name": "a b&c"}, b"{}")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-registry-auth"] == "x"
    assert "user-agent" not in request.headers


async def test_statuses_that_are_no_failure(engine: ScriptedEngine, client: DockerClient) -> None:
    engine.script = lambda _: Reply(status=304)
    answer = await client.request(errors.START, "POST", "/x", timeout_s=5, accept=(204, 304))
    assert answer.status == 304


async def test_a_redirect_is_not_followed(engine: ScriptedEngine, client: DockerClient) -> None:
    engine.script = lambda _: Reply(status=301)
    assert "HTTP status 301" in str(await failure_of(client))


async def test_a_refusal(engine: ScriptedEngine, client: DockerClient) -> None:
    engine.script = lambda _: refusal(404, "No such container: x")
    failure = await failure_of(client)
    assert failure.is_not_found
    assert str(failure) == "CannotStartContainerError: Error response from daemon: No such container: x"


@pytest.mark.parametrize("reply", [HANG, Reply(chunks=(b"part",), then_hang=True)])
async def test_no_answer_in_time_closes_the_connection(
    engine: ScriptedEngine, client: DockerClient, reply: Reply
) -> None:
    engine.script = lambda _: reply
    failure = await failure_of(client, timeout_s=0.05)
    assert failure.is_timeout
    assert str(failure) == "DockerTimeoutError: Could not transition to started; timed out after waiting 50ms"
    await asyncio.wait_for(engine.closed.wait(), 5)
    assert engine.closed_early == 1


async def test_a_cancelled_request_closes_its_connection(engine: ScriptedEngine, client: DockerClient) -> None:
    engine.script = lambda _: HANG
    call = asyncio.create_task(client.request(errors.START, "POST", "/x", timeout_s=5))
    while not engine.paths():
        await asyncio.sleep(0.001)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.wait_for(engine.closed.wait(), 5)


@pytest.mark.parametrize("reply", [DROP, Reply(chunks=(b"part",), then_drop=True)])
async def test_a_dropped_connection(engine: ScriptedEngine, client: DockerClient, reply: Reply) -> None:
    engine.script = lambda _: reply
    failure = await failure_of(client)
    assert failure.is_unreachable
    assert str(failure) == ("CannotStartContainerError: error during connect: POST /v1.41/containers/x/start: EOF")


async def test_nobody_listens(engine: ScriptedEngine, client: DockerClient) -> None:
    await engine.stop()
    failure = await failure_of(client)
    assert failure.is_unreachable
    assert "Cannot connect to the Docker daemon at unix://" in str(failure)
    await engine.start()


async def test_nobody_listens_on_tcp(unused_tcp_port: int) -> None:
    client = DockerClient(parse_endpoint(f"tcp://127.0.0.1:{unused_tcp_port}"), version_timeout_s=5)
    failure = await failure_of(client)
    await client.close()
    assert failure.is_unreachable
    assert f"at tcp://127.0.0.1:{unused_tcp_port}. Is the docker daemon running?" in str(failure)


async def test_an_unanswered_version_is_nobody_there(engine: ScriptedEngine) -> None:
    engine.version = None
    engine.script = lambda _: HANG
    async with client_of(engine, version_timeout_s=0.05) as client:
        with pytest.raises(RuntimeFailure) as caught:
            await client.negotiate(errors.CONNECT)
    assert caught.value.is_timeout
    assert caught.value.is_unreachable


async def test_more_streams_than_any_pool_would_hold(engine: ScriptedEngine, client: DockerClient) -> None:
    engine.script = lambda request: fine(request) if request.path.endswith("_ping") else HANG
    await client.request(errors.PING, "GET", "/_ping", timeout_s=5)
    held = [asyncio.create_task(client.request(errors.STOP, "POST", "/x", timeout_s=60)) for _ in range(150)]
    while len(engine.paths()) < 151:
        await asyncio.sleep(0.005)
    assert (await client.request(errors.PING, "GET", "/_ping", timeout_s=5)).body == b"fine"
    for call in held:
        call.cancel()
    await asyncio.gather(*held, return_exceptions=True)


def stream_of(client: DockerClient, open_timeout_s: float | None = 5.0):  # type: ignore[no-untyped-def]
    return client.stream(errors.EVENTS, "GET", "/events", query={}, open_timeout_s=open_timeout_s)


async def test_a_stream_gives_its_chunks_and_ends(engine: ScriptedEngine, client: DockerClient) -> None:
    engine.script = lambda _: Reply(chunks=(b"one", 0.01, b"two"))
    async with stream_of(client) as chunks:
        assert [chunk async for chunk in chunks] == [b"one", b"two"]


async def test_leaving_a_stream_closes_its_connection(engine: ScriptedEngine, client: DockerClient) -> None:
    engine.script = lambda _: Reply(chunks=(b"one",), then_hang=True)
    async with stream_of(client) as chunks:
        assert await anext(chunks) == b"one"
    await asyncio.wait_for(engine.closed.wait(), 5)


async def test_a_stream_that_breaks_off(engine: ScriptedEngine, client: DockerClient) -> None:
    engine.script = lambda _: Reply(chunks=(b"one",), then_drop=True)
    async with stream_of(client) as chunks:
        assert await anext(chunks) == b"one"
        with pytest.raises(RuntimeFailure) as caught:
            await anext(chunks)
    assert caught.value.is_unreachable


async def test_a_stream_that_is_refused(engine: ScriptedEngine, client: DockerClient) -> None:
    engine.script = lambda _: refusal(400, "bad filter")
    with pytest.raises(RuntimeFailure, match="Error response from daemon: bad filter"):
        async with stream_of(client):
            pass


async def test_a_stream_that_does_not_open(engine: ScriptedEngine, client: DockerClient) -> None:
    engine.script = lambda _: HANG
    with pytest.raises(RuntimeFailure) as caught:
        async with stream_of(client, 0.05):
            pass
    assert caught.value.is_timeout


async def test_a_stream_that_falls_silent_ends_in_time(engine: ScriptedEngine, client: DockerClient) -> None:
    engine.script = lambda _: Reply(chunks=(b"one", 0.05, b"two"), then_hang=True)
    async with client.stream(
        errors.STATS, "GET", "/x", query={}, open_timeout_s=5, silence_s=0.2, beat_s=0.01
    ) as chunks:
        seen = []
        with pytest.raises(RuntimeFailure) as caught:
            async for chunk in chunks:
                seen.append(chunk)
    assert seen == [b"one", b"two"]
    assert caught.value.is_timeout
    assert str(caught.value) == (
        "DockerTimeoutError: Could not transition to reading stats; timed out after waiting 200ms"
    )
    await asyncio.wait_for(engine.closed.wait(), 5)


async def test_a_stream_on_the_beat_reads_at_once_what_came_meanwhile(
    engine: ScriptedEngine, client: DockerClient
) -> None:
    engine.script = lambda _: Reply(chunks=(0.01, b"one", 0.02, b"two", 0.02, b"three"))

    async def read() -> list[bytes]:
        async with client.stream(errors.STATS, "GET", "/x", query={}, open_timeout_s=5, beat_s=0.5) as chunks:
            return [chunk async for chunk in chunks]

    with Clock(asyncio.get_running_loop()) as clock:  # or a busy machine would put a beat between two of them
        clock.now_s += 0.1
        assert await clock.run(read()) == [b"onetwothree"]


async def test_a_stream_on_the_beat_that_breaks_off(engine: ScriptedEngine, client: DockerClient) -> None:
    engine.script = lambda _: Reply(chunks=(b"one",), then_drop=True)
    async with client.stream(errors.STATS, "GET", "/x", query={}, open_timeout_s=5, beat_s=0.05) as chunks:
        with pytest.raises(RuntimeFailure) as caught:
            while True:
                await anext(chunks)
    assert caught.value.is_unreachable


async def test_the_end_of_a_stream_on_the_beat_leaves_its_connection_to_others(
    engine: ScriptedEngine, client: DockerClient
) -> None:
    engine.script = lambda request: Reply(chunks=(b"one",)) if request.path.endswith("/x") else fine(request)
    async with client.stream(errors.STATS, "GET", "/x", query={}, open_timeout_s=5, beat_s=0.3) as chunks:
        assert await anext(chunks) == b"one"
        ending = asyncio.ensure_future(anext(chunks, b"the end"))
        await asyncio.sleep(0)
        begun_s = asyncio.get_running_loop().time()
        assert (await client.request(errors.PING, "GET", "/_ping", timeout_s=5)).body == b"fine"
        assert asyncio.get_running_loop().time() - begun_s < 0.2
        assert await ending == b"the end"
