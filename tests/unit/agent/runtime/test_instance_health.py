"""The check asks the container runtime, within 2 s, when it is told to, and remembers when what changed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from ecscope.agent.runtime.instance_health import InstanceHealthCheck
from ecscope.model.instance_status import InstanceHealth, InstanceStatus
from tests.builders import AT
from tests.loop_clock import Clock
from tests.simulated_knobs import FakeRuntime


@pytest.fixture
async def clock() -> AsyncIterator[Clock]:
    with Clock(asyncio.get_running_loop()) as made:
        yield made


class World:
    """A check, the runtime it asks, and a clock on the wall that goes with the loop's."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.started_s = clock.now_s
        self.fake = FakeRuntime()
        self.check = InstanceHealthCheck(runtime=self.fake, now=self.now)

    def now(self) -> datetime:
        return AT + timedelta(seconds=self.clock.now_s - self.started_s)


def after(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


async def test_before_the_first_check_it_is_initializing(clock: Clock) -> None:
    assert World(clock).check.status == InstanceStatus(
        health=InstanceHealth.INITIALIZING, checked_at=AT, previously_checked_at=AT, changed_at=AT
    )


async def test_each_check_moves_the_moments_and_a_change_is_remembered(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(clock)
    seen = []
    with caplog.at_level(logging.INFO):
        for is_away in (False, False, True, True, False):
            (world.fake.go_away if is_away else world.fake.come_back)()
            await clock.pass_s(10)
            status = await clock.run(world.check.check())
            seen.append((status.health, status.checked_at, status.previously_checked_at, status.changed_at))
    ok, impaired = InstanceHealth.OK, InstanceHealth.IMPAIRED
    assert seen == [
        (ok, after(10), after(0), after(10)),
        (ok, after(20), after(10), after(10)),
        (impaired, after(30), after(20), after(30)),
        (impaired, after(40), after(30), after(30)),
        (ok, after(50), after(40), after(50)),
    ]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"], "each change is said once"


async def test_no_answer_within_2_s_is_impaired(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    world = World(clock)
    world.fake.hang_next("ping")
    status = await clock.run(world.check.check())
    assert (status.health, status.checked_at) == (InstanceHealth.IMPAIRED, after(2))
    assert "no answer within 2 s" in caplog.text


async def test_it_checks_when_asked_and_only_then(clock: Clock) -> None:
    world = World(clock)
    running = asyncio.ensure_future(world.check.run())
    await clock.pass_s(60)
    assert world.fake.calls_of("ping") == []
    world.check.ask()
    world.check.ask()
    await clock.pass_s(1)
    assert len(world.fake.calls_of("ping")) == 1
    world.fake.hang_next("ping")
    world.check.ask()
    await clock.pass_s(1)
    world.check.ask()
    world.check.ask()
    await clock.pass_s(10)
    assert len(world.fake.calls_of("ping")) == 3
    assert world.check.status.health is InstanceHealth.OK
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
