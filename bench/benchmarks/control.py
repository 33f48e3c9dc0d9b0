"""The control plane alone: 100 light agents on real websockets, up to 10,000 tasks, no engine; moto's server beside it.

A task counts once RunTask has answered with the container instance that it was placed on, which is after it was saved.
Each size is a fresh control plane and a fresh moto, in turn. Clients are raw signed connections in this process; the
agents are another process, and what they do (acknowledge, report RUNNING) is work of the control plane meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from statistics import median, quantiles
from typing import Any, NamedTuple

from bench import RESULTS, ROOT, processes
from bench.control_plane import REGION, ControlPlane, control_plane
from bench.figures import Figure, Target, at_least, at_most
from bench.moto import KEY, Moto, moto_server
from bench.moto import command as moto_command
from bench.needs import Missing
from bench.options import Options
from bench.ours import CLUSTER
from bench.plot import Line, grid, plot
from bench.rounds import rotated
from bench.signed_calls import Key, SignedCalls
from bench.simulated_agents import SimulatedAgents, simulated_agents

SIZES = (100, 300, 1_000, 3_000, 10_000)
AGENTS = 100
CLIENTS = 8
"""Connections that call RunTask at once."""
WARM_UP = 10
"""Of the tasks of each size, so many are not measured: the first call of each kind compiles its checks."""
READS = 500
_READ_S = 10.0
"""Who is slow is read for so long only, though twenty times at least."""
LOAD_PER_S, LOAD_S = 200, 5.0
"""At the largest size, after the restart: so many RunTask of one task a second, while DescribeTasks is measured."""
_RUNNING_S = 300.0
_SETTLE_S = 2.0
_FAMILY = "bench-control"


class _Taken(NamedTuple):
    """One server at one size; unit s or MiB."""

    run_per_s: float
    """Tasks, one a call."""
    last_per_s: float
    """The same for the last tenth."""
    describe_s: Sequence[float]
    list_s: Sequence[float]
    cpu_ms: float = 0.0
    """Of the server, per task: RunTask, acknowledgement, report."""
    told_s: float = 0.0
    """From the last answer of RunTask until the last task was RUNNING."""
    memory_mib: float = 0.0
    restart_s: float = 0.0
    loaded_s: Sequence[float] = ()
    """DescribeTasks under load; at the largest size only."""


def run(options: Options) -> list[Figure]:
    ours: dict[int, list[_Taken]] = {size: [] for size in SIZES}
    motos: dict[int, list[_Taken]] = {size: [] for size in SIZES}
    tens: list[tuple[float, float]] = []
    has_moto = _has_moto()
    for order in rotated([*SIZES], 1 if options.quick else 3):
        for size in order:
            ours[size].append(_ours(size))
            if has_moto:
                motos[size].append(_moto(size))
        tens.append(_in_tens(SIZES[-1]))
    path = (ROOT / "docs" if options.docs else RESULTS) / "bench-control.svg"
    path.parent.mkdir(exist_ok=True)
    path.write_text(_drawing(ours, motos))
    return [figure for size in SIZES for figure in _figures(size, ours[size], motos[size])] + _tens(tens)


# --- ours -----------------------------------------------------------------------------------------


def _ours(size: int) -> _Taken:
    with control_plane() as plane:
        plane.start()
        asyncio.run(plane.answers())
        with simulated_agents(plane, AGENTS) as agents:
            return asyncio.run(_measure_ours(plane, agents, size))


async def _measure_ours(plane: ControlPlane, agents: SimulatedAgents, size: int) -> _Taken:
    async with _Clients(plane.port, plane.key()) as clients:
        await clients.one.call("RegisterTaskDefinition", **_definition())
        arns = await clients.run_tasks(WARM_UP)
        cpu_s = processes.cpu_s(plane.pid)
        taken = await clients.fill(size - WARM_UP)
        told_at = await _all_running(agents, size)
        cpu_s = processes.cpu_s(plane.pid) - cpu_s
        arns += taken.arns
        await asyncio.sleep(_SETTLE_S)
        describe_s, list_s = await clients.read(arns)
        memory_mib = processes.rss_mib(plane.pid)
        plane.stop(signal.SIGKILL)
        begun = plane.start()
        await plane.answers("DescribeTasks", tasks=arns[-100:])
        restart_s = time.perf_counter() - begun
        await _is_all_there(plane, arns)
        loaded_s: list[float] = []
        if size == SIZES[-1]:
            await _until(lambda: agents.ask().connected == AGENTS, "not all agents came back")
            loaded_s = await clients.read_under_load(arns)
    return _Taken(
        run_per_s=taken.per_s,
        last_per_s=taken.last_per_s,
        describe_s=describe_s,
        list_s=list_s,
        cpu_ms=cpu_s / (size - WARM_UP) * 1e3,
        told_s=max(0.0, told_at - taken.ended_at),
        memory_mib=memory_mib,
        restart_s=restart_s,
        loaded_s=loaded_s,
    )


def _in_tens(size: int) -> tuple[float, float]:
    """Tasks per second and calls per second, ten tasks a call."""
    with control_plane() as plane:
        plane.start()
        asyncio.run(plane.answers())
        with simulated_agents(plane, AGENTS) as agents:
            return asyncio.run(_measure_tens(plane, agents, size))


async def _measure_tens(plane: ControlPlane, agents: SimulatedAgents, size: int) -> tuple[float, float]:
    async with _Clients(plane.port, plane.key()) as clients:
        await clients.one.call("RegisterTaskDefinition", **_definition())
        await clients.run_tasks(WARM_UP)
        taken = await clients.fill(size - WARM_UP, each=10)
        await _all_running(agents, size)
    return taken.per_s, taken.per_s / 10


async def _all_running(agents: SimulatedAgents, size: int) -> float:
    """When the last of them was."""
    await _until(lambda: agents.ask().running >= size, f"not all of {size} tasks are RUNNING")
    return agents.ask().last_running_at


async def _until(is_so: Callable[[], bool], problem: str) -> None:
    end = time.monotonic() + _RUNNING_S
    while not is_so():
        if time.monotonic() > end:
            raise Missing(f"{problem} within {_RUNNING_S:.0f} s")
        await asyncio.sleep(0.1)


async def _is_all_there(plane: ControlPlane, arns: Sequence[str]) -> None:
    """Raises ``Missing`` when a task is lost, or is not RUNNING."""
    calls = SignedCalls(plane.port, plane.key(), region=REGION)
    for first in range(0, len(arns), 100):
        answer = await calls.call("DescribeTasks", cluster=CLUSTER, tasks=arns[first : first + 100])
        wrong = [task["taskArn"] for task in answer["tasks"] if task["lastStatus"] != "RUNNING"]
        if wrong or answer["failures"]:
            raise Missing(f"the restart lost something: {[*wrong, *answer['failures']][:3]}")
    calls.close()


# --- moto -----------------------------------------------------------------------------------------


def _has_moto() -> bool:
    """Without it ours is measured all the same."""
    try:
        moto_command()
    except Missing as reason:
        print(f"control: without moto: {reason}", file=sys.stderr, flush=True)
        return False
    return True


def _moto(size: int) -> _Taken:
    with moto_server() as moto:
        return asyncio.run(_measure_moto(moto, size))


async def _measure_moto(moto: Moto, size: int) -> _Taken:
    """As many instances, of the size that moto gives them; a task is RUNNING at once."""
    async with _Clients(moto.port, KEY) as clients:
        await clients.one.call("CreateCluster", clusterName=CLUSTER)
        for instance_id in moto.instances(AGENTS):
            document = json.dumps({"instanceId": instance_id})
            await clients.one.call("RegisterContainerInstance", cluster=CLUSTER, instanceIdentityDocument=document)
        await clients.one.call("RegisterTaskDefinition", **_definition())
        arns = await clients.run_tasks(WARM_UP)
        taken = await clients.fill(size - WARM_UP)
        describe_s, list_s = await clients.read([*arns, *taken.arns])
    return _Taken(run_per_s=taken.per_s, last_per_s=taken.last_per_s, describe_s=describe_s, list_s=list_s)


# --- the clients ----------------------------------------------------------------------------------


def _definition() -> dict[str, Any]:
    container = {"name": "app", "image": "nginx:latest", "cpu": 10, "memory": 16, "essential": True}
    return {"family": _FAMILY, "containerDefinitions": [container]}


class _Filled(NamedTuple):
    arns: list[str]
    per_s: float
    last_per_s: float
    ended_at: float


class _Clients:
    """``CLIENTS`` connections to one server."""

    def __init__(self, port: int, key: Key) -> None:
        self._all = [SignedCalls(port, key, region=REGION) for _ in range(CLIENTS)]
        self.one = self._all[0]

    async def __aenter__(self) -> _Clients:
        return self

    async def __aexit__(self, *_: object) -> None:
        for calls in self._all:
            calls.close()

    async def run_tasks(self, count: int) -> list[str]:
        """One RunTask. Raises ``Missing`` unless all were placed."""
        return await _run_tasks(self.one, count)

    async def fill(self, count: int, each: int = 1) -> _Filled:
        """Run so many tasks, ``each`` by a call, over all connections at once."""
        arns: list[str] = []
        answered_at: list[float] = []
        wanted = iter(range(count // each))

        async def work(calls: SignedCalls) -> None:
            for _ in wanted:
                arns.extend(await _run_tasks(calls, each))
                answered_at.append(time.perf_counter())

        begun = time.perf_counter()
        await asyncio.gather(*(work(calls) for calls in self._all))
        last = max(1, len(answered_at) // 10)
        return _Filled(
            arns=arns,
            per_s=len(arns) / (answered_at[-1] - begun),
            last_per_s=last * each / (answered_at[-1] - answered_at[-1 - last]) if len(answered_at) > last else 0.0,
            ended_at=answered_at[-1],
        )

    async def read(self, arns: Sequence[str]) -> tuple[list[float], list[float]]:
        """Seconds of DescribeTasks, of 100 tasks that are spread over all, and of ListTasks without a filter."""
        describe_s: list[float] = []
        list_s: list[float] = []
        end = time.monotonic() + _READ_S
        for some in _hundreds(arns):
            describe_s.append(await self.one.timed("DescribeTasks", cluster=CLUSTER, tasks=some))
            list_s.append(await self.one.timed("ListTasks", cluster=CLUSTER))
            if len(describe_s) >= READS or (time.monotonic() > end and len(describe_s) >= 20):
                return describe_s, list_s
        raise AssertionError("there is always another hundred")

    async def read_under_load(self, arns: Sequence[str]) -> list[float]:
        """DescribeTasks over the first connection, one after the other, while the others start tasks."""
        others = self._all[1:]
        begun = time.perf_counter()

        async def work(number: int, calls: SignedCalls) -> None:
            for turn in range(number, int(LOAD_PER_S * LOAD_S), len(others)):
                await asyncio.sleep(begun + turn / LOAD_PER_S - time.perf_counter())
                await _run_tasks(calls, 1)

        load = asyncio.gather(*(work(number, calls) for number, calls in enumerate(others)))
        taken_s: list[float] = []
        for some in _hundreds(arns):
            taken_s.append(await self.one.timed("DescribeTasks", cluster=CLUSTER, tasks=some))
            await asyncio.sleep(0.005)
            if load.done():
                break
        await load
        return taken_s


async def _run_tasks(calls: SignedCalls, count: int) -> list[str]:
    answer = await calls.call("RunTask", cluster=CLUSTER, taskDefinition=_FAMILY, launchType="EC2", count=count)
    placed = [task["taskArn"] for task in answer["tasks"] if task.get("containerInstanceArn")]
    if len(placed) != count:
        raise Missing(f"{len(placed)} of {count} tasks were placed: {answer['failures'][:2]}")
    return placed


def _hundreds(arns: Sequence[str]) -> Iterator[list[str]]:
    """Without end: a hundred of them (all, where there are no more), evenly spread, each time others."""
    step = max(1, len(arns) // 100)
    for first in cycle(range(step)):
        yield list(islice(arns, first, None, step))[:100]


# --- figures --------------------------------------------------------------------------------------


def _p99(seconds: Sequence[float]) -> float:
    return quantiles(seconds, n=100)[98]


def _figures(size: int, ours: Sequence[_Taken], motos: Sequence[_Taken]) -> list[Figure]:
    def target(wanted: Target) -> Target | None:
        return wanted if size == SIZES[-1] else None

    def row(what: str, unit: str, samples: Sequence[float], wanted: Target | None = None) -> Figure:
        return Figure(name=f"{size:,} tasks: {what}", unit=unit, samples=samples, target=wanted)

    def beside(what: str, unit: str, samples: Sequence[float], against: Sequence[float]) -> Figure:
        return Figure(name=f"{size:,} tasks: {what} : moto", unit=unit, samples=samples, against=against)

    def both(field: str, of: Callable[[Sequence[float]], float]) -> tuple[list[float], list[float]]:
        first, second = ([of(getattr(taken, field)) * 1e3 for taken in those] for those in (ours, motos))
        return first, second

    run_per_s = [taken.run_per_s for taken in ours]
    describe_ms = [_p99(taken.describe_s) * 1e3 for taken in ours]
    alone = [
        row("RunTask accepted and placed, one task a call", "/s", run_per_s, target(at_least(200))),
        row("the same, the last tenth of them", "/s", [taken.last_per_s for taken in ours]),
        row("CPU of the control plane per task, until RUNNING", "ms", [taken.cpu_ms for taken in ours]),
        row("last task RUNNING after the last RunTask", "s", [taken.told_s for taken in ours]),
        row("DescribeTasks of 100, p99", "ms", describe_ms, target(at_most(20))),
        row("memory", "MiB", [taken.memory_mib for taken in ours], target(at_most(300))),
        row("killed and started: first DescribeTasks", "s", [taken.restart_s for taken in ours], target(at_most(3))),
    ]
    if loaded := [_p99(taken.loaded_s) * 1e3 for taken in ours if taken.loaded_s]:
        what = f"DescribeTasks of 100, p99, while {LOAD_PER_S} RunTask/s"
        alone.append(row(what, "ms", loaded, target(at_most(20))))
    if not motos:
        return alone
    return [
        *alone,
        beside("RunTask, one task a call", "/s", run_per_s, [taken.run_per_s for taken in motos]),
        beside("DescribeTasks of 100, p99", "ms", *both("describe_s", _p99)),
        beside("DescribeTasks of 100, median", "ms", *both("describe_s", median)),
        beside("ListTasks (ours the first page of 100), median", "ms", *both("list_s", median)),
    ]


def _tens(taken: Sequence[tuple[float, float]]) -> list[Figure]:
    name = f"{SIZES[-1]:,} tasks, ten a call: "
    return [
        Figure(name=name + "tasks accepted and placed", unit="/s", samples=[tasks for tasks, _ in taken]),
        Figure(name=name + "RunTask calls", unit="/s", samples=[calls for _, calls in taken]),
    ]


def _drawing(ours: dict[int, list[_Taken]], motos: dict[int, list[_Taken]]) -> str:
    def line(name: str, those: dict[int, list[_Taken]], of: Callable[[_Taken], float]) -> Line:
        return Line(name, {size: [of(taken) for taken in there] for size, there in those.items() if there})

    rates = [line(name, those, lambda taken: taken.run_per_s) for name, those in (("ecscope", ours), ("moto", motos))]
    x_name = f"tasks, on {AGENTS} agents"
    return grid(
        [
            plot(
                title="RunTask accepted and placed",
                x_name=x_name,
                y_name="per second",
                lines=[rate for rate in rates if rate.points],
            ),
            plot(
                title="DescribeTasks of 100, ListTasks",
                x_name=x_name,
                y_name="ms, p99",
                lines=[
                    line("describe", ours, lambda t: _p99(t.describe_s) * 1e3),
                    line("list a page", ours, lambda t: _p99(t.list_s) * 1e3),
                ],
            ),
            plot(title="Memory", x_name=x_name, y_name="MiB", lines=[line("ecscope", ours, lambda t: t.memory_mib)]),
            plot(
                title="Killed and started: first DescribeTasks answered",
                x_name=x_name,
                y_name="s",
                lines=[line("ecscope", ours, lambda t: t.restart_s)],
            ),
        ]
    )
