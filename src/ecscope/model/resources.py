"""What a container instance has, and what tasks take of it: counted the same way by agent and control plane.

Source: engine.md §2.2.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ecscope.model.network import NetworkMode

FARGATE = "FARGATE"
"""The launch type of tasks that take nothing of an instance."""


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


class ContainerShare(msgspec.Struct, frozen=True, kw_only=True):
    """What one container of a task counts for."""

    cpu_units: int = 0
    memory_mib: int = 0
    """Its limit."""
    memory_reservation_mib: int | None = None
    """Counts instead of the limit; ``None``: it has none."""
    host_ports: tuple[tuple[int, str], ...] = ()
    """Number and protocol of those asked for by number; 0, a port of the agent's choice, counts for nothing."""

    @property
    def counted_memory_mib(self) -> int:
        return self.memory_mib if self.memory_reservation_mib is None else self.memory_reservation_mib


def task_needs(
    *,
    launch_type: str,
    network_mode: NetworkMode,
    cpu_units: int,
    memory_mib: int,
    containers: Iterable[ContainerShare],
) -> HostResources:
    """What a task takes of its instance; 0 of CPU or memory: no task-level limit, those of its containers count.

    Source: engine.md §2.2; control-plane.md §7.1.
    """
    if launch_type == FARGATE:
        return HostResources()
    shares = tuple(containers)
    asked = [(port, protocol) for share in shares for port, protocol in share.host_ports if port > 0]
    ports = asked if network_mode.reserves_host_ports else []
    return HostResources(
        cpu_units=cpu_units or sum(share.cpu_units for share in shares),
        memory_mib=memory_mib if memory_mib > 0 else sum(share.counted_memory_mib for share in shares),
        ports_tcp=frozenset(port for port, protocol in ports if protocol == "tcp"),
        ports_udp=frozenset(port for port, protocol in ports if protocol == "udp"),
    )


class Lack(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that an instance does not have for a task."""

    kind: str
    """``CPU``, ``MEMORY``, ``PORTS``: as placement failures of ECS call it."""
    needed: int = 0
    """CPU units, or MiB."""
    free: int = 0
    """CPU units, or MiB; never below 0."""
    protocol: str = ""
    """Of the ports."""
    ports: frozenset[int] = frozenset()
    is_reserved: bool = False
    """No task may have these ports; ``False``: another task has them."""


def lacks(needs: HostResources, *, host: HostResources, taken: HostResources) -> tuple[Lack, ...]:
    """What an instance does not have for a task; ``()``: it has room. The ports of ``host`` are those reserved."""
    free_cpu = host.cpu_units - taken.cpu_units
    free_memory = host.memory_mib - taken.memory_mib
    if needs.cpu_units <= free_cpu and needs.memory_mib <= free_memory and not (needs.ports_tcp or needs.ports_udp):
        return ()  # most tasks on most instances; every instance is asked for every task
    found: list[Lack] = []
    if free_cpu < needs.cpu_units:
        found.append(Lack(kind="CPU", needed=needs.cpu_units, free=max(free_cpu, 0)))
    if free_memory < needs.memory_mib:
        found.append(Lack(kind="MEMORY", needed=needs.memory_mib, free=max(free_memory, 0)))
    for holder, is_reserved in ((taken, False), (host, True)):
        if ports := needs.ports_tcp & holder.ports_tcp:
            found.append(Lack(kind="PORTS", protocol="TCP", ports=ports, is_reserved=is_reserved))
        if ports := needs.ports_udp & holder.ports_udp:
            found.append(Lack(kind="PORTS", protocol="UDP", ports=ports, is_reserved=is_reserved))
    return tuple(found)


class TaskLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What the containers of a task may use together. Source: engine.md §6.6."""

    cpu_vcpu: float = 0.0
    """0: no quota, ``cpu_shares`` apply."""
    cpu_shares: int = 2
    """Weight against other tasks, 2 to 262144; used when there is no quota, or beside it where ``is_weighed``."""
    is_weighed: bool = False
    memory_bytes: int = 0
    """0: no limit."""
