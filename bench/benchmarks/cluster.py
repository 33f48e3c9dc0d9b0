"""In a cluster, with real containers: from the payload that ECS pushes to the RUNNING that it is told; memory and rest.

The back end is that of the tests, a process of its own. Bare are the Docker calls of ``docker``, in the same rounds.
Where the official agent's binary is given it joins the same cluster, in turn with ours, as both want the same ports.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import count as counting
from typing import Any

import dockerengine
from bench import processes, recorded
from bench.engine import COMMANDS, CPU_UNITS, IMAGE, MEMORY_MIB, clean, engine, rest, run_bare
from bench.figures import Figure, Target, at_most
from bench.members import Member, members
from bench.options import Options
from bench.ours import CLUSTER
from bench.rounds import rotated
from fake_ecs.payloads import a_payload_container, a_payload_task, to_stop
from fake_ecs.process import BackendProcess

MEMORY_CONNECTED_MIB = 55
"""1.25 times the official agent's 44."""
_RUNNING = 50
_LIMIT_S = 180.0


def run(options: Options) -> list[Figure]:
    with (
        engine() as found,
        BackendProcess(arguments=("--cluster", CLUSTER)) as backend,
        members(backend, docker_host=found.endpoint, official=options.official) as joined,
    ):
        cluster = Cluster(found, backend, joined)
        idle = _idle(options, cluster)  # before there are tasks in its state
        figures = [figure for plan in _plan(options) for figure in _starts(*plan, cluster)]
        figures += idle + _at_rest(options, cluster)
    return figures


def _plan(options: Options) -> list[tuple[int, int, float]]:
    """How many at once, rounds, and how many times the bare calls it may take."""
    return [(1, 3, 1.3), (20, 1, 1.1)] if options.quick else [(1, 15, 1.3), (20, 9, 1.1)]


class Cluster:
    """The back end with whichever member is to be measured."""

    def __init__(self, found: dockerengine.Engine, backend: BackendProcess, joined: Mapping[str, Member]) -> None:
        self.engine = found
        self.joined = joined
        self._backend = backend
        self._numbers = counting(1)
        self._running: list[dict[str, Any]] = []
        self._told: dict[str, int] = {"RUNNING": 0, "STOPPED": 0}

    def turn_of(self, name: str) -> Member:
        """Have this one connected, and no other; it has run a task since its start."""
        if not self.joined[name].is_running:
            self.afresh(name)
            self.start_tasks(1)
            self.stop_tasks()
        return self.joined[name]

    def afresh(self, name: str) -> Member:
        """Have this one started anew and connected, and no other."""
        for member in self.joined.values():
            member.stop()
        self.joined[name].start()
        return self.joined[name]

    def a_task(self, number: int) -> dict[str, Any]:
        """The payload of one of its tasks."""
        container = a_payload_container(image=IMAGE, command=COMMANDS["sleep"], cpu=CPU_UNITS, memory=MEMORY_MIB)
        return a_payload_task(container, number=number, cluster=CLUSTER)

    def start_tasks(self, count: int) -> float:
        """Seconds from the first payload that goes out to the last RUNNING that comes in."""
        tasks = [self.a_task(next(self._numbers)) for _ in range(count)]
        begun = self._backend.push_each(*tasks)
        self._running += tasks
        told_at = self._all_are("RUNNING", count)
        return max(told_at[task["arn"]] for task in tasks) - begun

    def stop_tasks(self) -> None:
        """Stop all tasks, remove their containers, and let the machine come to rest."""
        if self._running:
            self._backend.push_each(*map(to_stop, self._running))
            self._all_are("STOPPED", len(self._running))
        self._running = []
        clean(self.engine)
        rest()

    def _all_are(self, status: str, count: int) -> dict[str, float]:
        self._told[status] += count
        return self._backend.reported(status, self._told[status], timeout_s=_LIMIT_S)


def _starts(count: int, rounds: int, limit: float, cluster: Cluster) -> list[Figure]:
    taken: dict[str, list[float]] = {}
    for order in rotated(["bare", *cluster.joined], rounds):
        for who in order:
            if who == "bare":
                seconds = run_bare(cluster.engine, count)
            else:
                cluster.turn_of(who)
                seconds = cluster.start_tasks(count)
            taken.setdefault(who, []).append(seconds)
            cluster.stop_tasks()
    name = f"{'1 task' if count == 1 else f'{count} tasks at once'}: payload to RUNNING"
    figures = [
        Figure(name=f"{name} : bare", unit="s", samples=taken["ours"], against=taken["bare"], target=at_most(limit))
    ]
    if "official" in taken:
        figures += [
            Figure(name=f"{name}, official : bare", unit="s", samples=taken["official"], against=taken["bare"]),
            Figure(name=f"{name} : official", unit="s", samples=taken["ours"], against=taken["official"]),
        ]
    return figures


def _idle(options: Options, cluster: Cluster) -> list[Figure]:
    mib: dict[str, list[float]] = {}
    for name in [name for order in rotated(list(cluster.joined), _rest_rounds(options)) for name in order]:
        member = cluster.afresh(name)
        time.sleep(_settle_s(options))
        mib.setdefault(name, []).append(processes.rss_mib(member.pid))
        member.stop()  # the next one to be measured begins anew
    return _rows("memory idle with both websockets", "MiB", mib, at_most(MEMORY_CONNECTED_MIB))


def _at_rest(options: Options, cluster: Cluster) -> list[Figure]:
    rest_s = _rest_s(options)
    mib: dict[str, list[float]] = {}
    percent: dict[str, list[float]] = {}
    for name in [name for order in rotated(list(cluster.joined), _rest_rounds(options)) for name in order]:
        member = cluster.afresh(name)
        cluster.start_tasks(_RUNNING)
        time.sleep(_settle_s(options))
        mib.setdefault(name, []).append(processes.rss_mib(member.pid))
        before, begun = processes.cpu_s(member.pid), time.perf_counter()
        time.sleep(rest_s)
        taken = (processes.cpu_s(member.pid) - before) / (time.perf_counter() - begun)
        percent.setdefault(name, []).append(taken * 100)
        cluster.stop_tasks()
    what = f"with {_RUNNING} running tasks and both websockets"
    return [
        *_rows(f"memory {what}", "MiB", mib, None),
        *_rows(f"CPU at rest {what}, over {rest_s:g} s", "% of a core", percent, at_most(recorded.AT_REST_PERCENT)),
    ]


def _rest_rounds(options: Options) -> int:
    return 1 if options.quick else 2


def _rest_s(options: Options) -> float:
    return 5 if options.quick else 30


def _settle_s(options: Options) -> int:
    return 3 if options.quick else 10


def _rows(name: str, unit: str, samples: Mapping[str, list[float]], target: Target | None) -> list[Figure]:
    """Against what is asked for, and against the official agent where it was measured."""
    rows = [Figure(name=name, unit=unit, samples=samples["ours"], target=target)]
    if "official" in samples:
        rows.append(Figure(name=f"{name} : official", unit=unit, samples=samples["ours"], against=samples["official"]))
    return rows
