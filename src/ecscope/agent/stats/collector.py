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
from ecscope.agent.stats.documents import Document, summed
from ecscope.agent.stats.measurements import Ring
from ecscope.agent.stats.telemetry import container_metric
from ecscope.backoff import Backoff
from ecscope.model.arn import DockerId
from ecscope.model.container import Container
from ecscope.model.stats import LatestStats, StatsSample
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
"""A reader waits so long for the first sample, and then for one that has the sample before beside it."""
_UNSET_TIME = b'"preread":"0001-01-01'
"""In a sample that has none before it."""


class _Measured:
    """One container that runs."""

    def __init__(self, capacity: int) -> None:
        self.ring = Ring(capacity=capacity)
        self.restart_count: int | None = None
        self.stream: asyncio.Task[None] | None = None
        self.samples: Broadcaster[bytes] = Broadcaster(b"")
        """The runtime's newest answer; ``b""``: there is none yet."""
        self._ended_runs: Document | None = None

    def take(self, sample: StatsSample) -> None:
        """The newest sample. Of its document only the last one is kept."""
        document = sample.document
        is_anew = self.ring.add(msgspec.structs.replace(sample, document=b""), restart_count=self.restart_count)
        if is_anew and self.samples.newest:
            self._ended_runs = summed(self._ended_runs, msgspec.json.decode(self.samples.newest))
        if document:
            self.samples.publish(document)

    def latest(self) -> LatestStats | None:
        """``None``: there is no sample yet."""
        newest = self.ring.newest
        if not self.samples.newest or newest is None:
            return None
        return LatestStats(
            document=summed(self._ended_runs, msgspec.json.decode(self.samples.newest)),
            rx_bytes_per_s=newest.rx_bytes_per_s,
            tx_bytes_per_s=newest.tx_bytes_per_s,
        )


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
        wanted = list(docker_ids)
        if any(docker_id not in self._measured for docker_id in wanted):
            self._look(self._states.newest)
        measured = {docker_id: self._measured[docker_id] for docker_id in wanted if docker_id in self._measured}
        with suppress(TimeoutError):
            async with asyncio.timeout(_WHOLE_WITHIN_S):
                for one in measured.values():
                    await one.samples.until(self._is_whole)
        return {docker_id: one.latest() for docker_id, one in measured.items()}

    def _is_whole(self, document: bytes) -> bool:
        """What is polled never has the sample before beside it."""
        return bool(document) and (self._poll_every_s is not None or _UNSET_TIME not in document)

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
        running = {container.docker_id: container for task in state.tasks.values() for container in _running(task)}
        for docker_id in self._measured.keys() - running.keys():
            stream = self._measured.pop(docker_id).stream
            if stream is not None:
                stream.cancel()
        for docker_id, container in running.items():
            measured = self._measured.get(docker_id)
            if measured is None:
                measured = self._measured[docker_id] = _Measured(self._capacity)
                measured.stream = asyncio.create_task(self._measure(docker_id, measured), name=f"stats {docker_id}")
            measured.restart_count = container.restart_count if container.restarts else None

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
        streams = [measured.stream for measured in map(self._measured.pop, docker_ids) if measured.stream is not None]
        for stream in streams:
            stream.cancel()
        await asyncio.gather(*streams, return_exceptions=True)


def _running(task: Task) -> Iterator[Container]:
    """The user's containers that run."""
    return (c for c in task.containers if c.is_running and c.docker_id and not c.is_agents_own)
