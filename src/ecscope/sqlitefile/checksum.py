"""The checksum that each row carries, so that a flipped bit is noticed and a stray row knows what it is."""

from __future__ import annotations

import zlib


def checksum_of(kind: str, *parts: bytes) -> str:
    """``<kind>:<CRC-32 of the kind and the parts>``."""
    crc = zlib.crc32(b"\n".join(parts), zlib.crc32(kind.encode()))
    return f"{kind}:{crc:08x}"


def names(checksum: object, kind: str) -> bool:
    """Whether a column is the checksum of a row of this kind, right or wrong."""
    return isinstance(checksum, bytes) and checksum.startswith(f"{kind}:".encode())
