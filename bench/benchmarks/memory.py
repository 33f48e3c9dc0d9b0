"""Memory, time to the first answer, and the CPU that an agent at rest takes.

A peer that can be told to start tasks is measured in the same states, after ours.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import NamedTuple

from bench import processes, recorded
from bench.engine import engine, statuses, task_definition
from bench.figures import Figure, at_most
from bench.options import Options
from bench.ours import agent
from bench.peer import Peer
from bench.place import Place, place_for_ours
from bench.rounds import rotated
from bench.waiting import until_all_stopped, until_new_ones_are

_RUNNING = 50
_SAVED = 200


class _Taken(NamedTuple):
    """What one agent took in the three states, one after the other."""

    idle_mib: float
    running_mib: float
    rest_percent: float
    saved_mib: float


def run(options: Options) -> list[Figure]:
    peer = options.peer
    peer_pid = peer.pid if peer else None  # found before ours listens as well
    with place_for_ours() as place:
        figures = _first_answers(options, place)
        ours = _ours(options, place)
    theirs: _Taken | None = None
    if peer and peer_pid and peer.tasks_url:
        theirs = _peers(options, peer, peer_pid)
    elif peer and peer_pid:
        tasks = list(statuses(peer.tasks()).values())
        name = f"memory of the peer with {len(tasks)} tasks, {tasks.count('RUNNING')} of them running"
        figures.append(Figure(name=name, unit="MiB", samples=[processes.rss_mib(peer_pid)]))
    rest = f"CPU at rest with {_RUNNING} running tasks, over {_rest_s(options)} s"
    return [
        *figures,
        *_rows("memory idle", "MiB", recorded.MEMORY_IDLE_MIB, ours.idle_mib, theirs and theirs.idle_mib),
        *_rows(
            f"memory with {_RUNNING} running tasks",
            "MiB",
            recorded.MEMORY_50_RUNNING_MIB,
            ours.running_mib,
            theirs and theirs.running_mib,
        ),
        *_rows(
            f"memory with {_SAVED} tasks in state",
            "MiB",
            recorded.MEMORY_200_SAVED_MIB,
            ours.saved_mib,
            theirs and theirs.saved_mib,
        ),
        *_rows(rest, "% of a core", recorded.AT_REST_PERCENT, ours.rest_percent, theirs and theirs.rest_percent),
    ]


def _rows(name: str, unit: str, limit: float, ours: float, theirs: float | None) -> list[Figure]:
    """Against what is asked for, and against the peer where it was measured."""
    rows = [Figure(name=name, unit=unit, samples=[ours], target=at_most(limit))]
    if theirs:
        rows.append(Figure(name=f"{name} : peer", unit=unit, samples=[ours], against=[theirs], target=at_most(1)))
    return rows


def _rest_s(options: Options) -> int:
    return 5 if options.quick else 20


def _settle_s(options: Options) -> int:
    return 3 if options.quick else 10


def _first_answers(options: Options, place: Place) -> list[Figure]:
    """From the exec to the first 200, polled every 0.5 ms, in alternating rounds."""
    taken: dict[int, list[float]] = {0: [], 201: []}
    with ExitStack() as stack:
        agents = {saved: stack.enter_context(agent(place, saved_tasks=saved)) for saved in taken}
        for ours in agents.values():  # once unmeasured: byte code and page cache
            ours.start()
            ours.stop()
        for order in rotated(list(taken), 3 if options.quick else 11):
            for saved in order:
                taken[saved].append(agents[saved].start())
                agents[saved].stop()
    limit = at_most(recorded.FIRST_ANSWER_S)
    limit_saved = at_most(1, f"recorded: {recorded.FIRST_ANSWER_201_SAVED_S} s")
    return [
        Figure(name="first answer after the start", unit="s", samples=taken[0], target=limit),
        Figure(name="first answer after the start, 201 saved tasks", unit="s", samples=taken[201], target=limit_saved),
    ]


def _ours(options: Options, place: Place) -> _Taken:
    """Connected to a real engine, as in life."""
    with engine() as found:
        with agent(place, docker_host=found.endpoint) as ours:
            ours.start()
            time.sleep(_settle_s(options))
            ours.tasks()
            idle_mib = processes.rss_mib(ours.pid)
            files = {f"{number}.json": task_definition(number, "sleep") for number in range(_RUNNING)}
            begun = ours.drop_task_files(files)
            until_new_ones_are("RUNNING", _RUNNING, ours.tasks, set(), begun, limit_s=180, poll_s=0.1)
            running_mib, rest_percent = _at_rest(ours.pid, ours.tasks, options)
        with agent(place, docker_host=found.endpoint, saved_tasks=_SAVED) as ours:
            ours.start()
            time.sleep(_settle_s(options))
            ours.tasks()
            saved_mib = processes.rss_mib(ours.pid)
    return _Taken(idle_mib=idle_mib, running_mib=running_mib, rest_percent=rest_percent, saved_mib=saved_mib)


def _peers(options: Options, peer: Peer, pid: int) -> _Taken:
    """``idle_mib`` is with the tasks that the peer has already: start it afresh to see it idle."""
    known = set(statuses(peer.tasks()))
    idle_mib = processes.rss_mib(pid)
    begun = time.perf_counter()
    peer.start_tasks(_RUNNING, "sleep")
    try:
        until_new_ones_are("RUNNING", _RUNNING, peer.tasks, known, begun, limit_s=180, poll_s=0.1)
        running_mib, rest_percent = _at_rest(pid, peer.tasks, options)
    finally:
        peer.stop_tasks()
        until_all_stopped(peer.tasks)
    peer.grow_to(_SAVED)
    time.sleep(_settle_s(options))
    saved_mib = processes.rss_mib(pid)
    return _Taken(idle_mib=idle_mib, running_mib=running_mib, rest_percent=rest_percent, saved_mib=saved_mib)


def _at_rest(pid: int, tasks: Callable[[], Sequence[dict[str, object]]], options: Options) -> tuple[float, float]:
    """Memory, and the share of a core over the time of rest."""
    time.sleep(_settle_s(options))
    tasks()
    mib = processes.rss_mib(pid)
    before, begun = processes.cpu_s(pid), time.perf_counter()
    time.sleep(_rest_s(options))
    return mib, (processes.cpu_s(pid) - before) / (time.perf_counter() - begun) * 100
