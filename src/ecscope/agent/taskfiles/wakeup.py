"""Waits between two scans, and ends the wait early when a file was put in place.

A convenience only: the scans are the truth, so where the kernel offers no notices (or has no
watches left, or the folder is not there) waiting is all that happens.
"""

from __future__ import annotations

import os
import select
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inotify_simple import INotify

_SETTLE_MS = 5
"""After the first notice, so that files dropped together are scanned together."""


class Wakeup:
    """For one folder, or for the folder of one file. Used by one thread; only ``wake`` by others."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._wake_fd, self._woken_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._notices: INotify | None = None
        self._watched: str = ""
        try:
            from inotify_simple import INotify  # noqa: PLC0415  # loads ctypes, which the first answer need not wait for

            self._notices = INotify(nonblocking=True)
        except (ImportError, OSError):
            self._notices = None

    def wait(self, timeout_s: float) -> bool:
        """True when a file was written or moved into the folder; False after ``timeout_s`` or a ``wake``."""
        poll = select.poll()
        poll.register(self._wake_fd, select.POLLIN)
        if self._notices is not None and self._watch():
            poll.register(self._notices.fileno(), select.POLLIN)
        ready = {fd for fd, _ in poll.poll(timeout_s * 1000)}
        if self._notices is None or self._notices.fileno() not in ready:
            return False
        select.poll().poll(_SETTLE_MS)
        self._take_notices()
        return True

    def wake(self) -> None:
        """End the wait now. From any thread."""
        with suppress(OSError):
            os.write(self._woken_fd, b"!")

    def close(self) -> None:
        """Give the descriptors back."""
        if self._notices is not None:
            self._notices.close()
        for fd in (self._wake_fd, self._woken_fd):
            os.close(fd)

    def _watch(self) -> bool:
        """Watch the folder, if that is not done yet and can be done now."""
        folder = self._path if os.path.isdir(self._path) else os.path.dirname(self._path)  # noqa: PTH112, PTH120
        if folder == self._watched:
            return True
        from inotify_simple import flags  # noqa: PLC0415

        self._watched = ""
        with suppress(OSError):  # not there, or no watches left
            assert self._notices is not None
            self._notices.add_watch(folder, flags.CLOSE_WRITE | flags.MOVED_TO | flags.ONLYDIR)
            self._watched = folder
        return bool(self._watched)

    def _take_notices(self) -> None:
        from inotify_simple import flags  # noqa: PLC0415

        assert self._notices is not None
        for notice in self._notices.read(timeout=0):
            if notice.mask & (flags.IGNORED | flags.Q_OVERFLOW):
                self._watched = ""  # the folder went away: a later one of that name is another
