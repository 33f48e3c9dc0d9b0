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


class BadRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A record that could not be read. It costs itself only."""

    kind: str
    """``task``, ``image``, ``source``, ``metadata`` or ``database``."""
    key: str
    reason: str
    set_aside_as: str
    """Path of the file that now holds it."""


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """All that could be read, and what could not."""

    tasks: tuple[Task, ...] = ()
    """In the order in which they were first saved."""
    images: tuple[ImageRecord, ...] = ()
    sources: tuple[TaskSource, ...] = ()
    metadata: Mapping[str, str] = {}
    bad: tuple[BadRecord, ...] = ()


class StoreError(Exception):
    """The store cannot do what was asked; the message says why and what helps.

    ``is_full``: the disk is full; trying again later can help.
    """

    def __init__(self, message: str, *, is_full: bool = False) -> None:
        super().__init__(message)
        self.is_full = is_full


class Store(Protocol):
    """Durable state. One writer; ``save`` calls are applied in order."""

    def load(self) -> Loaded:
        """Read everything, once, before the first ``save``; blocking, no event loop needed."""

    async def save(self, batch: Batch) -> None:
        """Return when ``batch`` is on disk. Raises ``StoreError``; then nothing of it was saved."""

    def history(self, task_arn: str | None, *, limit: int) -> Sequence[HistoryEntry]:
        """The newest ``limit`` entries (of one task, or of all), oldest first; blocking."""

    async def expire_history(self, now: datetime) -> int:
        """Drop entries past the bounds of age and size; returns how many."""

    async def close(self) -> None:
        """Wait for pending saves and close."""
