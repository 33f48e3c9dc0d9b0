"""The rules of a task, run to a fixed point after every change.

Container statuses → task status → what each container does next. The rules: the end of an essential
container stops the task, desired statuses follow, dependents stop first; and which call of the runtime
leads to each next status.

Source: engine.md §1.4, §2.1, §3.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from ecscope.agent.core import (
    cleanup,
    containers,
    credentials,
    dependencies,
    host_resources,
    images,
    pauses,
    reporting,
    resources,
    waiting,
)
from ecscope.agent.core.actions import (
    CancelCall,
    CancelTimer,
    CreateContainer,
    InspectImage,
    PullImage,
    ResolveManifest,
    SetTimer,
    StartContainer,
    Timer,
    TimerKind,
)
from ecscope.agent.core.step import Step
from ecscope.model import history
from ecscope.model.container import Container
from ecscope.model.names import container_docker_name
from ecscope.model.status import ContainerStatus, TaskStatus
from ecscope.model.task import HostResourcesHeld, Task

replace = msgspec.structs.replace

NO_PROGRESS = "TaskStateError: Agent could not progress task's state to stopped"
"""Reason of a task that is to stop and has nothing that could. Source: engine.md §2.1."""


def advance(step: Step, task: Task) -> None:
    """Run all rules over one task. Changes put the task back on the list, so it ends at a fixed point."""
    task = _note_execution_stop(step, task)
    task = reporting.gather(step, task)
    if task.known is TaskStatus.STOPPED:
        cleanup.advance(step, _follow_desired(step, task))
        return
    task = _follow_resources(step, task)
    task = _follow_essential(step, task)
    task = _follow_agents_own(step, task)
    task = _follow_desired(step, task)
    if _may_go_forward(step, task):
        task = resources.provide(step, task)
    if _fail_dependents(step, task):
        return  # what their end means for the task comes before any further step
    for container in task.containers:
        task = _next_move(step, task, container.name)
    _update_known(step, task)


def _note_execution_stop(step: Step, task: Task) -> Task:
    """Before it is reported, and for a container that never ran, too: its task may be STOPPED at once."""
    if task.execution_stopped_at is None and any(c.is_stopped for c in task.containers if c.is_essential):
        return step.put(replace(task, execution_stopped_at=step.at))
    return task


def _follow_resources(step: Step, task: Task) -> Task:
    """A resource that cannot be made stops the task, and is its reason. Source: engine.md §3.2."""
    reason = resources.failure(task)
    if not reason:
        return task
    if not task.terminal_reason:
        task = step.put(replace(task, terminal_reason=reason))
    if resources.is_refusal(task) and not task.is_refused:
        step.note(history.TaskRefused(reason=reason, requested_by="the agent"), task=task)
        task = step.put(replace(task, is_refused=True, containers=(), cleanup_due=True))
    return stop(step, task, reason)


def _follow_essential(step: Step, task: Task) -> Task:
    """An essential container that has stopped, or is to stop, stops the task: exit code 0 too."""
    essential = [c for c in task.containers if c.is_essential]
    if task.desired is TaskStatus.STOPPED:
        return task
    for container in essential:
        if container.is_stopped or container.desired is ContainerStatus.STOPPED:
            return stop(step, task, f"essential container {container.name} {_ending(container)}")
    return task


def _follow_agents_own(step: Step, task: Task) -> Task:
    """The user's containers cannot run without the containers that the agent added for them."""
    for container in task.containers:
        is_lost = container.is_stopped or container.desired is ContainerStatus.STOPPED
        is_cause = is_lost and task.desired is not TaskStatus.STOPPED
        if container.is_agents_own and (is_cause or pauses.has_died(container)):
            if not task.terminal_reason:
                task = step.put(replace(task, terminal_reason=pauses.reason_of_end(container)))
            return stop(step, task, f"container {container.name}, which the agent added, {_ending(container)}")
    return task


def _ending(container: Container) -> str:
    if container.is_stopped and container.exit_code is not None:
        return f"exited with {container.exit_code}"
    if container.is_stopped:
        return "has stopped"
    return "is to stop"


def stop(step: Step, task: Task, why: str) -> Task:
    """Desired STOPPED, which is final."""
    if task.desired is TaskStatus.STOPPED:
        return task
    task = step.put(replace(task, desired=TaskStatus.STOPPED))
    step.note(history.TaskDesiredStatusChanged(to=TaskStatus.STOPPED, why=why), task=task)
    return task


def _follow_desired(step: Step, task: Task) -> Task:
    if task.desired is not TaskStatus.STOPPED:
        return task
    if all(c.desired is ContainerStatus.STOPPED for c in task.containers):
        return task
    return step.put(
        replace(
            task,
            containers=tuple(
                c if c.desired is ContainerStatus.STOPPED else replace(c, desired=ContainerStatus.STOPPED)
                for c in task.containers
            ),
        )
    )


def _may_go_forward(step: Step, task: Task) -> bool:
    return (
        step.may_call_runtime and task.desired is TaskStatus.RUNNING and task.host_resources is HostResourcesHeld.HELD
    )


def _fail_dependents(step: Step, task: Task) -> bool:
    """Stop containers whose dependencies cannot be met any more, judged by the statuses before any container moves.

    Source: engine.md §5.1.
    """
    after = task
    check_again_at: datetime | None = None
    for container in task.containers:
        if container.desired is ContainerStatus.STOPPED or not _may_take_step(step, task, container):
            continue
        match _verdict(step, task, container):
            case dependencies.Failed(reason=reason):
                after = containers.fail_dependency(step, after, container, reason)
            case dependencies.Blocked(check_again_at=at) if at is not None:
                check_again_at = min(check_again_at or at, at)
            case _:
                pass
    if after is not task:
        return True
    if check_again_at is not None:
        wait_s = (check_again_at - step.at).total_seconds()
        timer = Timer(kind=TimerKind.DEPENDENCY_CHECK, task_arn=task.arn)
        step.act(SetTimer(timer=timer, delay_s=wait_s + 0.01))
    return False


def _verdict(
    step: Step, task: Task, container: Container
) -> dependencies.Met | dependencies.Blocked | dependencies.Failed:
    return dependencies.may_go_on(
        task, container, now=step.at, pull_dependents_upfront=step.settings.pull_dependents_upfront
    )


def _may_take_step(step: Step, task: Task, container: Container) -> bool:
    if container.is_stopped or container.is_steady or container.in_flight is not None:
        return False
    return _may_go_forward(step, task)


def _next_move(step: Step, task: Task, name: str) -> Task:
    container = task.container(name)
    if container is None or container.is_stopped:
        return task
    if container.desired is ContainerStatus.STOPPED:
        return _move_to_stop(step, task, container)
    if container.is_steady or waiting.of_container(step, task, container) is not None:
        return task
    return _move_forward(step, task, container)


def _move_to_stop(step: Step, task: Task, container: Container) -> Task:
    if container.in_flight is not None:
        pulling = container.in_flight in (ContainerStatus.MANIFEST_PULLED, ContainerStatus.PULLED)
        if pulling and not container.cancelling:
            task = step.put_container(task, replace(container, cancelling=True))
            step.act(CancelCall(task_arn=task.arn, container_name=container.name))
        return task
    if waiting.of_container(step, task, container) is not None:
        return task
    if container.is_running or container.may_be_running:
        return containers.stop(step, task, container)
    return containers.stop_without_call(step, task, container, "not started, and not wanted any more")


def _move_forward(step: Step, task: Task, container: Container) -> Task:
    match container.known:
        case ContainerStatus.NONE:
            return _to_manifest_pulled(step, task, container)
        case ContainerStatus.MANIFEST_PULLED:
            return _to_pulled(step, task, container)
        case ContainerStatus.PULLED:
            return _to_created(step, task, container)
        case ContainerStatus.CREATED:
            return _to_running(step, task, container)
        case _:
            return containers.advance_to(
                step, task, container, ContainerStatus.RESOURCES_PROVISIONED, "what it is there for is set up"
            )


def _to_manifest_pulled(step: Step, task: Task, container: Container) -> Task:
    image = container.definition.image
    if container.is_agents_own:
        return containers.advance_to(step, task, container, ContainerStatus.MANIFEST_PULLED, "an image of the agent's")
    digest = images.digest_in(image)
    if images.prefers_local(step, image) and not container.digest_checked:
        task = _begin(step, task, container, ContainerStatus.MANIFEST_PULLED)
        local = images.local_name(step.settings, image)
        step.act(InspectImage(task_arn=task.arn, container_name=container.name, image=local))
        return task
    if digest or container.use_local_image:
        container = replace(container, image_digest=container.image_digest or digest)
        return containers.advance_to(step, task, container, ContainerStatus.MANIFEST_PULLED, "digest is known")
    task = _begin(step, task, container, ContainerStatus.MANIFEST_PULLED)
    step.act(ResolveManifest(task_arn=task.arn, container_name=container.name, image=image))
    return task


def _to_pulled(step: Step, task: Task, container: Container) -> Task:
    if container.use_local_image or container.is_agents_own:
        return containers.advance_to(step, task, container, ContainerStatus.PULLED, "local image is used")
    if task.pull_started_at is None:
        task = step.put(replace(task, pull_started_at=step.at))
    task = _begin(step, task, container, ContainerStatus.PULLED)
    image = container.definition.image
    step.note(history.ImagePullStarted(image=image), task=task, container=container)
    step.act(PullImage(task_arn=task.arn, container_name=container.name, image=image, digest=container.image_digest))
    return task


def _to_created(step: Step, task: Task, container: Container) -> Task:
    """The Docker name is saved before the call, so that a crash in between can be made good."""
    name = container.docker_name or container_docker_name(
        family=task.family, version=task.version, container_name=container.name, suffix=container.name_suffix
    )
    container = replace(container, docker_name=name)
    task = _begin(step, task, container, ContainerStatus.CREATED)
    step.act(CreateContainer(task_arn=task.arn, container_name=container.name))
    return task


def _to_running(step: Step, task: Task, container: Container) -> Task:
    task = _begin(step, task, container, ContainerStatus.RUNNING)
    step.act(StartContainer(task_arn=task.arn, container_name=container.name, docker_id=container.docker_id))
    return task


def _begin(step: Step, task: Task, container: Container, status: ContainerStatus) -> Task:
    return step.put_container(task, replace(container, in_flight=status))


def _update_known(step: Step, task: Task) -> None:
    """The least advanced container decides; a known status only goes forward."""
    if not task.containers:
        if task.desired is not TaskStatus.STOPPED:
            return
        known = TaskStatus.STOPPED
        task = replace(task, terminal_reason=task.terminal_reason or NO_PROGRESS)
    else:
        known = min(container.task_status for container in task.containers)
        essential_stopped = any(c.is_essential and c.is_stopped for c in task.containers)
        if known is TaskStatus.RUNNING and essential_stopped:
            return
    if known <= task.known:
        return
    before = task.known
    task = step.put(replace(task, known=known, stopped_at=step.at if known is TaskStatus.STOPPED else task.stopped_at))
    step.note(
        history.TaskStatusChanged(before=before, to=known, desired=task.desired, reason=task.terminal_reason), task=task
    )
    if known is TaskStatus.RUNNING:
        schedule_steady_check(step, task)
    if known is TaskStatus.STOPPED:
        task = host_resources.release(step, task)
        credentials.forget_task_role(step, task)
        for kind in (TimerKind.STEADY_CHECK, TimerKind.DEPENDENCY_CHECK):
            step.act(CancelTimer(timer=Timer(kind=kind, task_arn=task.arn)))
        cleanup.schedule(step, task)


def schedule_steady_check(step: Step, task: Task) -> None:
    """Look at a quiet task from time to time. Source: engine.md §2.1."""
    step.act(
        SetTimer(
            timer=Timer(kind=TimerKind.STEADY_CHECK, task_arn=task.arn),
            delay_s=step.settings.steady_check_s,
            jitter_s=step.settings.steady_check_jitter_s,
        )
    )


def check_steady(step: Step, task: Task) -> None:
    """The regular look at all containers of a task."""
    if task.known is TaskStatus.STOPPED:
        return
    if step.may_call_runtime:
        for container in task.containers:
            if container.docker_id and not container.is_stopped:
                step.look_at(container.docker_id, seen=None)
    schedule_steady_check(step, task)
