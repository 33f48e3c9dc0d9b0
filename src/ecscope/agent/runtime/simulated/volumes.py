"""The volumes of a simulated engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ecscope.agent.runtime.docker import errors
from ecscope.agent.runtime.interface import VolumeSpec
from ecscope.agent.runtime.simulated.engine import refused
from ecscope.model.arn import DockerId

_LOCAL_DRIVER_OPTIONS = frozenset({"type", "o", "device", "size"})


class Volumes:
    """See the module docstring."""

    def __init__(self) -> None:
        self._all: dict[str, VolumeSpec] = {}

    def __iter__(self) -> Iterator[VolumeSpec]:
        return iter(self._all.values())

    def __contains__(self, name: str) -> bool:
        return name in self._all

    def create(self, spec: VolumeSpec) -> None:
        """An existing one of that name counts as done. Raises ``RuntimeFailure``."""
        if spec.driver != "local":
            raise refused(
                errors.CREATE_VOLUME,
                404,
                f'create {spec.name}: error looking up volume plugin {spec.driver}: plugin "{spec.driver}" not found',
            )
        unknown = sorted(set(spec.driver_options) - _LOCAL_DRIVER_OPTIONS)
        if unknown:
            raise refused(errors.CREATE_VOLUME, 400, f'create {spec.name}: invalid option: "{unknown[0]}"')
        self._all.setdefault(spec.name, spec)

    def create_unasked(self, name: str) -> None:
        """What Docker makes of a name in a bind that no volume has."""
        self._all.setdefault(name, VolumeSpec(name=name, driver="local", driver_options={}, labels={}))

    def remove(self, name: str, *, users: Sequence[DockerId]) -> None:
        """None of that name counts as done. Raises ``RuntimeFailure`` where containers use it."""
        if users:
            raise refused(errors.REMOVE_VOLUME, 409, f"remove {name}: volume is in use - [{', '.join(users)}]")
        self._all.pop(name, None)
