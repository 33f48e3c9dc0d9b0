"""What one container is known to be: facts go in here, and only here.

A fact (a call's result, an inspection, a notice) moves a container's known status forward or
leaves it. What follows from that for the task is ``tasks``' business.

Source: engine.md §3.2, §10, §12.
"""

from __future__ import annotations

import msgspec

from ecscope.agent.core import restarts
from ecscope.agent.core.actions import StartContainer, StopContainer
from ecscope.agent.core.events import FailureEvent
from ecscope.agent.core.step import Step
from ecscope.model import history
from ecscope.model.container import Container, ContainerInspection, ContainerNetwork, NamedError
from ecscope.model.docker_time import parse_docker_time
from ecscope.model.status import ContainerStatus
from ecscope.model.task import Task

replace = msgspec.structs.replace

DEPENDENCY_FAILURE_EXIT_CODE = 143
"""Synthetic: what Docker reports for a container that obeyed SIGTERM. Source: engine.md §5.1."""

VANISHED = NamedError(name="ContainerVanishedError", message="No container matching saved ID found")


def settle_call(container: Container) -> Container:
    """The runtime call under way has ended."""
    if container.in_flight is None and not container.cancelling:
        return container
    return replace(container, in_flight=None, cancelling=False)


def with_error(container: Container, error: NamedError | None) -> Container:
    """Keep the first error; later ones do not replace it. Source: engine.md §3.2."""
    if error is None or container.error is not None:
        return container
    return replace(container, error=error)


def with_metadata(container: Container, inspection: ContainerInspection) -> Container:
    """Take over what Docker reports, by the rules of what stays and what is refreshed."""
    return replace(
        container,
        image_id=inspection.image_id or container.image_id,
        created_at=inspection.created_at or container.created_at,
        started_at=container.started_at or inspection.started_at,
        last_started_at=inspection.started_at or container.last_started_at,
        finished_at=inspection.finished_at or container.finished_at,
        exit_code=inspection.exit_code if inspection.exit_code is not None else container.exit_code,
        oom_killed=container.oom_killed or inspection.oom_killed,
        bindings=container.bindings or inspection.bindings,
        mounts=inspection.mounts or container.mounts,
        networks=_networks(container, inspection),
        labels=inspection.labels or container.labels,
    )


def _networks(container: Container, inspection: ContainerInspection) -> tuple[ContainerNetwork, ...]:
    """A container that has ended is shown with its last addresses, which Docker has taken back."""
    seen = inspection.networks
    if not seen or (inspection.status is ContainerStatus.STOPPED and not any(each.ipv4 or each.ipv6 for each in seen)):
        return container.networks or seen
    return seen


def fail(step: Step, task: Task, container: Container, event: FailureEvent, doing: str) -> tuple[Task, Container]:
    """Record a failed call: the error sticks, the call is over."""
    container = with_error(settle_call(container), event.error)
    task = step.put_container(task, container)
    step.note(
        history.ContainerError(doing=doing, error_name=event.error.name, message=event.error.message),
        task=task,
        container=container,
    )
    return task, container


def advance_to(step: Step, task: Task, container: Container, status: ContainerStatus, why: str) -> Task:
    """Move the known status forward, never back, and remember it. The caller has put the metadata in."""
    before = container.known
    if status <= before:
        return step.put_container(task, container)
    container = replace(container, known=status)
    task = step.put_container(task, container)
    step.note(_status_changed(container, before, why), task=task, container=container)
    return task


def _status_changed(container: Container, before: ContainerStatus, why: str) -> history.ContainerStatusChanged:
    changed = history.ContainerStatusChanged(before=before, to=container.known, why=why, docker_id=container.docker_id)
    match container.known:
        case ContainerStatus.STOPPED:
            code = container.exit_code
            return replace(
                changed,
                exit_code=code,
                signal=code - 128 if code is not None and code > 128 else None,
                oom_killed=container.oom_killed,
                reason=str(container.error) if container.error is not None else "",
                finished_at=container.finished_at,
            )
        case ContainerStatus.PULLED:
            return replace(
                changed,
                image=container.definition.image,
                image_id=container.image_id,
                from_local_image=container.use_local_image,
            )
        case ContainerStatus.RUNNING:
            return replace(changed, started_at=container.started_at)
        case _:
            return changed


def stop_without_call(step: Step, task: Task, container: Container, why: str) -> Task:
    """Known STOPPED, though the runtime was not asked: it never ran."""
    return advance_to(step, task, container, ContainerStatus.STOPPED, why)


def fail_dependency(step: Step, task: Task, container: Container, reason: str) -> Task:
    """A dependency can never be met: the container ends without having started."""
    container = with_error(container, NamedError(name="CannotStartContainerError", message=reason))
    container = replace(container, desired=ContainerStatus.STOPPED, exit_code=DEPENDENCY_FAILURE_EXIT_CODE)
    return advance_to(step, task, container, ContainerStatus.STOPPED, reason)


def is_overtaken(container: Container, inspection: ContainerInspection) -> bool:
    """Whether an inspection was read before something that is known already: answers can overtake each other.

    It shows an earlier run than the last one known, or that run before its end.
    """
    seen, last = parse_docker_time(inspection.started_at), parse_docker_time(container.last_started_at)
    if seen is None or last is None or seen > last:
        return False
    ended = parse_docker_time(container.finished_at)
    return seen < last or (inspection.status is ContainerStatus.RUNNING and ended is not None and ended >= last)


def take_inspection(
    step: Step,
    task: Task,
    container: Container,
    inspection: ContainerInspection,
    *,
    why: str = "seen in Docker",
    may_restart: bool = True,
) -> Task:
    """Compare what Docker shows with what is known, and go forward if it is ahead."""
    status = inspection.status
    task, container = _take_health(step, task, container, inspection)
    if container.is_stopped:
        if status is ContainerStatus.RUNNING:
            return _came_back(step, task, container)
        return task
    if status < container.known:
        return task
    if status is container.known:
        if status is ContainerStatus.RUNNING:
            return _put_if_changed(step, task, container, replace(with_metadata(container, inspection), exit_code=None))
        return task
    if status is ContainerStatus.STOPPED:
        return _ended(step, task, container, inspection, may_restart=may_restart)
    container = with_metadata(container, inspection)
    return advance_to(step, task, container, status, why)


def _ended(step: Step, task: Task, container: Container, inspection: ContainerInspection, *, may_restart: bool) -> Task:
    if _is_restart_owed(container, inspection):
        # the end that led to a restart, seen a second time: that restart is under way, was cut off, or was refused
        if container.in_flight is ContainerStatus.RUNNING:
            return task
        if inspection.error is None and _may_start_again(step, container):
            return _start_again(step, task, container)
        inspection = replace(inspection, exit_code=container.exit_code, error=None)
    elif container.restarts and may_restart and not container.is_stopped:
        refusal = restarts.refusal(container, exit_code=inspection.exit_code, now=step.at)
        if refusal is None and step.may_call_runtime and container.in_flight is None:
            return _restart(step, task, container, inspection)
        step.note(
            history.ContainerNotRestarted(
                why=refusal or "another call is under way",
                exit_code=inspection.exit_code,
                restart_count=container.restart_count,
            ),
            task=task,
            container=container,
        )
    ran_before = container.known
    container = with_error(with_metadata(container, inspection), inspection.error)
    why = "exited" if ran_before >= ContainerStatus.RUNNING else "ended before it was seen running"
    if inspection.oom_killed:
        why = "killed by the kernel: out of memory"
    return advance_to(step, task, container, ContainerStatus.STOPPED, why)


def _is_restart_owed(container: Container, inspection: ContainerInspection) -> bool:
    """A restart was decided and saved, and Docker shows that the container has not run since."""
    return (
        container.last_restarted_at is not None
        and container.exit_code is not None  # of that end, until it runs again
        and inspection.finished_at == container.finished_at
    )


def _may_start_again(step: Step, container: Container) -> bool:
    return container.desired is not ContainerStatus.STOPPED and container.in_flight is None and step.may_call_runtime


def _start_again(step: Step, task: Task, container: Container) -> Task:
    """The saved state says that it should run: an agent that ended, or lost Docker, has left the start undone."""
    task = step.put_container(task, replace(container, in_flight=ContainerStatus.RUNNING))
    step.note(
        history.ContainerRestarted(
            exit_code=container.exit_code,
            restart_count=container.restart_count,
            oom_killed=container.oom_killed,
            finished_at=container.finished_at,
            was_cut_off=True,
        ),
        task=task,
        container=container,
    )
    step.act(StartContainer(task_arn=task.arn, container_name=container.name, docker_id=container.docker_id))
    return task


def _restart(step: Step, task: Task, container: Container, inspection: ContainerInspection) -> Task:
    container = replace(
        container,
        in_flight=ContainerStatus.RUNNING,
        restart_count=container.restart_count + 1,
        last_restarted_at=step.at,
        finished_at=inspection.finished_at,
        exit_code=inspection.exit_code,  # until it runs again: what ended it, should the restart fail
        die_exit_code=None,
        die_signal=None,
    )
    task = step.put_container(task, container)
    step.note(
        history.ContainerRestarted(
            exit_code=inspection.exit_code,
            restart_count=container.restart_count,
            oom_killed=inspection.oom_killed,
            finished_at=inspection.finished_at,
        ),
        task=task,
        container=container,
    )
    step.act(StartContainer(task_arn=task.arn, container_name=container.name, docker_id=container.docker_id))
    return task


def vanished(step: Step, task: Task, container: Container) -> Task:
    """Docker does not know the container any more.

    With a ``die`` notice it was removed under our eyes and its exit code is known; without,
    it was removed while the agent was not running. Source: engine.md §13, "Seen running" 10.
    """
    if container.is_stopped:
        return task
    if container.die_exit_code is not None:
        container = replace(container, exit_code=container.die_exit_code)
        return advance_to(step, task, container, ContainerStatus.STOPPED, "killed and removed from outside")
    container = replace(with_error(container, VANISHED), created_at="", exit_code=None)
    task = advance_to(step, task, container, ContainerStatus.STOPPED, "gone from Docker")
    step.note(history.ContainerVanished(why=str(VANISHED)), task=task, container=container)
    return task


def _came_back(step: Step, task: Task, container: Container) -> Task:
    """A STOPPED container was started from outside: it is stopped again, once per task. Source: engine.md §3.2."""
    if task.stopped_again or container.in_flight is not None or not step.may_call_runtime:
        return task
    step.note(history.ContainerStartedFromOutside(), task=task, container=container)
    return stop(step, replace(task, stopped_again=True), container)


def stop(step: Step, task: Task, container: Container) -> Task:
    """Begin the stop call, with the container's own stop timeout or else the agent's."""
    grace_s = container.definition.stop_timeout_s or step.settings.stop_timeout_s
    container = replace(container, in_flight=ContainerStatus.STOPPED, stop_asked_at=step.at)
    task = step.put_container(task, container)
    step.note(history.ContainerStopping(grace_s=grace_s, docker_id=container.docker_id), task=task, container=container)
    step.act(
        StopContainer(task_arn=task.arn, container_name=container.name, docker_id=container.docker_id, grace_s=grace_s)
    )
    return task


def _take_health(
    step: Step, task: Task, container: Container, inspection: ContainerInspection
) -> tuple[Task, Container]:
    health = inspection.health
    if not container.definition.health_check_is_docker or health == container.health:
        return task, container
    changed = health.status is not container.health.status
    before = container.health.status
    container = replace(container, health=health)
    task = step.put_container(task, container)
    if changed:
        step.note(
            history.ContainerHealthChanged(
                before=before,
                to=health.status,
                output=health.output,
                exit_code=health.exit_code,
                checked_at=health.since,
            ),
            task=task,
            container=container,
        )
    return task, container


def _put_if_changed(step: Step, task: Task, before: Container, after: Container) -> Task:
    return task if after == before else step.put_container(task, after)
