"""Messages of AWS's event streams, as they go over HTTP. Pure.

Source: Smithy specification, "Amazon Event Stream Specification".
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

CONTENT_TYPE = "application/vnd.amazon.eventstream"
_STRING = 7


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Prelude, headers, payload, and a checksum over each."""
    head = b"".join(
        bytes((len(name),)) + name.encode() + struct.pack(">BH", _STRING, len(value)) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    framed = prelude + zlib.crc32(prelude).to_bytes(4, "big") + head + payload
    return framed + zlib.crc32(framed).to_bytes(4, "big")


def event(kind: str, payload: bytes) -> bytes:
    """An event of a modelled kind, such as ``sessionUpdate``; ``initial-response`` comes first."""
    return message(
        {":message-type": "event", ":event-type": kind, ":content-type": "application/x-amz-json-1.1"}, payload
    )


def exception(kind: str, payload: bytes) -> bytes:
    """A modelled exception, with which a stream ends."""
    return message(
        {":message-type": "exception", ":exception-type": kind, ":content-type": "application/x-amz-json-1.1"},
        payload,
    )
