"""A task's volume as the agent keeps it, whichever form it was written in.

Source: engine.md §6.1, §9; control-plane.md §10.4.
"""

from __future__ import annotations

from collections.abc import Mapping

from ecscope.model.names import volume_docker_name
from ecscope.model.task import Volume, VolumeKind


def bind_volume(name: str, source_path: str) -> Volume:
    """A path of the host."""
    return Volume(name=name, kind=VolumeKind.BIND, source_path=source_path)


def docker_volume(
    name: str,
    *,
    family: str,
    version: str,
    suffix: str,
    is_shared: bool = False,
    driver: str | None = None,
    driver_options: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    autoprovision: bool = False,
) -> Volume:
    """A Docker volume: shared ones keep their own name, those of one task get a name of their own.

    ``None`` is not set: driver ``local``, no options, no labels. ``suffix``: 20 fresh hex digits.
    """
    return Volume(
        name=name,
        kind=VolumeKind.SHARED if is_shared else VolumeKind.TASK,
        docker_name=(
            name if is_shared else volume_docker_name(family=family, version=version, volume_name=name, suffix=suffix)
        ),
        driver=driver or "local",
        driver_options=driver_options or {},
        labels=labels or {},
        autoprovision=autoprovision,
    )
