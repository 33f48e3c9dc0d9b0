"""Which of a task's volumes Docker has to make, for whom, and how long they stay.

Source: engine.md §5.3, §9.
"""

from __future__ import annotations

from ecscope.agent.core.state import Settings
from ecscope.model.status import ContainerStatus
from ecscope.model.task import Task, Volume, VolumeKind
from ecscope.model.task_resource import VOLUME, RemovedAt, TaskResource


def wanted(settings: Settings, task: Task) -> tuple[TaskResource, ...]:
    """Volumes of Docker that containers mount. Paths of the host are Docker's to create where they are missing.

    A shared volume that must exist already is looked for first, also where no container mounts it.
    """
    del settings
    resources = (_resource(task, volume) for volume in task.volumes if volume.kind is not VolumeKind.BIND)
    return tuple(resource for resource in resources if resource.needed_by != ())


def refusal(task: Task) -> str:
    """Why a task with these volumes is not managed at all; ``""``: it is."""
    for volume in task.volumes:
        if volume.kind is VolumeKind.TASK and volume.autoprovision:
            return f"volume [{volume.name}] : task scoped volume could not be autoprovisioned"
    return ""


def _resource(task: Task, volume: Volume) -> TaskResource:
    if volume.kind is VolumeKind.SHARED and not volume.autoprovision:
        return TaskResource(
            kind=VOLUME,
            name=volume.name,
            needed_for=ContainerStatus.MANIFEST_PULLED,
            removed_at=RemovedAt.NEVER,
            is_condition=True,
        )
    mounts = {c.name: c.definition.mount_points for c in task.containers}
    return TaskResource(
        kind=VOLUME,
        name=volume.name,
        needed_by=tuple(name for name, points in mounts.items() if any(p.source_volume == volume.name for p in points)),
        removed_at=RemovedAt.CLEANUP if volume.kind is VolumeKind.TASK else RemovedAt.NEVER,
    )
