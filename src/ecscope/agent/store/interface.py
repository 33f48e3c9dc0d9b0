"""The contract of durable state: save before act, load the good and name the bad.

Held to this: ``store/sqlite`` (durable) and ``store/memory`` (no checkpoint), by one test suite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from ecscope.model.history import HistoryEntry
from ecscope.model.task import ImageRecord, Task, TaskSource
from ecscope.sqlitefile.errors import BadRecord, Owner, StoreError

__all__ = ["AGENT", "BadRecord", "Batch", "Loaded", "Store", "StoreError"]

AGENT = Owner(name="agent", data_dir_setting="ECS_DATADIR")


class Batch(msgspec.Struct, kw_only=True):
    """What one or more decisions changed; saved all or nothing."""

    tasks: dict[str, Task | None] = msgspec.field(default_factory=dict)
    """By ARN; ``None`` deletes the record."""
    images: dict[str, ImageRecord | None] = msgspec.field(default_factory=dict)
    """By image name; ``None`` deletes the record."""
    sources: dict[str, TaskSource | None] = msgspec.field(default_factory=dict)
    """By key; ``None`` deletes the record."""
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    history: list[HistoryEntry] = msgspec.field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not (self.tasks or self.images or self.sources or self.metadata or self.history)


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """All that could be read, and what could not."""

    tasks: tuple[Task, ...] = ()
    """In the order in which they were first saved."""
    images: tuple[ImageRecord, ...] = ()
    sources: tuple[TaskSource, ...] = ()
    metadata: Mapping[str, str] = {}
    bad: tuple[BadRecord, ...] = ()


class Store(Protocol):
    """Durable state. One writer; ``save`` calls are applied in order."""

    def load(self) -> Loaded:
        """Read everything, once, before the first ``save``; blocking, no event loop needed."""

    async def save(self, batch: Batch) -> None:
        """Return when ``batch`` is on disk. Raises ``StoreError``; then none of it was saved."""

    def history(self, task_arn: str | None, *, limit: int) -> Sequence[HistoryEntry]:
        """The newest ``limit`` entries (of one task, or of all), oldest first; blocking."""

    async def expire_history(self, now: datetime) -> int:
        """Drop entries past the bounds of age and size; returns how many."""

    async def close(self) -> None:
        """Wait for pending saves and close."""
