"""Where an event is among all: its ID, which sorts by time, and the tokens of pages, which name an ID. Pure.

An ID has 56 digits, as AWS's have: timestamp, then the order in which batches were accepted, then the place in its
batch.
"""

from __future__ import annotations

import re

from ecscope.control.core.errors import ApiError

_INDEX_BITS, _OFFSET_BITS, _SEGMENT_BITS = 16, 32, 40
_SEGMENT_SHIFT = _INDEX_BITS + _OFFSET_BITS
TIME_SHIFT = _SEGMENT_SHIFT + _SEGMENT_BITS
_DIGITS = 56
_TOKEN = re.compile(r"([fb])/(\d{56})/s", re.ASCII)
_PAGE = re.compile(r"([fb])-(\d{56})", re.ASCII)


def base_of(segment: int, offset: int) -> int:
    """What the IDs of a block's events have in common; the timestamp and the index are added."""
    return segment << _SEGMENT_SHIFT | offset << _INDEX_BITS


def before(timestamp_ms: int) -> int:
    """A position before every event of that millisecond, and after all that are older."""
    return (timestamp_ms << TIME_SHIFT) - 1


def time_of(position: int) -> int:
    """In milliseconds since the epoch."""
    return max(0, position) >> TIME_SHIFT


def event_id(position: int) -> str:
    return f"{position:0{_DIGITS}d}"


def forward_token(position: int) -> str:
    """For what comes after ``position``."""
    return f"f/{max(0, position):0{_DIGITS}d}/s"


def backward_token(position: int) -> str:
    """For what comes before ``position``."""
    return f"b/{max(0, position):0{_DIGITS}d}/s"


def read_token(token: str) -> tuple[bool, int]:
    """Whether it goes forward, and from where. Raises ``ApiError``."""
    found = _TOKEN.fullmatch(token)
    if found is None:
        raise ApiError("InvalidParameterException", "The specified nextToken is invalid.")
    return found[1] == "f", int(found[2])


def page_token(position: int, *, is_forward: bool) -> str:
    """Of FilterLogEvents: for the page after the one that ends at ``position``."""
    return f"{'f' if is_forward else 'b'}-{max(0, position):0{_DIGITS}d}"


def read_page_token(token: str) -> tuple[bool, int]:
    """Whether it goes forward, and from where. Raises ``ApiError``."""
    found = _PAGE.fullmatch(token)
    if found is None:
        raise ApiError("InvalidParameterException", "The specified nextToken is invalid.")
    return found[1] == "f", int(found[2])
