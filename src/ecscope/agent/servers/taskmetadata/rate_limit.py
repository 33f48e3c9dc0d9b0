"""How often each client may ask for the same path. Pure: the clock is the caller's.

Source: task-metadata-api.md §2.1.
"""

from __future__ import annotations

from collections import OrderedDict

MOST_BUCKETS = 10_000
"""Difference: the official agent never drops a bucket. Here the least recently used one is dropped; it is full by
then, unless so many paths are asked for at once."""


class RateLimit:
    """A token bucket for each client and path."""

    def __init__(self, steady: float, burst: int) -> None:
        """``steady`` requests a second; ``burst`` at once after a rest."""
        self._steady = steady
        self._burst = burst
        self._buckets: OrderedDict[int, tuple[float, float]] = OrderedDict()
        """Hash of client and path, since paths may be long → tokens left, and when."""

    def allows(self, client: str, path: str, *, now_s: float) -> bool:
        """Take a token, if there is one."""
        bucket = hash((client, path))
        tokens, at_s = self._buckets.pop(bucket, (float(self._burst), now_s))
        tokens = min(self._burst, tokens + (now_s - at_s) * self._steady)
        is_allowed = tokens >= 1
        self._buckets[bucket] = (tokens - is_allowed, now_s)
        if len(self._buckets) > MOST_BUCKETS:
            self._buckets.popitem(last=False)
        return is_allowed
