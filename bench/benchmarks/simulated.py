"""The agent's inside without a kernel: core, engine and store over a simulated runtime, 10 to 1,000 tasks at once.

Three things are measured for each number of tasks. All RUNNING: engine, executor, store on disk and
fake runtime together, from the first task handed over. Decide: the events of that run, replayed through
``decide`` alone. Decide and save: the same events through the engine and the store on disk. The cost
per event has to be flat: what it costs to move one container must not depend on how many others there are.
"""

from __future__ import annotations

import asyncio
import logging
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from itertools import count as counting
from pathlib import Path
from statistics import mean, median

from bench import RESULTS, ROOT
from bench.figures import Figure, Target, at_most
from bench.options import Options
from bench.plot import Line, plot
from bench.rounds import rotated
from ecscope.agent.core import host_resources
from ecscope.agent.core.actions import AnyAction
from ecscope.agent.core.decide import decide
from ecscope.agent.core.events import AnyEvent, TaskFile, TaskFilesScanned
from ecscope.agent.core.host_ports import HostPortChooser
from ecscope.agent.core.restore import restored_state
from ecscope.agent.core.state import AgentState, PullBehavior, Settings
from ecscope.agent.engine import Engine
from ecscope.agent.executors.registry_login import RegistryLogins
from ecscope.agent.executors.resources.providers import Tools, providers
from ecscope.agent.executors.runtime import Executor, ExecutorSettings
from ecscope.agent.inbox import Inbox
from ecscope.agent.runtime.connection import RuntimeConnection
from ecscope.agent.runtime.simulated.images import Images
from ecscope.agent.runtime.simulated.runtime import SimulatedRuntime
from ecscope.agent.store.sqlite import SqliteStore
from ecscope.backoff import Backoff
from ecscope.model.arn import STANDALONE_ACCOUNT, task_arn
from ecscope.model.container import Container, ContainerDefinition
from ecscope.model.container_instance import ContainerInstance
from ecscope.model.resources import HostResources
from ecscope.model.runtime import EngineInfo
from ecscope.model.status import TaskStatus
from ecscope.model.task import Task

SIZES = (10, 100, 300, 1000)
FLAT = 1.5
"""A cost per event at most this many times that of the smallest size counts as flat."""
_IMAGE = "ecscope-sample:latest"
_HOST = EngineInfo(version="simulated", api_version="1.41", cpus=1024, memory_bytes=1 << 40, storage_root="/")
_FOR_EVER = Backoff(tries=None, first_s=0.5, cap_s=5.0)


@dataclass(frozen=True, kw_only=True)
class _Run:
    """What one simulation gave."""

    all_running_s: float
    begin: AgentState
    events: list[AnyEvent]
    """In the order in which they were posted."""


def run(options: Options) -> list[Figure]:
    log = logging.getLogger("ecscope")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        return _run(options)
    finally:
        log.setLevel(level)


def _run(options: Options) -> list[Figure]:
    rounds = 2 if options.quick else 5
    whole: dict[int, list[float]] = {size: [] for size in SIZES}
    alone: dict[int, list[float]] = {size: [] for size in SIZES}
    saved: dict[int, list[float]] = {size: [] for size in SIZES}
    events = {}
    for order in rotated(list(SIZES), rounds):
        for size in order:
            done = asyncio.run(_simulate(size))
            events[size] = len(done.events)
            whole[size].append(done.all_running_s)
            repeats = SIZES[-1] // size  # as many events at each size
            alone[size].append(mean(_decide_us(done) for _ in range(repeats)))
            saved[size].append(mean(asyncio.run(_save_us(done)) for _ in range(min(repeats, 10))))
    path = (ROOT / "docs" if options.docs else RESULTS) / "bench-scaling.svg"
    path.parent.mkdir(exist_ok=True)
    path.write_text(_drawing(alone, saved))
    return _figures(alone, saved, whole, events)


def _figures(
    alone: dict[int, list[float]], saved: dict[int, list[float]], whole: dict[int, list[float]], events: dict[int, int]
) -> list[Figure]:
    smallest = SIZES[0]
    figures: list[Figure] = []
    for size in SIZES:
        for what, costs in (("decide", alone), ("decide and save", saved)):
            base = median(costs[smallest])
            target: Target | None = None
            if size == SIZES[-1]:
                target = at_most(FLAT * base, f"flat: {FLAT} x that of {smallest}")
            name = f"{size} tasks, {events[size]:,} events: {what}, per event"
            figures.append(Figure(name=name, unit="µs", samples=costs[size], target=target))
        figures.append(Figure(name=f"{size} tasks: all RUNNING after", unit="s", samples=whole[size]))
        per_task = [seconds / size * 1e3 for seconds in whole[size]]
        figures.append(Figure(name=f"{size} tasks: all RUNNING after, per task", unit="ms", samples=per_task))
    return figures


# --- one simulation -------------------------------------------------------------------------------


async def _simulate(size: int) -> _Run:
    images = Images()
    images.add(_IMAGE)
    runtime = SimulatedRuntime(info=_HOST, images=images)
    events: list[AnyEvent] = []
    numbers = counting(1)
    with tempfile.TemporaryDirectory(prefix="ecscope-bench-") as folder:
        store = SqliteStore(Path(folder))
        store.load()
        begin = _state()
        parts: dict[str, Executor] = {}

        def act(action: AnyAction) -> None:
            parts["executor"].start(action)

        engine = Engine(state=begin, store=store, act=act, save_retry=_FOR_EVER)

        def post(event: AnyEvent) -> None:
            events.append(event)
            engine.post(event)

        inbox = Inbox(post, new_id=lambda: f"simulated-{next(numbers)}", now=_now)

        connection = RuntimeConnection(runtime=runtime, inbox=inbox, resources_of=_resources, backoff=_FOR_EVER)
        parts["executor"] = Executor(
            runtime=runtime,
            state=lambda: engine.state,
            inbox=inbox,
            settings=ExecutorSettings(cluster="simulated", region="us-west-2"),
            ports=HostPortChooser(32768, 60999),
            logins=RegistryLogins(own=lambda image: None),
            reconnect=connection.reconnect,
            resources=providers(Tools(runtime=runtime)),
            jitter=random.Random(1),
        )
        lives = [asyncio.create_task(engine.run()), asyncio.create_task(connection.run())]
        try:
            await _until(lambda: engine.state.reconciled, lives)
            begun = time.perf_counter()
            for number in range(size):
                files = {f"{number}.json": TaskFile(task=_task(number), digest=str(number))}
                inbox.post(TaskFilesScanned(**inbox.stamp(), files=files, is_complete=False))
            await _until(lambda: _all_running(engine.state, size), lives)
            taken_s = time.perf_counter() - begun
        finally:
            for life in lives:
                life.cancel()
            await asyncio.gather(*lives, return_exceptions=True)
            await parts["executor"].close()
            await runtime.close()
            await store.close()
    return _Run(all_running_s=taken_s, begin=begin, events=events)


async def _until(is_so: Callable[[], bool], lives: list[asyncio.Task[None]], limit_s: float = 120.0) -> None:
    """Raises what a part raised that should have lived on."""
    async with asyncio.timeout(limit_s):
        while not is_so():
            for life in lives:
                if life.done():
                    life.result()
            await asyncio.sleep(0.002)


def _all_running(state: AgentState, size: int) -> bool:
    """Looks at the last task first: mostly that settles it."""
    return len(state.tasks) == size and all(
        task.known is TaskStatus.RUNNING
        for task in reversed(state.tasks.values())  # type: ignore[call-overload]
    )


def _decide_us(done: _Run) -> float:
    state = done.begin
    begun = time.perf_counter()
    for event in done.events:
        state = decide(state, event).state
    return (time.perf_counter() - begun) / len(done.events) * 1e6


async def _save_us(done: _Run) -> float:
    """Through the engine's own loop, batches and all; actions are dropped."""
    with tempfile.TemporaryDirectory(prefix="ecscope-bench-") as folder:
        store = SqliteStore(Path(folder))
        store.load()
        engine = Engine(state=done.begin, store=store, act=lambda action: None, save_retry=_FOR_EVER)
        begun = time.perf_counter()
        for event in done.events:
            engine.post(event)
        life = asyncio.create_task(engine.run())
        await engine.settled()
        taken_s = time.perf_counter() - begun
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)
        await store.close()
    return taken_s / len(done.events) * 1e6


def _state() -> AgentState:
    instance = ContainerInstance(cluster="simulated", arn="arn:simulated", agent_version="simulated")
    return restored_state(instance=instance, settings=Settings(pull_behavior=PullBehavior.PREFER_CACHED))


def _resources(info: EngineInfo) -> HostResources:
    return host_resources.host_of(
        info, reserved_memory_mib=0, reserved_ports_tcp=frozenset(), reserved_ports_udp=frozenset()
    )


def _now() -> datetime:
    return datetime.now(UTC)


def _task(number: int) -> Task:
    identity = sha256(f"task {number}".encode()).hexdigest()
    definition = ContainerDefinition(name="app", image=_IMAGE, cpu_units=2, memory_mib=16)
    return Task(
        arn=task_arn(region="us-west-2", account=STANDALONE_ACCOUNT, cluster="simulated", task_id=identity[:32]),
        family="simulated",
        version="1",
        containers=(Container(definition=definition, name_suffix=identity[:20]),),
        received_at=_now(),
    )


def _drawing(alone: dict[int, list[float]], saved: dict[int, list[float]]) -> str:
    return plot(
        title="Cost of one event, by number of tasks",
        x_name="tasks started at once, on a simulated runtime",
        y_name="µs per event",
        lines=[Line("decide", alone), Line("decide and save on disk", saved)],
    )
