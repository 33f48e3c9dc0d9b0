"""What was saved is known in its order, and can be told from what a file holds and put into one."""

from __future__ import annotations

import sqlite3

from ecscope.sqlitefile.known import KnownRows


def a_database(*rows: tuple[object, ...]) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.text_factory = bytes
    connection.execute(
        "CREATE TABLE notes (position INTEGER PRIMARY KEY, name TEXT UNIQUE, body TEXT, revision INTEGER)"
    )
    connection.executemany("INSERT INTO notes (name, body, revision) VALUES (?, ?, ?)", rows)
    return connection


def test_rows_are_remembered_followed_and_written() -> None:
    known = KnownRows({"notes": "name"}, ("body", "revision"))
    assert not known.are_known
    file = a_database(("a", "1", 1), ("b", "2", 2), ("c", "é", 3))
    known.remember(file)
    assert known.are_known
    assert known.are_in(file)
    known.put("notes", "a", "9", 4)
    known.drop("notes", "b")
    known.drop("notes", "never")
    known.put("notes", "d", "4", 5)
    assert not known.are_in(file)
    known.write(file)
    assert known.are_in(file)
    rows = file.execute("SELECT name, body, revision FROM notes ORDER BY position").fetchall()
    assert rows == [(b"a", b"9", 4), (b"c", "é".encode(), 3), (b"d", b"4", 5)]
    file.execute("UPDATE notes SET revision = 6 WHERE name = 'a'")
    assert not known.are_in(file)
    file.close()


def test_a_row_that_is_no_text_is_not_known() -> None:
    known = KnownRows({"notes": "name"}, ("body", "revision"))
    file = a_database(("a", "1", 1))
    file.execute("INSERT INTO notes (name, body, revision) VALUES ('b', CAST(x'ff' AS TEXT), 1)")
    known.remember(file)
    known.write(file)
    assert file.execute("SELECT name FROM notes").fetchall() == [(b"a",)]
    file.close()


def test_nothing_is_known_after_forgetting() -> None:
    known = KnownRows({"notes": "name"}, ("body", "revision"))
    file = a_database(("a", "1", 1))
    known.remember(file)
    known.forget()
    assert not known.are_known
    empty = a_database()
    assert known.are_in(empty)
    file.close()
    empty.close()
