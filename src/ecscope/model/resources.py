"""What a container instance has, and what tasks take of it. Values only.

Source: engine.md §2.2.
"""

from __future__ import annotations

import msgspec


class HostResources(msgspec.Struct, frozen=True, kw_only=True):
    """An amount of the instance's resources: all of it, a task's share, or what is taken."""

    cpu_units: int = 0
    memory_mib: int = 0
    ports_tcp: frozenset[int] = frozenset()
    ports_udp: frozenset[int] = frozenset()


class ContainerInstance(msgspec.Struct, frozen=True, kw_only=True):
    """Who this instance is."""

    cluster: str
    """As configured, name or ARN, unchanged."""
    arn: str
    agent_version: str
    """The whole ``Version`` of ``/v1/metadata``."""
