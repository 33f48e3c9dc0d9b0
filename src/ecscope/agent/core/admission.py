"""A task is handed over: accepted, refused, or known already.

Source: engine.md §2.
"""

from __future__ import annotations

import msgspec

from ecscope.agent.core import cgroups, dependencies, host_resources, tasks
from ecscope.agent.core.events import TaskReceived, TaskSourceGone, TaskStopRequested
from ecscope.agent.core.step import Step
from ecscope.model.history import Happening
from ecscope.model.status import ContainerStatus, TaskStatus
from ecscope.model.task import HostResourcesHeld, Task, VolumeKind

replace = msgspec.structs.replace


def receive(step: Step, event: TaskReceived) -> None:
    """A known ARN only moves its desired status forward; an unknown one is taken in."""
    if event.source is not None:
        step.put_source(event.source)
    known = step.tasks.get(event.task.arn)
    if known is not None:
        if event.task.desired is TaskStatus.STOPPED:
            request_stop(step, known, event.requested_by)
        else:
            step.note(Happening.NO_CHANGE, "the task is known already", task=known)
        return
    refusal = _refusal(event.task)
    if refusal:
        step.note(Happening.TASK_REFUSED, refusal, task=event.task, detail={"requestedBy": event.requested_by})
        return
    task = replace(
        event.task,
        containers=tuple(
            replace(c, definition=dependencies.with_implied_dependencies(c.definition)) for c in event.task.containers
        ),
    )
    task = replace(task, needs=host_resources.needs_of(task), cgroup=cgroups.wanted(step, task), source=event.source)
    task = step.put(task)
    step.note(
        Happening.TASK_ACCEPTED,
        f"{task.family}:{task.version} from {event.requested_by}",
        task=task,
        detail={"requestedBy": event.requested_by, "family": task.family, "version": task.version},
    )
    if not dependencies.can_be_resolved(task.containers):
        _stop_unresolvable(step, task)
        return
    if task.desired is TaskStatus.STOPPED:
        return
    if task.launch_type == "FARGATE":
        step.put(replace(task, host_resources=HostResourcesHeld.HELD))  # of nothing; it does not queue
        return
    step.waiting = (*step.waiting, task.arn)
    host_resources.serve_queue(step)
    host_resources.note_wait(step, task)


def _refusal(task: Task) -> str:
    """Why the task cannot be managed at all; ``""``: it can. Source: engine.md §2, step 2."""
    if task.memory_mib > 0:
        for container in task.containers:
            if container.definition.memory_mib > task.memory_mib:
                return (
                    f"ResourceInitializationError: resource cannot be initialized for task {task.arn}: "
                    "task memory spec builder: container memory "
                    f"limit({container.definition.memory_mib}) greater than task memory limit({task.memory_mib})"
                )
    for volume in task.volumes:
        if volume.kind is VolumeKind.TASK and volume.autoprovision:
            return f"volume [{volume.name}] : task scoped volume could not be autoprovisioned"
    return ""


def _stop_unresolvable(step: Step, task: Task) -> None:
    """Listed as STOPPED, with the reason; nothing of it is ever created."""
    reason = f"Task dependencies cannot be resolved, taskArn: {task.arn}"
    task = replace(
        task,
        terminal_reason=reason,
        host_resources=HostResourcesHeld.RELEASED,
        containers=tuple(replace(c, desired=ContainerStatus.STOPPED) for c in task.containers),
    )
    step.put(task)
    tasks.stop(step, task, reason)


def stop_requested(step: Step, event: TaskStopRequested) -> None:
    """Somebody wants a task stopped."""
    task = step.tasks.get(event.task_arn)
    if task is None:
        step.note(
            Happening.NO_CHANGE, "stop requested for a task that is not known", detail={"taskARN": event.task_arn}
        )
        return
    request_stop(step, task, event.requested_by)


def source_gone(step: Step, event: TaskSourceGone) -> None:
    """A task file is gone: its task stops, and the file's record with it."""
    source = step.sources.get(event.key)
    if source is None:
        step.note(Happening.NO_CHANGE, f"no record of task file {event.key}")
        return
    step.drop_source(event.key)
    task = step.tasks.get(source.task_arn)
    if task is not None:
        request_stop(step, task, f"removal of task file {event.key}")


def request_stop(step: Step, task: Task, requested_by: str) -> None:
    """Move the desired status to STOPPED, and remember who asked first."""
    if task.desired is TaskStatus.STOPPED or task.known is TaskStatus.STOPPED:
        if task.desired is not TaskStatus.STOPPED:
            # a task whose containers all ended by themselves still wants RUNNING; official agents report that
            step.put(replace(task, desired=TaskStatus.STOPPED, stop_requested_by=requested_by))
        step.note(Happening.NO_CHANGE, f"{requested_by} asks for a stop that is under way or done", task=task)
        return
    task = step.put(replace(task, stop_requested_by=requested_by))
    step.note(
        Happening.TASK_STOP_REQUESTED,
        f"stop requested by {requested_by}",
        task=task,
        detail={"requestedBy": requested_by},
    )
    tasks.stop(step, task, f"requested by {requested_by}")
