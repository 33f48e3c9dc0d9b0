"""Runtimes on the real engine, and registries for it to pull from."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import pytest

import dockerengine
from ecscope.agent.runtime.docker.runtime import DockerRuntime
from tests.integration.docker import registry as registries


@pytest.fixture
async def runtime(docker_endpoint: str) -> AsyncIterator[DockerRuntime]:
    made = DockerRuntime(docker_endpoint)
    yield made
    await made.close()


@pytest.fixture(scope="session")
def engine(docker_endpoint: str) -> dockerengine.Engine:
    return dockerengine.Engine(docker_endpoint.removeprefix("unix://"))


@pytest.fixture(scope="session")
def registry(
    engine: dockerengine.Engine, sample_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[registries.Registry]:
    """Open to all."""
    with _or_skip(registries.running(tmp_path_factory.mktemp("registry"), engine)) as made:
        yield made


@pytest.fixture(scope="session")
def closed_registry(
    engine: dockerengine.Engine, sample_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[registries.Registry]:
    """Asks for a password."""
    with _or_skip(registries.running(tmp_path_factory.mktemp("closed"), engine, with_password=True)) as made:
        yield made


@contextmanager
def _or_skip(running: AbstractContextManager[registries.Registry]) -> Iterator[registries.Registry]:
    """Where there is no registry to pull from: a visible skip, and a failure where ``CI=true``."""
    with ExitStack() as stack:
        try:
            made = stack.enter_context(running)
        except dockerengine.Unavailable as error:
            if os.environ.get("CI") == "true":
                pytest.fail(str(error), pytrace=False)
            pytest.skip(str(error))
        yield made
