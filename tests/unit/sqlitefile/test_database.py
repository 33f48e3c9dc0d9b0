"""A file of anybody's records outlives damage and removal. The agent's own file is tried at more length."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from ecscope.sqlitefile import pages
from ecscope.sqlitefile.checksum import checksum_of, names
from ecscope.sqlitefile.database import DatabaseFile, Salvaged, Unreadable, transaction
from ecscope.sqlitefile.errors import BadRecord, Owner, StoreError, UnreadableRecord, UnsafeStore
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
        super().__init__(folder / "notes.db", owner=OWNER, steps=[create])
        self.taken_over = 0

    def load(self) -> tuple[dict[str, str], list[BadRecord]]:
        def read(bad: list[BadRecord]) -> tuple[dict[str, str], list[BadRecord]]:
            return self._read_table("note", table="notes", key_column="name", decode=self._decode, bad=bad), bad

        return self._open_with(read)

    def put(self, name: str, text: str) -> None:
        def write() -> None:
            connection = self._connected()
            with transaction(connection):
                self._put(connection, f"{name}={text}".encode())

        self._mended(write)

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
    assert "the state file notes.db was damaged (file is not a database): what could be read goes on" in caplog.text
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


def test_errors_name_the_owners_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="--drawer names the data directory"):
        Notes(tmp_path / "file" / "below").load()
