"""One SQLite file: opened, checked, written and, when it is damaged, salvaged. Synchronous.

A record that cannot be read costs itself: it is written to ``<data dir>/set-aside``. A file that
SQLite cannot read is moved to ``<name>.damaged-<time>``, and its readable rows begin a new one.

Which tables exist, and what a row of them means, is up to a subclass. Unaware of threads and
loops: the caller sees to it that one thread at a time calls.

Source: library-choice.md §5; engine.md §13.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, TypeVar

from ecscope.owned_files import check_file
from ecscope.sqlitefile import pages
from ecscope.sqlitefile.aside import put_record_aside, stamp, sync_directory, unused
from ecscope.sqlitefile.errors import WHOLE_FILE, BadRecord, Owner, StoreError, UnreadableRecord
from ecscope.sqlitefile.failures import garbled_names_are_damage, is_damage, is_io_error, os_error, store_error
from ecscope.sqlitefile.known import KnownRows
from ecscope.sqlitefile.versions import Step, check_not_newer, migrate, version_row

_log = logging.getLogger(__name__)

_MOST_WAL_CHECKED_BYTES = 64 * 1024 * 1024
_BUSY_TIMEOUT_S = 5.0
_COMPARE_AGAIN_S = 30.0
"""How often at most a file is compared whose times alone have changed."""
_SUFFIXES = ("", "-wal", "-shm", "-journal")
"""Of the files that SQLite takes for one database."""

_T = TypeVar("_T")


class Unreadable(NamedTuple):
    """A record of which no copy is good."""

    kind: str
    key: str
    body: object
    reason: str


class _Look(NamedTuple):
    """What shows whether a file was changed from outside."""

    device: int
    inode: int
    size: int
    changed_ns: int


class Salvaged(NamedTuple):
    """What could be read of a damaged file."""

    version: tuple[int, str]
    unreadable: list[Unreadable]
    refill: Callable[[sqlite3.Connection], None]
    """Puts the newest good copy of each record into a new file, within a transaction."""


class DatabaseFile(ABC):
    """A file in WAL mode with ``synchronous=FULL``. Every call may raise ``StoreError``.

    The caller holds the lock of the directory. After damage that is found while writing, the file
    is salvaged and the write is done in the new one.
    """

    def __init__(self, path: Path, *, owner: Owner, steps: Sequence[Step], known: KnownRows) -> None:
        """``known``: the tables of records, empty; the subclass keeps it up with what it writes."""
        self.path = path
        self._known = known
        self._owner = owner
        self._steps = steps
        self._dir = path.parent
        self._connection: sqlite3.Connection | None = None
        self._left: Mapping[str, _Look | None] = {}
        """How the last work on ``_connection`` left the file (``""``) and its log (``"-wal"``)."""
        self._compare_again_at_s = 0.0

    def salvage(self, reason: str) -> None:
        """Begin a new file with what can be read of this one, which was found damaged by a reader."""
        try:
            self._rebuild(reason)
            self._open(b"")
        except sqlite3.Error as error:
            raise self._store_error(error) from error

    def check(self) -> None:
        """Look whether the file still is as it was left, and write what was saved again where it is not."""
        self._mended(self._connected)

    def close(self) -> None:
        """Never raises; may be repeated."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except sqlite3.Error as error:
                _log.debug("closing the state file: %s", error)

    # --- for the subclass to say -------------------------------------------------------------------

    @abstractmethod
    def _tables_to_check(self, size_bytes: int) -> Sequence[str]:
        """Those whose content is checked when a file of this size is opened."""

    @abstractmethod
    def _take_over(self, connection: sqlite3.Connection) -> None:
        """Note what is to be known of a file that was opened and is sound."""

    @abstractmethod
    def _salvage_rows(self, database: bytes | memoryview, wal: bytes) -> Salvaged:
        """Read what can be read."""

    # --- for the subclass to use -------------------------------------------------------------------

    def _open_with(self, read: Callable[[list[BadRecord]], _T]) -> _T:
        """Make the file if there is none, salvage it if need be, and ``read`` it.

        ``read`` adds to the list it is given, which begins with what was lost of a damaged file.
        """
        bad: list[BadRecord] = []
        self._known.forget()
        wal = self._settle_files()
        try:
            try:
                with garbled_names_are_damage():
                    self._open(wal)
                    return self._read_all(read, bad)
            except sqlite3.Error as error:
                if not is_damage(error):
                    raise
                bad += self._rebuild(str(error), wal)
                self._open(b"")
                return self._read_all(read, bad)
        except sqlite3.Error as error:
            raise self._store_error(error) from error

    def _read_all(self, read: Callable[[list[BadRecord]], _T], bad: list[BadRecord]) -> _T:
        result = read(bad)
        self._known.remember(self._connected())
        self._note()
        return result

    def _read_table(
        self,
        kind: str,
        *,
        table: str,
        key_column: str,
        decode: Callable[[object, object], tuple[str, _T]],
        bad: list[BadRecord],
    ) -> dict[str, _T]:
        """The good records of a table by key, in order. Others are set aside, taken out, and added to ``bad``.

        ``decode`` takes body and checksum and gives the record's own key and the record, or raises
        ``UnreadableRecord``.
        """
        connection = self._connected()
        good: dict[str, _T] = {}
        done_with: list[int] = []
        renamed: list[tuple[str, int]] = []
        for row_id, column, body, checksum in connection.execute(
            f"SELECT rowid, {key_column}, body, checksum FROM {table} ORDER BY rowid"  # noqa: S608
        ):
            name = column.decode("utf-8", "replace") if isinstance(column, bytes) else str(column)
            try:
                key, record = decode(body, checksum)
            except UnreadableRecord as error:
                if self._set_aside(kind, name, body, str(error), bad):
                    done_with.append(row_id)
                continue
            if key in good:
                if self._set_aside(kind, name, body, f"it is a second record of {key}", bad):
                    done_with.append(row_id)
                continue
            good[key] = record
            if key != name:
                renamed.append((key, row_id))
        if done_with or renamed:
            with transaction(connection):
                for row_id in done_with:
                    connection.execute(f"DELETE FROM {table} WHERE rowid = ?", (row_id,))  # noqa: S608
                for key, row_id in renamed:
                    connection.execute(
                        f"UPDATE {table} SET {key_column} = ? WHERE rowid = ?",  # noqa: S608
                        (key, row_id),
                    )
        return good

    def _mended(self, work: Callable[[], _T]) -> _T:
        """Do the work; on damage salvage the file and do it once more."""
        try:
            try:
                with garbled_names_are_damage():
                    result = work()
            except sqlite3.Error as error:
                if not is_damage(error):
                    raise
                self._rebuild(str(error))
                self._open(b"")
                result = work()
            self._note()
            return result
        except sqlite3.Error as error:
            self._note()  # what was written and taken back has changed the log
            if is_io_error(error) or is_damage(error):
                self.close()  # and open again for the next work: SQLite's view of the file may be wrong
            raise self._store_error(error) from error

    def _connected(self) -> sqlite3.Connection:
        """The connection, opened again after an I/O error or when the file was removed from outside.

        Raises ``sqlite3.DatabaseError``, which is damage, when the file does not hold any more what was saved.
        """
        if self._connection is not None:
            self._find_changes(self._connection)
        if self._connection is None:
            if not self.path.exists():
                raise sqlite3.DatabaseError("it is gone")
            self._connection = _connect(self.path)
            self._compare(self._connection)
            self._note()
        return self._connection

    def _find_changes(self, connection: sqlite3.Connection) -> None:
        """Changes to the file from outside. SQLite does not notice them: it relies on its cache."""
        now = self._look()
        if now == self._left:
            return
        for suffix, left in self._left.items():
            found = now[suffix]
            if left is not None and (found is None or found[:2] != left[:2]):
                self._put_back(connection)
                return
            if left is not None and found is not None and found.size < left.size:
                raise sqlite3.DatabaseError(f"it was cut off while the {self._owner.name} runs")
        if time.monotonic() >= self._compare_again_at_s:
            # Perhaps only touched, or a file system that is late with its times: then it must not cost much.
            self._compare_again_at_s = time.monotonic() + _COMPARE_AGAIN_S
            _, frames, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            # Without cached pages of the file, and without pages in the log that may be garbage in the file.
            fresh = _connect(self.path, is_alone=frames == moved)
            try:
                self._compare(fresh)
            finally:
                fresh.close()
            self._note()

    def _compare(self, connection: sqlite3.Connection) -> None:
        """Raise ``sqlite3.DatabaseError`` where the file does not hold what was saved."""
        if not self._known.are_known:
            return
        if version_row(connection)[0] != len(self._steps) or not self._known.are_in(connection):
            raise sqlite3.DatabaseError(f"it was changed while the {self._owner.name} runs")
        self._check_tables(connection)

    def _look(self) -> Mapping[str, _Look | None]:
        """Raises ``StoreError``."""
        return {suffix: self._look_at(self._beside(suffix)) for suffix in ("", "-wal")}

    def _look_at(self, path: Path) -> _Look | None:
        try:
            found = path.lstat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise os_error(error, "look at the state file", path, self._owner) from error
        return _Look(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)

    def _note(self) -> None:
        """Take the files as they are now for as they were left."""
        self._left = self._look() if self._connection is not None else {}

    def _set_aside(self, kind: str, key: str, body: object, reason: str, bad: list[BadRecord]) -> bool:
        """Write one record aside and report it; ``False`` when it has to stay where it is."""
        try:
            place = put_record_aside(self._dir, kind=kind, key=key, body=body, reason=reason)
        except OSError as error:
            # No room for the copy must not keep the owner from starting: the row stays, and is tried next time.
            reason = f"{reason} (and it could not be set aside: {error.strerror or error})"
            bad.append(BadRecord(kind=kind, key=key, reason=reason, set_aside_as=os.fspath(self.path)))
            return False
        bad.append(BadRecord(kind=kind, key=key, reason=reason, set_aside_as=os.fspath(place)))
        return True

    # --- opening -----------------------------------------------------------------------------------

    def _settle_files(self) -> bytes:
        """Finish what a killed predecessor began, make the file if there is none, return its log."""
        rebuilt = self._beside(".rebuilt")
        try:
            for path in (self.path, rebuilt):
                for suffix in _SUFFIXES:
                    check_file(path.with_name(path.name + suffix))
            if not self.path.exists():
                if rebuilt.exists():
                    self._adopt(rebuilt)
                elif not _has_content(self._beside("-wal")):
                    self._make_database(rebuilt, None)
                    self._adopt(rebuilt)
            else:
                _remove_database(rebuilt)
            return self._read_wal()
        except OSError as error:
            raise os_error(error, "make the state file", self.path, self._owner) from error

    def _read_wal(self) -> bytes:
        path = self._beside("-wal")
        if not path.exists() or path.stat().st_size > _MOST_WAL_CHECKED_BYTES:
            return b""
        return path.read_bytes()

    def _open(self, wal: bytes) -> None:
        """Connect and make sure that the file is sound. Raises ``sqlite3.Error`` or ``StoreError``."""
        if not self.path.exists():
            raise sqlite3.DatabaseError("it is gone, but its log is there")
        if self.path.stat().st_size < pages.PAGE_BYTES:
            raise sqlite3.DatabaseError("it is cut off within its first page")  # to SQLite that is a new file
        self.close()
        self._connection = connection = _connect(self.path)
        version, written_by = version_row(connection)
        self._check_not_newer(version, written_by)
        if version == 0:
            raise sqlite3.DatabaseError("it holds no tables")
        if wal and connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1] < pages.committed_frames(wal):
            raise sqlite3.DatabaseError("its write-ahead log is damaged, and commits in it would be lost")
        connection.execute("PRAGMA journal_mode=WAL")
        migrate(connection, os.fspath(self.path), self._steps, self._owner)
        self._check_schema(connection)
        self._check_tables(connection)
        connection.execute("BEGIN IMMEDIATE")  # finds a file that may not be written now, not at the first save
        connection.execute("ROLLBACK")
        self._take_over(connection)
        self._note()

    def _check_tables(self, connection: sqlite3.Connection) -> None:
        for table in self._tables_to_check(self.path.stat().st_size):
            problems = connection.execute(f"PRAGMA integrity_check({table})").fetchall()
            if problems != [(b"ok",)]:
                first_problem = str(problems[0][0], "utf-8", "replace").splitlines()
                raise sqlite3.DatabaseError(f"table {table}: {first_problem[-1]}")

    def _check_schema(self, connection: sqlite3.Connection) -> None:
        """Raise ``sqlite3.DatabaseError`` when a table or index is not as the steps made it."""
        query = "SELECT type, name, tbl_name, sql FROM sqlite_master"
        sound = sqlite3.connect(":memory:", isolation_level=None)
        try:
            sound.text_factory = bytes
            migrate(sound, ":memory:", self._steps, self._owner)
            expected = set(sound.execute(query))
        finally:
            sound.close()
        if not expected <= set(connection.execute(query)):
            raise sqlite3.DatabaseError(f"its tables are not those of the {self._owner.name}")

    def _check_not_newer(self, version: int, written_by: str) -> None:
        check_not_newer(version, written_by, os.fspath(self.path), newest=len(self._steps), owner=self._owner)

    def _store_error(self, error: sqlite3.Error) -> StoreError:
        return store_error(error, self.path, self._owner)

    def _put_back(self, connection: sqlite3.Connection) -> None:
        """Write the file again, whole, from the removed one, which lives as long as it is open.

        Otherwise saves would be reported that can never be read. Raises ``StoreError``.
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
            moved = unused(self.path.with_name(f"{self.path.name}.damaged-{stamp(datetime.now(UTC))}"))
            if self.path.exists():
                self.path.rename(moved)
            self._adopt(rebuilt, moved)
        except OSError as error:
            doing = f"write the state file, which was removed while the {self._owner.name} runs, again as"
            raise os_error(error, doing, self.path, self._owner) from error
        _log.warning(
            "the state file %s was removed or replaced while the %s runs; it is there again",
            self.path,
            self._owner.name,
        )

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name + suffix)

    # --- salvage -------------------------------------------------------------------------------

    def _rebuild(self, reason: str, wal: bytes | None = None) -> list[BadRecord]:
        """Begin a new file with what can be read of the damaged one, and move that aside.

        ``wal``: the log as it was before SQLite touched it; ``None``: as it is. A kill at any point loses
        nothing: until the old file is moved it is salvaged again, from then on the new one is adopted.
        Raises ``StoreError``, also for a file of a newer version; then nothing was moved.
        """
        rebuilt = self._beside(".rebuilt")
        known = self._known if self._known.are_known else None
        try:
            if wal is None:
                wal = self._read_wal()
            self.close()  # which may move what is in the log into the file
            with _mapped(self.path) as database:
                found = self._salvage_rows(database, wal)
            if known is None:
                self._check_not_newer(*found.version)

            def refill(connection: sqlite3.Connection) -> None:
                found.refill(connection)
                if known is not None:
                    known.write(connection)

            self._make_database(rebuilt, refill)
            moved = unused(self.path.with_name(f"{self.path.name}.damaged-{stamp(datetime.now(UTC))}"))
            if self.path.exists():
                self.path.rename(moved)
            if wal and not self._beside("-wal").exists():
                _write_new(moved.with_name(moved.name + "-wal"), wal)
            self._adopt(rebuilt, moved)
        except OSError as error:
            raise os_error(error, "salvage the damaged state file", self.path, self._owner) from error
        _log.warning(
            "the state file %s was damaged (%s): %s continues in a new one, the damaged one is kept as %s",
            self.path.name, reason, "what could be read" if known is None else "all that was saved", moved,
        )  # fmt: skip
        bad: list[BadRecord] = []
        for kind, key, body, why in found.unreadable if known is None else ():
            self._set_aside(kind, key, body, why, bad)
        set_aside_as = os.fspath(moved)
        return [BadRecord(kind=WHOLE_FILE, key=self.path.name, reason=reason, set_aside_as=set_aside_as), *bad]

    def _make_database(self, path: Path, refill: Callable[[sqlite3.Connection], None] | None) -> None:
        """A complete file, under a name that is not in use yet; ``refill`` ``None``: an empty one."""
        _remove_database(path)
        _make_empty(path)
        try:
            connection = _connect(path)
            try:
                migrate(connection, os.fspath(path), self._steps, self._owner)
                if refill is not None:
                    with transaction(connection):
                        refill(connection)
                connection.execute("PRAGMA journal_mode=WAL")
            finally:
                connection.close()
        except sqlite3.Error as error:
            _remove_database(path)
            raise store_error(error, path, self._owner) from error

    def _adopt(self, rebuilt: Path, moved: Path | None = None) -> None:
        """Give a complete new file its name; a log that is still there belongs to the old one."""
        if moved is None:
            moved = unused(self.path.with_name(f"{self.path.name}.damaged-{stamp(datetime.now(UTC))}"))
        for suffix in ("-wal", "-shm"):
            old = self._beside(suffix)
            if old.exists():
                old.rename(moved.with_name(moved.name + suffix))
        rebuilt.rename(self.path)
        sync_directory(self._dir)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of it or, when it raises, nothing; durable when it ends."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite has rolled back by itself when the disk is full
            connection.execute("ROLLBACK")
        raise


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


def _connect(path: Path, *, is_alone: bool = False) -> sqlite3.Connection:
    """Open a file that exists, to read and write. Text comes back as ``bytes``, whatever it holds.

    ``is_alone``: only to read, and without its log.
    """
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{'mode=ro&immutable=1' if is_alone else 'mode=rw'}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,  # opened where it is loaded, then used by one writer thread alone
        timeout=_BUSY_TIMEOUT_S,
    )
    try:
        connection.text_factory = bytes
        for pragma in (
            f"page_size={pages.PAGE_BYTES}",  # of a new file: salvage counts on it
            "synchronous=FULL",
            "secure_delete=ON",  # deleted secrets are gone, and salvage cannot bring deleted tasks back
            "cell_size_check=ON",
            "trusted_schema=OFF",
            f"journal_size_limit={16 * 1024 * 1024}",
        ):
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:  # also those of Python's own, which garbled names give
        connection.close()
        raise
    return connection


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False


def _make_empty(path: Path) -> None:
    """A new file that only its owner may read, as the files are that SQLite puts beside it."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _write_new(path: Path, content: bytes) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:  # noqa: PTH123
        file.write(content)


def _remove_database(path: Path) -> None:
    for suffix in _SUFFIXES:
        path.with_name(path.name + suffix).unlink(missing_ok=True)
