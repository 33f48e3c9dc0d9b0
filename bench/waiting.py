"""Watching an agent's port 51678 until tasks are where they should be."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from bench.engine import statuses
from bench.needs import Missing

Tasks = Callable[[], Sequence[dict[str, object]]]


class Waited(NamedTuple):
    """Seconds since the tasks were asked for."""

    seen_s: float
    """Until the first of them was listed at all."""
    done_s: float
    """Until all of them had the status."""


def until_new_ones_are(
    status: str, count: int, tasks: Tasks, known: set[str], begun: float, *, limit_s: float, poll_s: float
) -> Waited:
    """Return when ``count`` tasks that were not ``known`` have ``status``; ``begun`` is of ``perf_counter``."""
    seen_s = 0.0
    while True:
        seen = [there for arn, there in statuses(tasks()).items() if arn not in known]
        taken_s = time.perf_counter() - begun
        if seen and not seen_s:
            seen_s = taken_s
        if seen.count(status) >= count:
            return Waited(seen_s=seen_s, done_s=taken_s)
        if taken_s > limit_s:
            others = ", ".join(sorted({*seen} - {status})) or "none is listed"
            raise Missing(f"after {limit_s:.0f} s {seen.count(status)} of {count} tasks are {status}; others: {others}")
        time.sleep(poll_s)


def until_all_stopped(tasks: Tasks, *, limit_s: float = 120.0) -> None:
    """Return when every task is STOPPED."""
    end = time.monotonic() + limit_s
    while any(status != "STOPPED" for status in statuses(tasks()).values()):
        if time.monotonic() > end:
            raise Missing(f"tasks do not stop within {limit_s:.0f} s")
        time.sleep(0.1)
