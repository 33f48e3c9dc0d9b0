"""A simulated engine with its knobs, and what the tests of its parts do with it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import pytest

from ecscope.agent.core.container_config import ContainerConfig, container_config
from ecscope.agent.runtime.interface import RuntimeFailure
from ecscope.model.arn import DockerId
from ecscope.model.runtime import RuntimeAction, RuntimeNotice
from ecscope.model.stats import StatsSample
from tests.builders import a_container, a_task
from tests.loop_clock import Clock
from tests.simulated_knobs import FakeRuntime

EPOCH_NS = 1_700_000_000 * 10**9
LIMIT_S = 240.0


def spec(name: str = "app", *, ports: dict[str, int] | None = None, **definition: Any) -> ContainerConfig:
    container = a_container(name, docker_name=f"ecs-sample-1-{name}-00", **definition)
    return container_config(
        task=a_task(container),
        container=container,
        host_ports=ports or {},
        cluster="default",
        region="",
        image_environment_names=frozenset(),
    )


async def started(clock: Clock, fake: FakeRuntime, name: str = "app", **definition: Any) -> DockerId:
    docker_id: DockerId = await clock.run(fake.create_container(spec(name, **definition), timeout_s=LIMIT_S))
    await clock.run(fake.start_container(docker_id, timeout_s=LIMIT_S))
    return docker_id


async def failure_of(clock: Clock, call: Coroutine[Any, Any, Any]) -> RuntimeFailure:
    with pytest.raises(RuntimeFailure) as caught:
        await clock.run(call)
    return caught.value


class Ear:
    """Hears the notices of a fake."""

    def __init__(self, fake: FakeRuntime) -> None:
        self.fake = fake
        self.heard: list[RuntimeNotice] = []
        self.ended: RuntimeFailure | None = None

    async def __aenter__(self) -> Ear:
        self.task = asyncio.create_task(self._listen())
        for _ in range(5):
            await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task

    async def _listen(self) -> None:
        try:
            async with self.fake.notices() as notices:
                async for notice in notices:
                    self.heard.append(notice)
        except RuntimeFailure as failure:
            self.ended = failure

    @property
    def actions(self) -> list[RuntimeAction]:
        return [notice.action for notice in self.heard]


async def samples_of(fake: FakeRuntime, docker_id: DockerId, count: int, **asked: float) -> list[StatsSample]:
    async with fake.stats(docker_id, **asked) as stats:
        return [await anext(stats) for _ in range(count)]
