"""Reading a file that another process may have open, or has left: never creates or changes one.

The command line may run as another user than the process whose file it is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ecscope.sqlitefile.failures import garbled_names_are_damage

T = TypeVar("T")
_TRIES = 5
"""How often a file is opened again that was opened or closed in the same moment."""


class CannotCopy(Exception):
    """The file can only be read from a copy, and there is no place for one; the message says so."""


def read(path: Path, read_it: Callable[[sqlite3.Connection], T]) -> T:
    """What ``read_it`` makes of the file; it gets text as ``bytes``. Blocking.

    Raises ``sqlite3.Error``, ``CannotCopy``, and whatever ``read_it`` raises.
    """
    for attempt in range(_TRIES):
        try:
            return _read(path, read_it)
        except sqlite3.Error:
            if attempt == _TRIES - 1:
                raise
    raise AssertionError("unreachable")


def _read(path: Path, read: Callable[[sqlite3.Connection], T]) -> T:
    wal = path.with_name(path.name + "-wal")
    shm = path.with_name(path.name + "-shm")
    # "immutable" makes SQLite look at the main file only and take no locks, "readonly_shm" keeps it
    # from creating or repairing the shared index of the log.
    if not wal.exists() or wal.stat().st_size == 0:
        return query(f"{path.absolute().as_uri()}?mode=ro&immutable=1", read)
    if shm.exists():
        return query(f"{path.absolute().as_uri()}?mode=ro&readonly_shm=1", read)
    import shutil  # noqa: PLC0415  # rare, and the agent imports this module when it starts
    import tempfile  # noqa: PLC0415

    # A log without its index, as after a killed agent whose files were tidied up: SQLite would have to create one.
    try:
        with tempfile.TemporaryDirectory(prefix="ecscope-history-") as scratch:
            copy = Path(scratch) / path.name
            shutil.copyfile(path, copy)
            shutil.copyfile(wal, copy.with_name(wal.name))
            return query(copy.as_uri(), read)
    except OSError as error:
        raise CannotCopy(f"cannot copy the state file {path} to read it: {error.strerror or error}") from error


def query(uri: str, read: Callable[[sqlite3.Connection], T]) -> T:
    """What ``read`` makes of the file at ``uri``; it gets text as ``bytes``. Raises ``sqlite3.Error``."""
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=5.0)
    try:
        connection.text_factory = bytes
        with garbled_names_are_damage():
            return read(connection)
    finally:
        connection.close()
