"""What the API says as long as the instance is not registered with its cluster: why, and what helps.

Not of the official agent, which keeps the port closed and tells only its log: ADR 0012.
Keys are written as in all answers of the API.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ecscope.model.container_instance import Obstacle
from ecscope.model.history import Detail

ERROR = "ContainerInstanceNotRegistered"
"""``Error`` of every such answer: what programs may test for."""


class NotRegistered(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """The body of such an answer; every key is always there."""

    error: str = ERROR
    reason: str
    """An ``ObstacleKind``."""
    message: str
    detail: Mapping[str, Detail]
    since: str


def not_registered(obstacle: Obstacle) -> NotRegistered:
    """``obstacle`` as the API shows it."""
    return NotRegistered(
        reason=obstacle.kind.value,
        message=obstacle.message,
        detail={f"{name[:1].upper()}{name[1:]}": value for name, value in obstacle.detail.items()},
        since=f"{obstacle.since:%Y-%m-%dT%H:%M:%S}Z",
    )
