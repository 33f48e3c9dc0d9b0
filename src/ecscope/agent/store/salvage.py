"""Which rows of the agent's there are in a damaged state file: what ``pages`` finds, by its shape and its checksum.

Refuses to judge: what becomes of the rows is decided in ``state_file``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ecscope.agent.store.records import HISTORY, HistoryRow, Kind
from ecscope.sqlitefile import pages
from ecscope.sqlitefile.checksum import names
from ecscope.sqlitefile.pages import Column
from ecscope.sqlitefile.versions import WRITER_PREFIX


class FoundRecord(NamedTuple):
    """A row of ``tasks``, ``images``, ``sources`` or ``metadata``; its checksum is not checked yet."""

    kind: Kind
    key: str
    revision: int
    body: Column
    checksum: Column
    position: int
    """Row ID: the order of tasks."""


class FoundEntry(NamedTuple):
    """A row of ``history``; its checksum is not checked yet."""

    id: int
    columns: tuple[Column, ...]
    """Those of ``HistoryRow``."""


class FoundVersion(NamedTuple):
    """The row of ``schema_version``."""

    version: int
    written_by: str


Found = FoundRecord | FoundEntry | FoundVersion


def find_rows(database: bytes | memoryview, wal: bytes) -> Iterator[Found]:
    """Every row of ours in the file and its write-ahead log, in no particular order; duplicates are possible."""
    for row_id, columns in pages.find_rows(database, wal):
        found = _recognise(row_id, columns)
        if found is not None:
            yield found


def _recognise(row_id: int, columns: Sequence[Column]) -> Found | None:
    """What the row is, by its shape and by the kind that its checksum names."""
    match columns:
        case [int(version), bytes(writer)] if writer.startswith(WRITER_PREFIX.encode()):
            return FoundVersion(version, writer.decode("utf-8", "replace"))
        case [None, bytes(key), int(revision), body, checksum]:  # tasks
            return FoundRecord(Kind.TASK, key.decode("utf-8", "replace"), revision, body, checksum, row_id)
        case [bytes(key), int(revision), body, bytes(checksum)]:
            kind = _kind_of(checksum)
            if kind is None:
                return None
            return FoundRecord(kind, key.decode("utf-8", "replace"), revision, body, checksum, row_id)
        case [None, *texts, int()] if len(texts) == len(HistoryRow._fields):
            return FoundEntry(row_id, tuple(texts)) if names(texts[-1], HISTORY) else None
        case _:
            return None


def _kind_of(checksum: bytes) -> Kind | None:
    for kind in Kind:
        if names(checksum, kind.value):
            return kind
    return None
