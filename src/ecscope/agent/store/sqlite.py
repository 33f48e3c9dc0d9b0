"""The durable store: one SQLite file, one writer thread, many saves per commit.

What ``save`` has reported is on the disk, whatever happens to the process or the power. One
thread owns the file; it takes all saves that wait, writes them in one transaction and answers
them together, so that the loop never waits for the disk and sixteen saves cost little more than
one.

Refuses to know the file: that is ``state_file``.

Source: library-choice.md §5; engine.md §13.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple, TypeVar

from ecscope.agent.store.interface import AGENT, Batch, Loaded, StoreError
from ecscope.agent.store.reader import read_own_history
from ecscope.agent.store.records import Change, change_of, moment
from ecscope.agent.store.state_file import Rows, StateFile
from ecscope.model.history import HistoryEntry
from ecscope.sqlitefile.failures import is_damage, store_error
from ecscope.sqlitefile.lock import DataDirLock, make_data_dir

HISTORY_MAX_AGE = timedelta(days=14)
HISTORY_MAX_ENTRIES = 200_000
HISTORY_MAX_SIZE = 128 * 1024 * 1024
"""In characters of text."""

_log = logging.getLogger(__name__)

_CHECK_S = 1.0
"""How soon a state file that was truncated or removed from outside is written again, even if nothing is saved."""
_MOST_SAVES_PER_COMMIT = 256
_ENTRIES_PER_EXPIRY = 200
"""Small enough that a concurrent save waits a few milliseconds at most."""


class _Save(NamedTuple):
    change: Change
    future: asyncio.Future[None]


class _Expire(NamedTuple):
    cutoff: str | None
    future: asyncio.Future[int]


class _Salvage(NamedTuple):
    reason: str


class _Stop(NamedTuple):
    future: asyncio.Future[None]


_Order = _Save | _Expire | _Salvage | _Stop


class SqliteStore:
    """``Store`` in ``<data_dir>/ecscope.db``. Construction touches nothing; ``load`` opens.

    Args:
        data_dir: made when it does not exist.
        history_max_age: older entries are dropped by ``expire_history``; ``None``: no bound.
        history_max_entries: likewise the oldest above this number; ``None``: no bound.
        history_max_size: likewise, in characters of text; ``None``: no bound.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        history_max_age: timedelta | None = HISTORY_MAX_AGE,
        history_max_entries: int | None = HISTORY_MAX_ENTRIES,
        history_max_size: int | None = HISTORY_MAX_SIZE,
    ) -> None:
        self._dir = data_dir
        self._max_age = history_max_age
        self._max_entries = history_max_entries
        self._max_size = history_max_size
        self._lock = DataDirLock(data_dir, AGENT)
        self._orders: queue.SimpleQueue[_Order] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False
        # Of the writer thread alone, once it runs.
        self._file = StateFile(data_dir)
        self._said = ""

    def load(self) -> Loaded:
        """Open the file, salvage it if need be, and read everything; blocking.

        Raises ``StoreError`` when another agent uses the directory (its process ID is named), a newer agent
        wrote the file (which is not touched), or the directory cannot be written.
        """
        if self._thread is not None or self._closed:
            raise StoreError("the store was loaded before")
        make_data_dir(self._dir, AGENT)
        self._lock.acquire()
        try:
            loaded = self._file.open_and_read()
        except BaseException:
            self._file.close()
            self._lock.release()
            raise
        self._thread = threading.Thread(target=self._write_until_stopped, name="ecscope-store", daemon=True)
        self._thread.start()
        return loaded

    async def save(self, batch: Batch) -> None:
        """Return when ``batch``, as it is now, is on disk. Raises ``StoreError``; then none of it was saved.

        Batches are applied in the order of the calls. May be cancelled: the batch is then saved as a
        whole or, if it cannot be, not at all.
        """
        self._check_open()
        if batch.is_empty:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._orders.put(_Save(change_of(batch), future))
        await future

    def history(self, task_arn: str | None, *, limit: int) -> Sequence[HistoryEntry]:
        """The newest ``limit`` entries (of one task, or of all), oldest first; blocking. Raises ``StoreError``."""
        self._check_open()
        try:
            return read_own_history(self._file.path, task_arn, limit)
        except sqlite3.Error as error:
            if is_damage(error):
                self._orders.put(_Salvage(str(error)))
                raise StoreError(
                    f"the state file {self._file.path} is damaged ({error}); it is being salvaged, ask again"
                ) from error
            raise store_error(error, self._file.path, AGENT) from error

    async def expire_history(self, now: datetime) -> int:
        """Drop entries past the bounds of age and size; returns how many. Raises ``StoreError``.

        In small steps, between which waiting saves are written. May be cancelled between two steps.
        """
        cutoff = None if self._max_age is None else moment(now - self._max_age)
        expired = 0
        while True:
            self._check_open()
            future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            self._orders.put(_Expire(cutoff, future))
            step = await future
            expired += step
            if step < _ENTRIES_PER_EXPIRY:
                return expired

    async def close(self) -> None:
        """Wait for pending saves, close and let another agent have the directory; may be repeated."""
        if self._closed:
            return
        self._closed = True
        if self._thread is None:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._orders.put(_Stop(future))
        await future
        self._thread.join()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the store is closed")
        if self._thread is None:
            raise StoreError("the store is not loaded yet")

    # --- the writer thread ---------------------------------------------------------------------

    def _write_until_stopped(self) -> None:
        held: _Order | None = None
        while True:
            try:
                order = self._orders.get(timeout=_CHECK_S) if held is None else held
            except queue.Empty:
                self._check()
                continue
            held = None
            match order:
                case _Save():
                    group, held = self._waiting_saves(order)
                    self._save_group(group)
                case _Expire():
                    self._expire(order)
                case _Salvage():
                    self._salvage(order)
                case _Stop():
                    self._check()
                    self._file.close()
                    self._lock.release()
                    _answer([(order.future, None)], None)
                    return

    def _waiting_saves(self, first: _Save) -> tuple[list[_Save], _Order | None]:
        """All saves up to the next order of another kind, and that order."""
        group = [first]
        while len(group) < _MOST_SAVES_PER_COMMIT:
            try:
                order = self._orders.get_nowait()
            except queue.Empty:
                break
            if not isinstance(order, _Save):
                return group, order
            group.append(order)
        return group, None

    def _save_group(self, group: list[_Save]) -> None:
        answers: list[tuple[asyncio.Future[None], Exception | None]] = []
        prepared: list[tuple[asyncio.Future[None], Rows]] = []
        for save in group:
            try:
                prepared.append((save.future, self._file.prepare(save.change)))
            except Exception as error:  # what one batch holds must not stop the thread nor the other batches
                answers.append((save.future, error))
        failure = self._try([rows for _, rows in prepared])
        if failure is None or len(prepared) == 1:
            answers += [(future, failure) for future, _ in prepared]
        else:
            # One by one: what cannot be saved costs itself, and a small batch may fit on a nearly full disk.
            answers += [(future, self._try([rows])) for future, rows in prepared]
        _answer(answers, None)

    def _try(self, batches: list[Rows]) -> Exception | None:
        try:
            self._file.write(batches)
        except Exception as error:  # raised where the save is awaited
            return error
        return None

    def _expire(self, order: _Expire) -> None:
        try:
            expired = self._file.expire(
                cutoff=order.cutoff,
                max_entries=self._max_entries,
                max_size=self._max_size,
                at_most=_ENTRIES_PER_EXPIRY,
            )
        except Exception as error:  # raised where it is awaited
            _answer([(order.future, error)], 0)
        else:
            _answer([(order.future, None)], expired)

    def _check(self) -> None:
        """Write the file again if it was changed or removed from outside."""
        try:
            self._file.check()
        except Exception as error:  # a user's trouble; the next save, or the next look, tries again
            if str(error) != self._said:
                self._said = str(error)
                _log.error("%s", error)
        else:
            self._said = ""

    def _salvage(self, order: _Salvage) -> None:
        try:
            self._file.salvage(order.reason)
        except StoreError as error:
            _log.error("%s", error)  # a user's trouble, not a bug: no traceback


_T = TypeVar("_T")


def _answer(answers: Sequence[tuple[asyncio.Future[_T], Exception | None]], result: _T) -> None:
    """Settle futures of another thread's loop, all in one wake-up."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[_T], Exception | None]]] = {}
    for future, error in answers:
        by_loop.setdefault(future.get_loop(), []).append((future, error))
    for loop, settled in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle, settled, result)
        except RuntimeError:
            _log.debug("the loop of %d saves is closed: nothing waits for them", len(settled))


def _settle(answers: Sequence[tuple[asyncio.Future[_T], Exception | None]], result: _T) -> None:
    for future, error in answers:
        if future.done():
            continue  # the waiting task was cancelled
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
