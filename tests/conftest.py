"""What every test may use, and what every test is held to: a real engine where asked for, and nothing left behind."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import signal
from collections.abc import AsyncIterator, Iterator

import pytest

import dockerengine
import sampleimage
from tests import examples, session

examples.load_profile()

# What is collected stays to the end: without garbage collections that walk over it, collecting takes half the time.
gc.disable()


# A shell ignores Ctrl-C for what it starts in the background, and so would every process that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def docker_endpoint() -> str:
    """``unix://…`` of a Docker Engine that answers; without one the test is skipped, and fails where ``CI=true``."""
    try:
        engine = dockerengine.configured()
        if engine.answers():
            return engine.endpoint
        reason = f"no Docker Engine answers on {engine.endpoint}; see scripts/engine"
    except dockerengine.Unavailable as error:
        reason = str(error)
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def sample_image(docker_endpoint: str) -> str:
    """Reference of a small image that is in the engine: a busybox with all its applets."""
    sampleimage.ensure(dockerengine.Engine(docker_endpoint.removeprefix("unix://")))
    return sampleimage.REFERENCE


@pytest.fixture(autouse=True)
def no_leaked_asyncio_tasks(request: pytest.FixtureRequest) -> None:
    """A test with a loop fails when it leaves an asyncio task behind; a test without one gets no loop for it."""
    if inspect.iscoroutinefunction(getattr(request.node, "obj", None)):
        request.getfixturevalue("_asyncio_tasks_before_and_after")


@pytest.fixture
async def _asyncio_tasks_before_and_after() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    for _ in range(5):  # what was cancelled needs a few turns of the loop to end
        await asyncio.sleep(0)
    leaked = {task for task in asyncio.all_tasks() - before if task is not asyncio.current_task()}
    names = sorted(f"{task.get_name()} ({task.get_coro()!r})" for task in leaked)
    for task in leaked:
        task.cancel()
    if names:
        pytest.fail("asyncio tasks left behind: " + "; ".join(names), pytrace=False)


@pytest.fixture(scope="session", autouse=True)
def nothing_left_in_the_engine() -> Iterator[None]:
    """Fail the session when it leaves containers or volumes in the engine; remove them, so it happens once."""
    yield
    try:
        engine = dockerengine.configured()
    except dockerengine.Unavailable:
        return
    if not engine.answers():
        return
    left = []
    for container_id in session.containers(engine):
        left.append(f"container {container_id[:12]}")
        engine.remove_container(container_id)
    for volume in session.volumes(engine):
        left.append(f"volume {volume}")
        engine.remove_volume(volume)
    if left:
        pytest.fail("tests left in the engine (removed now): " + ", ".join(left), pytrace=False)
