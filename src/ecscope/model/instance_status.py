"""How the container instance itself is. Values only.

Source: agent-protocol.md §5.3; introspection-api.md §1.
"""

from __future__ import annotations

from datetime import datetime
from enum import Enum

import msgspec


class InstanceHealth(Enum):
    """The verdict of a check of the instance."""

    OK = "OK"
    IMPAIRED = "IMPAIRED"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"
    INITIALIZING = "INITIALIZING"
    """No check has been made yet."""


class InstanceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What one check of the instance last found."""

    kind: str = "ContainerRuntime"
    """What is checked."""
    health: InstanceHealth
    checked_at: datetime
    """When it was last checked; before the first check, when the agent began."""
    previously_checked_at: datetime
    """When it was checked before that."""
    changed_at: datetime
    """When ``health`` last became another."""
