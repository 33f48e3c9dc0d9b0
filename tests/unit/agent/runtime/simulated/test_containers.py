"""Containers live as their programs say, on the own clock of the loop, whatever people do to them by hand."""

from __future__ import annotations

import asyncio

import pytest

from ecscope.agent.runtime.simulated.programs import HealthStep, Program
from ecscope.model.runtime import RuntimeAction
from ecscope.model.status import ContainerStatus, HealthStatus
from tests.builders import SAMPLE_IMAGE
from tests.loop_clock import Clock
from tests.simulated_knobs import FakeRuntime
from tests.unit.agent.runtime.simulated.scenes import EPOCH_NS, LIMIT_S, Ear, failure_of, spec, started


async def test_a_program_ends_by_itself(clock: Clock, fake: FakeRuntime) -> None:
    fake.behave(Program(run_for_s=90.5, exit_code=4), container="app")
    async with Ear(fake) as ear:
        docker_id = await started(clock, fake)
        await clock.pass_s(90)
        assert fake.containers[0].status is ContainerStatus.RUNNING
        await clock.pass_s(1)
    found = fake.containers[0]
    assert (found.docker_id, found.status, found.exit_code) == (docker_id, ContainerStatus.STOPPED, 4)
    assert found.started_at == "2023-11-14T22:13:20Z"
    assert found.finished_at == "2023-11-14T22:14:50.5Z"
    assert ear.heard[-1].time_ns == EPOCH_NS + 90_500_000_000


async def test_programs_follow_one_another_and_the_last_one_stays(clock: Clock, fake: FakeRuntime) -> None:
    fake.behave(Program(run_for_s=1, exit_code=1), Program(run_for_s=1, exit_code=2), command=["x"])
    docker_id = await started(clock, fake, command=("x",))
    codes = []
    for _ in range(3):
        await clock.pass_s(2)
        codes.append(fake.containers[0].exit_code)
        await clock.run(fake.start_container(docker_id, timeout_s=LIMIT_S))
    assert codes == [1, 2, 2]


async def test_container_counts_before_command_before_image(clock: Clock, fake: FakeRuntime) -> None:
    fake.behave(Program(run_for_s=1, exit_code=3), image=SAMPLE_IMAGE)
    fake.behave(Program(run_for_s=1, exit_code=2), command=["x"])
    fake.behave(Program(run_for_s=1, exit_code=1), container="first")
    await started(clock, fake, "first", command=("x",))
    await started(clock, fake, "second", command=("x",))
    await started(clock, fake, "third", command=("y",))
    await clock.pass_s(2)
    assert [found.exit_code for found in fake.containers] == [1, 2, 3]


@pytest.mark.parametrize("keys", [{}, {"image": "a", "container": "b"}])
def test_a_program_needs_one_kind_of_container(fake: FakeRuntime, keys: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="exactly one"):
        fake.behave(Program(), **keys)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="say programs"):
        fake.behave(container="app")


@pytest.mark.parametrize(
    ("program", "grace_s", "took_s", "exit_code", "signal"),
    [
        (Program(), 30, 0, 143, 15),
        (Program(stop_takes_s=5, stop_exit_code=0), 30, 5, 0, 15),
        (Program(stop_takes_s=31), 30, 30, 137, 9),
        (Program(heeds_sigterm=False), 30, 30, 137, 9),
    ],
)
async def test_a_stop_takes_its_time(
    clock: Clock, fake: FakeRuntime, program: Program, grace_s: int, took_s: float, exit_code: int, signal: int
) -> None:
    fake.behave(program, container="app")
    async with Ear(fake) as ear:
        docker_id = await started(clock, fake)
        before_s = clock.now_s
        await clock.run(fake.stop_container(docker_id, grace_s=grace_s))
        assert clock.now_s - before_s == pytest.approx(took_s)
    assert fake.containers[0].exit_code == exit_code
    die = next(notice for notice in ear.heard if notice.action is RuntimeAction.DIE)
    assert (die.exit_code, die.signal) == (exit_code, signal)


async def test_two_stops_of_one_container(clock: Clock, fake: FakeRuntime) -> None:
    fake.behave(Program(stop_takes_s=2), container="app")
    docker_id = await started(clock, fake)
    both = asyncio.gather(fake.stop_container(docker_id, grace_s=9), fake.stop_container(docker_id, grace_s=9))
    await clock.run(_both(both))
    assert fake.containers[0].status is ContainerStatus.STOPPED


async def test_health_comes_and_goes(clock: Clock, fake: FakeRuntime) -> None:
    steps = (
        HealthStep(after_s=10, status=HealthStatus.HEALTHY, output="ok"),
        HealthStep(after_s=20, status=HealthStatus.HEALTHY, output="still"),
        HealthStep(after_s=30, status=HealthStatus.UNHEALTHY, output="x" * 2000, exit_code=7),
        HealthStep(after_s=40, status=HealthStatus.UNKNOWN),
    )
    fake.behave(Program(health=steps), container="app")
    async with Ear(fake) as ear:
        await started(clock, fake)
        await clock.pass_s(25)
        assert (fake.containers[0].health.status, fake.containers[0].health.output) == (HealthStatus.HEALTHY, "still")
        await clock.pass_s(10)
        health = fake.containers[0].health
        assert (health.status, len(health.output), health.exit_code) == (HealthStatus.UNHEALTHY, 1024, 7)
        await clock.pass_s(10)
    assert ear.actions == [RuntimeAction.CREATE, RuntimeAction.START, RuntimeAction.HEALTH, RuntimeAction.HEALTH]


async def test_a_create_that_is_refused(clock: Clock, fake: FakeRuntime) -> None:
    fake.behave(Program(create_error="invalid mount config"), image=SAMPLE_IMAGE)
    failure = await failure_of(clock, fake.create_container(spec(), timeout_s=LIMIT_S))
    assert str(failure) == "CannotCreateContainerError: Error response from daemon: invalid mount config"
    assert fake.containers == ()


async def test_what_people_do_by_hand(clock: Clock, fake: FakeRuntime) -> None:
    async with Ear(fake) as ear:
        docker_id = await started(clock, fake)
        fake.kill("app", signal=11, exit_code=139)
        fake.kill("app")  # it does not run any more
        assert fake.containers[0].exit_code == 139
        fake.start_by_hand("ecs-sample-1-app-00")
        fake.start_by_hand("app")  # it runs
        assert fake.containers[0].status is ContainerStatus.RUNNING
        fake.remove_by_hand(docker_id)
        assert fake.containers == ()
        for act in (fake.kill, fake.start_by_hand, fake.remove_by_hand):
            act("app")
        await clock.pass_s(0)
    assert ear.actions == [
        RuntimeAction.CREATE,
        RuntimeAction.START,
        RuntimeAction.DIE,
        RuntimeAction.START,
        RuntimeAction.DIE,
        RuntimeAction.DESTROY,
    ]
    assert [(n.exit_code, n.signal) for n in ear.heard if n.action is RuntimeAction.DIE] == [(139, 11), (137, 9)]


async def test_removed_while_it_is_being_stopped(clock: Clock, fake: FakeRuntime) -> None:
    fake.behave(Program(heeds_sigterm=False), container="app")
    async with Ear(fake) as ear:
        docker_id = await started(clock, fake)
        stop = asyncio.create_task(fake.stop_container(docker_id, grace_s=30))
        await clock.pass_s(1)
        fake.remove_by_hand("app")
        await clock.run(_done(stop))
    assert RuntimeAction.STOP not in ear.actions


async def test_ids_are_dockers_form_and_repeat_with_the_seed(clock: Clock) -> None:
    ids = []
    for seed in ("a", "a", "b"):
        fake = FakeRuntime(images=[SAMPLE_IMAGE], seed=seed)
        ids.append(await clock.run(fake.create_container(spec(), timeout_s=LIMIT_S)))
    assert ids[0] == ids[1] != ids[2]
    assert all(len(docker_id) == 64 for docker_id in ids)


async def _both(both: asyncio.Future[list[None]]) -> None:
    await both


async def _done(task: asyncio.Task[None]) -> None:
    await task
