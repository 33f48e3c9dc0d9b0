"""Pages of log events in the order of time, merged from the blocks of all segments that may have some.

A block is decoded only when the reader has come to its time, so that a page costs what it shows, and not what there is.
"""

from __future__ import annotations

import heapq
import os
from bisect import bisect_left
from collections.abc import Iterator, Sequence, Set
from contextlib import ExitStack

import msgspec

from ecscope.control.logs.patterns import Matches
from ecscope.control.logs.positions import TIME_SHIFT, base_of, time_of
from ecscope.control.logs.segments import Segment, Segments, sorted_by_start
from ecscope.owned_files import open_owned

PAGE_BYTES = 2**20
OVERHEAD_BYTES = 26
"""That each event counts for beside its message."""
PAGE_EVENTS = 10_000
_LOOKED_AT_BYTES = 32 * 2**20
"""After so much that does not match, a page ends, and the next one goes on."""


class Event(msgspec.Struct, frozen=True):
    """One log event."""

    position: int
    stream_id: int
    timestamp_ms: int
    ingested_ms: int
    message: str


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """Which events, and how many of them."""

    streams: Set[int]
    first_ms: int = 0
    last_ms: int = 2**62
    """Included."""
    after: int | None = None
    """A position: only what comes behind it, in the direction of reading. ``None``: from the start."""
    is_forward: bool = True
    limit: int = PAGE_EVENTS
    matches: Matches | None = None


class Page(msgspec.Struct, frozen=True):
    """What was found."""

    events: Sequence[Event]
    """In the direction of reading."""
    ends_at: int | None
    """The position that the next page is behind; ``None``: there is none."""


def read_page(segments: Segments, query: Query) -> Page:
    """Raises ``OSError``."""
    found: list[Event] = []
    size = looked_at = 0
    sign = 1 if query.is_forward else -1
    last: int | None = None
    for key, stream_id, timestamp, ingested, message in _events(segments, query):
        if len(found) >= query.limit or looked_at >= _LOOKED_AT_BYTES:
            return Page(found, last)
        looked_at += len(message) + OVERHEAD_BYTES
        if query.matches is None or query.matches(message):
            added = (len(message) if message.isascii() else len(message.encode())) + OVERHEAD_BYTES
            if found and size + added > PAGE_BYTES:
                return Page(found, last)
            size += added
            found.append(Event(sign * key, stream_id, timestamp, ingested, message))
        last = sign * key
    return Page(found, None)


_Found = tuple[int, int, int, int, str]
"""What sorts in the direction of reading, then stream ID, timestamp, time of ingestion, message."""


def _events(segments: Segments, query: Query) -> Iterator[_Found]:
    sign = 1 if query.is_forward else -1
    low_ms, high_ms = query.first_ms, query.last_ms
    if query.after is not None and query.is_forward:
        low_ms = max(low_ms, time_of(query.after))
    elif query.after is not None:
        high_ms = min(high_ms, time_of(query.after))
    after = None if query.after is None else sign * query.after
    waiting: list[_Found] = []
    with ExitStack() as open_files:
        for starts_ms, segment, fd, offset in _blocks(segments, query, low_ms, high_ms, open_files):
            if waiting:
                # All that comes before the next block's earliest event is in order by now.
                border = starts_ms << TIME_SHIFT if query.is_forward else 1 - ((1 - starts_ms) << TIME_SHIFT)
                ready = bisect_left(waiting, (border,))
                if ready:
                    yield from waiting[:ready]
                    del waiting[:ready]
            found = segments.read(segment, fd, offset)
            if found is None:
                continue
            block, timestamps, messages = found
            base = base_of(segment.number, offset)
            of, at_ms = block.stream_id, block.ingested_ms
            for index, timestamp in enumerate(timestamps):
                if low_ms <= timestamp <= high_ms:
                    key = sign * ((timestamp << TIME_SHIFT) + base + index)
                    if after is None or key > after:
                        waiting.append((key, of, timestamp, at_ms, messages[index]))
            waiting.sort()
        yield from waiting


def _blocks(
    segments: Segments, query: Query, low_ms: int, high_ms: int, open_files: ExitStack
) -> Iterator[tuple[int, Segment, int, int]]:
    """Where each block begins in the direction of reading, and where it is; in that order."""
    forward = query.is_forward
    heap: list[tuple[int, int, int]] = []
    opened: dict[int, tuple[Segment, int]] = {}
    todo = [
        segment
        for segment in sorted_by_start(segments.listed, is_forward=forward)
        if segment.last_ms >= low_ms and segment.first_ms <= high_ms and not query.streams.isdisjoint(segment.streams)
    ]
    next_one = 0
    while heap or next_one < len(todo):
        while next_one < len(todo):
            segment = todo[next_one]
            if heap and (segment.first_ms if forward else -segment.last_ms) > heap[0][0]:
                break
            next_one += 1
            try:
                fd = open_owned(segment.path, os.O_RDONLY)
            except FileNotFoundError:
                continue  # it was dropped meanwhile
            open_files.callback(os.close, fd)
            opened[segment.number] = segment, fd
            size = segment.size
            columns = segments.columns(segment)
            wanted = query.streams
            for offset, stream, first, last in zip(
                columns.offsets, columns.streams, columns.firsts, columns.lasts, strict=False
            ):
                if stream in wanted and last >= low_ms and first <= high_ms and offset < size:
                    heap.append((max(first, low_ms) if forward else -min(last, high_ms), segment.number, offset))
            heapq.heapify(heap)
        if heap:
            starts_ms, number, offset = heapq.heappop(heap)
            yield starts_ms, *opened[number], offset
