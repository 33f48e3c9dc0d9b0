"""The contract of the control plane's durable state: save before answer, load the good and name the bad.

Held to this: ``store/sqlite``, and the fake of the tests, by one test suite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from ecscope.control.core.records import Cluster, Instance, Record, Service, Task, TaskDefinition, Token
from ecscope.sqlitefile.errors import BadRecord, Owner, StoreError

__all__ = ["CONTROL_PLANE", "BadRecord", "Changes", "Loaded", "Prepared", "Store", "StoreError"]

CONTROL_PLANE = Owner(name="control plane", data_dir_setting="--data-dir")

Changes = Mapping[str, Mapping[str, Record | str | int | None]]
"""``Decision.records``."""

Prepared = Mapping[tuple[str, str], str | None]
"""Table and key → the JSON of its row; ``None``: it is deleted."""


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """All that could be read, in the order in which it was first saved, and what could not."""

    clusters: Sequence[Cluster] = ()
    task_definitions: Sequence[TaskDefinition] = ()
    instances: Sequence[Instance] = ()
    tasks: Sequence[Task] = ()
    services: Sequence[Service] = ()
    tokens: Mapping[str, Token] = {}
    account_settings: Mapping[str, str] = {}
    meta: Mapping[str, str | int] = {}
    bad: Sequence[BadRecord] = ()


class Store(Protocol):
    """Durable state. One writer, which awaits each ``save`` before the next."""

    def load(self) -> Loaded:
        """Read everything, once, before the first ``save``; blocking. Raises ``StoreError``."""

    def prepare(self, changes: Changes) -> Prepared:
        """As text. Raises for what is not JSON, which is a bug of the caller."""

    async def save(self, changes: Sequence[Prepared]) -> None:
        """Return when all of them, in this order, are on disk. Raises ``StoreError``; then nothing was saved.

        Must not be cancelled: the outcome would be unknown.
        """

    async def check(self) -> None:
        """Look whether what was saved is still there, and save it again where it is not. Raises ``StoreError``."""

    async def close(self) -> None:
        """Let another process have the directory; may be repeated."""
