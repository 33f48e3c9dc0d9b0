"""Files and directories that must belong to this user: opened without following a link, and checked once open.

Anyone who can write in a data directory could substitute the keys, and have this process write into files or end
processes of their choice. Trusted are this user and root.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

_WRITABLE_BY_OTHERS = 0o022
_OPEN_TO_OTHERS = 0o077
_LINK = "it is a symbolic link, which is not followed here; put the file itself in its place"
_IS_NO_FILE = (errno.ENXIO, errno.EISDIR)
"""What opening a FIFO without a reader, a socket or a directory fails with."""


class UnsafeFile(OSError):
    """It may belong to another user. ``strerror`` says why and what to do; ``sentence`` names the path as well."""

    def __init__(self, path: str | os.PathLike[str], reason: str) -> None:
        super().__init__(errno.EPERM, reason, os.fspath(path))
        self.sentence = f"{os.fspath(path)}: {reason}"


def check_directory(path: Path, *, may_be_link: bool = True) -> None:
    """Raise ``UnsafeFile`` for a directory that is another user's, or in which others may write, or ``OSError``.

    ``may_be_link``: it may be a link that this user or root has made.
    """
    named = os.lstat(path)
    if stat.S_ISLNK(named.st_mode) and (not may_be_link or named.st_uid not in _trusted()):
        raise UnsafeFile(path, "it is a symbolic link, which is not followed here; use the directory itself")
    fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
    finally:
        os.close(fd)
    _check_owner(path, found)
    if found.st_mode & _WRITABLE_BY_OTHERS:
        raise UnsafeFile(
            path,
            f"other users may write in this directory (mode {stat.S_IMODE(found.st_mode):04o}); if all that is in it is"
            f" yours, run `chmod go-w {path}`, else use another directory",
        )


def check_file(path: Path, *, may_be_shared: bool = False) -> None:
    """Raise ``UnsafeFile`` unless it is a regular file of this user that others cannot write, or ``OSError``.

    ``may_be_shared``: others may write it, because the caller changes that when it opens the file.
    Opens nothing that would block, have an effect or release locks of this process. A missing file is fine.
    """
    try:
        fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        _check(path, os.fstat(fd), 0 if may_be_shared else _WRITABLE_BY_OTHERS)
    finally:
        os.close(fd)


def open_owned(
    path: str | os.PathLike[str], flags: int, *, is_secret: bool = False, may_be_shared: bool = False
) -> int:
    """The descriptor of a regular file of this user's; one that is made is readable by its owner only.

    Args:
        path: its last part is not followed where it is a link.
        flags: of ``os.open``; not ``O_TRUNC``, which would come before the check.
        is_secret: refuse what others may read, too.
        may_be_shared: take also what others may write: the caller changes the mode.

    Raises ``UnsafeFile``, or ``OSError``.
    """
    try:
        fd = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UnsafeFile(path, _LINK) from error
        if error.errno in _IS_NO_FILE:
            raise UnsafeFile(path, "it is not a regular file; remove it") from error
        raise
    try:
        _check(path, os.fstat(fd), 0 if may_be_shared else _OPEN_TO_OTHERS if is_secret else _WRITABLE_BY_OTHERS)
    except BaseException:
        os.close(fd)
        raise
    return fd


def read_owned(path: str | os.PathLike[str], *, is_secret: bool = False) -> bytes:
    """The content of such a file. Raises ``UnsafeFile``, or ``OSError``."""
    with open(open_owned(path, os.O_RDONLY, is_secret=is_secret), "rb") as file:
        return file.read()


def write_owned(path: Path, content: bytes) -> None:
    """Atomically, and readable by the owner only. Raises ``OSError``."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _check(path: str | os.PathLike[str], found: os.stat_result, forbidden: int) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise UnsafeFile(path, _LINK)
    if not stat.S_ISREG(found.st_mode):
        raise UnsafeFile(path, "it is not a regular file; remove it")
    _check_owner(path, found)
    if found.st_mode & forbidden:
        may = "write" if found.st_mode & _WRITABLE_BY_OTHERS else "read"
        keep = "go-rwx" if forbidden == _OPEN_TO_OTHERS else "go-w"
        raise UnsafeFile(
            path,
            f"other users may {may} it (mode {stat.S_IMODE(found.st_mode):04o}); remove it or, if it is as you left it,"
            f" run `chmod {keep} {os.fspath(path)}`",
        )


def _check_owner(path: str | os.PathLike[str], found: os.stat_result) -> None:
    if found.st_uid not in _trusted():
        raise UnsafeFile(
            path,
            f"it belongs to user {found.st_uid}, and this is user {os.geteuid()}; use another, or change its owner if"
            " you trust what is in it",
        )


def _trusted() -> tuple[int, int]:
    return os.geteuid(), 0
