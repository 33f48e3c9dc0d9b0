"""Which capacity provider a task gets: bases first, then the ratio of the weights."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ecscope.control.core.capacity import next_provider
from tests.tables import each_row


@each_row(
    "strategy, tasks, shares",
    [
        ([], 3, {"": 3}),
        ([{"capacityProvider": "A"}], 3, {"A": 3}),
        ([{"capacityProvider": "A", "weight": 1}, {"capacityProvider": "B", "weight": 1}], 4, {"A": 2, "B": 2}),
        ([{"capacityProvider": "A", "weight": 1}, {"capacityProvider": "B", "weight": 4}], 10, {"A": 2, "B": 8}),
        (
            [{"capacityProvider": "A", "base": 2, "weight": 1}, {"capacityProvider": "B", "weight": 3}],
            10,
            {"A": 4, "B": 6},
        ),
        ([{"capacityProvider": "A", "base": 1}, {"capacityProvider": "B", "weight": 1}], 4, {"A": 1, "B": 3}),
    ],
)
def test_shares(strategy: list[dict[str, Any]], tasks: int, shares: dict[str, int]) -> None:
    counts: Counter[str] = Counter()
    for _ in range(tasks):
        counts[next_provider(strategy, counts)] += 1
    assert counts == shares
