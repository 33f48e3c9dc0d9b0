"""The layout of the state file, as numbered steps from one schema version to the next.

A new layout is a new step at the end of ``STEPS``; a step that was released never changes. After
a new step: keep a state file of the version before in ``tests/fixtures/store`` and load it in a
test, and teach ``salvage`` the new shape of rows.

The version stands in the table ``schema_version``. A change of the bodies that old agents can
still read (a new field with a default) needs no step.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from ecscope import __version__
from ecscope.agent.store.interface import StoreError

Step = Callable[[sqlite3.Connection], None]

WRITER_PREFIX = "ecscope "
"""Begins ``schema_version.written_by``."""


def _create(connection: sqlite3.Connection) -> None:
    """Version 0 (an empty file) to 1."""
    connection.execute("CREATE TABLE schema_version (version INTEGER NOT NULL, written_by TEXT NOT NULL)")
    connection.execute(
        "CREATE TABLE tasks (position INTEGER PRIMARY KEY, arn TEXT NOT NULL UNIQUE,"
        " revision INTEGER NOT NULL, body TEXT NOT NULL, checksum TEXT NOT NULL)"
    )
    for table, key in (("images", "name"), ("sources", "key"), ("metadata", "key")):
        connection.execute(
            f"CREATE TABLE {table} ({key} TEXT PRIMARY KEY NOT NULL,"
            " revision INTEGER NOT NULL, body TEXT NOT NULL, checksum TEXT NOT NULL)"
        )
    connection.execute(
        "CREATE TABLE history (id INTEGER PRIMARY KEY, at TEXT NOT NULL, event_id TEXT NOT NULL,"
        " task_arn TEXT NOT NULL, container_name TEXT NOT NULL, happening TEXT NOT NULL, cause TEXT NOT NULL,"
        " text TEXT NOT NULL, detail TEXT NOT NULL, checksum TEXT NOT NULL,"
        # Sum of HistoryRow.size over all rows before this one: the size of any range is one subtraction.
        " size_before INTEGER NOT NULL)"
    )
    connection.execute("CREATE INDEX history_by_task ON history (task_arn)")


STEPS: tuple[Step, ...] = (_create,)
"""``STEPS[n]`` leads from version n to n + 1."""


def schema_version(connection: sqlite3.Connection) -> int:
    """The file's version; 0 for an empty file. Raises ``sqlite3.Error``.

    Raises ``sqlite3.DatabaseError`` with a sentence of ours for tables without a version.
    """
    version, _ = version_row(connection)
    return version


def version_row(connection: sqlite3.Connection) -> tuple[int, str]:
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
        return 0, ""
    row = connection.execute("SELECT version, CAST(written_by AS BLOB) FROM schema_version").fetchone()
    if row is None or not isinstance(row[0], int) or row[0] < 1 or not isinstance(row[1], bytes):
        raise sqlite3.DatabaseError("it does not say which version of ecscope wrote it")
    return row[0], row[1].decode("utf-8", "replace")


def check_not_newer(version: int, written_by: str, path: str, *, newest: int = len(STEPS)) -> None:
    """Raise ``StoreError`` for a file that only a later ecscope understands."""
    if version > newest:
        raise StoreError(
            f"the state file {path} was written by a newer agent ({written_by}, schema version {version};"
            f" this one is {WRITER_PREFIX}{__version__} and knows versions up to {newest})."
            " Nothing was changed. Start the newer agent again, or move the file away to begin with no state."
        )


def migrate(connection: sqlite3.Connection, path: str, steps: Sequence[Step] = STEPS) -> None:
    """Bring the file to the newest version, all steps in one transaction.

    ``connection`` is in autocommit mode. Raises ``StoreError`` for a file of a newer version (which is not
    touched), ``sqlite3.Error`` otherwise; then the file is as it was.
    """
    version, written_by = version_row(connection)
    check_not_newer(version, written_by, path, newest=len(steps))
    if version == len(steps):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in steps[version:]:
            step(connection)
        connection.execute("DELETE FROM schema_version")
        connection.execute(
            "INSERT INTO schema_version (version, written_by) VALUES (?, ?)",
            (len(steps), WRITER_PREFIX + __version__),
        )
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
