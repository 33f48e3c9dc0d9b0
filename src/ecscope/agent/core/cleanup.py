"""What happens to a stopped task: it stays listed for a while, then everything of it goes.

Source: engine.md §11.
"""

from __future__ import annotations

import msgspec

from ecscope.agent.core import credentials, images, resources
from ecscope.agent.core.actions import RemoveContainer, SetTimer, Timer, TimerKind
from ecscope.agent.core.events import ContainerRemoved
from ecscope.agent.core.step import Step
from ecscope.model import history
from ecscope.model.arn import DockerId
from ecscope.model.container import Container
from ecscope.model.status import ContainerStatus, TaskStatus
from ecscope.model.task import Task
from ecscope.model.task_resource import RemovedAt

replace = msgspec.structs.replace


def schedule(step: Step, task: Task) -> None:
    """Start the wait, minus the time that has already passed, so that a restart does not begin it again."""
    passed_s = (step.at - task.stopped_at).total_seconds() if task.stopped_at is not None else 0.0
    step.act(
        SetTimer(
            timer=Timer(kind=TimerKind.CLEANUP, task_arn=task.arn),
            delay_s=max(step.settings.cleanup_wait_s - max(passed_s, 0.0), 0.0),
            jitter_s=step.settings.cleanup_jitter_s,
        )
    )


def begin(step: Step, task: Task) -> None:
    """The wait is over."""
    if task.known is TaskStatus.STOPPED and not task.cleanup_due:
        step.put(replace(task, cleanup_due=True))


def advance(step: Step, task: Task) -> None:
    """Containers first, then the task's resources, then the task itself.

    Not before ECS has accepted the last state change, however long that takes. (The official
    agent gives up after 72 hours, and its containers stay.)
    """
    if not step.may_call_runtime:
        return
    resources.remove(step, task, RemovedAt.STOPPED)
    task = step.tasks[task.arn]
    if not task.cleanup_due or task.state_changes or not _remove_containers(step, task):
        return
    if resources.remove(step, step.tasks[task.arn], RemovedAt.STOPPED, RemovedAt.CLEANUP):
        task = step.tasks[task.arn]
        for container in task.containers:
            images.record_use(step, container)
        step.note(history.TaskCleanedUp(), task=task)
        credentials.forget(step, task)
        step.drop(task)


def _remove_containers(step: Step, task: Task) -> bool:
    """True when none is left."""
    done = True
    for container in task.containers:
        if container.removed or not (container.docker_id or container.docker_name):
            continue
        done = False
        if container.in_flight is not None:
            continue
        task = step.put_container(task, replace(container, in_flight=ContainerStatus.STOPPED))
        step.act(
            RemoveContainer(
                task_arn=task.arn,
                container_name=container.name,
                # a create that timed out may have left a container whose ID never came
                docker_id=container.docker_id or DockerId(container.docker_name),
            )
        )
    return done


def container_removed(step: Step, task: Task, container: Container, event: ContainerRemoved) -> None:
    """A failure is remembered and otherwise ignored; only an absent runtime is asked again."""
    container = replace(container, in_flight=None, cancelling=False, removed=not event.is_unreachable)
    task = step.put_container(task, container)
    if event.error is not None and not event.is_unreachable:
        step.note(history.CleanupFailed(what="the container", error=str(event.error)), task=task, container=container)
