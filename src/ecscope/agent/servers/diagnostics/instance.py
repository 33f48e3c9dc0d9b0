"""The first page: whether the container instance is registered with its cluster, and if not, why and what helps.

Keys are written as on port 51678.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

import msgspec

from ecscope.agent.core.state import AgentState
from ecscope.model.container_instance import Obstacle
from ecscope.model.history import Detail

ERROR = "ContainerInstanceNotRegistered"
"""``Error`` of every such answer: what programs may test for."""


class Status(Enum):
    """Whether the instance is part of a cluster."""

    REGISTERED = "Registered"
    STANDALONE = "Standalone"
    """No cluster: tasks come from files."""


class Registered(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """Nothing is wrong; every key is always there."""

    status: str
    """A ``Status``."""
    cluster: str
    container_instance_arn: str
    version: str


class NotRegistered(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """Something is missing; every key is always there."""

    error: str = ERROR
    reason: str
    """An ``ObstacleKind``."""
    message: str
    detail: Mapping[str, Detail]
    since: str


def instance(state: AgentState) -> Registered | NotRegistered:
    """The answer for the instance as it is now."""
    if state.obstacle is not None:
        return not_registered(state.obstacle)
    return Registered(
        status=(Status.REGISTERED if state.settings.joins_cluster else Status.STANDALONE).value,
        cluster=state.instance.cluster,
        container_instance_arn=state.instance.arn,
        version=state.instance.agent_version,
    )


def not_registered(obstacle: Obstacle) -> NotRegistered:
    """``obstacle`` as it is shown."""
    return NotRegistered(
        reason=obstacle.kind.value,
        message=obstacle.message,
        detail={f"{name[:1].upper()}{name[1:]}": value for name, value in obstacle.detail.items()},
        since=f"{obstacle.since:%Y-%m-%dT%H:%M:%S}Z",
    )
