"""A data directory and its one owner: a lock that the kernel releases when the process ends, however it ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from ecscope.owned_files import check_directory, open_owned
from ecscope.sqlitefile.errors import Owner, StoreError
from ecscope.sqlitefile.failures import os_error

LOCK_NAME = "ecscope.lock"


def make_data_dir(data_dir: Path, owner: Owner) -> None:
    """For its owner's eyes only; as it is when it is there.

    Raises ``StoreError``, of the kind ``UnsafeStore`` where other users own it or may write in it.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_directory(data_dir)
    except FileExistsError:
        raise StoreError(
            f"the data directory {data_dir} is not a directory; name another with {owner.data_dir_setting}"
        ) from None
    except OSError as error:
        raise os_error(error, "make the data directory", data_dir, owner) from error


class DataDirLock:
    """``<data dir>/ecscope.lock``, held with ``flock``; the file names the holder's process ID and stays behind."""

    def __init__(self, data_dir: Path, owner: Owner) -> None:
        self._owner = owner
        self._path = data_dir / LOCK_NAME
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the lock or raise ``StoreError``; taking it again is not an error."""
        if self._fd is not None:
            return
        try:
            fd = open_owned(self._path, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise os_error(error, "open the lock file", self._path, self._owner) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = _holder(fd)
            os.close(fd)
            if isinstance(error, BlockingIOError):
                raise StoreError(
                    f"another {self._owner.name} ({holder}) uses the data directory {self._path.parent};"
                    f" stop it, or give this one its own directory with {self._owner.data_dir_setting}"
                ) from None
            raise os_error(error, "lock", self._path, self._owner) from error
        self._fd = fd
        try:
            name = f"{os.getpid()}\n".encode()
            os.pwrite(fd, name, 0)  # before the rest is cut off, so that a reader never finds it empty
            os.ftruncate(fd, len(name))
        except OSError:
            pass  # a full disk: the lock holds all the same, only its holder cannot be named

    def release(self) -> None:
        """Release it; not holding it is not an error."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _holder(fd: int) -> str:
    pid = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
    return f"process {pid}" if pid.isdigit() else "its process ID is unknown"


def holder_of(data_dir: Path) -> int | None:
    """Process ID of the one that has the directory at this moment; ``None``: none, or its ID cannot be read.

    Nor can it where another user might have written the name.
    """
    try:
        check_directory(data_dir)
        fd = open_owned(data_dir / LOCK_NAME, os.O_RDWR)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
        return int(pid) if pid.isdigit() and int(pid) > 1 else None
    finally:
        os.close(fd)
    return None
