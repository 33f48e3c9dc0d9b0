"""The state file itself: opened, checked, read, written and, when it is damaged, salvaged. Synchronous.

A record that cannot be read costs itself: it is written to ``<data dir>/set-aside``. A file that
SQLite cannot read is moved to ``ecscope.db.damaged-<time>``, and its readable rows begin a new one.

Knows nothing of threads and loops: ``sqlite`` sees to it that one thread at a time calls.

Source: library-choice.md §5; engine.md §13.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, TypeVar

from ecscope.agent.store import salvage
from ecscope.agent.store.aside import put_record_aside, stamp, sync_directory, unused
from ecscope.agent.store.failures import garbled_names_are_damage, is_damage, is_io_error, os_error, store_error
from ecscope.agent.store.interface import BadRecord, Loaded
from ecscope.agent.store.migrations import check_not_newer, migrate, version_row
from ecscope.agent.store.reader import DATABASE_NAME
from ecscope.agent.store.records import (
    Change,
    HistoryRow,
    Kind,
    Metadata,
    Record,
    StateRow,
    UnreadableRecord,
    entry_of,
    history_row,
    key_of,
    record_of,
    state_row,
)
from ecscope.model.task import ImageRecord, Task, TaskSource

_log = logging.getLogger(__name__)

_MOST_HISTORY_CHECKED_BYTES = 16 * 1024 * 1024
"""The history of a larger file is not checked at start, because the agent must start fast: damage there is
found, and salvaged, when it is read or written."""
_MOST_WAL_CHECKED_BYTES = 64 * 1024 * 1024
_BUSY_TIMEOUT_S = 5.0

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


_T = TypeVar("_T")


class Rows(NamedTuple):
    """A ``Change`` as rows."""

    records: list[StateRow | tuple[Kind, str]]
    """A pair deletes."""
    history: list[HistoryRow]


class StateFile:
    """``<data_dir>/ecscope.db`` in WAL mode with ``synchronous=FULL``. Every call may raise ``StoreError``.

    The caller holds the lock of the directory. After damage that is found while writing, the file
    is salvaged and the write is done in the new one.
    """

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / DATABASE_NAME
        self._dir = data_dir
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None
        """Device and inode of the file that ``_connection`` has open."""
        self._revision = 0
        self._history_size = 0
        """Characters of all entries ever written to this file, as ``size_before`` counts them."""

    def open_and_read(self) -> Loaded:
        """Make the file if there is none, salvage it if need be, and read everything."""
        bad: list[BadRecord] = []
        wal = self._settle_files()
        try:
            try:
                with garbled_names_are_damage():
                    self._open(wal)
                    return self._read(bad)
            except sqlite3.Error as error:
                if not is_damage(error):
                    raise
                bad += self._rebuild(str(error), wal)
                self._open(b"")
                return self._read(bad)
        except sqlite3.Error as error:
            raise store_error(error, self.path) from error

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

    def salvage(self, reason: str) -> None:
        """Begin a new file with what can be read of this one, which was found damaged by a reader."""
        try:
            self._rebuild(reason)
            self._open(b"")
        except sqlite3.Error as error:
            raise store_error(error, self.path) from error

    def close(self) -> None:
        """Never raises; may be repeated."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except sqlite3.Error as error:
                _log.debug("closing the state file: %s", error)

    # --- opening and reading -------------------------------------------------------------------

    def _settle_files(self) -> bytes:
        """Finish what a killed predecessor began, make the file if there is none, return its log."""
        rebuilt = self._beside(".rebuilt")
        try:
            if not self.path.exists():
                if rebuilt.exists():
                    self._adopt(rebuilt)
                elif not _has_content(self._beside("-wal")):
                    self._make_database(rebuilt, (), ())
                    self._adopt(rebuilt)
            else:
                _remove_database(rebuilt)
            return self._read_wal()
        except OSError as error:
            raise os_error(error, "make the state file", self.path) from error

    def _read_wal(self) -> bytes:
        path = self._beside("-wal")
        if not path.exists() or path.stat().st_size > _MOST_WAL_CHECKED_BYTES:
            return b""
        return path.read_bytes()

    def _open(self, wal: bytes) -> None:
        """Connect and make sure that the file is sound. Raises ``sqlite3.Error`` or ``StoreError``."""
        if not self.path.exists():
            raise sqlite3.DatabaseError("it is gone, but its log is there")
        if self.path.stat().st_size < salvage.PAGE_BYTES:
            raise sqlite3.DatabaseError("it is cut off within its first page")  # to SQLite that is a new file
        self._connection = connection = _connect(self.path)
        self._opened = _identity(self.path)
        version, written_by = version_row(connection)
        check_not_newer(version, written_by, os.fspath(self.path))
        if version == 0:
            raise sqlite3.DatabaseError("it holds no tables")
        if wal and connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1] < salvage.committed_frames(wal):
            raise sqlite3.DatabaseError("its write-ahead log is damaged, and commits in it would be lost")
        connection.execute("PRAGMA journal_mode=WAL")
        migrate(connection, os.fspath(self.path))
        _check_schema(connection)
        tables = [kind.table for kind in Kind]
        if self.path.stat().st_size <= _MOST_HISTORY_CHECKED_BYTES:
            tables.append("history")
        for table in tables:
            problems = connection.execute(f"PRAGMA integrity_check({table})").fetchall()
            if problems != [(b"ok",)]:
                first_problem = str(problems[0][0], "utf-8", "replace").splitlines()
                raise sqlite3.DatabaseError(f"table {table}: {first_problem[-1]}")
        connection.execute("BEGIN IMMEDIATE")  # finds a file that may not be written now, not at the first save
        connection.execute("ROLLBACK")
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
            records[kind] = self._read_kind(kind, bad)
        return Loaded(
            tasks=tuple(record for record in records[Kind.TASK] if isinstance(record, Task)),
            images=tuple(record for record in records[Kind.IMAGE] if isinstance(record, ImageRecord)),
            sources=tuple(record for record in records[Kind.SOURCE] if isinstance(record, TaskSource)),
            metadata={record.key: record.value for record in records[Kind.METADATA] if isinstance(record, Metadata)},
            bad=tuple(bad),
        )

    def _read_kind(self, kind: Kind, bad: list[BadRecord]) -> list[Record]:
        connection = self._connected()
        good: dict[str, Record] = {}
        done_with: list[int] = []
        renamed: list[tuple[str, int]] = []
        for row_id, column, body, checksum in connection.execute(
            f"SELECT rowid, {kind.key_column}, body, checksum FROM {kind.table} ORDER BY rowid"  # noqa: S608
        ):
            name = str(column, "utf-8", "replace") if isinstance(column, bytes) else str(column)
            try:
                record = record_of(kind, body, checksum)
            except UnreadableRecord as error:
                if self._set_aside(kind, name, body, str(error), bad):
                    done_with.append(row_id)
                continue
            key = key_of(record)
            if key in good:
                if self._set_aside(kind, name, body, f"it is a second record of {key}", bad):
                    done_with.append(row_id)
                continue
            good[key] = record
            if key != name:
                renamed.append((key, row_id))
        if done_with or renamed:
            with _transaction(connection):
                for row_id in done_with:
                    connection.execute(f"DELETE FROM {kind.table} WHERE rowid = ?", (row_id,))  # noqa: S608
                for key, row_id in renamed:
                    connection.execute(
                        f"UPDATE {kind.table} SET {kind.key_column} = ? WHERE rowid = ?",  # noqa: S608
                        (key, row_id),
                    )
        return list(good.values())

    def _set_aside(self, kind: Kind, key: str, body: object, reason: str, bad: list[BadRecord]) -> bool:
        """Write one record aside and report it; ``False`` when it has to stay where it is."""
        try:
            place = put_record_aside(self._dir, kind=kind.value, key=key, body=body, reason=reason)
        except OSError as error:
            # No room for the copy must not keep the agent from starting: the row stays, and is tried next time.
            reason = f"{reason} (and it could not be set aside: {error.strerror or error})"
            bad.append(BadRecord(kind=kind.value, key=key, reason=reason, set_aside_as=os.fspath(self.path)))
            return False
        bad.append(BadRecord(kind=kind.value, key=key, reason=reason, set_aside_as=os.fspath(place)))
        return True

    # --- writing -------------------------------------------------------------------------------

    def _mended(self, work: Callable[[], _T]) -> _T:
        """Do the work; on damage salvage the file and do it once more."""
        try:
            try:
                with garbled_names_are_damage():
                    return work()
            except sqlite3.Error as error:
                if not is_damage(error):
                    raise
                self._rebuild(str(error))
                self._open(b"")
                return work()
        except sqlite3.Error as error:
            if is_io_error(error) or is_damage(error):
                self.close()  # and open anew for the next work: SQLite's view of the file may be wrong
            raise store_error(error, self.path) from error

    def _write(self, batches: Sequence[Rows]) -> None:
        connection = self._connected()
        size = self._history_size
        with _transaction(connection):
            for batch in batches:
                for row in batch.records:
                    if isinstance(row, StateRow):
                        connection.execute(_PUT[row.kind], (row.key, row.revision, row.body, row.checksum))
                    else:
                        kind, key = row
                        connection.execute(_DELETE[kind], (key,))
                size = _add_history(connection, batch.history, size)
        self._history_size = size

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
            with _transaction(connection):
                connection.executemany("DELETE FROM history WHERE id = ?", doomed)
        return len(doomed)

    def _connected(self) -> sqlite3.Connection:
        """The connection, opened anew after an I/O error or when somebody removed the file."""
        if self._connection is not None and _identity(self.path) != self._opened:
            self._put_back(self._connection)
        if self._connection is None:
            self._connection = _connect(self.path)
            self._opened = _identity(self.path)
        return self._connection

    def _put_back(self, connection: sqlite3.Connection) -> None:
        """Write the file again, whole, from the removed one, which lives as long as it is open.

        Else saves would be reported that nobody can ever read. Raises ``StoreError``.
        """
        rebuilt = self._beside(".rebuilt")
        try:
            _remove_database(rebuilt)
            _make_empty(rebuilt)
            copy = _connect(rebuilt)
            try:
                connection.backup(copy)
            finally:
                copy.close()
            self.close()
            moved = unused(self.path.with_name(f"{DATABASE_NAME}.damaged-{stamp(datetime.now(UTC))}"))
            if self.path.exists():
                self.path.rename(moved)
            self._adopt(rebuilt, moved)
        except OSError as error:
            raise os_error(
                error, "write the state file, which was removed while the agent runs, again as", self.path
            ) from error
        _log.warning("the state file %s was removed or replaced while the agent runs; it is there again", self.path)

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(DATABASE_NAME + suffix)

    # --- salvage -------------------------------------------------------------------------------

    def _rebuild(self, reason: str, wal: bytes | None = None) -> list[BadRecord]:
        """Begin a new file with what can be read of the damaged one, and move that aside.

        ``wal``: the log as it was before SQLite touched it; ``None``: as it is. A kill at any point loses
        nothing: until the old file is moved it is salvaged again, from then on the new one is adopted.
        Raises ``StoreError``, also for a file of a newer version; then nothing was moved.
        """
        self.close()
        rebuilt = self._beside(".rebuilt")
        try:
            if wal is None:
                wal = self._read_wal()
            found = _salvaged(self.path, wal)
            check_not_newer(*found.version, os.fspath(self.path))
            self._make_database(rebuilt, found.rows, found.history)
            moved = unused(self.path.with_name(f"{DATABASE_NAME}.damaged-{stamp(datetime.now(UTC))}"))
            if self.path.exists():
                self.path.rename(moved)
            if wal and not self._beside("-wal").exists():
                moved.with_name(moved.name + "-wal").write_bytes(wal)
            self._adopt(rebuilt, moved)
        except OSError as error:
            raise os_error(error, "salvage the damaged state file", self.path) from error
        _log.warning("the state file was damaged (%s); it is kept as %s and a new one goes on", reason, moved)
        bad: list[BadRecord] = []
        for kind, key, body, why in found.unreadable:
            self._set_aside(kind, key, body, why, bad)
        set_aside_as = os.fspath(moved)
        return [BadRecord(kind="database", key=DATABASE_NAME, reason=reason, set_aside_as=set_aside_as), *bad]

    def _make_database(self, path: Path, rows: Iterable[StateRow], history: Iterable[HistoryRow]) -> None:
        """A complete file with these rows, under a name that is not in use yet."""
        _remove_database(path)
        _make_empty(path)
        try:
            connection = _connect(path)
            try:
                migrate(connection, os.fspath(path))
                with _transaction(connection):
                    for row in rows:
                        connection.execute(_PUT[row.kind], (row.key, row.revision, row.body, row.checksum))
                    _add_history(connection, history, 0)
                connection.execute("PRAGMA journal_mode=WAL")
            finally:
                connection.close()
        except sqlite3.Error as error:
            _remove_database(path)
            raise store_error(error, path) from error

    def _adopt(self, rebuilt: Path, moved: Path | None = None) -> None:
        """Give a complete new file its name; a log that is still there belongs to the old one."""
        if moved is None:
            moved = unused(self.path.with_name(f"{DATABASE_NAME}.damaged-{stamp(datetime.now(UTC))}"))
        for suffix in ("-wal", "-shm"):
            old = self._beside(suffix)
            if old.exists():
                old.rename(moved.with_name(moved.name + suffix))
        rebuilt.rename(self.path)
        sync_directory(self._dir)


class _Salvaged(NamedTuple):
    """What could be read of a damaged file."""

    rows: list[StateRow]
    """The newest good copy of each record, tasks in their order."""
    history: list[HistoryRow]
    """In the order in which it was written."""
    unreadable: list[tuple[Kind, str, object, str]]
    """Kind, key, body and reason of records of which no copy is good."""
    version: tuple[int, str]


def _salvaged(path: Path, wal: bytes) -> _Salvaged:
    good: dict[tuple[Kind, str], StateRow] = {}
    unreadable: dict[tuple[Kind, str], tuple[object, str]] = {}
    history: dict[int, HistoryRow] = {}
    version = (0, "")
    with _mapped(path) as database:
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
                case salvage.FoundRecord(kind=kind, body=body, checksum=checksum):
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
    return _Salvaged(
        sorted(good.values(), key=lambda row: row.position or 0),
        [history[row_id] for row_id in sorted(history)],
        [(kind, key, *what) for (kind, key), what in unreadable.items() if (kind, key) not in good],
        version,
    )


@contextmanager
def _mapped(path: Path) -> Iterator[bytes | memoryview]:
    """The content of a file without reading it all into memory; nothing for a file that is not there."""
    if not _has_content(path):
        yield b""
        return
    import mmap  # noqa: PLC0415  # for damaged files only

    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapping:
        view = memoryview(mapping)
        try:
            yield view
        finally:
            view.release()


def _connect(path: Path) -> sqlite3.Connection:
    """Open a file that exists, to read and write. Text comes back as ``bytes``, whatever it holds."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        isolation_level=None,
        check_same_thread=False,  # opened where ``load`` is called, then used by the writer thread alone
        timeout=_BUSY_TIMEOUT_S,
    )
    try:
        connection.text_factory = bytes
        for pragma in (
            f"page_size={salvage.PAGE_BYTES}",  # of a new file: salvage counts on it
            "synchronous=FULL",
            "secure_delete=ON",  # deleted secrets are gone, and salvage cannot bring deleted tasks back
            "cell_size_check=ON",
            "trusted_schema=OFF",
            f"journal_size_limit={16 * 1024 * 1024}",
        ):
            connection.execute(f"PRAGMA {pragma}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite has rolled back by itself when the disk is full
            connection.execute("ROLLBACK")
        raise


def _add_history(connection: sqlite3.Connection, rows: Iterable[HistoryRow], size: int) -> int:
    """Append the rows; ``size`` is that of all entries before, returned is that of all entries after."""
    for row in rows:
        connection.execute(_ADD_HISTORY, (*row, size))
        size += row.size
    return size


def _check_schema(connection: sqlite3.Connection) -> None:
    """Raise ``sqlite3.DatabaseError`` when a table or index is not as ``migrations`` made it."""
    query = "SELECT type, name, tbl_name, sql FROM sqlite_master"
    sound = sqlite3.connect(":memory:", isolation_level=None)
    try:
        sound.text_factory = bytes
        migrate(sound, ":memory:")
        expected = set(sound.execute(query))
    finally:
        sound.close()
    if not expected <= set(connection.execute(query)):
        raise sqlite3.DatabaseError("its tables are not those of the agent")


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False


def _identity(path: Path) -> tuple[int, int] | None:
    """``None``: there is no such file. Raises ``StoreError``."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise os_error(error, "look at the state file", path) from error
    return found.st_dev, found.st_ino


def _make_empty(path: Path) -> None:
    """A new file that only its owner may read, as the files are that SQLite puts beside it."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _remove_database(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
