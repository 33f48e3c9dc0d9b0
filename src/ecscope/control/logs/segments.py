"""The files with the log events: segments that are only ever appended to, and dropped whole, the oldest first.

Used by one thread at a time for writing; any thread may read what was committed. A segment that is full gets an index
beside it, so that a start reads little; without a good index the segment itself is read. Damage costs the damaged
blocks, and is reported.
"""

from __future__ import annotations

import errno
import os
import zlib
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock

import msgspec

from ecscope.control.logs.blocks import (
    HEADER_BYTES,
    Block,
    Columns,
    Damaged,
    Gap,
    decode,
    encode,
    header_at,
    walk,
)
from ecscope.owned_files import check_directory, open_owned, read_owned, write_owned

_SMALLEST, _LARGEST = 64 * 1024, 16 * 2**20
_PARTS = 64
"""Into so many segments the store is divided: one of them is dropped at a time."""
_CACHED_BLOCKS = 100_000
DOUBT_MS = 60_000
"""Batches that were accepted so shortly before a process died may not have been answered."""


class Span(msgspec.Struct):
    """What a segment, or the store, has of one stream."""

    count: int = 0
    size: int = 0
    """Bytes of messages, nearly."""
    first_ms: int = 2**62
    last_ms: int = -1
    ingested_ms: int = -1

    def add(self, other: Span | Block) -> None:
        self.count += other.count
        self.size += other.size if isinstance(other, Span) else other.message_bytes
        self.first_ms = min(self.first_ms, other.first_ms)
        self.last_ms = max(self.last_ms, other.last_ms)
        self.ingested_ms = max(self.ingested_ms, other.ingested_ms)


class Segment:
    """One file."""

    def __init__(self, number: int, path: Path) -> None:
        self.number = number
        self.path = path
        self.size = 0
        """Bytes that are committed."""
        self.first_ms, self.last_ms = 2**62, -1
        self.streams: array[int] = array("I")
        """Of which it has events, in rising order once it is sealed."""

    def add(self, part: Span | Block) -> None:
        self.first_ms = min(self.first_ms, part.first_ms)
        self.last_ms = max(self.last_ms, part.last_ms)


class Pending(msgspec.Struct, frozen=True):
    """A batch that is to be written."""

    stream_id: int
    timestamps: Sequence[int]
    messages: Sequence[str]
    ingested_ms: int


class Segments:
    """See the module docstring."""

    def __init__(self, folder: Path, *, limit_bytes: int, warn: Callable[[str], None]) -> None:
        """``warn`` gets a sentence about each damage; it is called in any thread."""
        self._folder = folder
        self.limit_bytes = limit_bytes
        self._segment_bytes = min(max(limit_bytes // _PARTS, _SMALLEST), _LARGEST)
        self._warn = warn
        self.listed: list[Segment] = []
        """The oldest first; the last one is written to. Replaced, never changed."""
        self.spans: dict[int, Span] = {}
        """Stream ID → what there is of it."""
        self._active_spans: dict[int, Span] = {}
        self._columns: OrderedDict[int, Columns] = OrderedDict()
        self._columns_lock = Lock()
        self._damaged: set[tuple[int, int]] = set()
        self._fd = -1
        self.in_doubt: set[tuple[int, int, int, int, int]] = set()
        """Batches whose answer may never have arrived: the same batch again is the same events."""

    @property
    def size(self) -> int:
        return sum(segment.size for segment in self.listed)

    # --- start and end ------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Read what is there. Raises ``OSError``."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_directory(self._folder)
        numbers = sorted(int(path.stem, 16) for path in self._folder.glob("*.log") if _is_number(path.stem))
        listed = [Segment(number, self._path(number)) for number in numbers]
        for segment in listed[:-1]:
            if not self._read_index(segment):
                self._scan(segment)
                self._write_index(segment, self._active_spans)
        if listed:
            self._scan(listed[-1], is_last=True)
            self._doubt(listed)
            self.listed = listed
            self._reopen(listed[-1])
        else:
            self._begin(1)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    # --- writing ------------------------------------------------------------------------------------------------

    def write(self, batches: Sequence[Pending]) -> list[Block | None]:
        """Append all, and be sure of it; ``None`` for one that was there before. Raises ``OSError``; then none is."""
        active = self.listed[-1]
        if active.size >= self._segment_bytes:
            active = self._roll(active)
        if self._fd < 0:
            self._reopen(active)
        made: list[Block | None] = []
        parts: list[bytes] = []
        at = active.size
        seen: list[tuple[int, int, int, int, int]] = []
        for batch in batches:
            block, data = encode(
                batch.stream_id, batch.timestamps, batch.messages, ingested_ms=batch.ingested_ms, offset=at
            )
            if block.key in self.in_doubt:
                self.in_doubt.discard(block.key)
                seen.append(block.key)
                made.append(None)
                continue
            made.append(block)
            parts.append(data)
            at = block.end
        try:
            for part in parts:
                _write_all(self._fd, part)
            if parts:
                os.fdatasync(self._fd)
        except OSError:
            self.in_doubt.update(seen)
            self._undo(active)
            raise
        columns = self._columns_of_active(active)
        for written in made:
            if written is not None:
                self._account(active, written)
                columns.add(written)
        active.size = at
        return made

    def drop_beyond_the_limit(self) -> int:
        """Remove the oldest segments until the rest fits; how many bytes went. Raises ``OSError``."""
        dropped = 0
        while self.size > self.limit_bytes and len(self.listed) > 1:
            dropped += self.listed[0].size
            self.drop(self.listed[0])
        return dropped

    def drop(self, segment: Segment) -> None:
        """Remove one that is full. Raises ``OSError``."""
        spans = self._index_of(segment) or {}
        segment.path.unlink(missing_ok=True)
        segment.path.with_suffix(".idx").unlink(missing_ok=True)
        self.listed = [each for each in self.listed if each is not segment]
        with self._columns_lock:
            self._columns.pop(segment.number, None)
        for stream_id, span in spans.items():
            if (total := self.spans.get(stream_id)) is not None:
                total.count -= span.count
                total.size -= span.size
                if total.count <= 0:
                    del self.spans[stream_id]

    def _roll(self, active: Segment) -> Segment:
        self._write_index(active, self._active_spans)
        self.close()
        return self._begin(active.number + 1)

    def _begin(self, number: int) -> Segment:
        segment = Segment(number, self._path(number))
        self._fd = open_owned(segment.path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        _sync_folder(self._folder)
        self._active_spans = {}
        self.listed = [*self.listed, segment]
        return segment

    def _reopen(self, segment: Segment) -> None:
        self._fd = open_owned(segment.path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        if os.fstat(self._fd).st_size != segment.size:
            os.ftruncate(self._fd, segment.size)

    def _undo(self, active: Segment) -> None:
        """What was half written is not there. If even that fails, the file is opened anew for the next write."""
        try:
            os.ftruncate(self._fd, active.size)
        except OSError:
            self.close()

    def _account(self, segment: Segment, block: Block) -> None:
        span = self._active_spans.get(block.stream_id)
        if span is None:
            span = self._active_spans[block.stream_id] = Span()
            segment.streams.append(block.stream_id)
        span.add(block)
        self.spans.setdefault(block.stream_id, Span()).add(block)
        segment.add(block)

    # --- reading ------------------------------------------------------------------------------------------------

    def columns(self, segment: Segment) -> Columns:
        """The headers of a segment. Raises ``OSError``."""
        with self._columns_lock:
            found = self._columns.get(segment.number)
            if found is not None:
                self._columns.move_to_end(segment.number)
                return found
        columns = Columns()
        for block in walk(read_owned(segment.path)[: segment.size]):
            if isinstance(block, Block):
                columns.add(block)
            else:
                self._say_damaged(segment, block.offset, block.end - block.offset)
        with self._columns_lock:
            # The one that is written to has its own since the start: it must be the one that grows.
            columns = self._columns.setdefault(segment.number, columns)
            self._forget_columns()
        return columns

    def read(self, segment: Segment, fd: int, offset: int) -> tuple[Block, list[int], list[str]] | None:
        """A block's events; ``None``: it is damaged, which is reported. Raises ``OSError``."""
        block = header_at(os.pread(fd, HEADER_BYTES, offset), 0)
        if block is not None:
            try:
                return block, *decode(block, os.pread(fd, block.payload_bytes, offset + HEADER_BYTES))
            except Damaged:
                pass
        self._say_damaged(segment, offset, HEADER_BYTES + (block.payload_bytes if block is not None else 0))
        return None

    def _columns_of_active(self, active: Segment) -> Columns:
        with self._columns_lock:
            columns = self._columns.get(active.number)
            if columns is None:
                if active.size:
                    columns = self._columns[active.number] = Columns()
                    for block in walk(read_owned(active.path)[: active.size]):
                        if isinstance(block, Block):
                            columns.add(block)
                else:
                    columns = self._columns[active.number] = Columns()
            self._columns.move_to_end(active.number)
            self._forget_columns()
            return columns

    def _forget_columns(self) -> None:
        held = sum(map(len, self._columns.values()))
        while held > _CACHED_BLOCKS and len(self._columns) > 1:
            held -= len(self._columns.popitem(last=False)[1])

    # --- what is on disk ----------------------------------------------------------------------------------------

    def _scan(self, segment: Segment, *, is_last: bool = False) -> None:
        """Account for what a file has. What a dying process left half written at the end is not damage."""
        data = read_owned(segment.path)
        self._active_spans = {}
        segment.size = len(data)
        found: list[Block | Gap] = list(walk(data))
        if is_last and found and isinstance(found[-1], Gap):
            segment.size = found.pop().offset
        if is_last and found:
            last = found[-1]
            start = last.offset + HEADER_BYTES
            if isinstance(last, Block) and zlib.crc32(data[start : last.end]) != last.payload_crc:
                segment.size = last.offset  # the power failed before it was all there
                found.pop()
        newest_ms = max((block.ingested_ms for block in found if isinstance(block, Block)), default=0)
        for block in found:
            if isinstance(block, Gap):
                self._say_damaged(segment, block.offset, block.end - block.offset)
                continue
            self._account(segment, block)
            if is_last and block.ingested_ms >= newest_ms - DOUBT_MS:
                self.in_doubt.add(block.key)

    def _doubt(self, listed: Sequence[Segment]) -> None:
        """Of older segments too, where the last one was begun shortly before."""
        newest_ms = max((span.ingested_ms for span in self.spans.values()), default=0)
        for segment in reversed(listed[:-1]):
            spans = self._index_of(segment) or {}
            if max((span.ingested_ms for span in spans.values()), default=0) < newest_ms - DOUBT_MS:
                return
            for block in walk(read_owned(segment.path)):
                if isinstance(block, Block) and block.ingested_ms >= newest_ms - DOUBT_MS:
                    self.in_doubt.add(block.key)

    def _read_index(self, segment: Segment) -> bool:
        spans = self._index_of(segment)
        if spans is None:
            return False
        segment.size = segment.path.stat().st_size
        segment.streams = array("I", sorted(spans))
        for stream_id, span in spans.items():
            self.spans.setdefault(stream_id, Span()).add(span)
            segment.add(span)
        return True

    def _index_of(self, segment: Segment) -> dict[int, Span] | None:
        try:
            data = read_owned(segment.path.with_suffix(".idx"))
            if zlib.crc32(data[4:]) != int.from_bytes(data[:4], "little"):
                return None
            return msgspec.msgpack.decode(data[4:], type=dict[int, Span])
        except (OSError, msgspec.MsgspecError):
            return None

    def _write_index(self, segment: Segment, spans: dict[int, Span]) -> None:
        """It only saves time at the next start, so a full disk does not matter."""
        data = msgspec.msgpack.encode(spans)
        with suppress(OSError):
            write_owned(segment.path.with_suffix(".idx"), zlib.crc32(data).to_bytes(4, "little") + data)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:010x}.log"

    def _say_damaged(self, segment: Segment, offset: int, length: int) -> None:
        if (segment.number, offset) not in self._damaged:
            self._damaged.add((segment.number, offset))
            self._warn(
                f"{segment.path} is damaged: {length} bytes at {offset} cannot be read, and their log events are lost;"
                " all others are there"
            )


def is_no_room(error: OSError) -> bool:
    return error.errno in {errno.ENOSPC, errno.EDQUOT}


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _is_number(stem: str) -> bool:
    return len(stem) == 10 and all(c in "0123456789abcdef" for c in stem)


def sorted_by_start(segments: Iterable[Segment], *, is_forward: bool) -> list[Segment]:
    """In the order in which a reader meets them."""
    return sorted(segments, key=lambda each: each.first_ms if is_forward else -each.last_ms)
