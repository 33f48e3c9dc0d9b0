"""A task's Docker volume: made, or found where it must exist already.

Source: engine.md §9.
"""

from __future__ import annotations

from ecscope.agent.executors.resources.interface import ResourceFailure
from ecscope.agent.runtime.interface import Runtime, VolumeSpec
from ecscope.model.container import NamedError
from ecscope.model.task import Task, Volume, VolumeKind
from ecscope.model.task_resource import TaskResource


class VolumeProvider:
    """Holds to ``ResourceProvider``. Docker's refusals go on in its own words, as ``RuntimeFailure``."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def create(self, task: Task, resource: TaskResource) -> None:
        """Create it; a shared one that exists is used as it is."""
        volume = _volume(task, resource)
        if volume.kind is VolumeKind.SHARED:
            if await self._runtime.volume_exists(volume.docker_name):
                return
            if not volume.autoprovision:
                raise ResourceFailure(
                    NamedError(
                        name="VolumeError",
                        message="initialize volume: volume detection failed, "
                        f"volume '{volume.docker_name}' does not exist and autoprovision is set to false",
                    )
                )
        await self._runtime.create_volume(
            VolumeSpec(
                name=volume.docker_name,
                driver=volume.driver,
                driver_options=volume.driver_options,
                labels=volume.labels,
            )
        )

    async def remove(self, task: Task, resource: TaskResource) -> None:
        """Remove it with what is in it."""
        await self._runtime.remove_volume(_volume(task, resource).docker_name)


def _volume(task: Task, resource: TaskResource) -> Volume:
    volume = task.volume(resource.name)
    if volume is None:
        raise LookupError(f"{task.arn} has no volume {resource.name}")
    return volume
