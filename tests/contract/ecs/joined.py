"""A whole agent, in this process, that joins the back end of the tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from ecscope.agent.app import Agent
from ecscope.agent.config.load import load_config
from ecscope.agent.runtime.interface import Runtime
from ecscope.clock import Clock
from fake_ecs import Backend
from fake_ecs.replay import recorded

TRAFFIC = Path(__file__).parents[2] / "fixtures/official-agent/traffic"
RECORDED_SETTINGS = {
    "ECS_EXTERNAL": "true",
    "ECS_ENABLE_TASK_CPU_MEM_LIMIT": "false",
    "ECS_IMAGE_PULL_BEHAVIOR": "prefer-cached",
}
"""What the official agent of the recordings was started with, beside where its back end was."""


def recording(name: str) -> list[dict[str, Any]]:
    return recorded(TRAFFIC / f"{name}.jsonl")


@asynccontextmanager
async def joined(
    folder: Path,
    backend: Backend,
    *,
    runtime: Runtime | None = None,
    cluster: str | None = "default",
    settings: Mapping[str, str] | None = None,
    clock: Clock | None = None,
    introspection_port: int = 0,
) -> AsyncIterator[Agent]:
    """An agent that runs; ``runtime`` ``None``: Docker, at ``DOCKER_HOST`` of ``settings``.

    With the same ``folder`` again it is the same agent, started anew. ``cluster`` ``None``: none is configured.
    """
    environment = {
        **backend.environment(cluster=cluster or ""),
        "ECS_DATADIR": str(folder / "data"),
        "ECS_AGENT_CONFIG_FILE_PATH": str(folder / "no-such.json"),
        **RECORDED_SETTINGS,
        **(settings or {}),
    }
    if cluster is None:
        del environment["ECS_CLUSTER"]
    loaded = load_config(environment)
    assert not loaded.errors, loaded.errors
    (folder / "data").mkdir(exist_ok=True)
    agent = Agent(
        loaded.config,
        runtime=runtime,
        introspection_port=introspection_port,
        diagnostics_port=0,
        checked=True,
        clock=clock,
    )
    life = asyncio.create_task(agent.run(), name="agent under test")
    watch = asyncio.create_task(_fail_early(life, asyncio.current_task()), name="watch the agent under test")
    try:
        yield agent
    finally:
        watch.cancel()
        agent.stop()
        await life


async def _fail_early(life: asyncio.Task[None], test: asyncio.Task[Any] | None) -> None:
    """An agent that ends by itself ends the test, which would else wait in vain."""
    await asyncio.wait([life])
    if test is not None:
        test.cancel()
