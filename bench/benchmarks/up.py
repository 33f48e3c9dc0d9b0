"""`ecscope up` with real containers: from RunTask to the RUNNING that DescribeTasks tells, as a user waits for it.

In the same rounds: the bare Docker calls of `docker`, and the same tasks pushed straight to the agent by the tests'
back end, as in `cluster`. The agent is our own with the same settings, in turn, as both want port 51678.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dockerengine
from bench.benchmarks.cluster import Cluster
from bench.control_plane import REGION, ControlPlane, control_plane
from bench.engine import COMMANDS, CPU_UNITS, IMAGE, MEMORY_MIB, clean, engine, rest, run_bare
from bench.figures import Figure, at_most
from bench.members import members
from bench.needs import Missing
from bench.options import Options
from bench.ours import CLUSTER
from bench.rounds import rotated
from bench.signed_calls import SignedCalls
from fake_ecs.process import BackendProcess

LIMIT = 1.1
_FAMILY = "bench-up"
_LIMIT_S = 180.0
_NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}


def run(options: Options) -> list[Figure]:
    with (
        engine() as found,
        BackendProcess(arguments=("--cluster", CLUSTER)) as backend,
        members(backend, docker_host=found.endpoint, official=None) as joined,
        up(found) as ours,
    ):
        cluster = Cluster(found, backend, joined)
        return [figure for plan in _plan(options) for figure in starts(*plan, cluster, ours)]


def _plan(options: Options) -> list[tuple[int, int]]:
    """How many tasks, rounds."""
    return [(1, 3), (100, 1)] if options.quick else [(1, 15), (100, 3)]


def starts(count: int, rounds: int, cluster: Cluster, ours: Up) -> list[Figure]:
    taken: dict[str, list[float]] = {"bare": [], "pushed": [], "up": []}
    for order in rotated(list(taken), rounds):
        for who in order:
            if who == "bare":
                taken[who].append(run_bare(cluster.engine, count))
                cluster.stop_tasks()
            elif who == "pushed":
                ours.stop()
                cluster.turn_of("ours")
                taken[who].append(cluster.start_tasks(count))
                cluster.stop_tasks()
            else:
                for member in cluster.joined.values():
                    member.stop()
                ours.start()
                taken[who].append(ours.start_tasks(count))
                ours.stop_tasks()
    name = "1 task" if count == 1 else f"{count} tasks in {-(-count // 10)} calls"
    target = at_most(LIMIT)
    rows = {"bare Docker calls": taken["bare"], "pushed to the agent": taken["pushed"]}
    return [
        Figure(
            name=f"{name}: RunTask to RUNNING : {what}", unit="s", samples=taken["up"], against=against, target=target
        )
        for what, against in rows.items()
    ]


class Up:
    """`ecscope up` with its agent, and one client of it."""

    def __init__(
        self, plane: ControlPlane, found: dockerengine.Engine, runner: asyncio.Runner, *, is_awsvpc: bool
    ) -> None:
        self._is_awsvpc = is_awsvpc
        self._plane = plane
        self._engine = found
        self._runner = runner
        self._calls: SignedCalls | None = None
        self._running: list[str] = []

    def start(self) -> None:
        """Unless it runs: with the agent connected, and one task that has been run."""
        if not self._plane.is_running:
            self._plane.start()
            self._runner.run(self._prepare())
            self.start_tasks(1)
            self.stop_tasks()

    def stop(self) -> None:
        if self._calls is not None:
            self._calls.close()
            self._calls = None
        self._plane.stop()

    def start_tasks(self, count: int) -> float:
        """Seconds from the first RunTask until DescribeTasks tells that all are RUNNING; ten tasks a call at most."""
        return self._runner.run(self._start_tasks(count))

    def stop_tasks(self) -> None:
        """Stop all tasks, remove their containers, and let the machine come to rest."""
        self._runner.run(self._stop_tasks())
        clean(self._engine)
        rest()

    async def _prepare(self) -> None:
        await self._plane.answers()
        self._calls = SignedCalls(self._plane.port, self._plane.key(), region=REGION)
        end = time.monotonic() + _LIMIT_S
        while not (await self._ask("DescribeClusters"))["clusters"][0]["registeredContainerInstancesCount"]:
            await self._wait(end, "the agent of `ecscope up` does not register")
        arns = (await self._ask("ListContainerInstances"))["containerInstanceArns"]
        while not (await self._ask("DescribeContainerInstances", containerInstances=arns))["containerInstances"][0][
            "agentConnected"
        ]:
            await self._wait(end, "the agent of `ecscope up` does not connect")
        container = {"name": "app", "image": IMAGE, "command": COMMANDS["sleep"], "essential": True}
        container |= {"cpu": CPU_UNITS, "memory": MEMORY_MIB}
        mode = {"networkMode": "awsvpc"} if self._is_awsvpc else {}
        await self._ask("RegisterTaskDefinition", family=_FAMILY, containerDefinitions=[container], **mode)

    async def _start_tasks(self, count: int) -> float:
        arns: list[str] = []
        network = {"networkConfiguration": _NETWORK} if self._is_awsvpc else {}
        begun = time.perf_counter()
        while len(arns) < count:
            answer = await self._ask("RunTask", taskDefinition=_FAMILY, count=min(10, count - len(arns)), **network)
            if answer["failures"]:
                raise Missing(f"RunTask places nothing: {answer['failures'][0]}")
            arns += [task["taskArn"] for task in answer["tasks"]]
        self._running += arns
        await self._all_are("RUNNING", arns, 0.005 if count == 1 else 0.1)
        return time.perf_counter() - begun

    async def _stop_tasks(self) -> None:
        for arn in self._running:
            await self._ask("StopTask", task=arn)
        if self._running:
            await self._all_are("STOPPED", self._running, 0.1)
        self._running = []

    async def _all_are(self, status: str, arns: list[str], poll_s: float) -> None:
        """Asks for those only that are not there yet: both cores are Docker's meanwhile."""
        end = time.monotonic() + _LIMIT_S
        left = arns
        while left:
            tasks = (await self._ask("DescribeTasks", tasks=left))["tasks"]
            left = [task["taskArn"] for task in tasks if task["lastStatus"] != status]
            if status == "RUNNING" and any(task["lastStatus"] == "STOPPED" for task in tasks):
                raise Missing(f"a task stopped: {next(task['stoppedReason'] for task in tasks if 'stoppedAt' in task)}")
            if left:
                await self._wait(end, f"{len(left)} of {len(arns)} tasks are not {status}", poll_s)

    async def _wait(self, end: float, problem: str, poll_s: float = 0.05) -> None:
        if time.monotonic() > end:
            raise Missing(f"{problem} within {_LIMIT_S:.0f} s")
        await asyncio.sleep(poll_s)

    async def _ask(self, action: str, **body: Any) -> Any:
        assert self._calls is not None
        where = {"clusters": [CLUSTER]} if action == "DescribeClusters" else {"cluster": CLUSTER}
        return await self._calls.call(action, **({} if action == "RegisterTaskDefinition" else where), **body)


@contextmanager
def up(found: dockerengine.Engine, *, is_awsvpc: bool = False) -> Iterator[Up]:
    """Not started yet; stopped and removed afterwards. ``is_awsvpc``: its tasks have addresses of their own."""
    with asyncio.Runner() as runner, control_plane(docker_host=found.endpoint) as plane:
        ours = Up(plane, found, runner, is_awsvpc=is_awsvpc)
        try:
            yield ours
        finally:
            ours.stop()
