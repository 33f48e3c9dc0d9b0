"""The durable store of the control plane: one SQLite file and one thread that alone touches it.

What ``save`` has reported is on the disk, whatever happens to the process or the power (ADR 0007).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ecscope.control.store.control_file import ControlFile
from ecscope.control.store.interface import CONTROL_PLANE, Changes, Loaded, Prepared, StoreError
from ecscope.control.store.rows import prepared
from ecscope.sqlitefile.lock import DataDirLock, make_data_dir

_log = logging.getLogger("ecscope.control")


class SqliteStore:
    """``Store`` in ``<data_dir>/control.db``. Construction touches nothing; ``load`` opens."""

    def __init__(self, data_dir: Path) -> None:
        self._dir = data_dir
        self._lock = DataDirLock(data_dir, CONTROL_PLANE)
        self._file = ControlFile(data_dir)
        self._thread: ThreadPoolExecutor | None = None
        self._closed = False

    def load(self) -> Loaded:
        """Open the file, salvage it if need be, and read everything; blocking.

        Raises ``StoreError`` when another control plane uses the directory (its process ID is named), a newer
        one wrote the file (which is not touched), or the directory cannot be written.
        """
        if self._thread is not None or self._closed:
            raise StoreError("the store was loaded before")
        make_data_dir(self._dir, CONTROL_PLANE)
        self._lock.acquire()
        try:
            loaded = self._file.open_and_read()
        except BaseException:
            self._file.close()
            self._lock.release()
            raise
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ecscope-store")
        return loaded

    def prepare(self, changes: Changes) -> Prepared:
        """As text. Raises ``TypeError``, ``ValueError`` or ``OverflowError`` for what is not JSON."""
        return prepared(changes)

    async def save(self, changes: Sequence[Prepared]) -> None:
        """Return when all of them are on disk. Raises ``StoreError``; then none of them was saved."""
        if self._closed or self._thread is None:
            raise StoreError("the store is closed" if self._closed else "the store is not loaded yet")
        await asyncio.get_running_loop().run_in_executor(self._thread, self._file.write, changes)

    async def check(self) -> None:
        """Write the file again if it was changed or removed from outside. Raises ``StoreError``."""
        if self._thread is not None and not self._closed:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._file.check)

    async def close(self) -> None:
        """Wait for a save that is under way, close and let another one have the directory; may be repeated."""
        if self._closed:
            return
        try:
            await self.check()
        except StoreError as error:
            _log.error("%s", error)  # a user's trouble, not a bug: no traceback
        self._closed = True
        if self._thread is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._file.close)
            self._thread.shutdown()
            self._lock.release()
