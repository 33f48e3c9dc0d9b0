"""What is reported to ECS about tasks: what makes a state change, in what order they are sent, what is dropped.

News of containers waits for its task's next state change, or for the drain timer. State changes
of one task go one after the other; those of different tasks side by side, up to a bound, in the
order in which they arose. They are part of the task's record until ECS has accepted them, so
that a crash loses none.

Source: agent-protocol.md §3.5, §3.8; engine.md §1.3.
"""

from __future__ import annotations

import msgspec

from ecscope.agent.core import pauses
from ecscope.agent.core.actions import CancelTimer, SetTimer, SubmitTaskStateChange, Timer, TimerKind
from ecscope.agent.core.events import StateChangeAccepted, StateChangeRefused
from ecscope.agent.core.step import Step
from ecscope.model import history
from ecscope.model.container import Container
from ecscope.model.state_change import ContainerStateChange, TaskStateChange
from ecscope.model.status import ContainerStatus, ReportedStatus, TaskStatus
from ecscope.model.task import Task

replace = msgspec.structs.replace


def gather(step: Step, task: Task) -> Task:
    """Take up what is new of the task and its containers."""
    if not step.settings.joins_cluster:
        return task
    task = _gather_containers(step, task)
    status = _status_to_report(task)
    if status is None or (task.reported is not None and status <= task.reported):
        return task
    return _queue(step, replace(task, reported=status), status)


def _gather_containers(step: Step, task: Task) -> Task:
    news = []
    containers = []
    for container in task.containers:
        status = _container_status_to_report(container)
        if status is None or (container.reported is not None and status <= container.reported):
            containers.append(container)
            continue
        news.append(_container_change(task, container, status))
        containers.append(replace(container, reported=status))
    if not news:
        return task
    step.act(
        SetTimer(
            timer=_drain_timer(task),
            delay_s=step.settings.report_drain_s,
            jitter_s=step.settings.report_drain_jitter_s,
        )
    )
    return step.put(replace(task, containers=tuple(containers), container_news=(*task.container_news, *news)))


def _container_status_to_report(container: Container) -> ReportedStatus | None:
    if container.is_agents_own:
        return None
    if container.is_stopped:
        return ReportedStatus.STOPPED
    if container.is_steady:
        return ReportedStatus.RUNNING
    if container.known >= ContainerStatus.MANIFEST_PULLED and container.image_digest:
        return ReportedStatus.PENDING
    return None


def _status_to_report(task: Task) -> ReportedStatus | None:
    if task.known is TaskStatus.STOPPED:
        return ReportedStatus.STOPPED
    if task.known is TaskStatus.RUNNING:
        return ReportedStatus.RUNNING
    if task.known >= TaskStatus.MANIFEST_PULLED and any(c.image_digest for c in task.containers):
        return ReportedStatus.PENDING
    return None


def _container_change(task: Task, container: Container, status: ReportedStatus) -> ContainerStateChange:
    return ContainerStateChange(
        container_name=container.name,
        status=status,
        runtime_id=container.docker_id,
        exit_code=container.exit_code,
        reason=str(container.error) if container.error is not None else "",
        image_digest=container.image_digest,
        bindings=container.bindings or pauses.published_ports(task, container),
    )


def _queue(step: Step, task: Task, status: ReportedStatus) -> Task:
    """Make one state change of all that is new."""
    number = task.state_changes_made + 1
    change = TaskStateChange(
        number=number,
        status=status,
        reason=task.terminal_reason[:1].upper() + task.terminal_reason[1:],
        containers=task.container_news,
        pull_started_at=task.pull_started_at,
        pull_stopped_at=task.pull_stopped_at,
        execution_stopped_at=task.execution_stopped_at,
    )
    is_first = not task.state_changes
    task = step.put(
        replace(
            task,
            state_changes=(*task.state_changes, change),
            state_changes_made=number,
            container_news=(),
        )
    )
    step.act(CancelTimer(timer=_drain_timer(task)))
    step.note(history.StateChangeQueued(number=number, status=status), task=task)
    if is_first:
        step.report_queue = (*step.report_queue, task.arn)
    return task


def drain(step: Step, task: Task) -> None:
    """No task change carried the container changes in time: they are sent with the status that ECS knows."""
    if not task.container_news:
        return
    _queue(step, task, task.reported or ReportedStatus.PENDING)


def serve_queue(step: Step) -> None:
    """Submit what waits, as long as there is room."""
    while step.report_queue and step.is_registered and len(step.reporting) < step.settings.reports_at_once:
        arn, step.report_queue = step.report_queue[0], step.report_queue[1:]
        task = step.tasks.get(arn)
        if task is None or not task.state_changes:
            continue
        step.reporting |= {arn}
        step.act(SubmitTaskStateChange(task_arn=arn, change=task.state_changes[0]))


def resume(step: Step) -> None:
    """Timers end with the process: a report that waited for one starts waiting again."""
    for task in step.tasks.values():
        if task.container_news:
            step.act(
                SetTimer(
                    timer=_drain_timer(task),
                    delay_s=step.settings.report_drain_s,
                    jitter_s=step.settings.report_drain_jitter_s,
                )
            )


def answered(step: Step, event: StateChangeAccepted | StateChangeRefused) -> None:
    """ECS has taken a state change, or never will."""
    task = step.tasks.get(event.task_arn)
    if event.task_arn not in step.reporting or task is None or task.state_changes[0].number != event.number:
        step.note(history.NoChange(why=f"no state change {event.number} of {event.task_arn} is under way"))
        return
    change, *left = task.state_changes
    step.reporting -= {task.arn}
    if left:
        step.report_queue = (*step.report_queue, task.arn)
    if isinstance(event, StateChangeAccepted):
        step.note(history.StateChangeAccepted(number=event.number, status=change.status), task=task)
    else:
        step.note(
            history.StateChangeRefused(
                number=event.number,
                status=change.status,
                code=event.failure.code,
                message=event.failure.message,
                failure=str(event.failure),
            ),
            task=task,
        )
    task = step.put(replace(task, state_changes=tuple(left)))
    if task.is_refused and not left and not task.resources:
        step.drop(task)


def _drain_timer(task: Task) -> Timer:
    return Timer(kind=TimerKind.REPORT_DRAIN, task_arn=task.arn)
