"""Says once on the terminal that the disk under the data directory is full, and once that it has room again.

While it is full the agent's log cannot say so, and it may be long until something is to be saved.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

_LOOK_S = 2.0
_NO_ROOM_BYTES = 256 * 1024
"""Less is too little for a log of SQLite's to grow."""
_ROOM_BYTES = 1024 * 1024
"""Only from here on it has room again, so that a disk at the limit is not said to fill up again and again."""


class DiskWatch:
    """See the module docstring. ``run`` is its life."""

    def __init__(
        self, data_dir: Path, *, say: Callable[[str], None], has_no_room: Callable[[], bool], look_s: float = _LOOK_S
    ) -> None:
        """``has_no_room``: whether the last save found no room, as with a quota before the disk is full."""
        self._data_dir = data_dir
        self._say = say
        self._has_no_room = has_no_room
        self._look_s = look_s
        self._is_full = self._is_seen = self._had_no_room = False

    async def run(self) -> None:
        """For ever."""
        while True:
            self.look()
            await asyncio.sleep(self._look_s)

    def look(self) -> None:
        """Now."""
        try:
            disk = os.statvfs(self._data_dir)
        except OSError:
            return  # it is gone: the next save there reports that
        room_bytes = disk.f_bavail * disk.f_frsize
        has_names = disk.f_files == 0 or disk.f_favail > 0
        is_seen = room_bytes < _NO_ROOM_BYTES or not has_names
        # The last save is long ago when a disk that is seen to be full gets room: its failure counts once.
        had_no_room, self._had_no_room = self._had_no_room, self._has_no_room()
        self._is_seen |= is_seen
        if not self._is_full and (is_seen or (self._had_no_room and not had_no_room)):
            self._is_full, self._is_seen = True, is_seen
            self._say(
                f"there is no room left on the disk that holds {self._data_dir}: nothing that changes can be saved,"
                " so requests that change something are refused, and nothing new is started. Free some space, nothing"
                " else needs to be done"
            )
        elif self._is_full and (room_bytes >= _ROOM_BYTES and has_names if self._is_seen else not self._had_no_room):
            self._is_full = False
            self._say(f"there is room again on the disk that holds {self._data_dir}; going on")
