"""The catalog's file: records appended one after the other, and rewritten at a start when most of them are history."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from ecscope.control.logs.catalog import Catalog, Record
from ecscope.owned_files import open_owned, read_owned, write_owned

_MARK = b"\xecLC1"
_FRAME = struct.Struct("<4sII")
_LONGEST = 2**20
_WORTH_IT_BYTES = 256 * 1024
_decoder: msgspec.msgpack.Decoder[Record] = msgspec.msgpack.Decoder(Record)
_encoder = msgspec.msgpack.Encoder()


class Journal:
    """See the module docstring. Used by one thread at a time."""

    def __init__(self, path: Path, *, warn: Callable[[str], None]) -> None:
        self._path = path
        self._warn = warn
        self._fd = -1
        self._size = 0

    def open(self) -> list[Record]:
        """What was saved. Raises ``OSError``."""
        try:
            data = read_owned(self._path)
        except FileNotFoundError:
            data = b""
        records: list[Record] = []
        self._size = 0
        for offset, end, record in _frames(data):
            if record is not None:
                records.append(record)
                self._size = end
            elif end < len(data):
                self._warn(
                    f"{self._path} is damaged: {end - offset} bytes at {offset} cannot be read; the log groups and"
                    " streams of the rest are there"
                )
        catalog = Catalog()
        catalog.apply(records)
        kept = b"".join(map(_frame, catalog.records()))
        if len(data) > _WORTH_IT_BYTES and len(kept) * 2 < len(data):
            write_owned(self._path, kept)
            self._size = len(kept)
            records = catalog.records()
        self._reopen()
        return records

    def save(self, records: Sequence[Record]) -> None:
        """All of them, durably. Raises ``OSError``; then none is saved."""
        if self._fd < 0:
            self._reopen()
        data = memoryview(b"".join(map(_frame, records)))
        size = self._size + len(data)
        try:
            while data:
                data = data[os.write(self._fd, data) :]
            os.fdatasync(self._fd)
        except OSError:
            try:
                os.ftruncate(self._fd, self._size)
            except OSError:
                self.close()
            raise
        self._size = size

    def close(self) -> None:
        """May be repeated."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _reopen(self) -> None:
        self._fd = open_owned(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        if os.fstat(self._fd).st_size != self._size:
            os.ftruncate(self._fd, self._size)  # what a dying process left half written


def _frame(record: Record) -> bytes:
    payload = _encoder.encode(record)
    return _FRAME.pack(_MARK, len(payload), zlib.crc32(payload)) + payload


def _frames(data: bytes) -> Iterator[tuple[int, int, Record | None]]:
    """Where each record is; ``None`` in place of one: these bytes are no record."""
    offset = 0
    while offset < len(data):
        end, record = _at(data, offset)
        if record is None:
            end = offset
            while (end := data.find(_MARK, end + 1)) >= 0 and _at(data, end)[1] is None:
                pass
            end = end if end >= 0 else len(data)
        yield offset, end, record
        offset = end


def _at(data: bytes, offset: int) -> tuple[int, Record | None]:
    if offset + _FRAME.size > len(data):
        return offset, None
    mark, length, crc = _FRAME.unpack_from(data, offset)
    start = offset + _FRAME.size
    payload = data[start : start + length]
    if mark != _MARK or length > _LONGEST or len(payload) != length or zlib.crc32(payload) != crc:
        return offset, None
    try:
        return start + length, _decoder.decode(payload)
    except msgspec.MsgspecError:
        return offset, None
