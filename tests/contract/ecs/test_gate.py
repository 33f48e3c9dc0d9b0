"""Port 51678 tells what keeps the instance from its cluster, as ECS said it, and opens when that is gone."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ecscope.agent.app import Agent, TerminalError
from ecscope.agent.runtime.fake import FakeRuntime
from fake_ecs import Backend, self_signed
from fake_ecs.observed import DEADLINE_S
from tests.contract.ecs.joined import joined

NO_KEYS = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true"}


async def asked(agent: Agent, path: str = "/v1/metadata") -> tuple[int, dict[str, Any]]:
    """What a client of the introspection API gets. Raises ``OSError`` before the port is open."""
    if agent.introspection is None or not agent.introspection.bound:
        raise ConnectionRefusedError
    host, port = agent.introspection.bound[0]
    async with aiohttp.ClientSession() as session, session.get(f"http://{host}:{port}{path}") as answer:
        return answer.status, await answer.json(content_type=None)


async def until(agent: Agent, wanted: Callable[[int, dict[str, Any]], bool]) -> dict[str, Any]:
    """The first answer that is as wanted."""
    last: Any = None
    try:
        async with asyncio.timeout(DEADLINE_S):
            while True:
                try:
                    last = await asked(agent)
                    if wanted(*last):
                        return dict(last[1])
                except OSError as error:
                    last = error
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"last answer: {last}") from None


async def reason(agent: Agent, expected: str) -> dict[str, Any]:
    return await until(agent, lambda status, body: status == 503 and body.get("Reason") == expected)


async def opened(agent: Agent) -> dict[str, Any]:
    return await until(agent, lambda status, body: status == 200)


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
            status, tasks = await asked(agent, "/v1/tasks")
            assert (status, tasks) == (503, body)
            backend.allow()
            metadata = await opened(agent)
            assert metadata["ContainerInstanceArn"] == await backend.registered()


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
