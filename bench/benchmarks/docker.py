"""Real containers: from a task file to RUNNING on port 51678, against the bare Docker calls of the same run.

Bare: create, start and inspect by a plain client over the socket, all containers at once. Each
round measures bare, ours and (where it can be told to start tasks) the peer, in turn.
"""

from __future__ import annotations

import time
from itertools import count as counting

import dockerengine
from bench import recorded
from bench.engine import clean, engine, rest, run_bare, statuses, task_definition
from bench.figures import Figure, at_most
from bench.options import Options
from bench.ours import Agent, agent
from bench.peer import Peer
from bench.place import place_for_ours
from bench.rounds import rotated
from bench.waiting import Waited, until_all_stopped, until_new_ones_are

_LIMIT_S = 180.0
_numbers = counting(1)


def run(options: Options) -> list[Figure]:
    peer = options.peer if options.peer and options.peer.tasks_url else None
    if peer:
        peer.tasks()
    figures: list[Figure] = []
    with engine() as found, place_for_ours() as place, agent(place, docker_host=found.endpoint) as ours:
        ours.start()
        try:
            for count, rounds, limit in _plan(options):
                figures += _starts(count, rounds, limit, found, ours, peer)
            figures += _true_tasks(149, 1 if options.quick else 2, found, ours, peer)
        finally:
            ours.stop()
            if peer:
                peer.stop_tasks()
                until_all_stopped(peer.tasks)
    return figures


def _plan(options: Options) -> list[tuple[int, int, float]]:
    """How many at once, rounds, and how many times the bare calls it may take."""
    if options.quick:
        return [(1, 3, 1.2), (20, 1, 1.05)]
    return [(1, 11, 1.2), (20, 4, 1.05), (50, 3, 1.05)]


def _starts(
    count: int, rounds: int, limit: float, found: dockerengine.Engine, ours: Agent, peer: Peer | None
) -> list[Figure]:
    taken: dict[str, list[float]] = {}
    seen: list[float] = []
    for order in rotated(["bare", "ours", *(["peer"] if peer else [])], rounds):
        for who in order:
            if who == "bare":
                seconds = run_bare(found, count)
            elif who == "ours":
                seen_s, seconds = _ours(count, "sleep", "RUNNING", ours)
                seen.append(seen_s)
            else:
                assert peer is not None
                seconds = _peers(count, "sleep", "RUNNING", peer)
            taken.setdefault(who, []).append(seconds)
            _rest(found, ours, peer)
    what = "1 task" if count == 1 else f"{count} tasks at once"
    official = recorded.ONE_TASK_S if count == 1 else recorded.TASKS_AT_ONCE_S[count]
    name = f"{what}: task file to RUNNING"
    figures = [
        Figure(name=f"{name} : bare", unit="s", samples=taken["ours"], against=taken["bare"], target=at_most(limit))
    ]
    figures.append(Figure(name=f"{what}: of this, until the first one is listed", unit="s", samples=seen))
    if peer:
        figures += [
            Figure(name=f"{name} : peer", unit="s", samples=taken["ours"], against=taken["peer"], target=at_most(1)),
            Figure(
                name=f"{what}: the peer's payload to RUNNING : bare",
                unit="s",
                samples=taken["peer"],
                against=taken["bare"],
            ),
        ]
    else:
        against = at_most(official, "recorded of the official agent")
        figures.append(Figure(name=name, unit="s", samples=taken["ours"], target=against))
    return figures


def _true_tasks(count: int, rounds: int, found: dockerengine.Engine, ours: Agent, peer: Peer | None) -> list[Figure]:
    taken: dict[str, list[float]] = {}
    for order in rotated(["bare", "ours", *(["peer"] if peer else [])], rounds):
        for who in order:
            if who == "bare":
                seconds = run_bare(found, count, "true")
            elif who == "ours":
                seconds = _ours(count, "true", "STOPPED", ours).done_s
            else:
                assert peer is not None
                seconds = _peers(count, "true", "STOPPED", peer)
            taken.setdefault(who, []).append(seconds)
            _rest(found, ours, peer)
    figures = [
        Figure(
            name=f"{count} `true` tasks: files to STOPPED",
            unit="s",
            samples=taken["ours"],
            target=at_most(recorded.TRUE_TASKS_S),
        ),
        Figure(
            name=f"{count} `true` tasks: files to STOPPED : bare",
            unit="s",
            samples=taken["ours"],
            against=taken["bare"],
        ),
    ]
    if peer:
        name = f"{count} `true` tasks: files to STOPPED : peer"
        figures.append(Figure(name=name, unit="s", samples=taken["ours"], against=taken["peer"], target=at_most(1)))
    return figures


def _ours(count: int, kind: str, status: str, ours: Agent) -> Waited:
    known = set(statuses(ours.tasks()))
    files = {f"{number}.json": task_definition(number, kind) for number in (next(_numbers) for _ in range(count))}
    begun = ours.drop_task_files(files)
    return until_new_ones_are(status, count, ours.tasks, known, begun, limit_s=_LIMIT_S, poll_s=_poll_s(count))


def _peers(count: int, kind: str, status: str, peer: Peer) -> float:
    known = set(statuses(peer.tasks()))
    begun = time.perf_counter()
    peer.start_tasks(count, kind)
    return until_new_ones_are(status, count, peer.tasks, known, begun, limit_s=_LIMIT_S, poll_s=_poll_s(count)).done_s


def _poll_s(count: int) -> float:
    """Often enough for one task; not so often that many tasks pay for being watched."""
    return 0.005 if count == 1 else 0.05


def _rest(found: dockerengine.Engine, ours: Agent, peer: Peer | None) -> None:
    """Stop all tasks, remove their containers, and let the machine come to rest."""
    ours.remove_task_files()
    if peer:
        peer.stop_tasks()
        until_all_stopped(peer.tasks)
    until_all_stopped(ours.tasks)
    clean(found)
    rest()
