"""What a check of `ecscope doctor` finds."""

from __future__ import annotations

from enum import Enum

import msgspec


class Severity(Enum):
    """How bad it is. The order is that of ``RANK``."""

    OK = "ok"
    NOT_NEEDED = "not needed"
    """The check does not apply to this agent."""
    NOT_KNOWN = "not known"
    """There was no answer in time, or it may not be read."""
    WARNING = "warning"
    """It works, and will not under some circumstances."""
    ERROR = "error"
    """The agent or its tasks cannot work like this."""


RANK = {severity: rank for rank, severity in enumerate(Severity)}


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one check."""

    check: str
    """Its name, which stays the same."""
    severity: Severity
    text: str
    """One sentence without a full stop."""
    fix: str = ""
    """What to do, often a command; ``""``: nothing."""
