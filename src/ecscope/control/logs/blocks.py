"""The form of log events on disk: one block per accepted batch, each with its own checksums. Pure.

A header says how long the block is and which times it spans, so that a reader decodes only what it needs. Where a
header is damaged, the next one is found by its mark, so that damage costs what is damaged and no more.
"""

from __future__ import annotations

import struct
import zlib
from array import array
from collections.abc import Iterator, Sequence

import msgspec

_MARK = b"\xecLB1"
_HEADER = struct.Struct("<4sIIIIIIqqq")
_CHECKED_FROM = 8
"""The mark and the header's own checksum come before."""
HEADER_BYTES = _HEADER.size
LONGEST_PAYLOAD = 64 * 2**20
_LEVEL = 1
_payload = msgspec.msgpack.Decoder(tuple[int, list[int], list[str]])
_encoder = msgspec.msgpack.Encoder()


class Block(msgspec.Struct, frozen=True):
    """A header, and where its block is."""

    offset: int
    stream_id: int
    payload_bytes: int
    payload_crc: int
    count: int
    message_bytes: int
    """As UTF-8."""
    first_ms: int
    last_ms: int
    ingested_ms: int

    @property
    def end(self) -> int:
        return self.offset + HEADER_BYTES + self.payload_bytes

    @property
    def key(self) -> tuple[int, int, int, int, int]:
        """The same for the same batch, sent again."""
        return self.stream_id, self.first_ms, self.last_ms, self.count, self.payload_crc


class Gap(msgspec.Struct, frozen=True):
    """Bytes that are no block."""

    offset: int
    end: int


class Damaged(Exception):
    """A payload is not what was written."""


class Columns:
    """The headers of one segment, in little memory."""

    def __init__(self) -> None:
        self.offsets = array("Q")
        self.streams = array("I")
        self.firsts = array("q")
        self.lasts = array("q")

    def add(self, block: Block) -> None:
        self.offsets.append(block.offset)
        self.streams.append(block.stream_id)
        self.firsts.append(block.first_ms)
        self.lasts.append(block.last_ms)

    def __len__(self) -> int:
        return len(self.offsets)


def encode(
    stream_id: int, timestamps: Sequence[int], messages: Sequence[str], *, ingested_ms: int, offset: int
) -> tuple[Block, bytes]:
    """A block as it is written at ``offset``. ``timestamps`` rise, and there is one at least."""
    first, last = timestamps[0], timestamps[-1]
    plain = _encoder.encode((first, [each - first for each in timestamps], messages))
    payload = zlib.compress(plain, _LEVEL)
    block = Block(
        offset=offset,
        stream_id=stream_id,
        payload_bytes=len(payload),
        payload_crc=zlib.crc32(payload),
        count=len(timestamps),
        message_bytes=len(plain),
        first_ms=first,
        last_ms=last,
        ingested_ms=ingested_ms,
    )
    header = _HEADER.pack(
        _MARK, 0, stream_id, block.payload_bytes, block.payload_crc, block.count, block.message_bytes,
        first, last, ingested_ms,
    )  # fmt: skip
    crc = zlib.crc32(header[_CHECKED_FROM:])
    return block, header[:4] + crc.to_bytes(4, "little") + header[_CHECKED_FROM:] + payload


def header_at(data: bytes | memoryview, offset: int) -> Block | None:
    """``None``: no whole header is there."""
    if offset + HEADER_BYTES > len(data):
        return None
    mark, crc, stream_id, length, payload_crc, count, message_bytes, first, last, ingested = _HEADER.unpack_from(
        data, offset
    )
    if mark != _MARK or crc != zlib.crc32(data[offset + _CHECKED_FROM : offset + HEADER_BYTES]):
        return None
    return Block(offset, stream_id, length, payload_crc, count, message_bytes, first, last, ingested)


def walk(data: bytes) -> Iterator[Block | Gap]:
    """All blocks whose bytes are there, and between them what is damaged."""
    offset, size = 0, len(data)
    while offset < size:
        block = header_at(data, offset)
        if block is not None and block.end <= size:
            yield block
            offset = block.end
            continue
        found = offset
        while (found := data.find(_MARK, found + 1)) >= 0:
            block = header_at(data, found)
            if block is not None and block.end <= size:
                break
        end = found if found >= 0 else size
        yield Gap(offset, end)
        offset = end


def decode(block: Block, payload: bytes | memoryview) -> tuple[list[int], list[str]]:
    """Timestamps and messages. Raises ``Damaged``."""
    if len(payload) != block.payload_bytes or zlib.crc32(payload) != block.payload_crc:
        raise Damaged
    try:
        first, since, messages = _payload.decode(zlib.decompress(payload))
    except (zlib.error, msgspec.MsgspecError) as error:
        raise Damaged from error
    return [first + each for each in since], messages
