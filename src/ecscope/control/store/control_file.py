"""The control plane's file: one table for each kind of record, all of the same shape. Synchronous.

What holds it together, and what becomes of damage, is ``sqlitefile.database``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ecscope.control.store.interface import CONTROL_PLANE, BadRecord, Loaded, Prepared
from ecscope.control.store.rows import KINDS, checksum, decoded, loaded
from ecscope.sqlitefile import pages
from ecscope.sqlitefile.checksum import names
from ecscope.sqlitefile.database import DatabaseFile, Salvaged, Unreadable, transaction
from ecscope.sqlitefile.errors import UnreadableRecord
from ecscope.sqlitefile.known import KnownRows
from ecscope.sqlitefile.versions import WRITER_PREFIX, create_version_table

FILE_NAME = "control.db"

_PUT = {
    table: f"INSERT INTO {table} (key, revision, body, checksum) VALUES (?, ?, ?, ?)"  # noqa: S608  # fixed names
    " ON CONFLICT (key) DO UPDATE"
    " SET revision = excluded.revision, body = excluded.body, checksum = excluded.checksum"
    for table in KINDS
}
_DELETE = {table: f"DELETE FROM {table} WHERE key = ?" for table in KINDS}  # noqa: S608  # fixed names


def _create(connection: sqlite3.Connection) -> None:
    """Version 0 (an empty file) to 1. ``position``: the order in which records were made."""
    create_version_table(connection)
    for table in KINDS:
        connection.execute(
            f"CREATE TABLE {table} (position INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE,"
            " revision INTEGER NOT NULL, body TEXT NOT NULL, checksum TEXT NOT NULL)"
        )


STEPS = (_create,)
"""``STEPS[n]`` leads from version n to n + 1; a step that was released never changes."""


class _Found(NamedTuple):
    """A row of a damaged file."""

    position: int
    revision: int
    body: str


class ControlFile(DatabaseFile):
    """``<data_dir>/control.db``. Every call may raise ``StoreError``."""

    def __init__(self, data_dir: Path) -> None:
        known = KnownRows(dict.fromkeys(KINDS, "key"), ("revision", "body", "checksum"))
        super().__init__(data_dir / FILE_NAME, owner=CONTROL_PLANE, steps=STEPS, known=known)
        self._revision = 0
        """Counts saves: of two copies of a record in a damaged file, the higher one is the newer."""

    def open_and_read(self) -> Loaded:
        """Make the file if there is none, salvage it if need be, and read everything."""
        return self._open_with(self._read)

    def write(self, changes: Sequence[Prepared]) -> None:
        """Write in one durable transaction: all of it or, when it raises, nothing."""
        merged: dict[tuple[str, str], str | None] = {}
        for change in changes:
            merged.update(change)
        self._revision += 1
        self._mended(partial(self._write, merged))

    def _write(self, rows: Prepared) -> None:
        connection = self._connected()
        written = {
            (table, key): None if body is None else (self._revision, body, checksum(table, body))
            for (table, key), body in rows.items()
        }
        with transaction(connection):
            for (table, key), values in written.items():
                if values is None:
                    connection.execute(_DELETE[table], (key,))
                else:
                    connection.execute(_PUT[table], (key, *values))
        for (table, key), values in written.items():
            if values is None:
                self._known.drop(table, key)
            else:
                self._known.put(table, key, *values)

    def _read(self, bad: list[BadRecord]) -> Loaded:
        tables: dict[str, dict[str, object]] = {
            table: self._read_table(kind, table=table, key_column="key", decode=partial(decoded, table), bad=bad)
            for table, kind in KINDS.items()
        }
        return loaded(tables, bad)

    # --- what DatabaseFile asks -----------------------------------------------------------------

    def _tables_to_check(self, size_bytes: int) -> Sequence[str]:
        return tuple(KINDS)

    def _take_over(self, connection: sqlite3.Connection) -> None:
        self._revision = max(
            connection.execute(f"SELECT max(revision) FROM {table}").fetchone()[0] or 0  # noqa: S608
            for table in KINDS
        )

    def _salvage_rows(self, database: bytes | memoryview, wal: bytes) -> Salvaged:
        good: dict[tuple[str, str], _Found] = {}
        unreadable: dict[tuple[str, str], Unreadable] = {}
        version = (0, "")
        for position, columns in pages.find_rows(database, wal):
            match columns:
                case [int(number), bytes(writer)] if writer.startswith(WRITER_PREFIX.encode()):
                    version = max(version, (number, writer.decode("utf-8", "replace")))
                case [None, bytes(column), int(revision), body, checksum]:
                    table = next((table for table, kind in KINDS.items() if names(checksum, kind)), "")
                    if not table:
                        continue
                    try:
                        key, _ = decoded(table, body, checksum)
                    except UnreadableRecord as error:
                        key = column.decode("utf-8", "replace")
                        unreadable[table, key] = Unreadable(KINDS[table], key, body, str(error))
                        continue
                    known = good.get((table, key))
                    if known is None or known.revision < revision:
                        assert isinstance(body, bytes)
                        good[table, key] = _Found(position, revision, body.decode())
                case _:
                    pass  # no row of ours
        lost = [what for place, what in unreadable.items() if place not in good]
        return Salvaged(version, lost, partial(_refill, sorted(good.items(), key=lambda row: row[1].position)))


def _refill(rows: Iterable[tuple[tuple[str, str], _Found]], connection: sqlite3.Connection) -> None:
    for (table, key), found in rows:
        connection.execute(_PUT[table], (key, found.revision, found.body, checksum(table, found.body)))
