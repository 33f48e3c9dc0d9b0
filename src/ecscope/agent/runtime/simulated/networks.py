"""The networks of a simulated engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network

from ecscope.agent.runtime.docker import errors
from ecscope.agent.runtime.interface import NetworkSpec
from ecscope.agent.runtime.simulated.engine import refused
from ecscope.model.arn import DockerId


class Networks:
    """See the module docstring."""

    def __init__(self) -> None:
        self._all: dict[str, NetworkSpec] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._all

    @property
    def subnets(self) -> Mapping[str, tuple[str, ...]]:
        """By name."""
        return {name: (spec.subnet,) for name, spec in self._all.items()}

    def create(self, spec: NetworkSpec) -> bool:
        """``False``: it exists. Raises ``RuntimeFailure``."""
        found = self._all.get(spec.name)
        if found is not None:
            if found.subnet != spec.subnet:
                raise errors.unusable(errors.CREATE_NETWORK, f"the network {spec.name} has the subnet {found.subnet}")
            return False
        if any(IPv4Network(spec.subnet).overlaps(IPv4Network(other.subnet)) for other in self._all.values()):
            raise refused(errors.CREATE_NETWORK, 403, "Pool overlaps with other one on this address space")
        self._all[spec.name] = spec
        return True

    def remove(self, name: str, *, users: Sequence[DockerId]) -> None:
        """None of that name counts as done. Raises ``RuntimeFailure`` where running containers are connected to it."""
        if users:
            raise refused(
                errors.REMOVE_NETWORK, 403, f"error while removing network: network {name} has active endpoints"
            )
        self._all.pop(name, None)
