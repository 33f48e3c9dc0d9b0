"""Port 51680 says what keeps the instance from its cluster, as ECS said it; 51678 opens once that is gone."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import pytest

from ecscope.agent.app import Agent, TerminalError
from ecscope.agent.servers.diagnostics.server import DiagnosticsServer
from ecscope.agent.servers.introspection.server import IntrospectionServer
from fake_ecs import Backend, self_signed
from fake_ecs.observed import DEADLINE_S
from tests.contract.ecs.joined import joined
from tests.simulated_knobs import FakeRuntime

T = TypeVar("T")
NO_KEYS = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true"}


async def asked(server: IntrospectionServer | DiagnosticsServer | None, path: str = "/") -> tuple[int, dict[str, Any]]:
    """What a client of the server gets. Raises ``OSError`` where the port is closed."""
    if server is None or not server.bound:
        raise ConnectionRefusedError
    host, port = server.bound[0]
    async with aiohttp.ClientSession() as session, session.get(f"http://{host}:{port}{path}") as answer:
        return answer.status, await answer.json(content_type=None)


async def until(ask: Callable[[], Awaitable[T]], wanted: Callable[[T], bool]) -> T:
    """The first answer that is as wanted."""
    last: Any = None
    try:
        async with asyncio.timeout(DEADLINE_S):
            while True:
                try:
                    last = await ask()
                    if wanted(last):
                        return last
                except OSError as error:
                    last = error
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"last answer: {last}") from None


async def reason(agent: Agent, expected: str) -> dict[str, Any]:
    """What 51680 says, once it gives this reason."""
    _, body = await until(
        lambda: asked(agent.diagnostics), lambda told: told[0] == 503 and told[1].get("Reason") == expected
    )
    return body


async def opened(agent: Agent) -> dict[str, Any]:
    """What 51678 says as soon as it says anything."""
    status, body = await until(lambda: asked(agent.introspection, "/v1/metadata"), lambda told: True)
    assert status == 200
    assert body["Cluster"]
    assert body["ContainerInstanceArn"]
    return body


def is_closed(agent: Agent) -> bool:
    return agent.introspection is not None and not agent.introspection.is_started and not agent.introspection.bound


async def test_a_denied_action_is_told_in_awss_words_and_what_heals_opens_the_port(tmp_path: Path) -> None:
    async with Backend() as backend:
        backend.deny("ecs:RegisterContainerInstance")
        async with joined(tmp_path, backend, runtime=FakeRuntime()) as agent:
            body = await reason(agent, "AccessDenied")
            refusal = backend.calls_of("RegisterContainerInstance")[0].reply["Message"]
            assert refusal in body["Message"]
            assert body["Detail"]["Action"] == "ecs:RegisterContainerInstance"
            assert (
                body["Detail"]["Role"] == "arn:aws:sts::012345678910:assumed-role/ecsInstanceRole/i-0123456789abcdef0"
            )
            assert is_closed(agent)
            backend.allow()
            metadata = await opened(agent)
            assert metadata["ContainerInstanceArn"] == await backend.registered()
            assert await until(lambda: asked(agent.diagnostics), lambda told: told[0] == 200) == (
                200,
                {"Status": "Registered", **metadata},
            )


async def test_missing_credentials_are_told_with_where_was_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    async with Backend() as backend, joined(tmp_path, backend, runtime=FakeRuntime(), settings=NO_KEYS) as agent:
        body = await reason(agent, "NoCredentials")
        assert "AWS_ACCESS_KEY_ID" in body["Message"]
        assert backend.calls == []


@pytest.mark.parametrize(
    ("spoil", "expected", "words"),
    [
        (
            lambda backend: setattr(backend, "principals", {"AKIDOTHER": backend.principal}),
            "InvalidCredentials",
            "security token included in the request is",
        ),
        (
            lambda backend: setattr(backend.principal, "secret_access_key", "another"),
            "InvalidCredentials",
            "does not match the signature you provided",
        ),
        (lambda backend: setattr(backend, "clock_skew_s", 3600.0), "ClockSkew", r"is 3[56]\d\d seconds slow"),
        (lambda backend: setattr(backend, "clock_skew_s", -3600.0), "ClockSkew", r"is 3[56]\d\d seconds fast"),
        (lambda backend: backend.operations.clusters.clear(), "ClusterNotFound", "no cluster default"),
        (
            lambda backend: backend.fail("*", code="ThrottlingException", message="Rate exceeded"),
            "Throttled",
            "Rate exceeded",
        ),
        (
            lambda backend: backend.fail("*", status=429, body=b"slow down", content_type="text/plain"),
            "Throttled",
            "",
        ),
        (lambda backend: backend.fail("*", status=500, body=b"<html>"), "ServerError", ""),
        (lambda backend: backend.drop("*", taken=False, times=None), "EndpointUnreachable", ""),
    ],
)
async def test_each_other_reason(tmp_path: Path, spoil: Callable[[Backend], object], expected: str, words: str) -> None:
    async with Backend() as backend:
        environment = backend.environment()
        spoil(backend)
        async with joined(tmp_path, backend, runtime=FakeRuntime(), settings=environment) as agent:
            body = await reason(agent, expected)
            assert re.search(words, body["Message"])
            assert environment["AWS_SECRET_ACCESS_KEY"] not in json.dumps(body)
            assert "another" not in body["Message"]
            assert is_closed(agent)


async def test_an_endpoint_that_is_away(tmp_path: Path) -> None:
    async with Backend() as backend:
        await backend.away()
        async with joined(tmp_path, backend, runtime=FakeRuntime()) as agent:
            body = await reason(agent, "EndpointUnreachable")
            assert backend.url in body["Message"]
            await backend.back()
            await opened(agent)


async def test_a_certificate_that_nobody_vouches_for(tmp_path: Path) -> None:
    async with (
        Backend(certificate=self_signed(tmp_path)) as backend,
        joined(tmp_path, backend, runtime=FakeRuntime()) as agent,
    ):
        body = await reason(agent, "CertificateRefused")
        assert backend.url in body["Message"]


async def test_docker_that_is_away(tmp_path: Path) -> None:
    runtime = FakeRuntime()
    runtime.go_away()
    async with Backend() as backend, joined(tmp_path, backend, runtime=runtime) as agent:
        await reason(agent, "DockerUnavailable")
        assert is_closed(agent)
        runtime.come_back()
        await opened(agent)


async def test_a_refusal_for_good_ends_the_agent(tmp_path: Path) -> None:
    async with Backend() as backend:
        backend.fail("RegisterContainerInstance", code="InvalidParameterException", message="no such thing")
        with pytest.raises(TerminalError, match="no such thing"):
            async with joined(tmp_path, backend, runtime=FakeRuntime()):
                await asyncio.sleep(DEADLINE_S)


async def test_an_attribute_that_is_not_echoed_ends_the_agent(tmp_path: Path) -> None:
    async with Backend() as backend:
        backend.operations.lost_attributes.add("ecs.capability.full-sync")
        with pytest.raises(TerminalError, match="Attribute validation failed"):
            async with joined(tmp_path, backend, runtime=FakeRuntime()):
                await asyncio.sleep(DEADLINE_S)


async def test_a_saved_registration_is_shown_while_aws_is_away(tmp_path: Path) -> None:
    async with Backend() as backend:
        async with joined(tmp_path, backend, runtime=FakeRuntime()) as agent:
            metadata = await opened(agent)
        await backend.away()
        async with joined(tmp_path, backend, runtime=FakeRuntime()) as agent:
            assert await opened(agent) == metadata
            body = await reason(agent, "EndpointUnreachable")
            assert backend.url in body["Message"]
            assert await opened(agent) == metadata


async def test_an_inactive_instance_is_shown_no_longer_until_ecs_takes_it_back(tmp_path: Path) -> None:
    async with Backend() as backend:
        async with joined(tmp_path, backend, runtime=FakeRuntime()) as agent:
            metadata = await opened(agent)
            await backend.connected()
            async with aiohttp.ClientSession() as session:
                host, port = agent.introspection.bound[0]
                await (await session.get(f"http://{host}:{port}/v1/metadata")).read()  # and the connection stays open
                backend.refuse_upgrade("acs")
                await backend.close(1000)
                await reason(agent, "Deregistered")
                await until(lambda: asyncio.sleep(0, is_closed(agent)), bool)
                with pytest.raises(aiohttp.ClientConnectionError):
                    await session.get(f"http://{host}:{port}/v1/metadata")
        backend.heal("ACS")
        backend.deny("ecs:RegisterContainerInstance")
        async with joined(tmp_path, backend, runtime=FakeRuntime()) as agent:
            await reason(agent, "AccessDenied")
            assert is_closed(agent), "what ECS said is saved"
            backend.allow()
            assert await opened(agent) == metadata


async def test_an_instance_whose_connection_ecs_takes_again_is_shown_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ecscope.wire.acs.reconnect.FORGOTTEN_WAIT_S", 1.0)
    async with Backend() as backend, joined(tmp_path, backend, runtime=FakeRuntime()) as agent:
        metadata = await opened(agent)
        await backend.connected()
        backend.refuse_upgrade("acs", times=1)
        await backend.close(1000)
        await reason(agent, "Deregistered")
        await until(lambda: asked(agent.diagnostics), lambda told: told[0] == 200)
        assert await opened(agent) == metadata


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl")
async def test_a_boot_script_never_goes_on_without_a_cluster(tmp_path: Path) -> None:
    """AWS's own: ``until curl -s http://localhost:51678/v1/metadata; do sleep 1; done``, then ``jq -r .Cluster``."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    script = f"until curl -s http://localhost:{port}/v1/metadata; do sleep 0.02; done"
    async with Backend() as backend:
        for number in range(12):
            folder = tmp_path / str(number % 9)  # the last ones start over a saved registration
            folder.mkdir(exist_ok=True)
            boot = await asyncio.create_subprocess_exec("sh", "-c", script, stdout=asyncio.subprocess.PIPE)
            await asyncio.sleep(0.02 * (number % 3))
            async with joined(folder, backend, runtime=FakeRuntime(), introspection_port=port):
                async with asyncio.timeout(DEADLINE_S):
                    said, _ = await boot.communicate()
            assert json.loads(said)["Cluster"] == "default", said
            assert json.loads(said)["ContainerInstanceArn"].startswith("arn:aws:ecs:")
