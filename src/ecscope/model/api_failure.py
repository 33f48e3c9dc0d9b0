"""A call to AWS that failed, as a value: what decisions and messages need of it, and no secret.

Source: agent-protocol.md §3.2, §3.8.
"""

from __future__ import annotations

import msgspec

from ecscope.model.container_instance import ObstacleKind


class ApiFailure(msgspec.Struct, frozen=True, kw_only=True):
    """Why one call failed."""

    operation: str
    """``RegisterContainerInstance``, …; for a websocket ``ACS`` or ``TCS``."""
    kind: ObstacleKind
    """What it would mean for registration."""
    message: str
    """In AWS's own words where AWS answered; else what went wrong on the way there."""
    code: str = ""
    """AWS's error code, such as ``AccessDeniedException``; ``""``: no answer, or not one of AWS."""
    status: int = 0
    """HTTP status; 0: no answer."""
    request_id: str = ""
    """By which AWS's support finds the call; ``""``: no answer, or one without an ID."""
    endpoint: str = ""
    """Scheme, host and port that were called."""
    role_arn: str = ""
    """The principal that AWS named in its refusal, or ``""``."""
    action: str = ""
    """The IAM action that AWS named in its refusal, such as ``ecs:RegisterContainerInstance``, or ``""``."""
    skew_s: float | None = None
    """How far this host's clock is ahead (negative: behind), by the ``Date`` of the answer; ``None``: unknown."""
    looked_in: tuple[str, ...] = ()
    """Where credentials were looked for, in order, each with what was found; for ``NO_CREDENTIALS``."""

    def __str__(self) -> str:
        return f"{self.operation}: {self.code + ': ' if self.code else ''}{self.message}"
