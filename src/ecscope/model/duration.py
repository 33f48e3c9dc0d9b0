"""Durations as Go writes them: ``300ms``, ``1m30s``, ``3h0m0s``. Values only.

Two places speak this form: settings (``ECS_CONTAINER_STOP_TIMEOUT=30s``) and messages that name
a limit (``Could not transition to started; timed out after waiting 3m0s``).

Source: configuration.md §2; the rules of Go's ``time.ParseDuration`` and ``Duration.String``.
"""

from __future__ import annotations

import re

_NS_PER_UNIT = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5, micro sign
    "μs": 1_000,  # U+03BC, Greek mu
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?(ns|us|µs|μs|ms|s|m|h)")
_LONGEST_NS = 2**63 - 1
_LONGEST_DIGITS = 20


def parse_go_duration(text: str) -> float:
    """Seconds; negative ones are allowed, as in Go.

    Raises:
        ValueError: not a duration; the message says what one looks like.
    """
    total_ns = _parse_ns(text)
    if total_ns is None:
        raise ValueError("not a duration: write number and unit, such as 300ms, 10s, 1m30s or 3h")
    return total_ns / 1_000_000_000


def format_go_duration(seconds: float) -> str:
    """The text Go prints: ``3m0s``, ``1.5s``, ``300ms``, ``0s``. Rounded to the nanosecond."""
    total_ns = round(seconds * 1_000_000_000)
    if total_ns == 0:
        return "0s"
    sign = "-" if total_ns < 0 else ""
    total_ns = abs(total_ns)
    for unit in ("ns", "µs", "ms"):
        if total_ns < _NS_PER_UNIT[unit] * 1_000:
            return f"{sign}{_decimal(total_ns, _NS_PER_UNIT[unit])}{unit}"
    minutes, rest_ns = divmod(total_ns, _NS_PER_UNIT["m"])
    text = f"{_decimal(rest_ns, _NS_PER_UNIT['s'])}s"
    if minutes:
        hours, minutes = divmod(minutes, 60)
        text = f"{hours}h{minutes}m{text}" if hours else f"{minutes}m{text}"
    return sign + text


def _parse_ns(text: str) -> int | None:
    sign = -1 if text.startswith("-") else 1
    rest = text[1:] if text[:1] in {"-", "+"} else text
    if rest == "0":
        return 0
    total_ns = 0
    position = 0
    while position < len(rest) or not rest:
        part = _PART.match(rest, position)
        if part is None:
            return None
        whole, fraction, unit = part.groups()
        if not (whole or fraction) or len(whole) > _LONGEST_DIGITS:
            return None
        fraction = (fraction or "")[:_LONGEST_DIGITS]
        total_ns += int(whole or "0") * _NS_PER_UNIT[unit]
        total_ns += int(fraction or "0") * _NS_PER_UNIT[unit] // 10 ** len(fraction)
        if total_ns > _LONGEST_NS:
            return None
        position = part.end()
    return sign * total_ns


def _decimal(amount_ns: int, unit_ns: int) -> str:
    whole, rest = divmod(amount_ns, unit_ns)
    if not rest:
        return str(whole)
    digits = len(str(unit_ns)) - 1
    return f"{whole}.{rest:0{digits}d}".rstrip("0")
