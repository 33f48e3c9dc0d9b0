"""A file of anybody's records outlives damage and removal. The agent's own file is tried at more length."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ecscope.sqlitefile import pages
from ecscope.sqlitefile.checksum import checksum_of, names
from ecscope.sqlitefile.database import DatabaseFile, Salvaged, Unreadable, transaction
from ecscope.sqlitefile.errors import BadRecord, Owner, StoreError, UnreadableRecord, UnsafeStore
from ecscope.sqlitefile.known import KnownRows
from ecscope.sqlitefile.versions import create_version_table

OWNER = Owner(name="clerk", data_dir_setting="--drawer")


def create(connection: sqlite3.Connection) -> None:
    create_version_table(connection)
    connection.execute(
        "CREATE TABLE notes (name TEXT PRIMARY KEY NOT NULL, body TEXT NOT NULL, checksum TEXT NOT NULL)"
    )


class Notes(DatabaseFile):
    """A body is ``<name>=<text>``."""

    def __init__(self, folder: Path) -> None:
        known = KnownRows({"notes": "name"}, ("body", "checksum"))
        super().__init__(folder / "notes.db", owner=OWNER, steps=[create], known=known)
        self.taken_over = 0

    def load(self) -> tuple[dict[str, str], list[BadRecord]]:
        def read(bad: list[BadRecord]) -> tuple[dict[str, str], list[BadRecord]]:
            return self._read_table("note", table="notes", key_column="name", decode=self._decode, bad=bad), bad

        return self._open_with(read)

    def put(self, name: str, text: str) -> None:
        def write() -> None:
            connection = self._connected()
            body = f"{name}={text}"
            with transaction(connection):
                self._put(connection, body.encode())
            self._known.put("notes", name, body, checksum_of("note", body.encode()))

        self._mended(write)

    def refuse(self) -> None:
        """A write that is begun and taken back."""

        def write() -> None:
            connection = self._connected()
            with transaction(connection):
                self._put(connection, b"c=" + b"x" * 100_000)
                connection.execute("INSERT INTO notes VALUES (NULL, '', '')")

        try:
            self._mended(write)
        except StoreError as error:
            assert error.__cause__ is not None
            raise error.__cause__ from None

    def _put(self, connection: sqlite3.Connection, body: bytes) -> None:
        name = body.partition(b"=")[0].decode()
        connection.execute(
            "INSERT OR REPLACE INTO notes VALUES (?, ?, ?)", (name, body.decode(), checksum_of("note", body))
        )

    def _decode(self, body: object, checksum: object) -> tuple[str, str]:
        if not isinstance(body, bytes) or checksum != checksum_of("note", body).encode():
            raise UnreadableRecord("it was changed")
        name, _, text = body.decode().partition("=")
        return name, text

    def _tables_to_check(self, size_bytes: int) -> Sequence[str]:
        return ["notes"]

    def _take_over(self, connection: sqlite3.Connection) -> None:
        self.taken_over += 1

    def _salvage_rows(self, database: bytes | memoryview, wal: bytes) -> Salvaged:
        good: list[bytes] = []
        unreadable: list[Unreadable] = []
        for _, columns in pages.find_rows(database, wal):
            match columns:
                case [bytes(name), bytes(body), checksum] if names(checksum, "note"):
                    try:
                        self._decode(body, checksum)
                    except UnreadableRecord as error:
                        unreadable.append(Unreadable("note", name.decode(), body, str(error)))
                    else:
                        good.append(body)

        def refill(connection: sqlite3.Connection) -> None:
            for body in good:
                self._put(connection, body)

        return Salvaged((1, ""), unreadable, refill)


def test_what_was_put_is_loaded(tmp_path: Path) -> None:
    notes = Notes(tmp_path)
    assert notes.load() == ({}, [])
    notes.put("a", "1")
    notes.put("a", "2")
    notes.close()
    again = Notes(tmp_path)
    assert again.load() == ({"a": "2"}, [])
    assert again.taken_over == 1
    again.close()


def test_a_changed_record_costs_itself(tmp_path: Path) -> None:
    notes = Notes(tmp_path)
    notes.load()
    notes.put("a", "1")
    notes.put("b", "2")
    notes.close()
    connection = sqlite3.connect(tmp_path / "notes.db", isolation_level=None)
    connection.execute("UPDATE notes SET body = 'a=9' WHERE name = 'a'")
    connection.close()
    good, bad = notes.load()
    notes.close()
    assert good == {"b": "2"}
    assert [(record.kind, record.key, record.reason) for record in bad] == [("note", "a", "it was changed")]
    assert Path(bad[0].set_aside_as).is_file()
    assert notes.load() == ({"b": "2"}, [])
    notes.close()


def test_a_damaged_file_is_kept_and_its_rows_go_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    notes = Notes(tmp_path)
    notes.load()
    notes.put("a", "1")
    notes.close()
    path = tmp_path / "notes.db"
    path.write_bytes(b"x" * 100 + path.read_bytes()[100:])
    good, bad = notes.load()
    notes.close()
    assert good == {"a": "1"}
    assert [(record.kind, record.key) for record in bad] == [("database", "notes.db")]
    assert Path(bad[0].set_aside_as).name.startswith("notes.db.damaged-")
    assert "the state file notes.db was damaged (file is not a database): what could be read continues" in caplog.text
    assert bad[0].set_aside_as in caplog.text


def test_a_file_that_somebody_removed_is_there_again(tmp_path: Path) -> None:
    notes = Notes(tmp_path)
    notes.load()
    notes.put("a", "1")
    (tmp_path / "notes.db").unlink()
    notes.put("b", "2")
    notes.close()
    assert notes.load() == ({"a": "1", "b": "2"}, [])
    notes.close()


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal", ".rebuilt", ".rebuilt-wal"])
def test_a_link_in_the_place_of_a_file_is_not_followed(tmp_path: Path, suffix: str) -> None:
    notes = Notes(tmp_path)
    (tmp_path / "target").write_bytes(b"mine")
    (tmp_path / f"notes.db{suffix}").symlink_to(tmp_path / "target")
    with pytest.raises(UnsafeStore, match="it is a symbolic link"):
        notes.load()
    assert (tmp_path / "target").read_bytes() == b"mine"


def test_a_link_that_is_put_in_its_place_is_replaced(tmp_path: Path) -> None:
    notes = Notes(tmp_path)
    notes.load()
    notes.put("a", "1")
    (tmp_path / "notes.db").rename(tmp_path / "moved.db")
    (tmp_path / "notes.db").symlink_to(tmp_path / "moved.db")
    notes.put("b", "2")
    notes.close()
    assert not (tmp_path / "notes.db").is_symlink()
    assert notes.load() == ({"a": "1", "b": "2"}, [])
    notes.close()


def cut_off(path: Path) -> None:
    os.truncate(path, 0)


def cut_in_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def overwrite(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.write(b"\xee" * size)


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [cut_off, cut_in_half, overwrite, remove])
@pytest.mark.parametrize("names", [["notes.db"], ["notes.db-wal"], ["notes.db", "notes.db-wal"]], ids="+".join)
@pytest.mark.parametrize("is_settled", [True, False], ids=["in-the-file", "in-the-log"])
def test_what_is_done_to_the_files_meanwhile_costs_nothing(
    tmp_path: Path, damage: Callable[[Path], None], names: list[str], is_settled: bool
) -> None:
    notes = Notes(tmp_path)
    notes.load()
    for number in range(200):
        notes.put(f"name{number}", "x" * 100)
    notes.put("name7", "y")
    if is_settled:
        notes.close()
        notes.load()
    expected = {f"name{number}": "x" * 100 for number in range(200)} | {"name7": "y"}
    for name in names:
        damage(tmp_path / name)
    notes.check()
    (tmp_path / "copy").mkdir()
    for path in tmp_path.glob("notes.db*"):  # as if it were killed now
        if path.name in ("notes.db", "notes.db-wal"):
            shutil.copy(path, tmp_path / "copy")
    killed = Notes(tmp_path / "copy")
    assert killed.load() == (expected, [])
    killed.close()
    notes.put("last", "z")
    notes.close()
    assert notes.load() == (expected | {"last": "z"}, [])
    notes.close()


def test_an_old_copy_that_is_put_over_the_file_does_not_count(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    notes = Notes(tmp_path)
    notes.load()
    notes.put("a", "1")
    notes.close()
    old = (tmp_path / "notes.db").read_bytes()
    notes.load()
    notes.put("a", "2")
    notes.close()
    notes.load()
    with (tmp_path / "notes.db").open("r+b") as file:
        file.write(old)
    notes.put("b", "3")
    notes.close()
    assert notes.load() == ({"a": "2", "b": "3"}, [])
    notes.close()
    assert "it was changed while the clerk runs): all that was saved continues in a new one" in caplog.text


def test_a_file_that_was_only_touched_is_left_as_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    notes = Notes(tmp_path)
    notes.load()
    notes.put("a", "1")
    inode = (tmp_path / "notes.db").stat().st_ino
    for _ in range(3):
        os.utime(tmp_path / "notes.db")
        notes.check()
        notes.put("a", "2")
    assert (tmp_path / "notes.db").stat().st_ino == inode
    assert caplog.text == ""
    notes.close()


def test_a_save_that_finds_the_disk_full_is_no_change_by_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notes = Notes(tmp_path)
    notes.load()
    notes.put("a", "1")
    with pytest.raises(sqlite3.IntegrityError):
        notes.refuse()
    notes.check()
    notes.put("b", "2")
    assert caplog.text == ""
    notes.close()
    assert notes.load() == ({"a": "1", "b": "2"}, [])
    notes.close()


def test_no_connection_is_dropped_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = Notes(tmp_path)
    notes.load()
    notes.put("a", "1")
    notes.close()
    connection = sqlite3.connect(tmp_path / "notes.db", isolation_level=None)
    connection.execute("PRAGMA writable_schema=ON")
    connection.execute("UPDATE sqlite_master SET sql = replace(CAST(sql AS TEXT), 'body', CAST(x'ff' AS TEXT))")
    connection.close()
    made: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def keep(*arguments: Any, **options: Any) -> sqlite3.Connection:
        made.append(connect(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(sqlite3, "connect", keep)
    notes.load()
    notes.close()
    assert len(made) > 3
    for each in made:
        with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
            each.execute("SELECT 1")


def test_errors_name_the_owners_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="--drawer names the data directory"):
        Notes(tmp_path / "file" / "below").load()
