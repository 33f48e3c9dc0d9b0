"""What an error of SQLite or of the file system means for the owner of the file, in words.

Damage (``is_damage``) is for ``salvage``; everything else becomes a ``StoreError`` that says what helps.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ecscope.owned_files import UnsafeFile
from ecscope.sqlitefile.errors import Owner, StoreError, UnsafeStore

_FULL = (errno.ENOSPC, errno.EDQUOT)
_NEARLY_NOTHING_BYTES = 256 * 1024
"""Less free space than this beside an I/O error: SQLite names a full disk only in some of its calls."""


@contextmanager
def garbled_names_are_damage() -> Iterator[None]:
    """Python decodes the names of tables and columns itself, and fails in its own way when they are garbage."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise sqlite3.DatabaseError("the names in its schema are garbage") from error


def is_damage(error: sqlite3.Error) -> bool:
    """The content of the file is wrong, as opposed to a disk or a caller that is."""
    name = _name(error)
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_FORMAT")):
        return True
    if name in ("SQLITE_ERROR", "SQLITE_SCHEMA", "SQLITE_MISMATCH"):
        return True  # tables or columns that are not there or not what they were: our SQL does not vary
    return name == "" and type(error) is sqlite3.DatabaseError  # what our own checks raise


def is_io_error(error: sqlite3.Error) -> bool:
    """The connection saw the disk fail and should be opened again."""
    return _name(error).startswith(("SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_READONLY"))


def store_error(error: sqlite3.Error, path: Path, owner: Owner) -> StoreError:
    """The ``StoreError`` of a failed call on the state file."""
    name = _name(error)
    if name == "SQLITE_FULL" or (name.startswith("SQLITE_IOERR") and _has_no_room(path.parent)):
        return full(path)
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StoreError(
            f"the state file {path} is locked by another program; end whatever else has it open for writing"
        )
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH")):
        return StoreError(
            f"the state file {path} cannot be opened for writing ({error}); check the permissions of the file"
            f" and of {path.parent}, and that the file system is not mounted read-only"
        )
    if name.startswith("SQLITE_IOERR"):
        return StoreError(
            f"reading or writing the state file {path} failed ({error}, {name}); check the disk and the kernel's log"
        )
    if is_damage(error):
        return StoreError(
            f"the state file {path} is damaged ({error}); restart the {owner.name} to salvage what can be read"
        )
    return StoreError(f"the state file {path} cannot be used: {error} ({name})")


def os_error(error: OSError, doing: str, path: Path, owner: Owner) -> StoreError:
    """The ``StoreError`` of a failed call on a file or directory; ``doing`` as in "cannot <doing> <path>"."""
    if error.errno in _FULL:
        return full(path)
    if isinstance(error, UnsafeFile):
        return UnsafeStore(f"{error.sentence}. {owner.data_dir_setting} names the data directory")
    return StoreError(
        f"cannot {doing} {path}: {error.strerror or error}; {owner.data_dir_setting} names the data directory"
    )


def full(path: Path) -> StoreError:
    """The disk has no room."""
    return StoreError(
        f"there is no room left on the disk that holds {path}; free some space, nothing else needs to be done",
        is_full=True,
    )


def _has_no_room(directory: Path) -> bool:
    try:
        room = os.statvfs(directory)
    except OSError:
        return False
    return room.f_bavail * room.f_frsize < _NEARLY_NOTHING_BYTES or (room.f_files > 0 and room.f_favail == 0)


def _name(error: sqlite3.Error) -> str:
    """SQLite's name of the error; ``""`` for errors that the ``sqlite3`` module or we made."""
    return getattr(error, "sqlite_errorname", "")
