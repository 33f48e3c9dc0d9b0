"""A task's Docker volume: made, or found where it must exist already.

Source: engine.md §9.
"""

from __future__ import annotations

from ecscope.agent.executors.resources.interface import ResourceFailure
from ecscope.agent.runtime.interface import Runtime, RuntimeFailure, VolumeSpec
from ecscope.model.container import NamedError
from ecscope.model.task import Task, Volume, VolumeKind
from ecscope.model.task_resource import TaskResource


class VolumeProvider:
    """Implements ``ResourceProvider``. Docker's refusals are passed on in its own words, as ``RuntimeFailure``."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def create(self, task: Task, resource: TaskResource) -> None:
        """Create it; a shared one that exists is used as it is."""
        volume = _volume(task, resource)
        if resource.is_condition:
            await self._look_for(task, volume)
            return
        if volume.kind is VolumeKind.SHARED and await self._runtime.volume_exists(volume.docker_name):
            return
        await self._runtime.create_volume(
            VolumeSpec(
                name=volume.docker_name,
                driver=volume.driver,
                driver_options=volume.driver_options,
                labels=volume.labels,
            )
        )

    async def _look_for(self, task: Task, volume: Volume) -> None:
        try:
            if await self._runtime.volume_exists(volume.docker_name):
                return
        except RuntimeFailure as failure:
            if failure.is_unreachable:
                raise
            reason = failure.error.message
        else:
            name = volume.docker_name
            reason = f"volume detection failed, volume '{name}' does not exist and autoprovision is set to false"
        message = f"resource cannot be initialized for task {task.arn}: initialize volume: {reason}"
        raise ResourceFailure(NamedError(name="VolumeError", message=message))

    async def remove(self, task: Task, resource: TaskResource) -> None:
        """Remove it with what is in it."""
        await self._runtime.remove_volume(_volume(task, resource).docker_name)


def _volume(task: Task, resource: TaskResource) -> Volume:
    volume = task.volume(resource.name)
    if volume is None:
        raise LookupError(f"{task.arn} has no volume {resource.name}")
    return volume
