"""Reading single records of a control plane's file, while it runs and after it has ended."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from ecscope.control.core.records import Instance, Service, Task
from ecscope.control.store.control_file import FILE_NAME
from ecscope.control.store.rows import decoded
from ecscope.sqlitefile import reading
from ecscope.sqlitefile.errors import UnreadableRecord


class TaskRead(msgspec.Struct, frozen=True, kw_only=True):
    """A task, and what is kept of its service and its container instance."""

    task: Task
    service: Service | None
    """``None``: it has none, or it is forgotten."""
    instance: Instance | None


def read_task(data_dir: Path, arn: str) -> TaskRead | None:
    """``None``: it is not known, or the file cannot be read; blocking."""
    path = data_dir / FILE_NAME
    if not path.is_file():
        return None
    with suppress(sqlite3.Error, reading.CannotCopy, OSError):
        return reading.read(path, lambda connection: _read(connection, arn))
    return None


def _read(connection: sqlite3.Connection, arn: str) -> TaskRead | None:
    task = _record(connection, "tasks", arn)
    if not isinstance(task, Task):
        return None
    service = _record(connection, "services", task.service_arn)
    instance = _record(connection, "instances", task.instance_arn)
    return TaskRead(
        task=task,
        service=service if isinstance(service, Service) else None,
        instance=instance if isinstance(instance, Instance) else None,
    )


def _record(connection: sqlite3.Connection, table: str, key: str) -> Any:
    row = connection.execute(f"SELECT body, checksum FROM {table} WHERE key = ?", (key,)).fetchone()  # noqa: S608  # fixed names
    if row is None:
        return None
    try:
        return decoded(table, row[0], row[1])[1]
    except UnreadableRecord:
        return None
