"""Docker's times as Go writes them into JSON.

Source: introspection-api.md §3, §6.8.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_RFC_3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
_UNKNOWN_TIME = "0001-01-01T00:00:00Z"


def timestamp(text: str) -> str:
    """Docker's time as Go writes it: UTC, no trailing zeros; ``""`` when unknown or no time at all.

    Source: introspection-api.md §3, §6.8.
    """
    parts = _RFC_3339.fullmatch(text)
    if parts is None:
        return ""
    day, clock, fraction, sign, hours, minutes = parts.groups()
    if sign is not None:
        try:
            local = datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=UTC)
            offset = timedelta(hours=int(hours), minutes=int(minutes))
            day, clock = (local - offset if sign == "+" else local + offset).isoformat()[:19].split("T")
        except (ValueError, OverflowError):
            return ""
    fraction = (fraction or "").rstrip("0")
    shown = f"{day}T{clock}.{fraction}Z" if fraction else f"{day}T{clock}Z"
    return "" if shown == _UNKNOWN_TIME else shown
