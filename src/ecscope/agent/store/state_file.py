"""The agent's state file: which tables it has, how records and history entries go in and come out. Synchronous.

What holds it together, and what becomes of damage, is ``sqlitefile.database``.
Unaware of threads and loops: ``sqlite`` ensures that one thread at a time calls it.

Source: library-choice.md §5; engine.md §13.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ecscope.agent.store import salvage
from ecscope.agent.store.interface import AGENT, BadRecord, Loaded
from ecscope.agent.store.migrations import STEPS, upgraded
from ecscope.agent.store.reader import DATABASE_NAME
from ecscope.agent.store.records import (
    Change,
    HistoryRow,
    Kind,
    Metadata,
    Record,
    StateRow,
    entry_of,
    history_row,
    key_of,
    record_of,
    state_row,
)
from ecscope.model.task import ImageRecord, Task, TaskSource
from ecscope.sqlitefile.database import DatabaseFile, Salvaged, Unreadable, transaction
from ecscope.sqlitefile.errors import UnreadableRecord
from ecscope.sqlitefile.known import KnownRows

_MOST_HISTORY_CHECKED_BYTES = 16 * 1024 * 1024
"""The history of a larger file is not checked at start, because the agent must start fast: damage there is
found, and salvaged, when it is read or written."""

_PUT = {
    kind: f"INSERT INTO {kind.table} ({kind.key_column}, revision, body, checksum) VALUES (?, ?, ?, ?)"  # noqa: S608
    f" ON CONFLICT ({kind.key_column}) DO UPDATE"
    " SET revision = excluded.revision, body = excluded.body, checksum = excluded.checksum"
    for kind in Kind
}
_DELETE = {kind: f"DELETE FROM {kind.table} WHERE {kind.key_column} = ?" for kind in Kind}  # noqa: S608
_ADD_HISTORY = (
    f"INSERT INTO history ({', '.join(HistoryRow._fields)}, size_before)"  # noqa: S608
    f" VALUES ({', '.join('?' * len(HistoryRow._fields))}, ?)"
)
_SIZE = " + ".join(f"length({column})" for column in HistoryRow._fields)


class Rows(NamedTuple):
    """A ``Change`` as rows."""

    records: list[StateRow | tuple[Kind, str]]
    """A pair deletes."""
    history: list[HistoryRow]


class StateFile(DatabaseFile):
    """``<data_dir>/ecscope.db``. Every call may raise ``StoreError``."""

    def __init__(self, data_dir: Path) -> None:
        known = KnownRows({kind.table: kind.key_column for kind in Kind}, ("revision", "body", "checksum"))
        super().__init__(data_dir / DATABASE_NAME, owner=AGENT, steps=STEPS, known=known)
        self._revision = 0
        self._history_size = 0
        """Characters of all entries ever written to this file, as ``size_before`` counts them."""

    def open_and_read(self) -> Loaded:
        """Make the file if there is none, salvage it if need be, and read everything."""
        return self._open_with(self._read)

    def prepare(self, change: Change) -> Rows:
        """Encode; touches no file. Raises ``StoreError`` when a value cannot be written as JSON."""
        self._revision += 1
        return Rows(
            [
                (kind, key) if record is None else state_row(kind, key, record, self._revision)
                for kind, key, record in change.records
            ],
            list(map(history_row, change.history)),
        )

    def write(self, batches: Sequence[Rows]) -> None:
        """Write in one durable transaction: all of it or, when it raises, nothing."""
        self._mended(lambda: self._write(batches))

    def expire(self, *, cutoff: str | None, max_entries: int | None, max_size: int | None, at_most: int) -> int:
        """Delete among the ``at_most`` oldest history entries those that are out of bounds; returns how many.

        Args:
            cutoff: ``HistoryRow.at`` of the oldest to keep; ``None``: no bound.
            max_entries: how many to keep; ``None``: no bound.
            max_size: how many characters of them to keep; ``None``: no bound.
            at_most: the size of one step.
        """
        return self._mended(lambda: self._expire(cutoff, max_entries, max_size, at_most))

    # --- opening and reading -------------------------------------------------------------------

    def _tables_to_check(self, size_bytes: int) -> Sequence[str]:
        tables = [kind.table for kind in Kind]
        return [*tables, "history"] if size_bytes <= _MOST_HISTORY_CHECKED_BYTES else tables

    def _take_over(self, connection: sqlite3.Connection) -> None:
        self._revision = max(
            connection.execute(f"SELECT max(revision) FROM {kind.table}").fetchone()[0] or 0  # noqa: S608
            for kind in Kind
        )
        last = connection.execute(
            f"SELECT size_before + {_SIZE} FROM history ORDER BY id DESC LIMIT 1"  # noqa: S608
        ).fetchone()
        self._history_size = 0 if last is None else last[0]

    def _read(self, bad: list[BadRecord]) -> Loaded:
        """All records. Those that cannot be read are set aside, taken out of the file and added to ``bad``."""
        records: dict[Kind, list[Record]] = {}
        for kind in Kind:
            records[kind] = list(self._read_kind(kind, bad).values())
        return Loaded(
            tasks=tuple(record for record in records[Kind.TASK] if isinstance(record, Task)),
            images=tuple(record for record in records[Kind.IMAGE] if isinstance(record, ImageRecord)),
            sources=tuple(record for record in records[Kind.SOURCE] if isinstance(record, TaskSource)),
            metadata={record.key: record.value for record in records[Kind.METADATA] if isinstance(record, Metadata)},
            bad=tuple(bad),
        )

    def _read_kind(self, kind: Kind, bad: list[BadRecord]) -> dict[str, Record]:
        def decode(body: object, checksum: object) -> tuple[str, Record]:
            record = record_of(kind, body, checksum)
            return key_of(record), record

        return self._read_table(kind.value, table=kind.table, key_column=kind.key_column, decode=decode, bad=bad)

    # --- writing -------------------------------------------------------------------------------

    def _write(self, batches: Sequence[Rows]) -> None:
        connection = self._connected()
        size = self._history_size
        with transaction(connection):
            for batch in batches:
                for row in batch.records:
                    if isinstance(row, StateRow):
                        connection.execute(_PUT[row.kind], (row.key, row.revision, row.body, row.checksum))
                    else:
                        kind, key = row
                        connection.execute(_DELETE[kind], (key,))
                size = _add_history(connection, batch.history, size)
        self._history_size = size
        for batch in batches:
            for row in batch.records:
                if isinstance(row, StateRow):
                    self._known.put(row.kind.table, row.key, row.revision, row.body, row.checksum)
                else:
                    kind, key = row
                    self._known.drop(kind.table, key)

    def _expire(self, cutoff: str | None, max_entries: int | None, max_size: int | None, at_most: int) -> int:
        connection = self._connected()
        newest = connection.execute("SELECT max(id) FROM history").fetchone()[0]
        oldest = connection.execute(
            "SELECT id, at, size_before FROM history ORDER BY id LIMIT ?", (at_most,)
        ).fetchall()
        doomed = [
            (row_id,)
            for row_id, at, size_before in oldest
            if (cutoff is not None and at < cutoff.encode())
            or (max_entries is not None and newest - row_id >= max_entries)
            or (max_size is not None and self._history_size - size_before > max_size)
        ]
        if doomed:
            with transaction(connection):
                connection.executemany("DELETE FROM history WHERE id = ?", doomed)
        return len(doomed)

    # --- salvage -------------------------------------------------------------------------------

    def _salvage_rows(self, database: bytes | memoryview, wal: bytes) -> Salvaged:
        good: dict[tuple[Kind, str], StateRow] = {}
        unreadable: dict[tuple[Kind, str], tuple[object, str]] = {}
        history: dict[int, HistoryRow] = {}
        version = (0, "")
        for row in salvage.find_rows(database, wal):
            match row:
                case salvage.FoundVersion():
                    version = max(version, (row.version, row.written_by))
                case salvage.FoundEntry():
                    try:
                        entry_of(row.columns)
                    except UnreadableRecord:
                        continue
                    history[row.id] = HistoryRow._make(
                        column.decode() if isinstance(column, bytes) else "" for column in row.columns
                    )
                case salvage.FoundRecord(kind=kind):
                    body, checksum = upgraded(kind, row.body, row.checksum)
                    try:
                        key = key_of(record_of(kind, body, checksum))
                    except UnreadableRecord as error:
                        unreadable[kind, row.key] = (body, str(error))
                        continue
                    known = good.get((kind, key))
                    if known is None or known.revision < row.revision:
                        assert isinstance(body, bytes)
                        assert isinstance(checksum, bytes)
                        good[kind, key] = StateRow(
                            kind, key, row.revision, body.decode(), checksum.decode(), row.position
                        )
        rows = sorted(good.values(), key=lambda row: row.position or 0)
        entries = [history[row_id] for row_id in sorted(history)]

        def refill(connection: sqlite3.Connection) -> None:
            for row in rows:
                connection.execute(_PUT[row.kind], (row.key, row.revision, row.body, row.checksum))
            _add_history(connection, entries, 0)

        return Salvaged(
            version,
            [Unreadable(kind.value, key, *what) for (kind, key), what in unreadable.items() if (kind, key) not in good],
            refill,
        )


def _add_history(connection: sqlite3.Connection, rows: Iterable[HistoryRow], size: int) -> int:
    """Append the rows; ``size`` is that of all entries before, returned is that of all entries after."""
    for row in rows:
        connection.execute(_ADD_HISTORY, (*row, size))
        size += row.size
    return size
