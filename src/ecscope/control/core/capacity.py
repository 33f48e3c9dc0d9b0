"""Capacity providers: which one the next task of a strategy gets.

Source: CapacityProviderStrategyItem of the ECS API (2014-11-13).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ecscope.control.core.records import Json
from ecscope.control.core.statuses import LaunchType

FARGATE = (LaunchType.FARGATE.value, "FARGATE_SPOT")
"""Names of the capacity providers: those of AWS, which exist without being created; no others exist on one machine."""


def next_provider(strategy: Sequence[Json], counts: Mapping[str, int]) -> str:
    """The bases first, then in the ratio of the weights; of equals the first one. ``""``: there is no strategy.

    Args:
        strategy: checked entries, each with ``capacityProvider``, ``base`` and ``weight``.
        counts: capacity provider → how many of the tasks it has so far.
    """
    if not strategy:
        return ""
    for entry in strategy:
        if counts.get(entry["capacityProvider"], 0) < entry.get("base", 0):
            return str(entry["capacityProvider"])
    weighted = [entry for entry in strategy if entry.get("weight", 0)] or strategy[:1]
    return str(min(weighted, key=lambda entry: _load(entry, counts))["capacityProvider"])


def _load(entry: Json, counts: Mapping[str, int]) -> float:
    """How full it would be with one more."""
    beyond = counts.get(entry["capacityProvider"], 0) - entry.get("base", 0) + 1
    return float(beyond / (entry.get("weight") or 1))
