"""A task is handed over: accepted, refused, or known already.

Source: engine.md §2.
"""

from __future__ import annotations

import msgspec

from ecscope.agent.core import dependencies, host_resources, pauses, resources, tasks, volumes
from ecscope.agent.core.step import Step
from ecscope.model import history
from ecscope.model.status import ContainerStatus, TaskStatus
from ecscope.model.task import HostResourcesHeld, Task

replace = msgspec.structs.replace


def take(step: Step, task: Task, *, requested_by: str) -> None:
    """A known ARN only moves its desired status forward; an unknown one is taken in."""
    known = step.tasks.get(task.arn)
    if known is not None:
        if task.desired is TaskStatus.STOPPED:
            request_stop(step, known, requested_by)
        else:
            step.note(history.NoChange(why="the task is known already"), task=known)
        return
    refusal = _refusal(task)
    if refusal:
        refuse(step, task, refusal, requested_by=requested_by)
        return
    task = replace(
        task,
        containers=tuple(
            replace(c, definition=dependencies.with_implied_dependencies(c.definition)) for c in task.containers
        ),
    )
    if not task.unsupported:
        task = pauses.with_pauses(task)
    task = replace(task, needs=host_resources.needs_of(task), resources=resources.wanted(step, task))
    task = step.put(task)
    step.note(history.TaskAccepted(requested_by=requested_by, family=task.family, version=task.version), task=task)
    if task.unsupported:
        _stop_at_once(step, task, f"ecscope cannot run this task: {task.unsupported}")
        return
    if not dependencies.can_be_resolved(task.containers):
        _stop_at_once(step, task, f"Task dependencies cannot be resolved, taskArn: {task.arn}")
        return
    if task.desired is TaskStatus.STOPPED:
        return
    if task.launch_type == "FARGATE":
        step.put(replace(task, host_resources=HostResourcesHeld.HELD))  # of nothing; it does not queue
        return
    step.waiting = (*step.waiting, task.arn)
    host_resources.serve_queue(step)


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
    return volumes.refusal(task)


def refuse(step: Step, task: Task, reason: str, *, requested_by: str) -> None:
    """Never manage it. It is reported to ECS and shown nowhere. Source: engine.md §2, "Seen running" 4."""
    step.note(history.TaskRefused(reason=reason, requested_by=requested_by), task=task)
    if not step.settings.joins_cluster:
        return
    step.put(
        replace(
            task,
            containers=(),
            volumes=(),
            known=TaskStatus.STOPPED,
            desired=TaskStatus.STOPPED,
            host_resources=HostResourcesHeld.RELEASED,
            stopped_at=step.at,
            terminal_reason=reason,
            is_refused=True,
        )
    )


def _stop_at_once(step: Step, task: Task, reason: str) -> None:
    """Listed as STOPPED, with the reason; none of its containers or resources is ever created."""
    task = replace(
        task,
        terminal_reason=reason,
        host_resources=HostResourcesHeld.RELEASED,
        containers=tuple(replace(c, desired=ContainerStatus.STOPPED) for c in task.containers),
    )
    step.put(task)
    tasks.stop(step, task, reason)


def request_stop(step: Step, task: Task, requested_by: str) -> None:
    """Move the desired status to STOPPED, and remember who asked first."""
    if task.desired is TaskStatus.STOPPED or task.known is TaskStatus.STOPPED:
        if task.desired is not TaskStatus.STOPPED:
            # a task whose containers all ended by themselves still wants RUNNING; official agents report that
            step.put(replace(task, desired=TaskStatus.STOPPED, stop_requested_by=requested_by))
        step.note(history.NoChange(why=f"{requested_by} asks for a stop that is under way or done"), task=task)
        return
    task = step.put(replace(task, stop_requested_by=requested_by))
    step.note(history.TaskStopRequested(requested_by=requested_by), task=task)
    tasks.stop(step, task, f"requested by {requested_by}")
