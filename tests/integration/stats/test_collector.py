"""Containers of a real engine are measured from start to stop, and what is reported of them is true."""

from __future__ import annotations

import asyncio
import json
from uuid import uuid4

import pytest

import dockerengine
from ecscope.agent.broadcaster import Broadcaster
from ecscope.agent.core.container_config import container_config
from ecscope.agent.core.state import AgentState
from ecscope.agent.runtime.docker.runtime import DockerRuntime
from ecscope.agent.stats.collector import Collector
from ecscope.model.arn import DockerId
from ecscope.model.container import RestartPolicy
from ecscope.model.container_instance import ContainerInstance
from ecscope.model.status import ContainerStatus
from ecscope.wire.tcs.messages import ContainerMetric, MetricsReading
from tests.builders import SAMPLE_IMAGE, a_container, a_task

CLUSTER = f"ecscope-test-{uuid4().hex[:8]}"
PROGRAMS = {
    "busy": ("sh", "-c", "while :; do :; done"),
    "holder": ("sh", "-c", "held=$(head -c 20000000 /dev/zero | tr '\\0' x); sleep 1000 & wait"),
    "on-the-host": ("sleep", "1000"),
}


class World:
    """Three containers that run, the state that says so, and the collector."""

    def __init__(self, runtime: DockerRuntime, poll_every_s: float | None) -> None:
        self.runtime = runtime
        self.ids: dict[str, DockerId] = {}
        self.known = ContainerStatus.RUNNING
        self.states = Broadcaster(self._state())
        self.collector = Collector(runtime=runtime, states=self.states, poll_every_s=poll_every_s, looks_apart_s=0.1)

    def publish(self) -> None:
        self.states.publish(self._state())

    def _state(self) -> AgentState:
        tasks = (
            a_task(
                a_container(
                    name,
                    docker_id=docker_id,
                    known=self.known,
                    restart_policy=RestartPolicy(enabled=True) if name == "busy" else None,
                ),
                number=number,
                family=name,
            )
            for number, (name, docker_id) in enumerate(self.ids.items())
        )
        return AgentState(
            instance=ContainerInstance(cluster=CLUSTER, arn="", agent_version=""),
            tasks={task.arn: task for task in tasks},
        )

    async def start(self, name: str) -> None:
        container = a_container(
            name,
            docker_name=f"{CLUSTER}-{name}-{uuid4().hex[:8]}",
            command=PROGRAMS[name],
            docker_host_config='{"NetworkMode": "host"}' if name == "on-the-host" else "{}",
        )
        spec = container_config(
            task=a_task(container),
            container=container,
            host_ports={},
            cluster=CLUSTER,
            region="",
            image_environment_names=frozenset(),
        )
        self.ids[name] = await self.runtime.create_container(spec, timeout_s=60)
        await self.runtime.start_container(self.ids[name], timeout_s=60)

    def reading(self) -> dict[str, ContainerMetric]:
        return {
            container.container_name: container
            for task in self.collector.reading().tasks
            for container in task.container_metrics
        }


@pytest.mark.parametrize("poll_every_s", [None, 1.0], ids=["streamed", "polled"])
async def test_from_start_to_stop(docker_endpoint: str, sample_image: str, poll_every_s: float | None) -> None:
    assert sample_image == SAMPLE_IMAGE
    runtime = DockerRuntime(docker_endpoint)
    world = World(runtime, poll_every_s)
    collecting = asyncio.create_task(world.collector.run(), name="collector")
    try:
        for name in PROGRAMS:
            await world.start(name)
        world.publish()
        async with asyncio.timeout(40):
            while len(found := world.reading()) < 3 or any(
                metric.cpu_stats_set.sample_count < 2 for metric in found.values()
            ):
                await asyncio.sleep(0.2)
        cpus = cpus_of(docker_endpoint)
        busy, holder, host = found["busy"], found["holder"], found["on-the-host"]
        assert 0 < busy.cpu_stats_set.max <= 100 / cpus * 1.1, "one CPU at most, as percent of all"
        assert holder.cpu_stats_set.min < 5
        assert holder.memory_stats_set.max >= 19, "20 MB that the kernel cannot take back"
        assert busy.network_stats_set is not None
        assert busy.network_stats_set.rx_bytes.sample_count == busy.memory_stats_set.sample_count
        assert host.network_stats_set is None
        assert busy.restart_stats_set is not None
        assert busy.restart_stats_set.restart_count == 0
        assert holder.restart_stats_set is None

        world.collector.reported()
        assert world.reading().keys() <= PROGRAMS.keys()
        world.known = ContainerStatus.STOPPED
        world.publish()
        async with asyncio.timeout(10):
            while world.collector.reading() != MetricsReading(is_idle=True):
                await asyncio.sleep(0.1)
        assert not collecting.done()
    finally:
        collecting.cancel()
        await asyncio.gather(collecting, return_exceptions=True)
        for docker_id in world.ids.values():
            await runtime.remove_container(docker_id, force=True)
        await runtime.close()


def cpus_of(endpoint: str) -> int:
    engine = dockerengine.Engine(endpoint.removeprefix("unix://"))
    return int(json.loads(engine.request("GET", "/info"))["NCPU"])
