"""What every test may use, and what every test is held to: a real engine where asked for, and nothing left behind."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import dockerengine
import sampleimage

TEST_PREFIX = "ecscope-test-"
"""Tests give this prefix to the names of their containers and volumes, and to their clusters' names."""
CLUSTER_LABEL = "com.amazonaws.ecs.cluster"
SESSIONS = Path("/tmp") / f"ecscope-test-sessions-{os.geteuid()}"
"""One file per test session that runs: two at a time cannot tell whose containers they see."""


@pytest.fixture(scope="session")
def docker_endpoint() -> str:
    """``unix://…`` of a Docker Engine that answers; without one the test is skipped, and fails where ``CI=true``."""
    try:
        engine = dockerengine.configured()
        reason = "" if engine.answers() else f"no Docker Engine answers on {engine.endpoint}; see scripts/engine"
    except dockerengine.Unavailable as error:
        reason = str(error)
    if not reason:
        return engine.endpoint
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
    """Fail the session when containers or volumes of tests are left in the engine; remove them, so it happens once."""
    SESSIONS.mkdir(exist_ok=True)
    mine = SESSIONS / str(os.getpid())
    mine.touch()
    try:
        yield
        left = _left_by_tests()
    finally:
        mine.unlink()
        with suppress(OSError):  # another session's file is in it
            SESSIONS.rmdir()
    if not left:
        return
    if others := _other_sessions():
        print(f"\nin the engine, and perhaps of the test sessions that still run ({others}): {', '.join(left)}")
        return
    engine = dockerengine.configured()
    for container_id in _test_containers(engine):
        engine.remove_container(container_id)
    for volume in _test_volumes(engine):
        engine.remove_volume(volume)
    pytest.fail("tests left in the engine (removed now): " + ", ".join(left), pytrace=False)


def _left_by_tests() -> list[str]:
    try:
        engine = dockerengine.configured()
    except dockerengine.Unavailable:
        return []
    if not engine.answers():
        return []
    return [f"container {found[:12]}" for found in _test_containers(engine)] + [
        f"volume {name}" for name in _test_volumes(engine)
    ]


def _test_containers(engine: dockerengine.Engine) -> list[str]:
    """By name, or by the cluster of the task they belong to."""
    by_name = engine.containers(name=[f"^/{TEST_PREFIX}"])
    labelled = json.loads(
        engine.request("GET", "/containers/json", all="1", filters=json.dumps({"label": [CLUSTER_LABEL]}))
    )
    by_cluster = [found["Id"] for found in labelled if found["Labels"][CLUSTER_LABEL].startswith(TEST_PREFIX)]
    return sorted({*by_name, *by_cluster})


def _test_volumes(engine: dockerengine.Engine) -> list[str]:
    found = json.loads(engine.request("GET", "/volumes"))["Volumes"] or []
    return [volume["Name"] for volume in found if volume["Name"].startswith((TEST_PREFIX, f"ecs-{TEST_PREFIX}"))]


def _other_sessions() -> list[str]:
    if not SESSIONS.exists():
        return []
    for file in SESSIONS.iterdir():
        if not Path(f"/proc/{file.name}").exists():
            file.unlink(missing_ok=True)
    return sorted(file.name for file in SESSIONS.iterdir())
