"""A volume is made, found, or missed in the official agent's words."""

from __future__ import annotations

import pytest

from ecscope.agent.executors.resources.volume import provide
from ecscope.agent.runtime.fake import FakeRuntime
from ecscope.agent.runtime.interface import RuntimeFailure
from ecscope.model.task import VolumeKind
from tests.builders import a_volume


async def test_a_task_volume_is_made_and_asking_again_is_harmless() -> None:
    runtime = FakeRuntime()
    volume = a_volume("data", docker_name="ecs-sample-1-data-0", labels={"a": "b"})
    assert await provide(runtime, volume) == ""
    assert await provide(runtime, volume) == ""
    assert runtime.volumes["ecs-sample-1-data-0"].labels == {"a": "b"}


async def test_a_shared_volume_is_made_only_when_it_may_be() -> None:
    runtime = FakeRuntime()
    volume = a_volume("data", kind=VolumeKind.SHARED, docker_name="common")
    assert await provide(runtime, volume) == (
        "initialize volume: volume detection failed, volume 'common' does not exist and autoprovision is set to false"
    )
    assert (
        await provide(runtime, a_volume("data", kind=VolumeKind.SHARED, docker_name="common", autoprovision=True)) == ""
    )
    assert await provide(runtime, volume) == "", "it exists now"


async def test_dockers_refusal_is_raised() -> None:
    with pytest.raises(RuntimeFailure, match="create x"):
        await provide(FakeRuntime(), a_volume("data", docker_name="x", driver="no-such-driver"))
