"""A volume is made, found, or missed in the official agent's words; and removed by the name Docker knows."""

from __future__ import annotations

import pytest

from ecscope.agent.core.state import Settings
from ecscope.agent.core.volumes import wanted
from ecscope.agent.executors.resources.interface import ResourceFailure
from ecscope.agent.executors.resources.volume import VolumeProvider
from ecscope.agent.runtime.interface import RuntimeFailure
from ecscope.model.task import Volume, VolumeKind
from tests.builders import a_resource, a_task, a_volume
from tests.simulated_knobs import FakeRuntime


async def create(runtime: FakeRuntime, volume: Volume) -> None:
    task = a_task(volumes=(volume,))
    (resource,) = wanted(Settings(), task)
    await VolumeProvider(runtime).create(task, resource)


async def test_a_task_volume_is_made_and_asking_again_is_harmless() -> None:
    runtime = FakeRuntime()
    volume = a_volume("data", docker_name="ecs-sample-1-data-0", labels={"a": "b"})
    await create(runtime, volume)
    await create(runtime, volume)
    assert runtime.volumes["ecs-sample-1-data-0"].labels == {"a": "b"}
    await VolumeProvider(runtime).remove(a_task(volumes=(volume,)), a_resource("data"))
    assert not runtime.volumes


async def test_a_shared_volume_is_made_only_when_it_may_be() -> None:
    runtime = FakeRuntime()
    volume = a_volume("data", kind=VolumeKind.SHARED, docker_name="common")
    with pytest.raises(ResourceFailure) as raised:
        await create(runtime, volume)
    assert raised.value.error.message == (
        f"resource cannot be initialized for task {a_task().arn}: initialize volume: volume detection failed, volume"
        " 'common' does not exist and autoprovision is set to false"
    )
    assert not runtime.volumes
    await create(runtime, a_volume("data", kind=VolumeKind.SHARED, docker_name="common", autoprovision=True))
    await create(runtime, volume)
    assert list(runtime.volumes) == ["common"]


async def test_dockers_refusal_is_raised() -> None:
    with pytest.raises(RuntimeFailure, match="create x"):
        await create(FakeRuntime(), a_volume("data", docker_name="x", driver="no-such-driver"))
