"""What runs is measured, what stops is not, and nothing that the runtime answers ends the collector."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from ecscope.agent.broadcaster import Broadcaster
from ecscope.agent.core.container_config import container_config
from ecscope.agent.core.state import AgentState
from ecscope.agent.runtime.interface import RuntimeFailure
from ecscope.agent.runtime.simulated.programs import Program, Use
from ecscope.agent.stats.collector import Collector, _Measured
from ecscope.model.arn import DockerId
from ecscope.model.container import Container, ContainerKind, NamedError, RestartPolicy
from ecscope.model.container_instance import ContainerInstance
from ecscope.model.names import NETWORK_PAUSE
from ecscope.model.network import NetworkMode
from ecscope.model.stats import StatsSample
from ecscope.model.status import ContainerStatus
from ecscope.model.task import Task
from ecscope.wire.tcs.messages import MetricsReading
from tests.builders import SAMPLE_IMAGE, a_container, a_task, an_interface
from tests.loop_clock import Clock
from tests.simulated_knobs import FakeRuntime

RESTARTS = RestartPolicy(enabled=True)
AWSVPC: dict[str, Any] = {"network_mode": NetworkMode.AWSVPC, "interface": an_interface()}


class World:
    """A fake engine, a published state that the test sets, and the collector between them."""

    def __init__(self, clock: Clock, **asked: Any) -> None:
        self.clock = clock
        self.fake = FakeRuntime(images=[SAMPLE_IMAGE])
        self.fake.behave(Program(use=Use(cpus=1.0, memory_bytes=3 * 2**20, rx_bytes_per_s=100)), image=SAMPLE_IMAGE)
        instance = ContainerInstance(cluster="default", arn="arn", agent_version="v")
        self.states = Broadcaster(AgentState(instance=instance))
        self.collector = Collector(runtime=self.fake, states=self.states, **asked)

    def publish(self, *tasks: Task) -> None:
        instance = self.states.newest.instance
        docker_ids = {c.docker_id: (task.arn, c.name) for task in tasks for c in task.containers if c.docker_id}
        self.states.publish(
            AgentState(instance=instance, tasks={task.arn: task for task in tasks}, docker_ids=docker_ids)
        )

    async def running(self, name: str = "app", *, holder: Container | None = None, **fields: object) -> Container:
        """A container that runs in the engine, and as the state will know it; ``holder``: of its network."""
        container = a_container(name, docker_name=f"ecs-{name}", known=ContainerStatus.RUNNING, **fields)
        spec = container_config(
            task=a_task(container) if holder is None else a_task(container, holder, **AWSVPC),
            container=container,
            host_ports={},
            cluster="default",
            region="",
            image_environment_names=frozenset(),
        )
        docker_id: DockerId = await self.clock.run(self.fake.create_container(spec, timeout_s=9))
        await self.clock.run(self.fake.start_container(docker_id, timeout_s=9))
        return a_container(
            name, docker_name=f"ecs-{name}", known=ContainerStatus.RUNNING, docker_id=docker_id, **fields
        )

    @asynccontextmanager
    async def collecting(self) -> AsyncIterator[None]:
        task = asyncio.ensure_future(self.collector.run())
        await self.clock.pass_s(0)
        try:
            yield
            assert not task.done(), "nothing ends the collector"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def clock() -> AsyncIterator[Clock]:
    with Clock(asyncio.get_running_loop()) as made:
        yield made


def counts(reading: MetricsReading) -> dict[str, int]:
    """Container → how many measurements of its memory are reported."""
    return {
        container.container_name: container.memory_stats_set.sample_count
        for task in reading.tasks
        for container in task.container_metrics
    }


async def test_without_containers_the_instance_is_idle(clock: Clock) -> None:
    world = World(clock)
    async with world.collecting():
        await clock.pass_s(5)
        assert world.collector.reading() == MetricsReading(is_idle=True)


async def test_what_changes_is_seen_at_once_after_a_rest_and_often_no_oftener_than_each_second(clock: Clock) -> None:
    world = World(clock)
    containers = [await world.running("a"), await world.running("b")]
    async with world.collecting():
        await clock.pass_s(5)
        for number in (1, 2):
            world.publish(a_task(*containers[:number]))
            await clock.pass_s(0.1)
        asked = [call.subject for call in world.fake.calls_of("stats")]
        assert asked == [containers[0].docker_id]
        await clock.pass_s(1)
        assert len(world.fake.calls_of("stats")) == 2


async def test_a_container_that_runs_is_measured(clock: Clock) -> None:
    world = World(clock)
    world.publish(a_task(await world.running(), family="web", version="7"))
    async with world.collecting():
        assert world.collector.reading() == MetricsReading(is_idle=False), "nothing to report yet"
        await clock.pass_s(20)
        reading = world.collector.reading()
    (task,) = reading.tasks
    assert (task.task_arn, task.task_definition_family, task.task_definition_version) == (a_task().arn, "web", "7")
    (container,) = task.container_metrics
    assert container.cpu_stats_set.max == 25.0, "one CPU of four"
    assert container.memory_stats_set.sum == 3 * 21
    assert container.network_stats_set is not None
    assert container.network_stats_set.rx_bytes_per_second is not None
    assert container.network_stats_set.rx_bytes_per_second.max == 100.0
    assert container.restart_stats_set is None


async def test_what_was_reported_is_not_reported_again_but_what_was_not_is(clock: Clock) -> None:
    world = World(clock)
    world.publish(a_task(await world.running()))
    async with world.collecting():
        await clock.pass_s(9.5)
        assert counts(world.collector.reading()) == {"app": 10}
        assert counts(world.collector.reading()) == {"app": 10}
        world.collector.reported()
        await clock.pass_s(5)
        assert counts(world.collector.reading()) == {"app": 5}


async def test_while_nobody_asks_80_measurements_are_kept(clock: Clock) -> None:
    world = World(clock)
    world.publish(a_task(await world.running()))
    async with world.collecting():
        await clock.pass_s(500)
        assert counts(world.collector.reading()) == {"app": 80}


async def test_polled_as_often_as_it_was_asked(clock: Clock) -> None:
    world = World(clock, poll_every_s=10.0)
    world.publish(a_task(await world.running()))
    async with world.collecting():
        await clock.pass_s(35)
        assert counts(world.collector.reading()) == {"app": 4}
        await clock.pass_s(500)
        assert counts(world.collector.reading()) == {"app": 8}


async def test_a_container_that_stops_is_let_go(clock: Clock) -> None:
    world = World(clock)
    first, second = await world.running("first"), await world.running("second")
    world.publish(a_task(first, second))
    async with world.collecting():
        await clock.pass_s(5)
        stopped = a_container("first", docker_id=first.docker_id, known=ContainerStatus.STOPPED)
        world.publish(a_task(stopped, second))
        await clock.pass_s(2)
        assert counts(world.collector.reading()).keys() == {"second"}
        world.publish()
        await clock.pass_s(2)
        assert world.collector.reading() == MetricsReading(is_idle=True)
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("stats ")]


async def test_tasks_of_which_nothing_can_be_said_are_left_out(clock: Clock) -> None:
    world = World(clock)
    pending = a_task(a_container(docker_id=DockerId("cd" * 32), known=ContainerStatus.CREATED), number=2)
    world.publish(a_task(await world.running()), pending)
    async with world.collecting():
        await clock.pass_s(5)
        assert [task.task_arn for task in world.collector.reading().tasks] == [a_task().arn]


@pytest.mark.parametrize("mode", ["host", "none"])
async def test_no_network_set_without_a_network_of_its_own(clock: Clock, mode: str) -> None:
    world = World(clock)
    world.publish(a_task(await world.running(), network_mode=NetworkMode(mode)))
    async with world.collecting():
        await clock.pass_s(5)
        (task,) = world.collector.reading().tasks
    assert task.container_metrics[0].network_stats_set is None


async def test_restarts_are_counted_where_there_is_a_policy(clock: Clock) -> None:
    world = World(clock)
    container = await world.running(restart_policy=RESTARTS)
    world.publish(a_task(container))
    async with world.collecting():
        await clock.pass_s(5)
        again = a_container(
            docker_id=container.docker_id, known=ContainerStatus.RUNNING, restart_policy=RESTARTS, restart_count=2
        )
        world.publish(a_task(again))
        await clock.pass_s(5)
        (task,) = world.collector.reading().tasks
    assert task.container_metrics[0].restart_stats_set is not None
    assert task.container_metrics[0].restart_stats_set.restart_count == 2


async def test_disabled_nothing_is_measured_and_the_instance_counts_as_idle(clock: Clock) -> None:
    world = World(clock, disabled=True)
    world.publish(a_task(await world.running()))
    async with world.collecting():
        await clock.pass_s(30)
        assert world.collector.reading() == MetricsReading(is_idle=True)
    assert world.fake.calls_of("stats") == []


async def test_a_stream_that_breaks_is_opened_again_ever_more_slowly_and_said_once(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(clock)
    world.publish(a_task(await world.running()))
    with caplog.at_level(logging.INFO):
        async with world.collecting():
            await clock.pass_s(5)
            world.fake.go_away()
            await clock.pass_s(100)
            assert 10 <= len(world.fake.calls_of("stats")) <= 20
            world.fake.come_back()
            await clock.pass_s(20)
            world.collector.reported()
            before = sum(counts(world.collector.reading()).values())
            await clock.pass_s(5)
            assert sum(counts(world.collector.reading()).values()) == before + 5
    assert len(caplog.records) == 2, "that it broke, and that there is nobody"


async def test_a_stream_that_gives_one_sample_each_time_is_said_once_until_it_works(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(clock)
    opened_at_s: list[float] = []
    is_broken = True

    class Short(FakeRuntime):
        @asynccontextmanager
        async def stats(
            self, docker_id: DockerId, *, poll_every_s: float | None = None
        ) -> AsyncIterator[AsyncIterator[StatsSample]]:
            opened_at_s.append(clock.now_s)
            async with world.fake.stats(docker_id, poll_every_s=poll_every_s) as stats:
                yield self._some(stats)

        async def _some(self, stats: AsyncIterator[StatsSample]) -> AsyncIterator[StatsSample]:
            async for sample in stats:
                yield sample
                if is_broken:
                    raise RuntimeFailure(NamedError(name="DockerError", message=f"broken {len(opened_at_s) % 2}"))

    world.collector = Collector(runtime=Short(), states=world.states)
    world.publish(a_task(await world.running()))
    with caplog.at_level(logging.INFO, "ecscope.stats"):
        async with world.collecting():
            await clock.pass_s(300)
            assert len(caplog.records) == 2, "each reason once"
            assert opened_at_s[-1] - opened_at_s[-2] >= 10.0, "ever more slowly"
            is_broken = False
            await clock.pass_s(100)
            is_broken = True
            await clock.pass_s(300)
            assert len(caplog.records) == 4, "it worked for a while, so that is news"


async def test_an_engine_that_answers_nonsense_and_a_fault_of_ours_cost_one_stream_a_while(clock: Clock) -> None:
    world = World(clock)

    class Stubborn(FakeRuntime):
        asked = 0

        def stats(self, docker_id: DockerId, *, poll_every_s: float | None = None) -> Any:
            Stubborn.asked += 1
            if Stubborn.asked == 1:
                raise ValueError("a fault")
            return world.fake.stats(docker_id, poll_every_s=poll_every_s)

    world.collector = Collector(runtime=Stubborn(), states=world.states)
    world.publish(a_task(await world.running()))
    async with world.collecting():
        await clock.pass_s(20)
        assert counts(world.collector.reading())["app"] > 15


async def test_the_end_closes_all_streams(clock: Clock) -> None:
    world = World(clock)
    world.publish(a_task(await world.running("first"), await world.running("second")))
    async with world.collecting():
        await clock.pass_s(5)
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("stats ")]


async def test_what_the_agent_made_up_is_measured_for_readers_and_not_reported(clock: Clock) -> None:
    world = World(clock)
    pause = await world.running("pause", kind=ContainerKind.NAMESPACE_PAUSE)
    async with world.collecting():
        world.publish(a_task(pause, await world.running("app")))
        await clock.pass_s(3)
        assert counts(world.collector.reading()).keys() == {"app"}
        assert (await clock.run(world.collector.latest([pause.docker_id])))[pause.docker_id] is not None


async def test_readers_share_the_stream_of_telemetry_and_see_the_newest_sample(clock: Clock) -> None:
    world = World(clock)
    container = await world.running()
    world.publish(a_task(container))
    async with world.collecting():
        await clock.pass_s(3.5)
        for _ in range(3):
            found = await clock.run(world.collector.latest([container.docker_id]))
        assert len(world.fake.calls_of("stats")) == 1
        latest = found[container.docker_id]
        assert latest is not None
        assert latest.document["name"] == "/ecs-app"
        assert latest.document["cpu_stats"]["cpu_usage"]["total_usage"] == 3_000_000_000
        assert latest.rx_bytes_per_s == 100.0


async def test_a_reader_of_a_container_that_has_just_started_gets_a_sample_within_two_seconds(clock: Clock) -> None:
    world = World(clock)
    async with world.collecting():
        container = await world.running()
        world.publish(a_task(container))  # which the collector has not seen
        asked_s = clock.now_s
        found = await clock.run(world.collector.latest([container.docker_id]))
        latest = found[container.docker_id]
        assert latest is not None
        assert (latest.document["id"], latest.document["name"]) == (container.docker_id, f"/{container.docker_name}")
        assert clock.now_s - asked_s < 2


async def test_a_reader_is_not_kept_waiting_where_no_sample_comes(clock: Clock) -> None:
    world = World(clock)
    world.fake.fail_next("stats", "no stats", times=100)
    container = await world.running()
    world.publish(a_task(container))
    async with world.collecting():
        asked_s = clock.now_s
        assert await clock.run(world.collector.latest([container.docker_id])) == {container.docker_id: None}
        assert clock.now_s - asked_s < 2


async def test_what_does_not_run_has_no_stats(clock: Clock) -> None:
    world = World(clock)
    stopped = a_container(known=ContainerStatus.STOPPED, docker_id=DockerId("gone"))
    world.publish(a_task(stopped))
    async with world.collecting():
        assert await clock.run(world.collector.latest([DockerId("gone"), DockerId("unknown")])) == {}
        ran = await world.running("other")
        world.publish(a_task(ran))
        await clock.pass_s(3)
        ended = msgspec.structs.replace(ran, known=ContainerStatus.STOPPED)
        world.publish(a_task(ended))  # which the collector has not looked at yet
        assert await clock.run(world.collector.latest([ran.docker_id])) == {}
    off = World(clock, disabled=True)
    container = await off.running()
    off.publish(a_task(container))
    async with off.collecting():
        assert await clock.run(off.collector.latest([container.docker_id])) == {}


async def test_totals_that_readers_see_are_those_of_all_runs(clock: Clock) -> None:
    world = World(clock)
    container = await world.running(restart_policy=RESTARTS)
    world.publish(a_task(container))
    async with world.collecting():
        await clock.pass_s(10.5)
        await clock.run(world.fake.stop_container(container.docker_id, grace_s=0))
        await clock.run(world.fake.start_container(container.docker_id, timeout_s=9))
        await clock.pass_s(3)
        latest = (await clock.run(world.collector.latest([container.docker_id])))[container.docker_id]
    assert latest is not None
    assert latest.document["cpu_stats"]["cpu_usage"]["total_usage"] > 12_000_000_000


async def test_containers_of_an_awsvpc_task_have_the_traffic_of_the_one_that_holds_their_network(clock: Clock) -> None:
    world = World(clock)
    pause = msgspec.structs.replace(await world.running(NETWORK_PAUSE), kind=ContainerKind.CNI_PAUSE)
    app = await world.running("app", holder=pause)
    world.publish(a_task(pause, app, **AWSVPC))
    async with world.collecting():
        await clock.pass_s(5)
        latest = (await clock.run(world.collector.latest([app.docker_id])))[app.docker_id]
        reading = world.collector.reading()
    assert latest is not None
    assert latest.document["networks"]["eth0"]["rx_bytes"] > 0
    assert latest.rx_bytes_per_s == 100.0
    assert [metric.container_name for metric in reading.tasks[0].container_metrics] == ["app"]
    assert reading.tasks[0].container_metrics[0].network_stats_set is not None


def test_a_sample_without_a_name_is_shown_with_it() -> None:
    """Docker leaves name and ID out of a sample that is asked for beside the stream."""
    measured = _Measured(10, docker_id=DockerId("d" * 64), docker_name="ecs-web-1-app")
    measured.show(b'{"read": "2026-12-01T12:00:00Z"}')
    latest = measured.latest()
    assert latest is not None
    assert (latest.document["id"], latest.document["name"]) == ("d" * 64, "/ecs-web-1-app")
