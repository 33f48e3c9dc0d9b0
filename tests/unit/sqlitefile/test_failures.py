"""Errors of SQLite and the file system become sentences that say what helps."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

import pytest

from ecscope.sqlitefile.errors import Owner
from ecscope.sqlitefile.failures import is_damage, is_io_error, os_error, store_error
from tests.tables import each_row

PATH = Path("/var/lib/ecs/data/ecscope.db")
OWNER = Owner(name="agent", data_dir_setting="ECS_DATADIR")


def _error(name: str, kind: type[sqlite3.Error] = sqlite3.OperationalError) -> sqlite3.Error:
    error = kind("the words of SQLite")
    error.sqlite_errorname = name
    return error


@each_row(
    "name, sentence, is_full",
    [
        ("SQLITE_FULL", "there is no room left on the disk that holds /var/lib/ecs/data/ecscope.db; free some", True),
        ("SQLITE_BUSY", "is locked by another program; end whatever else has it open", False),
        ("SQLITE_BUSY_SNAPSHOT", "is locked by another program", False),
        ("SQLITE_READONLY", "cannot be opened for writing (the words of SQLite); check the permissions", False),
        ("SQLITE_CANTOPEN_ISDIR", "cannot be opened for writing", False),
        ("SQLITE_IOERR_FSYNC", "failed (the words of SQLite, SQLITE_IOERR_FSYNC); check the disk", False),
        ("SQLITE_CORRUPT", "is damaged (the words of SQLite); restart the agent to salvage", False),
        ("SQLITE_TOOBIG", "cannot be used: the words of SQLite (SQLITE_TOOBIG)", False),
    ],
)
def test_each_error_has_its_sentence(name: str, sentence: str, is_full: bool) -> None:
    error = store_error(_error(name), PATH, OWNER)
    assert sentence in str(error)
    assert error.is_full is is_full


@pytest.mark.parametrize("name", ["SQLITE_CORRUPT", "SQLITE_CORRUPT_INDEX", "SQLITE_NOTADB", "SQLITE_ERROR"])
def test_damage(name: str) -> None:
    assert is_damage(_error(name, sqlite3.DatabaseError))


def test_what_our_own_checks_find_is_damage() -> None:
    assert is_damage(sqlite3.DatabaseError("table tasks: row 3 missing from index"))


@pytest.mark.parametrize("name", ["SQLITE_FULL", "SQLITE_BUSY", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_TOOBIG"])
def test_no_damage(name: str) -> None:
    assert not is_damage(_error(name))


def test_misuse_is_no_damage() -> None:
    connection = sqlite3.connect(":memory:")
    connection.close()
    with pytest.raises(sqlite3.ProgrammingError) as caught:
        connection.execute("SELECT 1")
    assert not is_damage(caught.value)


def test_after_an_io_error_the_file_is_opened_anew() -> None:
    assert is_io_error(_error("SQLITE_IOERR_WRITE"))
    assert not is_io_error(_error("SQLITE_FULL"))


def test_errors_of_the_file_system() -> None:
    full = os_error(OSError(errno.ENOSPC, "No space left on device"), "make", PATH, OWNER)
    assert full.is_full
    denied = os_error(PermissionError(errno.EACCES, "Permission denied"), "make the data directory", PATH, OWNER)
    assert not denied.is_full
    assert str(denied) == (
        "cannot make the data directory /var/lib/ecs/data/ecscope.db: Permission denied;"
        " ECS_DATADIR names the data directory"
    )
