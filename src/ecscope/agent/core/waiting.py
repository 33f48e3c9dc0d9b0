"""Why a task or a container does not take its next step: one obstacle, by name.

The rules of ``tasks`` go by the same function, so that nothing waits for a reason that cannot be read. The obstacle is
kept in the record with the moment since when, and noted when it changes; what is noted elsewhere (calls) or follows
from what another record says (a task waits for its containers, a container with its task) is kept only.

Source: engine.md §2.1, §2.2, §4.3, §5.
"""

from __future__ import annotations

import msgspec

from ecscope.agent.core import credentials, dependencies, host_resources, images, pauses, resources
from ecscope.agent.core.step import Step
from ecscope.model import history
from ecscope.model.arn import TaskArn
from ecscope.model.container import Container
from ecscope.model.status import ContainerStatus, TaskStatus
from ecscope.model.task import HostResourcesHeld, Task
from ecscope.model.waiting import Waiting, WaitingReason

replace = msgspec.structs.replace

_NEXT = {
    ContainerStatus.NONE: ContainerStatus.MANIFEST_PULLED,
    ContainerStatus.MANIFEST_PULLED: ContainerStatus.PULLED,
    ContainerStatus.PULLED: ContainerStatus.CREATED,
    ContainerStatus.CREATED: ContainerStatus.RUNNING,
    ContainerStatus.RUNNING: ContainerStatus.RESOURCES_PROVISIONED,
}
"""The step that follows each status on the way to the steady one."""

_KEPT_ONLY = (WaitingReason.CALL, WaitingReason.TASK, WaitingReason.CONTAINERS)


def of_container(step: Step, task: Task, container: Container) -> Waiting | None:
    """What keeps a container from its next step; ``None``: nothing, or no step is left."""
    if container.is_stopped:
        return None
    if container.in_flight is not None:
        return _on(step, WaitingReason.CALL, container.in_flight.value)
    if container.desired is ContainerStatus.STOPPED:
        return _of_stop(step, task, container)
    if container.is_steady:
        return None
    if task.host_resources is not HostResourcesHeld.HELD:
        return _on(step, WaitingReason.TASK)
    if not step.may_call_runtime:
        return _on(step, WaitingReason.DOCKER)
    if (pause := pauses.awaited(task, container)) is not None:
        return _on(step, WaitingReason.DEPENDENCY, f"{pause.name} {pause.kind.steady_status.value}")
    verdict = dependencies.may_go_on(
        task, container, now=step.at, pull_dependents_upfront=step.settings.pull_dependents_upfront
    )
    match verdict:
        case dependencies.Blocked(dependency=dependency):
            return _on(step, WaitingReason.DEPENDENCY, f"{dependency.container_name} {dependency.condition.value}")
        case dependencies.Failed(reason=reason):
            return _on(step, WaitingReason.DEPENDENCY, reason)  # until the rules have ended it
        case _:
            return _of_means(step, task, container)


def _of_stop(step: Step, task: Task, container: Container) -> Waiting | None:
    if container.is_running or container.may_be_running:
        if not step.may_call_runtime:
            return _on(step, WaitingReason.DOCKER)
        dependents = dependencies.unstopped_dependents(task, container)
        return _on(step, WaitingReason.DEPENDENTS, ", ".join(dependents)) if dependents else None
    if container.docker_name and not step.reconciled:
        return _on(step, WaitingReason.DOCKER)  # a create or a start may have succeeded unseen: wait for the listing
    return None


def _of_means(step: Step, task: Task, container: Container) -> Waiting | None:
    """What the step itself takes: the image, resources of the task, credentials."""
    image = container.definition.image
    if container.known < ContainerStatus.PULLED and images.is_being_removed(step, image):
        return _on(step, WaitingReason.IMAGE_REMOVAL, image)
    if (resource := resources.awaited(task, container, _NEXT[container.known])) is not None:
        return _on(step, WaitingReason.RESOURCE, f"{resource.kind} {resource.name}")
    if _asks_registry(step, container) and credentials.are_awaited(step, task, container):
        return _on(step, WaitingReason.CREDENTIALS)
    return None


def _asks_registry(step: Step, container: Container) -> bool:
    """The next step is a call to the image's registry."""
    if container.is_agents_own or container.use_local_image:
        return False
    image = container.definition.image
    if container.known is ContainerStatus.NONE:
        looks_first = images.prefers_local(step, image) and not container.digest_checked
        return not looks_first and not images.digest_in(image)
    return container.known is ContainerStatus.MANIFEST_PULLED


def of_task(step: Step, task: Task) -> Waiting | None:
    """What keeps a task from the status that it is to have; ``None``: nothing, it has it."""
    if task.known >= task.desired:
        return None
    if task.desired is TaskStatus.RUNNING:
        if task.host_resources is HostResourcesHeld.WAITING:
            return _of_queue(step, task)
        if not step.may_call_runtime:
            return _on(step, WaitingReason.DOCKER)
        late = [c.name for c in task.containers if not c.is_stopped and not c.is_steady]
    else:
        late = [c.name for c in task.containers if not c.is_stopped]
    return _on(step, WaitingReason.CONTAINERS, ", ".join(late))


def _of_queue(step: Step, task: Task) -> Waiting:
    if not step.runtime_connected:
        return _on(step, WaitingReason.DOCKER)
    if lack := host_resources.shortage(task.needs, host=step.host, taken=step.taken):
        return _on(step, WaitingReason.HOST_RESOURCES, lack)
    return _on(step, WaitingReason.QUEUE, step.waiting[0] if step.waiting else "")


def _on(step: Step, reason: WaitingReason, on: str = "") -> Waiting:
    return Waiting(reason=reason, on=on, since=step.at)


def record(step: Step) -> None:
    """Keep what each task and container waits for now that all rules have run, and note what is new."""
    for arn in _whose_obstacles_may_differ(step):
        task = step.tasks.get(arn)
        if task is None:
            continue
        kept = _since_when(task.waiting, of_task(step, task))
        obstacles = [_since_when(c.waiting, of_container(step, task, c)) for c in task.containers]
        if kept is task.waiting and all(o is c.waiting for o, c in zip(obstacles, task.containers, strict=True)):
            continue
        pairs = zip(task.containers, obstacles, strict=True)
        after = replace(
            task,
            waiting=kept,
            containers=tuple(c if o is c.waiting else replace(c, waiting=o) for c, o in pairs),
        )
        step.put_settled(after)
        if kept is not task.waiting:
            _note_task(step, after)
        for before, container in zip(task.containers, after.containers, strict=True):
            if container is not before:
                _note_container(step, after, container)


def _whose_obstacles_may_differ(step: Step) -> list[TaskArn]:
    """Tasks that changed; all, where something changed that many wait for."""
    may_have_called = step.before.runtime_connected and step.before.reconciled
    if (
        not step.may_call_runtime
        or not may_have_called
        or step.credentials.changed
        or step.images is not step.before.images
    ):
        return list(step.tasks)
    changed = dict.fromkeys(step.changed_tasks)
    is_queue_moved = step.waiting is not step.before.waiting or step.taken is not step.before.taken
    return list(changed | dict.fromkeys(step.waiting)) if is_queue_moved else list(changed)


def _since_when(before: Waiting | None, now: Waiting | None) -> Waiting | None:
    """The same obstacle as before is in the way for as long as it was."""
    if before is not None and now is not None and (before.reason, before.on) == (now.reason, now.on):
        return before
    return now


def _note_task(step: Step, task: Task) -> None:
    waiting = task.waiting
    if waiting is None or waiting.reason in _KEPT_ONLY or task.arn not in step.waiting:
        return
    position = step.waiting.index(task.arn) + 1
    step.note(history.TaskWaitsForHostResources(why=waiting.sentence, queue_position=position), task=task)


def _note_container(step: Step, task: Task, container: Container) -> None:
    waiting = container.waiting
    if waiting is None or waiting.reason in _KEPT_ONLY:
        return
    if waiting.reason is WaitingReason.DEPENDENCY:
        step.note(history.ContainerWaitsForDependency(depends_on=waiting.on), task=task, container=container)
        return
    step.note(history.ContainerWaits(reason=waiting.reason, on=waiting.on), task=task, container=container)
