"""The log store: the one writer of catalog and segments, in a thread of its own, and readers beside it.

What several clients send at once is written and made durable together. Nothing is answered before that. Without room on
the disk everything that changes is refused in a way that clients try again, and that is said once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ecscope.control.core.errors import ApiError
from ecscope.control.logs.blocks import Block
from ecscope.control.logs.catalog import Catalog, LogStream, Record
from ecscope.control.logs.journal import Journal
from ecscope.control.logs.reading import Page, Query, read_page
from ecscope.control.logs.segments import Pending, Segments, Span, is_no_room

_log = logging.getLogger(__name__)
T = TypeVar("T")
_TIDY_S = 60.0
_DOUBT_S = 600.0
"""So long after a start the same batch again is taken for the one that a killed process did not answer."""
Decide = Callable[[Catalog], tuple[Sequence[Record], T]]
"""Reads a catalog, and gives what changes and the answer. Raises ``ApiError``."""


class Written(msgspec.Struct, frozen=True):
    """A batch that was just accepted."""

    batch: Pending
    block: Block
    segment: int


class _Change(msgspec.Struct):
    decide: Decide[Any]
    done: asyncio.Future[Any]


class _Put(msgspec.Struct):
    batch: Pending
    done: asyncio.Future[Block | None]


def unavailable() -> ApiError:
    return ApiError("ServiceUnavailableException", "The service cannot complete the request.")


def no_such_stream() -> ApiError:
    return ApiError("ResourceNotFoundException", "The specified log stream does not exist.")


class LogStore:
    """See the module docstring. Between ``open`` and ``close`` it answers."""

    def __init__(
        self,
        folder: Path,
        *,
        limit_bytes: int,
        say: Callable[[str], None],
        now_ms: Callable[[], int] = lambda: int(time.time() * 1000),
    ) -> None:
        """``say`` gets a sentence for the user, once for each thing that happens; in the loop."""
        self.catalog = Catalog()
        """The published one."""
        self._say = say
        self._now_ms = now_ms
        self._segments = Segments(folder, limit_bytes=limit_bytes, warn=self._warn)
        self._journal = Journal(folder / "catalog", warn=self._warn)
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="log writer")
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="log reader")
        self._asked: list[_Change | _Put] = []
        self._wake = asyncio.Event()
        self._life: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_full = self._is_limit_said = False
        self._tidied_at_s = self._opened_at_s = 0.0
        self._listeners: list[Callable[[Written], None]] = []

    # --- life ---------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Raises ``OSError``."""
        self._loop = asyncio.get_running_loop()
        await self._in(self._writing, self._segments.open)
        records = await self._in(self._writing, self._journal.open)
        self.catalog.apply(records)
        # An ID whose record was lost is not given to another stream.
        self.catalog.last_id = max(self.catalog.last_id, *self._segments.spans, 0)
        self._opened_at_s = time.monotonic()
        self._life = asyncio.create_task(self._run(), name="log store")

    async def close(self) -> None:
        """What was answered is durable. May be repeated."""
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)
            self._life = None
        for asked in self._asked:
            if not asked.done.done():
                asked.done.set_exception(unavailable())
        self._asked.clear()
        self._writing.shutdown()
        self._reading.shutdown()
        self._segments.close()
        self._journal.close()

    # --- what can be asked --------------------------------------------------------------------------------------

    @property
    def spans(self) -> dict[int, Span]:
        """Stream ID → what there is of it; a stream without events is not in it."""
        return self._segments.spans

    async def change(self, decide: Decide[T]) -> T:
        """Decide on the newest catalog, save, publish, and give the answer. Raises ``ApiError``."""
        done: asyncio.Future[Any] = _future()
        self._ask(_Change(decide, done))
        answer: T = await asyncio.shield(done)
        return answer

    async def put(self, batch: Pending) -> Block | None:
        """Write it, durably; ``None``: it was there before. Raises ``ApiError``."""
        done: asyncio.Future[Block | None] = _future()
        self._ask(_Put(batch, done))
        return await asyncio.shield(done)

    def was_not_answered(self, block: Block) -> None:
        """The client of this batch has gone: if it sends it again, it is the same."""
        self._segments.in_doubt.add(block.key)

    async def page(self, query: Query, then: Callable[[Page], T]) -> T:
        """Read, and make an answer of it, both in a thread. Raises ``ApiError``."""
        try:
            return await self._in(self._reading, lambda: then(read_page(self._segments, query)))
        except OSError as error:
            self._warn(f"log events cannot be read: {error}")
            raise unavailable() from error

    def listen(self, listener: Callable[[Written], None]) -> Callable[[], None]:
        """Call it with each batch from now on, in the loop. What is returned ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    # --- the one writer -----------------------------------------------------------------------------------------

    def _ask(self, asked: _Change | _Put) -> None:
        if self._life is None or self._life.done():
            raise unavailable()
        self._asked.append(asked)
        self._wake.set()

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_TIDY_S):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            asked, self._asked = self._asked, []
            try:
                await self._change_all([each for each in asked if isinstance(each, _Change)])
                await self._put_all([each for each in asked if isinstance(each, _Put)])
                await self._tidy()
            except Exception as error:  # a bug: these clients learn of it, the writer goes on
                _log.exception("the log store met a bug of ecscope; please report it")
                for each in asked:
                    _refuse(each.done, error)

    async def _change_all(self, changes: Sequence[_Change]) -> None:
        if not changes:
            return
        draft = self.catalog.copy()
        records: list[Record] = []
        answers: list[tuple[_Change, object]] = []
        for change in changes:
            try:
                made, answer = change.decide(draft)
            except ApiError as error:
                _refuse(change.done, error)
                continue
            except Exception as error:  # a bug: its client learns of it, the writer goes on
                _refuse(change.done, error)
                continue
            draft.apply(made)
            records += made
            answers.append((change, answer))
        if records and not await self._saved(self._journal.save, records):
            for change, _ in answers:
                _refuse(change.done, unavailable())
            return
        self.catalog = draft
        for change, answer in answers:
            if not change.done.done():
                change.done.set_result(answer)

    async def _put_all(self, puts: Sequence[_Put]) -> None:
        there = []
        for put in puts:
            if isinstance(self.catalog.by_id.get(put.batch.stream_id), LogStream):
                there.append(put)
            else:
                _refuse(put.done, no_such_stream())
        if not there:
            return
        if time.monotonic() - self._opened_at_s > _DOUBT_S:
            self._segments.in_doubt.clear()
            self._opened_at_s = time.monotonic()
        blocks: list[Block | None] = []
        if not await self._saved(lambda: blocks.extend(self._segments.write([put.batch for put in there]))):
            for put in there:
                _refuse(put.done, unavailable())
            return
        segment = self._segments.listed[-1].number
        for put, block in zip(there, blocks, strict=True):
            if not put.done.done():
                put.done.set_result(block)
            if block is not None:
                for listener in self._listeners:
                    listener(Written(put.batch, block, segment))
        try:
            dropped = await self._in(self._writing, self._segments.drop_beyond_the_limit)
        except OSError as error:
            self._warn(f"the oldest log events cannot be removed: {error}")
            return
        if dropped and not self._is_limit_said:
            self._is_limit_said = True
            self._say(
                f"the log store has reached its limit of {self._segments.limit_bytes / 2**20:.0f} MiB: from now on the"
                " oldest log events are removed as new ones come. --logs-size sets another limit"
            )

    async def _saved(self, save: Callable[..., None], *args: object) -> bool:
        try:
            await self._in(self._writing, partial(save, *args))
        except OSError as error:
            if not self._is_full:
                self._is_full = True
                reason = "the disk is full" if is_no_room(error) else error.strerror or str(error)
                self._say(
                    f"log events cannot be saved ({reason}): they are refused until they can be, and clients try again"
                )
            return False
        if self._is_full:
            self._is_full = False
            self._say("log events are saved again")
        return True

    async def _tidy(self) -> None:
        """Remove segments of which everything has expired or was deleted."""
        now_s = time.monotonic()
        if now_s - self._tidied_at_s < _TIDY_S:
            return
        self._tidied_at_s = now_s
        for segment in self._segments.listed[:-1]:
            if self._is_over(segment.streams, segment.last_ms):
                try:
                    await self._in(self._writing, partial(self._segments.drop, segment))
                except OSError as error:
                    self._warn(f"{segment.path} cannot be removed: {error.strerror or error}")

    def _is_over(self, streams: Iterable[int], last_ms: int) -> bool:
        now_ms = self._now_ms()
        groups = (self.catalog.group_of(stream) for stream in set(streams))
        return not any(group is not None and group.expired_before_ms(now_ms) <= last_ms for group in groups)

    # --- threads ------------------------------------------------------------------------------------------------

    def _in(self, threads: ThreadPoolExecutor, function: Callable[[], T]) -> Awaitable[T]:
        assert self._loop is not None
        return self._loop.run_in_executor(threads, function)

    def _warn(self, sentence: str) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._say, sentence)


def _future() -> asyncio.Future[Any]:
    """Of which nobody has to take the exception: a client may have left."""
    done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    done.add_done_callback(lambda it: None if it.cancelled() else it.exception())
    return done


def _refuse(done: asyncio.Future[T], error: Exception) -> None:
    if not done.done():
        done.set_exception(error)
