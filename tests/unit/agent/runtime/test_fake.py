"""Every knob of ``FakeRuntime`` does what it says, on the loop's own clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from typing import Any

import pytest

from ecscope.agent.core.container_config import ContainerConfig, container_config
from ecscope.agent.runtime.docker.timeouts import Timeouts
from ecscope.agent.runtime.fake import FakeRuntime, HealthStep, Program, Use
from ecscope.agent.runtime.interface import RegistryAuth, RuntimeFailure, VolumeSpec
from ecscope.model.arn import DockerId
from ecscope.model.container import NamedError
from ecscope.model.runtime import PullProgress, RuntimeAction, RuntimeNotice
from ecscope.model.stats import NetworkCounters, StatsSample
from ecscope.model.status import ContainerStatus, HealthStatus
from tests.builders import SAMPLE_IMAGE, a_container, a_task
from tests.loop_clock import Clock

EPOCH_NS = 1_700_000_000 * 10**9
LIMIT_S = 240.0


@pytest.fixture
async def clock() -> AsyncIterator[Clock]:
    with Clock(asyncio.get_running_loop()) as made:
        yield made


@pytest.fixture
def fake() -> FakeRuntime:
    return FakeRuntime(images=[SAMPLE_IMAGE], epoch_ns=EPOCH_NS)


def spec(name: str = "app", *, ports: dict[str, int] | None = None, **definition: object) -> ContainerConfig:
    container = a_container(name, docker_name=f"ecs-sample-1-{name}-00", **definition)
    return container_config(
        task=a_task(container),
        container=container,
        host_ports=ports or {},
        cluster="default",
        region="",
        image_environment_names=frozenset(),
    )


async def started(clock: Clock, fake: FakeRuntime, name: str = "app", **definition: object) -> DockerId:
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


# --- stats ---------------------------------------------------------------------------------------


async def test_a_program_uses_what_it_is_told_to(clock: Clock, fake: FakeRuntime) -> None:
    use = Use(
        cpus=1.5,
        memory_bytes=7,
        rx_bytes_per_s=10,
        tx_bytes_per_s=20,
        storage_read_bytes_per_s=30,
        storage_write_bytes_per_s=40,
    )
    fake.behave(Program(use=use), container="app")
    docker_id = await started(clock, fake)
    await clock.pass_s(3)
    first, second = await clock.run(samples_of(fake, docker_id, 2))
    assert second.read_ns - first.read_ns == 10**9
    assert first == StatsSample(
        read_ns=EPOCH_NS + 3 * 10**9,
        cpu_total_ns=4_500_000_000,
        online_cpus=4,
        memory_bytes=7,
        network=NetworkCounters(rx_bytes=30, tx_bytes=60),
        storage_read_bytes=90,
        storage_write_bytes=120,
    )


async def test_stats_may_be_polled_and_each_poll_is_a_call(clock: Clock, fake: FakeRuntime) -> None:
    docker_id = await started(clock, fake)
    first, second = await clock.run(samples_of(fake, docker_id, 2, poll_every_s=10))
    assert second.read_ns - first.read_ns == 10 * 10**9
    assert len(fake.calls_of("stats")) == 2


async def test_a_stats_stream_breaks_with_the_engine_and_is_no_call_under_way(clock: Clock, fake: FakeRuntime) -> None:
    docker_id = await started(clock, fake)
    reading = asyncio.ensure_future(samples_of(fake, docker_id, 9))
    await clock.pass_s(2.5)
    assert fake.is_idle
    fake.go_away()
    await clock.pass_s(0)
    with pytest.raises(RuntimeFailure) as caught:
        await reading
    assert caught.value.is_unreachable


# --- programs ------------------------------------------------------------------------------------


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


async def _both(both: asyncio.Future[list[None]]) -> None:
    await both


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


# --- troubles ------------------------------------------------------------------------------------


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


# --- away and back -------------------------------------------------------------------------------


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


async def test_the_state_outlives_a_client(clock: Clock, fake: FakeRuntime) -> None:
    async with Ear(fake) as ear:
        docker_id = await started(clock, fake)
        await fake.close()
        await clock.pass_s(1)
        assert ear.ended is not None
    assert await clock.run(fake.list_task_containers()) == [(docker_id, "ecs-sample-1-app-00", spec().task_arn)]
    assert fake.containers[0].status is ContainerStatus.RUNNING


# --- by hand -------------------------------------------------------------------------------------


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


async def _done(task: asyncio.Task[None]) -> None:
    await task


# --- images and volumes --------------------------------------------------------------------------


async def test_a_pull_takes_its_time_and_tells_progress(clock: Clock, fake: FakeRuntime) -> None:
    image = fake.add_pullable("h.example/app", pull_s=2.5, layers=4, size_bytes=1000)
    seen: list[PullProgress] = []
    before_s = clock.now_s
    await clock.run(fake.pull_image("h.example/app", None, seen.append))
    assert clock.now_s - before_s == pytest.approx(2.5)
    assert [(p.layers_done, p.bytes_done) for p in seen] == [(1, 400), (3, 800), (4, 1000)]
    assert fake.images >= {"h.example/app:latest", f"h.example/app@{image.digest}"}
    found = await clock.run(fake.inspect_image("h.example/app"))
    assert found.repo_digests == (f"h.example/app@{image.digest}",)


async def test_pulled_by_digest_and_tagged(clock: Clock, fake: FakeRuntime) -> None:
    image = fake.add_pullable("app:1", environment_names=frozenset({"AWS_REGION"}))
    digest = await clock.run(fake.resolve_digest("app:1", None))
    assert digest == image.digest
    await clock.run(fake.pull_image(f"app@{digest}", None, lambda _: None))
    assert await clock.run(fake.inspect_image("app:1")) is None
    await clock.run(fake.tag_image(f"app@{digest}", "app:1"))
    found = await clock.run(fake.inspect_image("app:1"))
    assert found.environment_names == {"AWS_REGION"}
    failure = await failure_of(clock, fake.pull_image("app@sha256:" + "0" * 64, None, lambda _: None))
    assert failure.is_not_found


async def test_a_local_image_that_no_registry_has(clock: Clock, fake: FakeRuntime) -> None:
    fake.add_local("mine:1")
    assert await clock.run(fake.inspect_image("mine:1")) is not None
    failure = await failure_of(clock, fake.resolve_digest("mine:1", None))
    assert str(failure) == (
        "CannotPullImageManifestError: Error response from daemon: manifest for mine:1 not found: "
        "manifest unknown: manifest unknown"
    )


async def test_an_image_that_asks_for_credentials(clock: Clock, fake: FakeRuntime) -> None:
    fake.add_pullable("h.example/app:1", username="me", password="s3cret")
    for auth in (None, RegistryAuth(username="me", password="wrong")):
        failure = await failure_of(clock, fake.pull_image("h.example/app:1", auth, lambda _: None))
        assert "no basic auth credentials" in str(failure)
    await clock.run(fake.pull_image("h.example/app:1", RegistryAuth(username="me", password="s3cret"), lambda _: None))


async def test_volumes_and_what_uses_them(clock: Clock, fake: FakeRuntime) -> None:
    other = VolumeSpec(name="v", driver="nothere", driver_options={}, labels={})
    failure = await failure_of(clock, fake.create_volume(other))
    assert 'error looking up volume plugin nothere: plugin "nothere" not found' in str(failure)
    binds = '{"Binds": ["v:/data", "/srv:/srv"]}'
    await clock.run(fake.create_container(spec(docker_host_config=binds), timeout_s=LIMIT_S))
    assert set(fake.volumes) == {"v"}
    assert [(mount.name, mount.source) for mount in fake.containers[0].mounts] == [
        ("v", "/var/lib/docker/volumes/v/_data"),
        ("", "/srv"),
    ]
    assert (await failure_of(clock, fake.remove_volume("v"))).is_conflict


# --- what tests look at --------------------------------------------------------------------------


async def test_calls_are_noted_with_their_time(clock: Clock, fake: FakeRuntime) -> None:
    docker_id = await started(clock, fake)
    assert [(call.name, call.subject) for call in fake.calls] == [
        ("create_container", "ecs-sample-1-app-00"),
        ("start_container", docker_id),
    ]
    assert {call.at_s for call in fake.calls} == {1000.0}
    assert fake.configs[docker_id].container_name == "app"


async def test_ids_are_dockers_form_and_repeat_with_the_seed(clock: Clock) -> None:
    ids = []
    for seed in ("a", "a", "b"):
        fake = FakeRuntime(images=[SAMPLE_IMAGE], seed=seed)
        ids.append(await clock.run(fake.create_container(spec(), timeout_s=LIMIT_S)))
    assert ids[0] == ids[1] != ids[2]
    assert all(len(docker_id) == 64 for docker_id in ids)


async def test_connect_tells_what_it_was_told(clock: Clock, fake: FakeRuntime) -> None:
    assert await clock.run(fake.connect()) is fake.info
