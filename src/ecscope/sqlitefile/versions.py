"""Which version of the layout a file has, and how it is brought to the newest one, step by step or not at all.

The version is kept in the table ``schema_version``. A change of the bodies that old programs can
still read (a new field with a default) needs no step.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from ecscope import __version__
from ecscope.sqlitefile.errors import Owner, StoreError

Step = Callable[[sqlite3.Connection], None]
"""Leads from one version to the next. A step that was released never changes."""

WRITER_PREFIX = "ecscope "
"""Begins ``schema_version.written_by``."""


def create_version_table(connection: sqlite3.Connection) -> None:
    """The part of the first step that every file shares."""
    connection.execute("CREATE TABLE schema_version (version INTEGER NOT NULL, written_by TEXT NOT NULL)")


def version_row(connection: sqlite3.Connection) -> tuple[int, str]:
    """The file's version and who wrote it; 0 for an empty file. Raises ``sqlite3.Error``.

    Raises ``sqlite3.DatabaseError`` with a sentence of ours for tables without a version.
    """
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
        return 0, ""
    row = connection.execute("SELECT version, CAST(written_by AS BLOB) FROM schema_version").fetchone()
    if row is None or not isinstance(row[0], int) or row[0] < 1 or not isinstance(row[1], bytes):
        raise sqlite3.DatabaseError("it does not say which version of ecscope wrote it")
    return row[0], row[1].decode("utf-8", "replace")


def check_not_newer(version: int, written_by: str, path: str, *, newest: int, owner: Owner) -> None:
    """Raise ``StoreError`` for a file that only a later ecscope understands."""
    if version > newest:
        raise StoreError(
            f"the state file {path} was written by a newer {owner.name} ({written_by}, schema version {version};"
            f" this one is {WRITER_PREFIX}{__version__} and knows versions up to {newest})."
            f" Nothing was changed. Start the newer {owner.name} again, or move the file away to begin with no state."
        )


def migrate(connection: sqlite3.Connection, path: str, steps: Sequence[Step], owner: Owner) -> None:
    """Bring the file to the newest version, all steps in one transaction.

    ``connection`` is in autocommit mode. Raises ``StoreError`` for a file of a newer version (which is not
    touched), ``sqlite3.Error`` otherwise; then the file is as it was.
    """
    version, written_by = version_row(connection)
    check_not_newer(version, written_by, path, newest=len(steps), owner=owner)
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
