"""A task's Docker volume: made, or found where it must exist already.

Source: engine.md §9.
"""

from __future__ import annotations

from ecscope.agent.runtime.interface import Runtime, VolumeSpec
from ecscope.model.task import Volume, VolumeKind


async def provide(runtime: Runtime, volume: Volume) -> str:
    """Why the volume cannot be had; ``""``: it is there. May be repeated.

    Raises ``RuntimeFailure`` with Docker's own words.
    """
    if volume.kind is VolumeKind.SHARED:
        if await runtime.volume_exists(volume.docker_name):
            return ""
        if not volume.autoprovision:
            return (
                f"initialize volume: volume detection failed, volume '{volume.docker_name}' does not exist"
                " and autoprovision is set to false"
            )
    await runtime.create_volume(
        VolumeSpec(
            name=volume.docker_name,
            driver=volume.driver,
            driver_options=volume.driver_options,
            labels=volume.labels,
        )
    )
    return ""
