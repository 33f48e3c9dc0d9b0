"""Measures every container that runs: opens and closes streams as the published state says, and keeps the samples.

The measurements are never part of the state. A stream that breaks is opened again, ever more
slowly, and that is said once until one works again; nothing that the runtime answers ends the
collector.

Source: agent-protocol.md §5.3.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

import msgspec

from ecscope.agent.broadcaster import Broadcaster
from ecscope.agent.core.state import AgentState
from ecscope.agent.runtime.interface import Runtime, RuntimeFailure
from ecscope.agent.stats.documents import Documents
from ecscope.agent.stats.measurements import Ring
from ecscope.agent.stats.telemetry import container_metric
from ecscope.backoff import Backoff
from ecscope.model.arn import DockerId
from ecscope.model.container import Container, ContainerKind
from ecscope.model.stats import LatestStats, NetworkCounters, StatsSample
from ecscope.model.task import Task
from ecscope.wire.tcs.messages import MetricsReading, TaskMetric

_log = logging.getLogger("ecscope.stats")

STREAM_WAITS = Backoff(tries=None, first_s=1.0, cap_s=10.0, factor=2.0, jitter=0.5)
"""Before a stream that broke is opened again."""

_KEPT_S = 80.0
"""Four reports' worth of measurements: what can be made up for after the telemetry service was away."""
_LOOKS_APART_S = 1.0
"""From one look at what runs to the next, however often that changes."""
_PROVEN_S = 60.0
"""A stream that gave measurements for this long works, and its end is logged again."""
_MOST_SAID = 5
"""Of one container, until its stream works again: Docker's words may differ each time."""


_WHOLE_WITHIN_S = 1.8
"""A reader waits so long for a whole sample, which is one with the sample before it."""
_ASKED_APART_S = 1.0
"""Two samples that are asked for because a reader waits: the stream gives its first one late."""


class _Measured:
    """One container that runs."""

    def __init__(self, capacity: int, *, docker_id: DockerId, docker_name: str) -> None:
        self._names = {"name": f"/{docker_name}", "id": docker_id}
        self.ring = Ring(capacity=capacity)
        self.restart_count: int | None = None
        self.network_holder: _Measured | None = None
        """The pause container whose network it shares, and whose counters are its own; ``None``: none."""
        self.stream: asyncio.Task[None] | None = None
        self.asking: asyncio.Task[None] | None = None
        """Asks for samples beside the stream; ``None``: no reader has had to wait."""
        self.documents = Documents()
        self.arrivals = Broadcaster(0)
        """How many documents have come."""

    def take(self, sample: StatsSample) -> None:
        """The newest sample of the stream. Its document is kept until the next."""
        if sample.network is None and self.network_holder is not None:
            sample = msgspec.structs.replace(sample, network=self.network_holder.network)
        is_anew = self.ring.add(msgspec.structs.replace(sample, document=b""), restart_count=self.restart_count)
        self.show(sample.document, is_anew=is_anew)

    def show(self, document: bytes, *, is_anew: bool = False) -> None:
        """Readers see it, telemetry does not: it may come just before or after one of the stream."""
        if document:
            self.documents.take(document, is_anew=is_anew)
            self.arrivals.publish(self.arrivals.newest + 1)

    @property
    def network(self) -> NetworkCounters | None:
        """Counters of the newest sample; ``None``: it has none."""
        return self.ring.newest.sample.network if self.ring.newest is not None else None

    def latest(self) -> LatestStats | None:
        """``None``: there is no sample yet."""
        document = self.documents.latest()
        if document is None:
            return None
        if self.network_holder is not None and not document.get("networks"):
            networks = (self.network_holder.documents.latest() or {}).get("networks")
            document = {**document, "networks": networks} if networks else document
        newest = self.ring.newest
        return LatestStats(
            document={**self._names, **document},  # Docker leaves them out of a sample that is asked for by itself
            rx_bytes_per_s=newest.rx_bytes_per_s if newest is not None else None,
            tx_bytes_per_s=newest.tx_bytes_per_s if newest is not None else None,
        )

    def tasks(self) -> list[asyncio.Task[None]]:
        """All that is under way for it."""
        return [task for task in (self.stream, self.asking) if task is not None]


class Collector:
    """See the module docstring. All methods belong to one event loop."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        states: Broadcaster[AgentState],
        disabled: bool = False,
        poll_every_s: float | None = None,
        stream_waits: Backoff = STREAM_WAITS,
        looks_apart_s: float = _LOOKS_APART_S,
    ) -> None:
        """
        Args:
            states: the published state.
            disabled: ``ECS_DISABLE_METRICS``: nothing is measured, and the instance counts as idle.
            poll_every_s: ``ECS_POLLING_METRICS_WAIT_DURATION`` with ``ECS_POLL_METRICS``; ``None``: streams.
            stream_waits: never ends.
        """
        self._runtime = runtime
        self._states = states
        self._disabled = disabled
        self._poll_every_s = poll_every_s
        self._stream_waits = stream_waits
        self._looks_apart_s = looks_apart_s
        self._capacity = round(_KEPT_S / (poll_every_s or 1.0))
        self._measured: dict[DockerId, _Measured] = {}

    async def run(self) -> None:
        """For ever. Cancelling is safe, and ends all streams."""
        try:
            if self._disabled:
                await asyncio.get_running_loop().create_future()
            state = self._states.newest
            while True:
                self._look(state)
                await asyncio.sleep(self._looks_apart_s)
                state = await self._states.changed(state)
        finally:
            await self._let_go(list(self._measured))

    def reading(self) -> MetricsReading:
        """What was measured since the reading that ``reported`` last marked."""
        if not self._measured:
            return MetricsReading(is_idle=True)
        tasks = (self._task_metric(task) for task in self._states.newest.tasks.values())
        return MetricsReading(is_idle=False, tasks=tuple(metric for metric in tasks if metric is not None))

    def reported(self) -> None:
        """The last reading has been sent."""
        for measured in self._measured.values():
            measured.ring.mark_reported()

    async def latest(self, docker_ids: Iterable[DockerId]) -> Mapping[DockerId, LatestStats | None]:
        """Those of the containers that run, each with its newest sample; ``None``: none has come yet.

        Of one that has just started it is waited for: less than two seconds in all.
        """
        if self._disabled:
            return {}
        state = self._states.newest
        wanted = [docker_id for docker_id in docker_ids if _runs(state, docker_id)]
        if any(docker_id not in self._measured for docker_id in wanted):
            self._look(state)
        measured = {docker_id: self._measured[docker_id] for docker_id in wanted if docker_id in self._measured}
        with suppress(TimeoutError):
            async with asyncio.timeout(_WHOLE_WITHIN_S):
                for docker_id, one in measured.items():
                    if not one.documents.is_whole and one.asking is None:
                        one.asking = asyncio.create_task(self._ask(docker_id, one), name=f"stats {docker_id} at once")
                for one in measured.values():
                    await one.arrivals.until(lambda _, one=one: one.documents.is_whole)  # type: ignore[misc]
        return {docker_id: one.latest() for docker_id, one in measured.items()}

    async def _ask(self, docker_id: DockerId, measured: _Measured) -> None:
        """Show two samples, unless the stream does meanwhile. What fails is tried by the stream, which reports it."""
        with suppress(RuntimeFailure):
            async with self._runtime.stats(docker_id, poll_every_s=_ASKED_APART_S) as samples:
                async for sample in samples:
                    if measured.documents.is_whole:
                        return
                    measured.show(sample.document)

    def _task_metric(self, task: Task) -> TaskMetric | None:
        has_network = task.network_mode.has_own_network
        containers = (
            container_metric(container.name, self._measured[container.docker_id].ring.window(), has_network=has_network)
            for container in _running(task)
            if container.docker_id in self._measured
        )
        metrics = tuple(metric for metric in containers if metric is not None)
        if not metrics:
            return None
        return TaskMetric(
            container_metrics=metrics,
            task_arn=task.arn,
            task_definition_family=task.family,
            task_definition_version=task.version,
        )

    def _look(self, state: AgentState) -> None:
        """Measure what runs, and only that."""
        tasks = state.tasks.values()
        running = {each.docker_id: each for task in tasks for each in task.containers if each.is_running}
        running.pop(DockerId(""), None)
        for docker_id in self._measured.keys() - running.keys():
            for call in self._measured.pop(docker_id).tasks():
                call.cancel()
        for docker_id, container in running.items():
            measured = self._measured.get(docker_id)
            if measured is None:
                measured = self._measured[docker_id] = _Measured(
                    self._capacity, docker_id=docker_id, docker_name=container.docker_name
                )
                measured.stream = asyncio.create_task(self._measure(docker_id, measured), name=f"stats {docker_id}")
            measured.restart_count = container.restart_count if container.restarts else None
        for task in tasks:
            if task.network_mode.has_task_address:
                self._share_network(task)

    def _share_network(self, task: Task) -> None:
        """Docker counts the traffic of the container that holds the network namespace, and none of the others'."""
        holders = (c.docker_id for c in task.containers if c.kind is ContainerKind.CNI_PAUSE)
        holder = next((self._measured[docker_id] for docker_id in holders if docker_id in self._measured), None)
        for container in _running(task):
            if (measured := self._measured.get(container.docker_id)) is not None:
                measured.network_holder = holder

    async def _measure(self, docker_id: DockerId, measured: _Measured) -> None:
        """Until cancelled, which happens once the container does not run."""
        clock = asyncio.get_running_loop().time
        said: set[str] = set()
        waits = self._stream_waits.waits()
        while True:
            level = logging.INFO
            proven_at_s = clock() + _PROVEN_S
            try:
                async with self._runtime.stats(docker_id, poll_every_s=self._poll_every_s) as stats:
                    async for sample in stats:
                        measured.take(sample)
                        if clock() >= proven_at_s:
                            proven_at_s = math.inf
                            said.clear()
                            waits = self._stream_waits.waits()
                reason, level = "the stream ended", logging.DEBUG  # mostly because the container did
            except RuntimeFailure as failure:
                reason = failure.error.message
            except Exception as fault:  # a fault of ours in one stream must not cost the others
                reason = f"{type(fault).__name__} (please report this)"
            if reason not in said and len(said) < _MOST_SAID:
                said.add(reason)
                _log.log(level, "container %s cannot be measured: %s. Trying again while it runs.", docker_id, reason)
            await asyncio.sleep(next(waits))

    async def _let_go(self, docker_ids: list[DockerId]) -> None:
        tasks = [task for measured in map(self._measured.pop, docker_ids) for task in measured.tasks()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _runs(state: AgentState, docker_id: DockerId) -> bool:
    arn, name = state.docker_ids.get(docker_id, (None, ""))
    task = state.tasks.get(arn) if arn is not None else None
    container = task.container(name) if task is not None else None
    return container is not None and container.is_running


def _running(task: Task) -> Iterator[Container]:
    """The user's containers that run."""
    return (c for c in task.containers if c.is_running and c.docker_id and not c.is_agents_own)
