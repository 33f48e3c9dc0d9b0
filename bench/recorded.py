"""The official agent's figures, recorded on a quiet machine with 2 cores: not measured in this run.

They stand in for a peer where none is given. A busy machine doubles all of them, so a
comparison with them shows the order of magnitude; only ratios in one run count.
"""

from __future__ import annotations

from typing import NamedTuple


class Reading(NamedTuple):
    """GET of one target with ``wrk -t1 -c16``."""

    requests_per_s: float
    cpu_us: float
    p99_ms: float


TASKS = {2: Reading(37_000, 33, 6.9), 51: Reading(8_000, 190, 22.5), 200: Reading(2_600, 630, 47.5)}
"""``/v1/tasks``, by number of tasks; the middle of the range where one was recorded."""
METADATA = Reading(45_500, 25, 6.9)
"""``/v1/metadata``; the p99 is that of ``/v1/tasks`` with 2 tasks."""

CPU_SHARE = {2: 1 / 2, 51: 1 / 10, 200: 1 / 20}
"""Our CPU per request is to be at most this part of the official agent's."""

MEMORY_IDLE_MIB = 44
MEMORY_50_RUNNING_MIB = 58
MEMORY_200_SAVED_MIB = 83
FIRST_ANSWER_S = 0.24
FIRST_ANSWER_201_SAVED_S = 6.3
ONE_TASK_S = 0.28
TASKS_AT_ONCE_S = {20: 2.35, 50: 5.3}
TRUE_TASKS_S = 20.0
AT_REST_PERCENT = 0.8


def share_for(tasks: int) -> float:
    """The CPU share that is asked for at about this many tasks."""
    return CPU_SHARE[min(CPU_SHARE, key=lambda size: abs(size - tasks))]
