"""The layout of the state file, as numbered steps from one schema version to the next.

A new layout is a new step at the end of ``STEPS``; a step that was released never changes. After
a new step: keep a state file of the version before in ``tests/fixtures/store`` and load it in a
test, and teach ``salvage`` the new shape of rows.
"""

from __future__ import annotations

import sqlite3

from ecscope.agent.store.interface import AGENT
from ecscope.sqlitefile import versions
from ecscope.sqlitefile.versions import Step


def _create(connection: sqlite3.Connection) -> None:
    """Version 0 (an empty file) to 1."""
    versions.create_version_table(connection)
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


def check_not_newer(version: int, written_by: str, path: str) -> None:
    """Raise ``StoreError`` for a file that only a later ecscope understands."""
    versions.check_not_newer(version, written_by, path, newest=len(STEPS), owner=AGENT)
