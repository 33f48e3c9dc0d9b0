"""``/license``: the licence texts that came with this agent, read on every request.

Source: introspection-api.md §7.
"""

from __future__ import annotations

from pathlib import Path

FILES = ("LICENSE", "NOTICE", "THIRD-PARTY")
"""In the order in which they are shown."""

_SEPARATOR = b"\n" + b"=" * 80 + b"\n"


def text(directory: Path) -> bytes:
    """The files joined. Raises ``OSError`` when one cannot be read."""
    return _SEPARATOR.join((directory / name).read_bytes() for name in FILES)
