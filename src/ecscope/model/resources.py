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

    def plus(self, other: HostResources) -> HostResources:
        """This and another amount together."""
        return HostResources(
            cpu_units=self.cpu_units + other.cpu_units,
            memory_mib=self.memory_mib + other.memory_mib,
            ports_tcp=self.ports_tcp | other.ports_tcp,
            ports_udp=self.ports_udp | other.ports_udp,
        )

    def minus(self, other: HostResources) -> HostResources:
        """This without another amount that is part of it."""
        return HostResources(
            cpu_units=self.cpu_units - other.cpu_units,
            memory_mib=self.memory_mib - other.memory_mib,
            ports_tcp=self.ports_tcp - other.ports_tcp,
            ports_udp=self.ports_udp - other.ports_udp,
        )


class TaskLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What the containers of a task may use together. Source: engine.md §6.6."""

    cpu_vcpu: float = 0.0
    """0: no quota, ``cpu_shares`` apply."""
    cpu_shares: int = 2
    """Weight against other tasks, 2 to 262144; used when there is no quota."""
    memory_bytes: int = 0
    """0: no limit."""
