"""A file is brought to the newest version in one piece or left as it was."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from ecscope.sqlitefile.errors import Owner, StoreError
from ecscope.sqlitefile.versions import create_version_table, migrate, version_row

OWNER = Owner(name="clerk", data_dir_setting="--drawer")


def add_table(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE second (a)")


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.text_factory = bytes
    yield connection
    connection.close()


def test_an_empty_file_has_version_0(connection: sqlite3.Connection) -> None:
    assert version_row(connection) == (0, "")


def test_steps_are_taken_once(connection: sqlite3.Connection) -> None:
    migrate(connection, "x", [create_version_table], OWNER)
    migrate(connection, "x", [create_version_table, add_table], OWNER)
    migrate(connection, "x", [create_version_table, add_table], OWNER)
    version, writer = version_row(connection)
    assert version == 2
    assert writer.startswith("ecscope ")


def test_a_step_that_fails_leaves_the_file_as_it_was(connection: sqlite3.Connection) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        add_table(connection)
        raise sqlite3.OperationalError("no")

    migrate(connection, "x", [create_version_table], OWNER)
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, "x", [create_version_table, fail], OWNER)
    assert version_row(connection)[0] == 1
    assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'second'").fetchone() == (0,)


def test_a_newer_file_is_refused_in_the_owners_name(connection: sqlite3.Connection) -> None:
    migrate(connection, "x", [create_version_table, add_table], OWNER)
    with pytest.raises(StoreError, match=r"newer clerk \(ecscope .*Start the newer clerk again"):
        migrate(connection, "x", [create_version_table], OWNER)


def test_tables_without_a_version_are_damage(connection: sqlite3.Connection) -> None:
    migrate(connection, "x", [create_version_table], OWNER)
    connection.execute("DELETE FROM schema_version")
    with pytest.raises(sqlite3.DatabaseError, match="does not say which version"):
        version_row(connection)
