"""Text for people: tables, ages, ports, colours. Pure but for asking whether a stream is a terminal.

Whatever came from outside is made harmless first: no control character reaches a terminal.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TextIO

from ecscope.cli.client import Container, Port

NO_VALUE = "-"
_GAP = "  "
_SMALLEST_SHRUNK = 12
_RESET = "\x1b[0m"
BOLD = "\x1b[1m"
_COLOURS = {"RUNNING": "\x1b[32m", "PENDING": "\x1b[33m", "STOPPED": "\x1b[90m"}
_CUT = "…"


def wants_colour(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Only on a terminal that can, and only when ``NO_COLOR`` is not set."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def harmless(text: str) -> str:
    """``text`` with every control character, and every other that cannot be printed, shown as an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def coloured(text: str, *, colour: bool) -> str:
    """A status word in its colour; everything else as it is."""
    code = _COLOURS.get(text.strip()) if colour else None
    return f"{code}{text}{_RESET}" if code else text


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    colour: bool = False,
    width: int | None = None,
    shrink: Sequence[int] = (),
) -> list[str]:
    """Lines of left-aligned columns.

    Args:
        header: one name per column.
        rows: as many cells each.
        colour: bold header, status words in colour.
        width: columns of the terminal; ``None``: as wide as it gets.
        shrink: columns that give way, in this order, when it gets too wide.
    """
    cells = [[harmless(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in [header, *cells]) for column in range(len(header))]
    for column in shrink if width is not None else ():
        assert width is not None
        too_wide = sum(widths) + len(_GAP) * (len(widths) - 1) - width
        if too_wide > 0:
            widths[column] = max(min(widths[column], _SMALLEST_SHRUNK), widths[column] - too_wide)
    lines = [_line(header, widths, (lambda text: f"{BOLD}{text}{_RESET}") if colour else str)]
    lines += [_line(row, widths, lambda text: coloured(text, colour=colour)) for row in cells]
    return lines


def _line(row: Sequence[str], widths: Sequence[int], style: Callable[[str], str]) -> str:
    fitted = [cell if len(cell) <= width else cell[: width - 1] + _CUT for cell, width in zip(row, widths, strict=True)]
    padded = [cell.ljust(width) for cell, width in zip(fitted[:-1], widths[:-1], strict=True)]
    return _GAP.join(style(cell) for cell in [*padded, fitted[-1]])


def age(since: datetime | None, now: datetime) -> str:
    """``42s``, ``5m``, ``3h12m``, ``9d4h``; ``-`` without a moment, ``0s`` for one to come."""
    if since is None:
        return NO_VALUE
    seconds = max(0, int((now - since).total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if not minutes:
        return f"{seconds}s"
    if not hours:
        return f"{minutes}m"
    if not days:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"


def ports_of(containers: Iterable[Container]) -> str:
    """``8080->80/tcp, 53/udp``: each once, although Docker lists IPv4 and IPv6 separately.

    Of a container that never started nothing: the agent shows what its definition asks for.
    """
    started = (container for container in containers if container.started_at)
    shown = dict.fromkeys(port_text(port) for container in started for port in container.ports)
    return ", ".join(shown) or NO_VALUE


def port_text(port: Port) -> str:
    """One port; a range is known by its protocol only."""
    inner = f"{port.container_port}/{port.protocol}" if port.container_port else port.protocol
    at = f"{port.host_ip}:{port.host_port}" if port.host_ip else str(port.host_port)
    return f"{at}->{inner}" if port.host_port else inner
