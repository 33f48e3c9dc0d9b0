"""The store of an agent without checkpoint (``ECS_CHECKPOINT=false``): a bounded history, nothing durable."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta

from ecscope.agent.store.interface import Batch, Loaded, StoreError
from ecscope.agent.store.records import change_of, history_row, state_row
from ecscope.model.history import HistoryEntry

HISTORY_MAX_AGE = timedelta(days=14)
HISTORY_MAX_ENTRIES = 20_000
HISTORY_MAX_SIZE = 4 * 1024 * 1024
"""In characters. Smaller than on disk: the agent's memory pays for it."""


class MemoryStore:
    """``Store`` that forgets everything when the process ends.

    Args:
        history_max_age: older entries are dropped by ``expire_history``; ``None``: no bound.
        history_max_entries: the oldest above this number are dropped, at once; ``None``: no bound.
        history_max_size: likewise, in characters of text; ``None``: no bound.
    """

    def __init__(
        self,
        *,
        history_max_age: timedelta | None = HISTORY_MAX_AGE,
        history_max_entries: int | None = HISTORY_MAX_ENTRIES,
        history_max_size: int | None = HISTORY_MAX_SIZE,
    ) -> None:
        self._max_age = history_max_age
        self._max_entries = history_max_entries
        self._max_size = history_max_size
        self._history: deque[tuple[HistoryEntry, int]] = deque()
        self._size = 0
        self._closed = False

    def load(self) -> Loaded:
        """Nothing, always."""
        return Loaded()

    async def save(self, batch: Batch) -> None:
        """Keep the history of ``batch``; the rest is only checked as the durable store would."""
        if self._closed:
            raise StoreError("the store is closed")
        change = change_of(batch)
        for kind, key, record in change.records:
            if record is not None:
                state_row(kind, key, record, 0)
        sized = [(entry, history_row(entry).size) for entry in change.history]
        for entry, size in sized:
            self._history.append((entry, size))
            self._size += size
        self._shrink()

    def history(self, task_arn: str | None, *, limit: int) -> Sequence[HistoryEntry]:
        """The newest ``limit`` entries (of one task, or of all), oldest first."""
        if self._closed:
            raise StoreError("the store is closed")
        found: list[HistoryEntry] = []
        for entry, _ in reversed(self._history):
            if len(found) >= limit:
                break
            if task_arn is None or entry.task_arn == task_arn:
                found.append(entry)
        found.reverse()
        return found

    async def expire_history(self, now: datetime) -> int:
        """Drop entries past the bounds of age and size; returns how many."""
        if self._closed:
            raise StoreError("the store is closed")
        before = len(self._history)
        if self._max_age is not None:
            kept = [(entry, size) for entry, size in self._history if entry.at >= now - self._max_age]
            self._history = deque(kept)
            self._size = sum(size for _, size in kept)
        self._shrink()
        return before - len(self._history)

    async def close(self) -> None:
        """Forget everything."""
        self._closed = True
        self._history.clear()

    def _shrink(self) -> None:
        while self._history and (
            (self._max_entries is not None and len(self._history) > self._max_entries)
            or (self._max_size is not None and self._size > self._max_size)
        ):
            _, size = self._history.popleft()
            self._size -= size
