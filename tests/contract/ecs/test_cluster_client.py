"""What makes an agent a member of a cluster, built whole: who it says it is, whose state it takes up, how it drains."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ecscope.agent.app import Agent, AgentError, TerminalError
from ecscope.agent.aws.instance_data import ask_instance
from ecscope.agent.config.load import load_config
from ecscope.agent.store.interface import Batch, StoreError
from ecscope.agent.store.sqlite import SqliteStore
from ecscope.model.container_instance import ObstacleKind
from fake_ecs import Backend
from tests.imds import DOCUMENT, Imds
from tests.simulated_knobs import FakeRuntime


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with Backend() as made:
        yield made


def an_agent(
    folder: Path, backend: Backend, *, instance: str = "", tasks: Path | None = None, **settings: str
) -> Agent:
    environment = {
        **backend.environment(),
        "ECS_DATADIR": str(folder / "data"),
        "ECS_AGENT_CONFIG_FILE_PATH": str(folder / "none.json"),
        "ECS_ENABLE_TASK_CPU_MEM_LIMIT": "false",
        "ECSCOPE_INTROSPECTION_ADDRESS": "127.0.0.1",
        **settings,
    }
    loaded = load_config(environment, standalone=tasks is not None)
    assert not loaded.errors
    return Agent(
        loaded.config,
        tasks_path=tasks,
        ec2_instance_id=instance,
        runtime=FakeRuntime(),
        introspection_port=0,
        diagnostics_port=0,
        checked=True,
    )


@asynccontextmanager
async def living(agent: Agent) -> AsyncIterator[Agent]:
    life = asyncio.create_task(agent.run())
    try:
        yield agent
    finally:
        agent.stop()
        await life


def registrations(backend: Backend) -> list[dict[str, Any]]:
    return [call.body for call in backend.calls_of("RegisterContainerInstance")]


async def test_on_ec2_the_identity_document_goes_along(tmp_path: Path, backend: Backend) -> None:
    async with Imds() as imds:
        agent = an_agent(tmp_path, backend, AWS_EC2_METADATA_SERVICE_ENDPOINT=imds.url)
        async with living(agent):
            await backend.connected()
    (body,) = registrations(backend)
    assert body["instanceIdentityDocument"] == DOCUMENT
    assert body["instanceIdentityDocumentSignature"] == "c2lnbmVk"


async def test_without_a_metadata_service_it_registers_without_one(
    tmp_path: Path, backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="ecscope")
    async with living(an_agent(tmp_path, backend, AWS_EC2_METADATA_DISABLED="true")):
        await backend.connected()
    (body,) = registrations(backend)
    assert body["instanceIdentityDocument"] == ""
    (said,) = [record for record in caplog.records if "without an instance identity document" in record.message]
    assert said.levelname == "INFO", "it is as was asked for"


async def test_the_metadata_service_tells_region_user_data_and_instance() -> None:
    async with Imds() as imds:
        imds.values["user-data"] = '{"ECSAgentConfiguration": {"Cluster": "from-user-data"}}'
        environment = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.url}
        loaded = load_config(environment)
        assert loaded.asks_imds
        told = await ask_instance(loaded.config)
    assert (told.region, told.instance_id) == ("us-west-2", "i-0123456789abcdef0")
    config = load_config(environment, instance_data=told).config
    assert (config.region, config.cluster) == ("us-west-2", "from-user-data")


async def test_a_spot_instance_that_is_to_end_is_set_to_draining(tmp_path: Path, backend: Backend) -> None:
    async with Imds() as imds:
        agent = an_agent(
            tmp_path,
            backend,
            AWS_EC2_METADATA_SERVICE_ENDPOINT=imds.url,
            ECS_ENABLE_SPOT_INSTANCE_DRAINING="true",
        )
        async with living(agent):
            await backend.connected()
            imds.values["meta-data/spot/instance-action"] = '{"action": "terminate", "time": "2030-01-01T00:00:00Z"}'
            call = await backend.call("UpdateContainerInstancesState")
    assert call.body["status"] == "DRAINING"
    assert call.body["containerInstances"] == [backend.instance_arn]


@pytest.mark.parametrize("wanted", [True, False])
async def test_it_drains_when_it_is_told_to_end_only_where_that_is_wanted(
    tmp_path: Path, backend: Backend, wanted: bool
) -> None:
    settings = {"ECS_EXTERNAL": "true", "ECSCOPE_DRAIN_ON_SIGTERM": str(wanted).lower()}
    async with living(an_agent(tmp_path, backend, **settings)):
        await backend.connected()
    assert bool(backend.calls_of("UpdateContainerInstancesState")) is wanted


async def test_a_drain_that_ecs_does_not_answer_does_not_hold_the_end_up(tmp_path: Path, backend: Backend) -> None:
    backend.fail("UpdateContainerInstancesState", status=500)
    async with living(an_agent(tmp_path, backend, ECS_EXTERNAL="true", ECSCOPE_DRAIN_ON_SIGTERM="true")):
        await backend.connected()
    assert len(backend.calls_of("UpdateContainerInstancesState")) == 1


async def test_the_state_of_another_cluster_is_not_taken_up(tmp_path: Path, backend: Backend) -> None:
    async with living(an_agent(tmp_path, backend, ECS_EXTERNAL="true")):
        await backend.connected()
    with pytest.raises(
        TerminalError, match="is that of a container instance of cluster default, and this agent is to join web"
    ):
        await an_agent(tmp_path, backend, ECS_EXTERNAL="true", ECS_CLUSTER="web").run()


async def test_the_state_of_tasks_from_files_is_not_taken_into_a_cluster_nor_back(
    tmp_path: Path, backend: Backend
) -> None:
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    async with living(an_agent(tmp_path, backend, tasks=tasks)) as agent:
        while agent.introspection is None or not agent.introspection.bound:
            await asyncio.sleep(0.005)
    with pytest.raises(TerminalError, match="an agent that ran tasks from files"):
        await an_agent(tmp_path, backend, ECS_EXTERNAL="true").run()
    joined = tmp_path / "joined"
    joined.mkdir()
    async with living(an_agent(joined, backend, ECS_EXTERNAL="true")):
        await backend.connected()
    with pytest.raises(TerminalError, match="an agent that was in cluster default"):
        await an_agent(joined, backend, tasks=tasks).run()


async def test_the_state_of_another_ec2_instance_is_dropped(tmp_path: Path, backend: Backend) -> None:
    settings = {"AWS_EC2_METADATA_DISABLED": "true"}
    for instance in ("i-1", "i-1", "i-2"):
        seen = len(registrations(backend))
        async with living(an_agent(tmp_path, backend, instance=instance, **settings)):
            await backend.connected(count=seen + 1)  # ACS is opened when the registration has been saved
    first, again, other = registrations(backend)
    assert "containerInstanceArn" not in first
    assert again["containerInstanceArn"]
    assert "containerInstanceArn" not in other, "made from the disk of i-1, but not i-1"


async def test_another_ec2_instance_that_ends_before_it_is_registered_may_start_again(
    tmp_path: Path, backend: Backend
) -> None:
    backend.make_cluster("web")
    settings = {"AWS_EC2_METADATA_DISABLED": "true"}
    async with living(an_agent(tmp_path, backend, instance="i-1", **settings)):
        await backend.connected()
    backend.deny("ecs:RegisterContainerInstance")
    for _ in range(2):
        seen = len(registrations(backend))
        async with living(an_agent(tmp_path, backend, instance="i-2", ECS_CLUSTER="web", **settings)):
            while len(registrations(backend)) == seen:
                await asyncio.sleep(0.005)
    backend.allow()
    async with living(an_agent(tmp_path, backend, instance="i-2", ECS_CLUSTER="web", **settings)):
        await backend.connected(count=2)
    assert registrations(backend)[-1]["cluster"] == "web"
    assert "containerInstanceArn" not in registrations(backend)[-1]


async def test_the_state_of_another_ec2_instance_is_not_gone_on_with_where_it_cannot_be_removed(
    tmp_path: Path, backend: Backend
) -> None:
    settings = {"AWS_EC2_METADATA_DISABLED": "true"}
    async with living(an_agent(tmp_path, backend, instance="i-1", **settings)):
        await backend.connected()

    class Full(SqliteStore):
        """On a disk that is full."""

        async def save(self, batch: Batch) -> None:
            raise StoreError("no space left on device")

    loaded = load_config({**backend.environment(), "ECS_DATADIR": str(tmp_path / "data"), **settings})
    agent = Agent(
        loaded.config,
        ec2_instance_id="i-2",
        runtime=FakeRuntime(),
        store=Full(tmp_path / "data"),
        introspection_port=0,
        diagnostics_port=0,
    )
    with pytest.raises(AgentError, match="the state of EC2 instance i-1 cannot be removed: no space left on device"):
        await agent.run()
    async with living(an_agent(tmp_path, backend, instance="i-1", **settings)):
        await backend.connected(count=2)
    assert registrations(backend)[-1]["containerInstanceArn"]


async def test_a_metadata_service_that_is_silent_is_said_to_be_waited_for(
    tmp_path: Path, backend: Backend, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ecscope.agent.cluster.build.IDENTITY_PATIENCE_S", 0.0)
    async with Imds() as imds:
        imds.is_silent = True
        async with living(an_agent(tmp_path, backend, AWS_EC2_METADATA_SERVICE_ENDPOINT=imds.url)) as agent:
            while "is waiting for the EC2 instance metadata service" not in caplog.text:
                await asyncio.sleep(0.005)
            assert agent.state.obstacle is not None
            assert agent.state.obstacle.kind is ObstacleKind.INSTANCE_METADATA_UNAVAILABLE
