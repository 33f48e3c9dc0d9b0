"""Rows of any table are found in the bytes of a file, without SQLite."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from ecscope.sqlitefile.pages import PAGE_BYTES, committed_frames, find_rows


def a_file(path: Path, *values: object) -> tuple[bytes, bytes]:
    """A table with one row for each value, as file and log, the log not moved into the file."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE things (value)")
    connection.executemany("INSERT INTO things VALUES (?)", [(value,) for value in values])
    found = path.read_bytes(), path.with_name(path.name + "-wal").read_bytes()
    connection.close()
    return found


@pytest.mark.parametrize(
    "value", [None, 0, 1, -1, 127, -40_000, 1 << 40, -(1 << 62), 1.5, b"blob", b"long" * 20_000], ids=repr
)
def test_a_value_comes_back(tmp_path: Path, value: object) -> None:
    a_file(tmp_path / "x.db", value)
    assert (1, (value,)) in list(find_rows((tmp_path / "x.db").read_bytes(), b""))


def test_what_is_in_the_log_counts(tmp_path: Path) -> None:
    database, wal = a_file(tmp_path / "x.db", b"only in the log")
    assert committed_frames(wal) > 0
    assert (1, (b"only in the log",)) not in list(find_rows(database, b""))
    assert (1, (b"only in the log",)) in list(find_rows(database, wal))


def test_a_damaged_row_costs_itself(tmp_path: Path) -> None:
    a_file(tmp_path / "x.db", b"good-1", b"bad", b"good-2")
    content = bytearray((tmp_path / "x.db").read_bytes())
    at = content.index(b"bad") - 1
    content[at] = 11  # a serial type that is reserved
    rows = [columns for _, columns in find_rows(bytes(content), b"")]
    assert (b"good-1",) in rows
    assert (b"good-2",) in rows
    assert (b"bad",) not in rows


def test_junk_holds_nothing() -> None:
    assert [row for row in find_rows(b"\0" * 9000 + b"\xff" * 9000, b"\xff" * 9000) if row[1]] == []
