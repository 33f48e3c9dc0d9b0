"""The state a process starts with, from what the last one saved; and which parts a restart invalidates.

Derived values (sums, queue, index) are computed again, so that a saved error in them does not persist.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from ecscope.agent.core.state import AgentState, Settings
from ecscope.model.arn import DockerId, TaskArn
from ecscope.model.attachment import Attachment
from ecscope.model.container_instance import ContainerInstance, Obstacle
from ecscope.model.resources import HostResources
from ecscope.model.status import TaskStatus
from ecscope.model.task import HostResourcesHeld, ImageRecord, Task, TaskSource
from ecscope.model.task_resource import ResourceStatus, TaskResource

replace = msgspec.structs.replace


def without_calls_under_way(task: Task) -> Task:
    """What a restart leaves of a saved task: no call of the old process is under way, its memory is gone.

    The calls are decided again. What was made in memory only is to be made again, where it is still needed.
    """
    return replace(
        task,
        containers=tuple(replace(c, in_flight=None, cancelling=False) for c in task.containers),
        resources=tuple(replace(r, in_flight=False, status=_status_left(task, r)) for r in task.resources),
    )


def _status_left(task: Task, resource: TaskResource) -> ResourceStatus:
    """What is lost counts only where a container has yet to come to the step that needs it.

    Else it is not missed: a task that runs must not fail because it could not be made once more.
    """
    if not resource.is_lost_by_restart or not resource.is_created:
        return resource.status
    is_missed = any(resource.is_needed_by(c.name) and c.known < resource.needed_for for c in task.containers)
    return ResourceStatus.NONE if is_missed else resource.status


def restored_state(
    *,
    instance: ContainerInstance,
    settings: Settings,
    tasks: Iterable[Task] = (),
    images: Iterable[ImageRecord] = (),
    sources: Iterable[TaskSource] = (),
    lost_task_arns: Iterable[str] = (),
    obstacle: Obstacle | None = None,
    manifest_sequence: int = -1,
    attachments: Mapping[str, Attachment] | None = None,
) -> AgentState:
    """Tasks past the queue hold their host resources again without queueing. Source: engine.md §13.

    State changes that ECS has not accepted are submitted again. ``obstacle`` ``None``: the instance
    is registered, or the agent joins no cluster.
    """
    taken = HostResources()
    waiting: list[TaskArn] = []
    by_arn: dict[TaskArn, Task] = {}
    docker_ids: dict[DockerId, tuple[TaskArn, str]] = {}
    by_key = {source.key: source for source in sources}
    lost: dict[str, TaskSource] = {}
    for task in map(without_calls_under_way, tasks):
        by_arn[task.arn] = task
        if task.source is not None and not task.stop_requested_by and task.source.key not in by_key:
            lost[task.source.key] = task.source  # without its record the file would start a second task
        if task.host_resources is HostResourcesHeld.HELD:
            taken = taken.plus(task.needs)
        elif task.host_resources is HostResourcesHeld.WAITING and task.known is not TaskStatus.STOPPED:
            waiting.append(task.arn)
        for container in task.containers:
            if container.docker_id:
                docker_ids[container.docker_id] = (task.arn, container.name)
    return AgentState(
        instance=instance,
        settings=settings,
        tasks=by_arn,
        waiting=tuple(waiting),
        taken=taken,
        docker_ids=docker_ids,
        images={record.name: replace(record, removing=False) for record in images},
        sources={**lost, **by_key},
        lost_task_arns=frozenset(lost_task_arns),
        obstacle=obstacle,
        manifest_sequence=manifest_sequence,
        attachments=attachments or {},
        report_queue=tuple(arn for arn, task in by_arn.items() if task.state_changes),
    )
