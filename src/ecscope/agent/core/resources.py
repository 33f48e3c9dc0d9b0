"""The life of a task's resources, of any kind: created before containers that need them, removed after them.

Which resources a task has is determined when it is accepted, by the rules of each kind (``cgroups``, ``volumes``).
How one is made is its provider's business (``agent/executors/resources``).

Source: engine.md §3.2, §5.3, §11.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

import msgspec

from ecscope.agent.core import cgroups, credentials, log_streams, pauses, task_secrets, volumes
from ecscope.agent.core.actions import CreateResource, RemoveResource
from ecscope.agent.core.events import ResourceCreated, ResourceCreateFailed, ResourceRemoved
from ecscope.agent.core.state import Settings
from ecscope.agent.core.step import Step
from ecscope.model import history
from ecscope.model.container import Container
from ecscope.model.status import ContainerStatus
from ecscope.model.task import Task
from ecscope.model.task_resource import RemovedAt, ResourceStatus, TaskResource

replace = msgspec.structs.replace

_RULES: tuple[Callable[[Settings, Task], tuple[TaskResource, ...]], ...] = (
    cgroups.wanted,
    volumes.wanted,
    pauses.wanted,
    task_secrets.wanted,
    log_streams.wanted,
)
"""What a task needs, kind by kind."""


def wanted(step: Step, task: Task) -> tuple[TaskResource, ...]:
    """All resources of a task that was just accepted."""
    return tuple(resource for rule in _RULES for resource in rule(step.settings, task))


def awaited(task: Task, container: Container, status: ContainerStatus) -> TaskResource | None:
    """A resource that the container has to wait for before ``status``; ``None``: none."""
    return next((r for r in task.resources if r.is_awaited_by(container.name, status)), None)


def provide(step: Step, task: Task) -> Task:
    """Ask for each resource that is not made yet and may be made now."""
    for resource in task.resources:
        if resource.status is not ResourceStatus.NONE or resource.in_flight or not _may_be_made(step, task, resource):
            continue
        task = _put(step, task, replace(resource, in_flight=True))
        step.act(CreateResource(task_arn=task.arn, kind=resource.kind, name=resource.name))
    return task


def failure(task: Task) -> str:
    """Why a resource could not be made, which stops the task; ``""``: none has failed."""
    return next((r.error for r in task.resources if r.error), "")


def is_refusal(task: Task) -> bool:
    """A precondition of the task is not met: it is reported to ECS only, as if it had not been accepted.

    Source: engine.md "Seen running" 4.
    """
    return any(r.error for r in task.resources if r.is_condition)


def remove(step: Step, task: Task, *moments: RemovedAt) -> bool:
    """Ask for the removal of what is removed at these moments; true when all of it is removed.

    One that is not known to be made may be there all the same: its answer was late or lost.
    """
    done = True
    for resource in task.resources:
        if resource.removed_at not in moments or resource.status is ResourceStatus.REMOVED:
            continue
        done = False
        if resource.in_flight:
            continue
        task = _put(step, task, replace(resource, in_flight=True))
        step.act(RemoveResource(task_arn=task.arn, kind=resource.kind, name=resource.name))
    return done


def take(step: Step, event: ResourceCreated | ResourceCreateFailed | ResourceRemoved) -> None:
    """The end of a call. That a failure stops the task is one of the rules in ``tasks``."""
    task = step.tasks.get(event.task_arn)
    resource = task.resource(event.kind, event.name) if task is not None else None
    if task is None or resource is None:
        step.note(history.NoChange(why=f"{event.kind} {event.name} of {event.task_arn} is not known (any more)"))
        return
    if resource.status is ResourceStatus.REMOVED:
        step.note(history.NoChange(why=f"{event.kind} {event.name} is removed already"), task=task)
        return
    resource = replace(resource, in_flight=False)
    match event:
        case ResourceCreated():
            task = _put(step, task, replace(resource, status=ResourceStatus.CREATED))
            step.note(history.TaskResourceCreated(resource=resource.kind, name=resource.name), task=task)
        case ResourceCreateFailed(is_unreachable=True):
            _put(step, task, resource)
        case ResourceCreateFailed():
            reason = event.error.message[:1].upper() + event.error.message[1:]
            task = _put(step, task, replace(resource, error=resource.failure_reason or reason))
            step.note(history.TaskResourceFailed(resource=resource.kind, name=resource.name, reason=reason), task=task)
        case ResourceRemoved(is_unreachable=True):
            _put(step, task, resource)
        case ResourceRemoved():
            task = _put(step, task, replace(resource, status=ResourceStatus.REMOVED))
            if event.error is not None:  # kept in the history only
                what = f"{resource.kind} {resource.name}"
                step.note(history.CleanupFailed(what=what, error=str(event.error)), task=task)
        case _:
            assert_never(event)


def _may_be_made(step: Step, task: Task, resource: TaskResource) -> bool:
    if resource.needs_execution_role and credentials.of_execution_are_awaited(step, task):
        return False
    if resource.made_after is None:
        return True
    container = task.container(resource.made_after.container_name)
    return container is not None and not container.is_stopped and container.known >= resource.made_after.status


def _put(step: Step, task: Task, resource: TaskResource) -> Task:
    key = (resource.kind, resource.name)
    return step.put(replace(task, resources=tuple(resource if (r.kind, r.name) == key else r for r in task.resources)))
