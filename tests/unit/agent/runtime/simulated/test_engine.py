"""Calls take their time, keep their limits and end with the engine; what knobs ask for happens to them."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from ecscope.agent.runtime.docker.timeouts import Timeouts
from ecscope.agent.runtime.interface import RuntimeFailure
from ecscope.agent.runtime.simulated.programs import Program
from ecscope.model.container import NamedError
from ecscope.model.runtime import RuntimeAction
from ecscope.model.status import ContainerStatus
from tests.loop_clock import Clock
from tests.simulated_knobs import FakeRuntime
from tests.unit.agent.runtime.simulated.scenes import LIMIT_S, Ear, failure_of, spec, started


async def test_the_next_calls_fail(clock: Clock, fake: FakeRuntime) -> None:
    fake.fail_next("create_container", "no space left on device", times=2)
    for _ in range(2):
        failure = await failure_of(clock, fake.create_container(spec(), timeout_s=LIMIT_S))
        assert str(failure) == "CannotCreateContainerError: Error response from daemon: no space left on device"
    await clock.run(fake.create_container(spec(), timeout_s=LIMIT_S))
    assert len(fake.calls_of("create_container")) == 3


async def test_a_failure_of_ones_own(clock: Clock, fake: FakeRuntime) -> None:
    mine = RuntimeFailure(NamedError(name="Mine", message="so"), is_conflict=True)
    fake.fail_next("ping", mine)
    assert await failure_of(clock, fake.ping()) is mine
    await clock.run(fake.ping())


@pytest.mark.parametrize("takes_effect", [False, True])
async def test_a_dropped_connection(clock: Clock, fake: FakeRuntime, takes_effect: bool) -> None:
    fake.drop_next("create_container", takes_effect=takes_effect)
    failure = await failure_of(clock, fake.create_container(spec(), timeout_s=LIMIT_S))
    assert failure.is_unreachable
    assert str(failure).endswith("EOF")
    assert len(fake.containers) == int(takes_effect)


@pytest.mark.parametrize("takes_effect", [False, True])
async def test_a_call_that_hangs(clock: Clock, fake: FakeRuntime, takes_effect: bool) -> None:
    docker_id = await clock.run(fake.create_container(spec(), timeout_s=LIMIT_S))
    fake.hang_next("start_container", takes_effect=takes_effect)
    before_s = clock.now_s
    failure = await failure_of(clock, fake.start_container(docker_id, timeout_s=180))
    assert clock.now_s - before_s == pytest.approx(180)
    assert failure.is_timeout
    assert str(failure) == "DockerTimeoutError: Could not transition to started; timed out after waiting 3m0s"
    assert (fake.containers[0].status is ContainerStatus.RUNNING) is takes_effect


async def test_limits_of_calls_that_bring_none(clock: Clock) -> None:
    fake = FakeRuntime(timeouts=Timeouts(inspect_s=7))
    fake.hang_next("inspect_container")
    failure = await failure_of(clock, fake.inspect_container("x"))
    assert str(failure).endswith("timed out after waiting 7s")


@pytest.mark.parametrize("knob", ["fail_next", "drop_next", "hang_next"])
def test_a_call_that_does_not_exist_cannot_be_troubled(fake: FakeRuntime, knob: str) -> None:
    with pytest.raises(ValueError, match="there is no call 'create'"):
        getattr(fake, knob)("create", *(["x"] if knob == "fail_next" else []))


async def test_latency(clock: Clock, fake: FakeRuntime) -> None:
    fake.latency_s["create_container"] = 3.0
    before_s = clock.now_s
    await clock.run(fake.create_container(spec(), timeout_s=LIMIT_S))
    assert clock.now_s - before_s == pytest.approx(3.0)
    assert fake.is_idle


async def test_a_cancelled_call_has_no_effect(clock: Clock, fake: FakeRuntime) -> None:
    fake.latency_s["create_container"] = 3.0
    call = asyncio.create_task(fake.create_container(spec(), timeout_s=LIMIT_S))
    await clock.pass_s(1)
    call.cancel()
    with suppress(asyncio.CancelledError):
        await call
    await clock.pass_s(5)
    assert fake.containers == ()


async def test_going_away_breaks_calls_and_streams_and_leaves_containers(clock: Clock, fake: FakeRuntime) -> None:
    fake.behave(Program(run_for_s=10, exit_code=5), container="app")
    async with Ear(fake) as ear:
        docker_id = await started(clock, fake)
        fake.latency_s["ping"] = 1.0
        under_way = asyncio.create_task(fake.ping())
        await clock.pass_s(0.5)
        assert not fake.is_idle
        fake.go_away()
        with pytest.raises(RuntimeFailure) as caught:
            await under_way
        assert caught.value.is_unreachable
        assert (await failure_of(clock, fake.inspect_container(docker_id))).is_unreachable
        await clock.pass_s(20)
        assert ear.ended is not None
        assert ear.ended.is_unreachable
    fake.come_back()
    found = await clock.run(fake.inspect_container(docker_id))
    assert (found.status, found.exit_code) == (ContainerStatus.STOPPED, 5)
    assert RuntimeAction.DIE not in ear.actions


async def test_going_away_with_the_containers(clock: Clock, fake: FakeRuntime) -> None:
    await started(clock, fake)
    fake.go_away(with_containers=True)
    assert fake.containers[0].exit_code == 137


async def test_calls_are_noted_with_their_time(clock: Clock, fake: FakeRuntime) -> None:
    docker_id = await started(clock, fake)
    assert [(call.name, call.subject) for call in fake.calls] == [
        ("create_container", "ecs-sample-1-app-00"),
        ("start_container", docker_id),
    ]
    assert {call.at_s for call in fake.calls} == {1000.0}
    assert fake.configs[docker_id].container_name == "app"
