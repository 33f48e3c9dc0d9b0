"""What this build calls itself. The shape is the official agent's, because monitoring agents parse it."""

from __future__ import annotations

from ecscope import __version__

UNKNOWN_COMMIT = "0" * 8
"""Stands for the commit where none was recorded: a checkout that ``make`` has not built."""


def version_line() -> str:
    """``Version`` of ``/v1/metadata``: a name, ``v`` and the number, and 8 hex digits of the commit.

    Source: introspection-api.md §5.
    """
    return f"Amazon ECS Agent - v{__version__} ({commit()})"


def commit() -> str:
    """First 8 hex digits of the commit this was built from."""
    try:
        from ecscope._build import COMMIT  # noqa: PLC0415 (a generated module, absent in an unbuilt checkout)
    except ImportError:
        return UNKNOWN_COMMIT
    return str(COMMIT)
