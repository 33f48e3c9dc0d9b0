"""Reads what can be read of a damaged SQLite file: page by page and row by row, without SQLite.

SQLite refuses a whole file for one bad byte in its header, and a whole table for one bad interior
page. The rows themselves lie in leaf pages that can be read one at a time, and each row of ours
carries a checksum, so that what is found is either right or known to be wrong. Pages of the
write-ahead log replace those of the file. A row whose page is lost may be found in an older copy;
of several copies the highest revision counts. Deleted rows are not found again, because our files
are written with ``secure_delete``, which overwrites them.

What a row means is up to its writer.

Source: the file format as SQLite documents it (``fileformat2.html`` §1.5, §1.6, §2.1, §4).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from itertools import pairwise

PAGE_BYTES = 4096
"""The page size of every file that we make."""

_LEAF = 0x0D
_WAL_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24
_WAL_MAGIC = (0x377F0682, 0x377F0683)
_MOST_BYTES_OF_A_ROW = 64 * 1024 * 1024

Column = None | int | float | bytes
Row = tuple[int, tuple[Column, ...]]
"""Row ID and columns; a column that is an alias of the row ID is ``None``."""


def find_rows(database: bytes | memoryview, wal: bytes) -> Iterator[Row]:
    """Every row in the file and its write-ahead log, in no particular order; duplicates are possible."""
    overlay = _wal_pages(wal)
    count = max(len(database) // PAGE_BYTES, max(overlay, default=0))
    pages = _Pages(database, overlay)
    for number in range(1, count + 1):
        page = pages.get(number)
        if page is not None:
            yield from _rows_of_page(pages, number, page)


def committed_frames(wal: bytes) -> int:
    """How many frames of the write-ahead log had been committed, judged by the salts alone.

    SQLite stops at the first frame whose checksum is wrong; if it knows fewer than this, commits are lost.
    A log whose own header is damaged still counts, by the salt of its first frame.
    """
    salt = _current_salt(wal)
    if salt is None:
        return 0
    committed = 0
    for index, start in enumerate(range(_WAL_HEADER_BYTES, len(wal), _FRAME_HEADER_BYTES + PAGE_BYTES)):
        header = wal[start : start + _FRAME_HEADER_BYTES]
        if len(header) < _FRAME_HEADER_BYTES or start + _FRAME_HEADER_BYTES + PAGE_BYTES > len(wal):
            break
        if header[8:16] == salt and struct.unpack_from(">I", header, 4)[0] != 0:
            committed = index + 1
    return committed


def _current_salt(wal: bytes) -> bytes | None:
    """The salt of the frames that count: the header says it, and so does every frame.

    Frames of the log from before its last restart may follow, with an older salt.
    """
    if len(wal) < _WAL_HEADER_BYTES + _FRAME_HEADER_BYTES + PAGE_BYTES:
        return None
    if struct.unpack_from(">I", wal, 0)[0] in _WAL_MAGIC and _header_checksum_fits(wal):
        return wal[16:24]
    starts = range(_WAL_HEADER_BYTES, len(wal) - _FRAME_HEADER_BYTES - PAGE_BYTES + 1, _FRAME_HEADER_BYTES + PAGE_BYTES)
    salts = [wal[start + 8 : start + 16] for start in starts]
    first = salts[0]
    shared = next((one for one, other in pairwise(salts) if one == other), first)
    # A first frame of its own is either damaged or the only one since the log was restarted, which counts
    # the salt's first half up by one.
    newer_by = (struct.unpack_from(">I", first)[0] - struct.unpack_from(">I", shared)[0]) & 0xFFFFFFFF
    return first if 0 < newer_by < 1000 else shared


def _header_checksum_fits(wal: bytes) -> bool:
    order = ">" if wal[3] & 1 else "<"
    first = second = 0
    words = struct.unpack_from(f"{order}6I", wal, 0)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return (first, second) == struct.unpack_from(">2I", wal, 24)


def _wal_pages(wal: bytes) -> Mapping[int, bytes]:
    """Page number → newest committed content."""
    pages: dict[int, bytes] = {}
    salt = _current_salt(wal)
    for index in range(committed_frames(wal)):
        start = _WAL_HEADER_BYTES + index * (_FRAME_HEADER_BYTES + PAGE_BYTES)
        number = struct.unpack_from(">I", wal, start)[0]
        if wal[start + 8 : start + 16] == salt and 0 < number < 1 << 24:
            pages[number] = wal[start + _FRAME_HEADER_BYTES : start + _FRAME_HEADER_BYTES + PAGE_BYTES]
    return pages


class _Pages:
    """Pages by number, from 1, those of the log before those of the file."""

    def __init__(self, database: bytes | memoryview, overlay: Mapping[int, bytes]) -> None:
        self._database = database
        self._overlay = overlay

    def get(self, number: int) -> bytes | None:
        """The page, filled up with zeros when the file ends within it; ``None``: there is none."""
        page = self._overlay.get(number)
        if page is None and number > 0:
            page = bytes(self._database[(number - 1) * PAGE_BYTES : number * PAGE_BYTES])
        return page.ljust(PAGE_BYTES, b"\0") if page else None


def _rows_of_page(pages: _Pages, number: int, page: bytes) -> Iterator[Row]:
    start = 100 if number == 1 else 0
    if page[start] != _LEAF:
        return
    count = struct.unpack_from(">H", page, start + 3)[0]
    first = start + 8
    for index in range(min(count, (PAGE_BYTES - first) // 2)):
        cell = struct.unpack_from(">H", page, first + 2 * index)[0]
        if cell < first or cell >= PAGE_BYTES:
            continue
        try:
            row_id, payload = _cell(pages, page, cell)
            yield row_id, _columns(payload)
        except (IndexError, ValueError, struct.error):
            continue  # a damaged row costs itself only


def _cell(pages: _Pages, page: bytes, at: int) -> tuple[int, bytes]:
    """Row ID and payload of a table leaf cell, overflow pages included."""
    size, at = _varint(page, at)
    row_id, at = _varint(page, at)
    if size > _MOST_BYTES_OF_A_ROW:
        raise ValueError("no row of ours is that long")
    most = PAGE_BYTES - 35
    local = size
    if size > most:
        least = (PAGE_BYTES - 12) * 32 // 255 - 23
        local = least + (size - least) % (PAGE_BYTES - 4)
        if local > most:
            local = least
    parts = [page[at : at + local]]
    missing = size - len(parts[0])
    if missing and local < size:
        following = struct.unpack_from(">I", page, at + local)[0]
        while missing > 0:
            overflow = pages.get(following)
            if overflow is None:
                raise ValueError("the chain of overflow pages is broken")
            following = struct.unpack_from(">I", overflow, 0)[0]
            parts.append(overflow[4 : 4 + missing])
            missing -= len(parts[-1])
    return row_id, b"".join(parts)


def _columns(payload: bytes) -> tuple[Column, ...]:
    header_size, at = _varint(payload, 0)
    types: list[int] = []
    while at < header_size:
        serial_type, at = _varint(payload, at)
        types.append(serial_type)
    values: list[Column] = []
    at = header_size
    for serial_type in types:
        value, at = _value(payload, at, serial_type)
        values.append(value)
    return tuple(values)


_INTEGER_BYTES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


def _value(payload: bytes, at: int, serial_type: int) -> tuple[Column, int]:
    if serial_type == 0:
        return None, at
    if serial_type in _INTEGER_BYTES:
        end = at + _INTEGER_BYTES[serial_type]
        return int.from_bytes(payload[at:end], "big", signed=True), end
    if serial_type == 7:
        return float(struct.unpack_from(">d", payload, at)[0]), at + 8
    if serial_type in (8, 9):
        return serial_type - 8, at
    if serial_type < 12:
        raise ValueError("reserved serial type")
    end = at + (serial_type - 12) // 2
    return payload[at:end], end


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(8):
        byte = data[at + index]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + index + 1
    return value << 8 | data[at + 8], at + 9
