"""Reading the history: for the store itself, and for the command line while the agent runs.

Never creates or changes a file: the command line may run as another user.
"""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from ecscope.agent.store.interface import StoreError
from ecscope.agent.store.migrations import check_not_newer
from ecscope.agent.store.records import HistoryRow, Kind, entry_of, record_of
from ecscope.model.history import HistoryEntry
from ecscope.model.task import Task
from ecscope.sqlitefile import reading
from ecscope.sqlitefile.errors import UnreadableRecord
from ecscope.sqlitefile.failures import is_damage
from ecscope.sqlitefile.versions import version_row

DATABASE_NAME = "ecscope.db"

_log = logging.getLogger(__name__)
T = TypeVar("T")

_COLUMNS = ", ".join(HistoryRow._fields)


def read_history(data_dir: Path, task_arn: str | None = None, limit: int = 100) -> list[HistoryEntry]:
    """The newest ``limit`` entries (of one task, or of all), oldest first; blocking.

    Works while an agent runs, after it ended and after it was killed. An entry that is damaged is left
    out, with a warning in the log. Raises ``StoreError``.
    """
    return _with_file(data_dir, lambda connection: newest_entries(connection, task_arn, limit))


def read_tasks(data_dir: Path) -> list[Task]:
    """The records of all tasks that the agent keeps, in their order; blocking.

    A record that is damaged is left out, with a warning in the log. Raises ``StoreError``.
    """
    return _with_file(data_dir, _tasks)


def _with_file(data_dir: Path, read: Callable[[sqlite3.Connection], list[T]]) -> list[T]:
    path = data_dir / DATABASE_NAME
    try:
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise StoreError(
            f"there is no state file {path}: no agent has kept state in this directory"
            " (ECS_DATADIR names the directory, and with ECS_CHECKPOINT=false nothing is kept)"
        ) from None
    except OSError as error:
        who = "; try it as the user the agent runs as" if error.errno in (errno.EACCES, errno.EPERM) else ""
        raise StoreError(f"cannot read the state file {path}: {error.strerror or error}{who}") from error
    try:
        return reading.read(path, lambda connection: read(_checked(connection, path)))
    except reading.CannotCopy as error:
        raise StoreError(str(error)) from error
    except sqlite3.Error as error:
        raise _unreadable(error, path) from error


def _checked(connection: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    """Raises ``StoreError`` for the file of a newer version."""
    check_not_newer(*version_row(connection), os.fspath(path))
    return connection


def _unreadable(error: sqlite3.Error, path: Path) -> StoreError:
    if is_damage(error):
        return StoreError(f"the state file {path} is damaged ({error}); the agent salvages it when it starts")
    return StoreError(f"the state file {path} cannot be read: {error}")


def _tasks(connection: sqlite3.Connection) -> list[Task]:
    found: list[Task] = []
    unreadable = 0
    for body, checksum in connection.execute("SELECT body, checksum FROM tasks ORDER BY position"):
        try:
            record = record_of(Kind.TASK, body, checksum)
        except UnreadableRecord:
            unreadable += 1
            continue
        assert isinstance(record, Task)
        found.append(record)
    if unreadable:
        _log.warning("%d damaged task records are left out", unreadable)
    return found


def newest_entries(connection: sqlite3.Connection, task_arn: str | None, limit: int) -> list[HistoryEntry]:
    """The newest ``limit`` readable entries, oldest first. ``connection`` gives text as ``bytes``.

    Raises ``sqlite3.Error``.
    """
    if limit <= 0:
        return []
    if task_arn is None:
        rows = connection.execute(f"SELECT {_COLUMNS} FROM history ORDER BY id DESC")  # noqa: S608  # fixed names
    else:
        rows = connection.execute(
            f"SELECT {_COLUMNS} FROM history WHERE task_arn = ? ORDER BY id DESC",  # noqa: S608  # fixed names
            (task_arn,),
        )
    entries: list[HistoryEntry] = []
    unreadable = 0
    for row in rows:
        try:
            entries.append(entry_of(row))
        except UnreadableRecord:
            unreadable += 1
            continue
        if len(entries) == limit:
            break
    if unreadable:
        _log.warning("%d damaged history entries are left out", unreadable)
    entries.reverse()
    return entries


def read_own_history(path: Path, task_arn: str | None, limit: int) -> Sequence[HistoryEntry]:
    """The same for the process that has the state file open. Raises ``StoreError`` or ``sqlite3.Error``."""
    return reading.query(
        f"{path.absolute().as_uri()}?mode=ro",
        lambda connection: newest_entries(_checked(connection, path), task_arn, limit),
    )
