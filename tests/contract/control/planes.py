"""A whole control plane in this process, agents over simulated runtimes that join it, and botocore's client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from botocore.config import Config

from ecscope.agent.app import Agent
from ecscope.agent.config.load import load_config
from ecscope.control.app import ControlPlane
from ecscope.control.core.records import Task
from ecscope.control.server.signatures import AccessKey
from tests.aws import a_client
from tests.control_builders import AT_ONCE
from tests.hurried import on_the_host
from tests.simulated_knobs import FakeRuntime

IMAGE = "ecscope-sample:latest"


class Client:
    """botocore's, as somebody who holds a key; a call does not block the loop."""

    def __init__(self, plane: ControlPlane, key: AccessKey | None = None) -> None:
        key = key or plane.administrator
        self._client = a_client(
            "ecs",
            region_name=plane.state.settings.region,
            endpoint_url=plane.url,
            aws_access_key_id=key.access_key_id,
            aws_secret_access_key=key.secret_access_key,
            aws_session_token=key.session_token or None,
            config=Config(retries={"total_max_attempts": 1}, read_timeout=20),
        )

    @property
    def blocking(self) -> Any:
        """The client itself, for calls that may hold the loop up."""
        return self._client

    async def __call__(self, operation: str, **members: Any) -> Any:
        """``run_task``, ``describe_tasks``, …"""
        return await asyncio.to_thread(partial(getattr(self._client, operation), **members))

    async def register(self, family: str = "sample", **members: Any) -> str:
        """A task definition with one container, ``members`` go into that; gives its ARN."""
        container = {"name": "app", "image": IMAGE, "memory": 16, **members}
        made = await self("register_task_definition", family=family, containerDefinitions=[container])
        return str(made["taskDefinition"]["taskDefinitionArn"])


@asynccontextmanager
async def a_plane(folder: Path, **arguments: Any) -> AsyncIterator[ControlPlane]:
    """With the cluster ``default``. Over the same folder again it is the same one, started anew."""
    plane = ControlPlane(
        data_dir=folder / "control", **{"port": 0, "checks_output": True, "settings": AT_ONCE, **arguments}
    )
    await plane.start()
    try:
        await plane.ask("CreateCluster", {"clusterName": "default"})
        yield plane
    finally:
        await plane.stop()


@asynccontextmanager
async def an_agent(
    plane: ControlPlane,
    folder: Path,
    *,
    runtime: FakeRuntime | None = None,
    name: str = "agent",
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[Agent]:
    """One that has joined; over the same folder and name again it is the same one, started anew."""
    key = plane.instance_role
    (folder / name).mkdir(exist_ok=True)
    loaded = load_config(
        {
            "ECS_BACKEND_HOST": plane.url,
            "ECS_CLUSTER": "default",
            "ECS_DATADIR": str(folder / name),
            "AWS_EC2_METADATA_DISABLED": "true",
            "ECS_ENABLE_TASK_CPU_MEM_LIMIT": "false",
            "ECS_IMAGE_PULL_BEHAVIOR": "prefer-cached",
            "ECS_AGENT_CONFIG_FILE_PATH": str(folder / "none.json"),
            "AWS_DEFAULT_REGION": plane.state.settings.region,
            "AWS_ACCESS_KEY_ID": key.access_key_id,
            "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
            "AWS_SESSION_TOKEN": key.session_token,
            **(settings or {}),
        }
    )
    assert not loaded.errors, loaded.errors
    agent = Agent(
        loaded.config,
        runtime=runtime or FakeRuntime(images=[IMAGE]),
        introspection_port=0,
        diagnostics_port=0,
        checked=True,
    )
    life = asyncio.create_task(agent.run(), name=f"{name} under test")
    try:
        await until(lambda: life.done() or _instance_of(agent) in plane.connected, f"{name} to join")
        yield agent
    finally:
        agent.stop()
        await life


def _instance_of(agent: Agent) -> str:
    try:
        return agent.state.instance.arn
    except RuntimeError:
        return ""


async def until(is_so: Callable[[], object], what: str, within_s: float = 15.0) -> None:
    try:
        async with asyncio.timeout(on_the_host(within_s)):
            while not is_so():  # nothing says when
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"waited {within_s} s for {what}") from None


async def until_tasks(plane: ControlPlane, wanted: Callable[[list[Task]], object], what: str = "tasks") -> None:
    """``wanted`` looks at all tasks that the control plane knows."""
    try:
        await until(lambda: wanted(list(plane.state.tasks.values())), what)
    except AssertionError as error:
        told = "\n".join(
            f"{t.arn} {t.last_status} {t.desired_status} {t.stopped_reason}" for t in plane.state.tasks.values()
        )
        raise AssertionError(f"{error}; there are:\n{told}") from None


def statuses(tasks: list[Task]) -> list[str]:
    return sorted(task.last_status for task in tasks)
