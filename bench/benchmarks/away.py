"""ECS is away while 5,000 tasks run and end: what their 10,000 state changes take until they are told, and how soon
they are told once it is back.

The whole agent over a simulated runtime, and the tests' back end, a process each. Memory is held against the same tasks
in a run of their own with ECS there, after all was told: what is left is the queue, and what waiting costs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from bench import processes
from bench.figures import Figure, at_most
from bench.needs import Missing
from bench.options import Options
from bench.rounds import rotated
from bench.simulated_agent import IMAGE, SimulatedAgent, simulated_agent
from fake_ecs.payloads import a_payload_container, a_payload_task
from fake_ecs.process import BackendProcess

TASKS = 5_000
CHANGES = 2 * TASKS
"""RUNNING and STOPPED of each."""
TASKS_PER_PAYLOAD = 50
RUN_FOR_S = 20.0
"""Longer than it takes until all have started, so that each is seen RUNNING."""
_LIMIT_S = 300.0
SETTLE_S = 5.0
_AWAY_S = 60.0
"""Long enough for the agent to try only as rarely as it ever does."""


class _Queued(NamedTuple):
    """One run with ECS away."""

    queue_mib: float
    rss_mib: float
    told_rss_mib: float
    """After all was told."""
    delivered_s: float
    first_s: float
    """Of this, until the first state change arrived."""


def run(options: Options) -> list[Figure]:
    there: list[float] = []
    away: list[_Queued] = []
    for order in rotated(["there", "away"], 1 if options.quick else 2):
        for which in order:
            if which == "there":
                there.append(_with_ecs_there())
            else:
                away.append(_with_ecs_away(0 if options.quick else _AWAY_S))
    growths = [queued.rss_mib - told for queued, told in zip(away, there, strict=True)]
    left = [queued.told_rss_mib - told for queued, told in zip(away, there, strict=True)]
    what = f"{CHANGES:,} state changes"
    return [
        Figure(name=f"{TASKS:,} ended tasks, ECS there and told: memory", unit="MiB", samples=there),
        Figure(name=f"{what} queued: memory", unit="MiB", samples=[queued.rss_mib for queued in away]),
        Figure(
            name=f"{what} queued: what they themselves are made of",
            unit="MiB",
            samples=[queued.queue_mib for queued in away],
            target=at_most(20),
        ),
        Figure(
            name=f"{what} queued: memory above the same tasks told", unit="MiB", samples=growths, target=at_most(20)
        ),
        Figure(name=f"{what}: the same once they are told", unit="MiB", samples=left),
        Figure(
            name=f"{what} told in order, from the moment ECS is back",
            unit="s",
            samples=[queued.delivered_s for queued in away],
            target=at_most(60),
        ),
        Figure(name="of this, until the first one arrives", unit="s", samples=[queued.first_s for queued in away]),
    ]


def _with_ecs_there() -> float:
    """Resident memory once all is told."""
    with _member() as (backend, agent):
        _push(backend)
        backend.reported("STOPPED", TASKS, timeout_s=_LIMIT_S)
        _until(agent, queued=0)
        time.sleep(SETTLE_S)
        _told(backend)
        return processes.rss_mib(agent.pid)


def _with_ecs_away(away_s: float) -> _Queued:
    with _member() as (backend, agent):
        away_until = time.monotonic() + away_s
        backend.ask("fail", "SubmitTaskStateChange", status=503, code="ServiceUnavailableException")
        for message_id in _push(backend):
            backend.ask("acked", message_id, timeout_s=_LIMIT_S)
        backend.ask("away")
        backend.ask("heal")
        _until(agent, queued=CHANGES)
        time.sleep(max(SETTLE_S, away_until - time.monotonic()))
        queued_mib = processes.rss_mib(agent.pid)
        queued_bytes = agent.ask(weigh=True).queued_bytes
        begun = time.monotonic()
        backend.ask("back")
        backend.reported("STOPPED", TASKS, timeout_s=_LIMIT_S)
        told_at = [call["at_s"] for call in _told(backend)]
        _until(agent, queued=0)
        time.sleep(SETTLE_S)
        return _Queued(
            queue_mib=queued_bytes / (1 << 20),
            rss_mib=queued_mib,
            told_rss_mib=processes.rss_mib(agent.pid),
            delivered_s=max(told_at) - begun,
            first_s=min(told_at) - begun,
        )


@contextmanager
def _member() -> Iterator[tuple[BackendProcess, SimulatedAgent]]:
    """A back end and an agent that is connected to it."""
    with (
        TemporaryDirectory(prefix="ecscope-bench-") as folder,
        BackendProcess() as backend,
        simulated_agent(Path(folder), backend.environment(), run_for_s=RUN_FOR_S) as agent,
    ):
        backend.connected(timeout_s=60)
        yield backend, agent


def _push(backend: BackendProcess) -> list[str]:
    """The message IDs."""
    message_ids = []
    for first in range(1, TASKS + 1, TASKS_PER_PAYLOAD):
        tasks = [_task(number) for number in range(first, first + TASKS_PER_PAYLOAD)]
        message_ids.append(str(backend.ask("push_tasks", *tasks)))
    return message_ids


def _task(number: int) -> Mapping[str, Any]:
    return a_payload_task(a_payload_container(image=IMAGE, cpu=2, memory=16), number=number)


def _until(agent: SimulatedAgent, *, queued: int) -> None:
    """Return when all tasks have ended and so many state changes wait."""
    end = time.monotonic() + _LIMIT_S
    while True:
        told = agent.ask()
        if told.stopped == TASKS and told.queued == queued:
            return
        if time.monotonic() > end:
            raise Missing(f"after {_LIMIT_S:.0f} s the agent has {told}, not {TASKS} tasks stopped, {queued} queued")
        time.sleep(0.5)


def _told(backend: BackendProcess) -> Sequence[Mapping[str, Any]]:
    """The state changes that ECS took. Raises ``Missing``."""
    return in_order(backend.ask("state_changes"), backend.ask("problems"))


def in_order(calls: Sequence[Mapping[str, Any]], problems: Sequence[str]) -> Sequence[Mapping[str, Any]]:
    """``calls``, once it is sure: of each task RUNNING, then STOPPED, once each. Raises ``Missing`` else."""
    by_task: dict[str, list[str]] = {}
    for call in calls:
        by_task.setdefault(call["body"]["task"], []).append(call["body"]["status"])
    wrong = [f"{arn}: {told}" for arn, told in by_task.items() if told != ["RUNNING", "STOPPED"]]
    if len(by_task) != TASKS or wrong or problems:
        raise Missing(f"{len(by_task)} tasks were told, {len(wrong)} of them wrongly: {[*wrong, *problems][:3]}")
    return calls
