"""The engine outlives each client of it, and says what it was made to say."""

from __future__ import annotations

from ecscope.model.status import ContainerStatus
from tests.loop_clock import Clock
from tests.simulated_knobs import FakeRuntime
from tests.unit.agent.runtime.simulated.scenes import Ear, spec, started


async def test_the_state_outlives_a_client(clock: Clock, fake: FakeRuntime) -> None:
    async with Ear(fake) as ear:
        docker_id = await started(clock, fake)
        await fake.close()
        await clock.pass_s(1)
        assert ear.ended is not None
    assert await clock.run(fake.list_task_containers()) == [(docker_id, "ecs-sample-1-app-00", spec().task_arn)]
    assert fake.containers[0].status is ContainerStatus.RUNNING


async def test_connect_tells_what_it_was_told(clock: Clock, fake: FakeRuntime) -> None:
    assert await clock.run(fake.connect()) is fake.info
