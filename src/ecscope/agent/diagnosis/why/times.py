"""Moments and durations as verdicts write them."""

from __future__ import annotations

from datetime import datetime


def text_of(at: datetime | None) -> str:
    """RFC 3339 with milliseconds; ``""`` for ``None``."""
    return "" if at is None else f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def duration(seconds: float) -> str:
    """``0.3 s``, ``42 s``, ``5 min``, ``3 h``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
