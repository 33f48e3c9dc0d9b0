"""Tasks in network mode awsvpc with real containers: from RunTask to the RUNNING that DescribeTasks tells.

In the same rounds the same Docker calls made bare, those of the pause container included, on the same Docker network:
`ecscope up` runs meanwhile, and has nothing to do.
"""

from __future__ import annotations

import json

import dockerengine
from bench.benchmarks.up import Up, up
from bench.engine import engine, run_bare
from bench.figures import Figure, at_most
from bench.needs import Missing
from bench.options import Options
from bench.rounds import rotated

_PREFIX = "ecs-"
"""Of the Docker network of a data directory."""


def run(options: Options) -> list[Figure]:
    plan = [(1, 3, 1.2), (20, 1, 1.1)] if options.quick else [(1, 15, 1.2), (20, 5, 1.1)]
    with engine() as found, up(found, is_awsvpc=True) as ours:
        before = _networks(found)
        ours.start()
        made = _networks(found) - before
        if len(made) != 1:
            raise Missing("`ecscope up` makes no network for awsvpc tasks")
        return [_starts(found, ours, made.copy().pop(), *each) for each in plan]


def _starts(found: dockerengine.Engine, ours: Up, network: str, count: int, rounds: int, limit: float) -> Figure:
    taken: dict[str, list[float]] = {"bare": [], "up": []}
    for order in rotated(list(taken), rounds):
        for who in order:
            taken[who].append(run_bare(found, count, network=network) if who == "bare" else ours.start_tasks(count))
            ours.stop_tasks()
    name = "1 awsvpc task" if count == 1 else f"{count} awsvpc tasks at once"
    return Figure(
        name=f"{name}: RunTask to RUNNING : the same Docker calls bare",
        unit="s",
        samples=taken["up"],
        against=taken["bare"],
        target=at_most(limit),
    )


def _networks(found: dockerengine.Engine) -> set[str]:
    names = {network["Name"] for network in json.loads(found.request("GET", "/networks"))}
    return {name for name in names if name.startswith(_PREFIX)}
