"""An engine that cannot be used is told with its reason."""

from __future__ import annotations

import asyncio
import os
import pwd
from pathlib import Path

import pytest

from ecscope.agent.runtime.docker.runtime import DockerRuntime
from ecscope.up import docker
from ecscope.up.docker import config_of_user, docker_problem, missing_images
from tests.simulated_knobs import FakeRuntime


async def test_no_engine(tmp_path: Path) -> None:
    problem = await docker_problem(f"unix://{tmp_path}/docker.sock")
    assert problem.startswith("Cannot connect to the Docker daemon")


async def test_no_endpoint() -> None:
    assert "is not supported" in await docker_problem("ssh://host")


async def test_an_engine_that_is_there(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.readline():
            await reader.readuntil(b"\r\n\r\n")
            body = b'{"Version":"26","ApiVersion":"1.45","MinAPIVersion":"1.24"}' if b"/version" in request else b"OK"
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        writer.close()

    async with await asyncio.start_unix_server(answer, tmp_path / "docker.sock"):
        assert await docker_problem(f"unix://{tmp_path}/docker.sock") == ""


async def test_an_engine_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker, "_ANSWER_S", 0.05)
    connections: list[asyncio.StreamWriter] = []

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)

    async with await asyncio.start_unix_server(hang, tmp_path / "docker.sock"):
        assert await docker_problem(f"unix://{tmp_path}/docker.sock") == "no answer within 0 s"
        for connection in connections:
            connection.close()


def test_the_logins_of_the_user_who_started_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert config_of_user({}) == Path("/home/me/.docker/config.json")
    assert config_of_user({"DOCKER_CONFIG": "/etc/docker-cli", "SUDO_UID": "1"}) == Path("/etc/docker-cli/config.json")
    for uid, expected in ((0, pwd.getpwuid(1).pw_dir), (1000, "/home/me")):
        monkeypatch.setattr(os, "geteuid", lambda uid=uid: uid)
        assert config_of_user({"SUDO_UID": "1"}) == Path(expected, ".docker/config.json")
        assert config_of_user({"SUDO_UID": "99999999999"}) == Path("/home/me/.docker/config.json")


async def test_local_images_that_are_not_there() -> None:
    runtime = FakeRuntime(images=("web:dev",))
    assert await missing_images(runtime, ["web:dev", "api:dev"]) == {"api:dev"}


async def test_an_engine_that_does_not_answer_lacks_no_image() -> None:
    runtime = DockerRuntime("unix:///nonexistent/docker.sock")
    try:
        assert await missing_images(runtime, ["web:dev"]) == set()
    finally:
        await runtime.close()
