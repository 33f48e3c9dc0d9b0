"""The truth after a (re)connect: what the runtime lists, against what is known.

A restart of the agent, of Docker or of the host all end here; nothing else knows which it was.

Source: engine.md §13.
"""

from __future__ import annotations

from typing import assert_never

import msgspec

from ecscope.agent.core import cleanup, containers, images, tasks
from ecscope.agent.core.actions import ListContainers, ReconnectRuntime, RemoveOrphan
from ecscope.agent.core.events import (
    ListedContainer,
    RuntimeConnected,
    RuntimeDisconnected,
    RuntimeListed,
    RuntimeListFailed,
)
from ecscope.agent.core.step import Step
from ecscope.model import history
from ecscope.model.container import Container
from ecscope.model.status import ContainerStatus, TaskStatus
from ecscope.model.task import Task

replace = msgspec.structs.replace


def take(step: Step, event: RuntimeConnected | RuntimeDisconnected | RuntimeListed | RuntimeListFailed) -> None:
    """The runtime as a whole came, went, or was listed."""
    match event:
        case RuntimeConnected():
            _connected(step, event)
        case RuntimeDisconnected():
            _disconnected(step, event)
        case RuntimeListed():
            _listed(step, event)
        case RuntimeListFailed():
            _list_failed(step, event)
        case _:
            assert_never(event)


def _connected(step: Step, event: RuntimeConnected) -> None:
    """Ask for the listing; until it is in, no runtime call is decided."""
    step.runtime_connected = True
    step.reconciled = False
    step.host = event.resources
    step.note(history.RuntimeConnected(version=event.version))
    step.act(ListContainers())


def _disconnected(step: Step, event: RuntimeDisconnected) -> None:
    """Decide no runtime call until it is back."""
    if not step.runtime_connected:
        return
    step.runtime_connected = False
    step.reconciled = False
    step.note(history.RuntimeDisconnected(reason=event.reason))


def _list_failed(step: Step, event: RuntimeListFailed) -> None:
    """Connect again, which brings a new listing. Nothing to do for a connection that is already lost."""
    if not step.runtime_connected:
        return
    step.runtime_connected = False
    step.reconciled = False
    reason = f"its containers could not be listed: {event.error}"
    step.note(history.RuntimeDisconnected(reason=reason))
    step.act(ReconnectRuntime())


def _listed(step: Step, event: RuntimeListed) -> None:
    """Adopt what is listed, inspect what is missing, and let everything continue."""
    if not step.runtime_connected:
        return
    step.reconciled = True
    by_id = {row.docker_id: row for row in event.containers}
    by_name = {row.docker_name: row for row in event.containers}
    ours: set[str] = set()
    for arn in list(step.tasks):
        for container in step.tasks[arn].containers:
            row = by_id.get(container.docker_id) if container.docker_id else by_name.get(container.docker_name)
            if row is not None:
                ours.add(row.docker_id)
            _compare(step, step.tasks[arn], container, row)
        _resume(step, step.tasks[arn])
    images.forget_removals(step)
    images.schedule_cleanup(step)
    for row in event.containers:
        if row.docker_id not in ours:
            _orphan(step, row)
    foreign = frozenset(row.docker_id for row in event.containers if row.docker_id not in ours)
    if foreign != step.foreign:
        step.foreign = foreign


def _compare(step: Step, task: Task, container: Container, row: ListedContainer | None) -> None:
    if row is None:
        if container.docker_id and not container.is_stopped:
            # the listing may be older than the container: make sure before giving it up
            step.look_at(container.docker_id, seen=None)
        elif container.docker_id and container.created_at:
            step.put_container(task, replace(container, created_at=""))  # as the official agent shows it
        return
    if not container.docker_id:
        container = replace(container, docker_id=row.docker_id)
        step.index_docker_id(row.docker_id, task.arn, container.name)
        task = step.put_container(task, container)
        if container.known < ContainerStatus.CREATED and container.in_flight is None:
            task = containers.advance_to(
                step, task, container, ContainerStatus.CREATED, "was created before its answer was lost"
            )
            container = task.container(container.name) or container
    if row.inspection is None:
        step.look_at(row.docker_id, seen=None)
        return
    if container.is_stopped and row.inspection.status is not ContainerStatus.RUNNING:
        refreshed = containers.with_metadata(container, row.inspection)
        if refreshed != container:
            step.put_container(task, refreshed)
        return
    # Quirk: what exited while the agent was not running is not restarted by policy. Source: engine.md §13.
    containers.take_inspection(step, task, container, row.inspection, may_restart=False)


def _resume(step: Step, task: Task) -> None:
    """Timers end with the process, and are set again."""
    if task.known is TaskStatus.STOPPED:
        cleanup.schedule(step, task)
    elif task.known is TaskStatus.RUNNING:
        tasks.schedule_steady_check(step, task)
    step.touch(task.arn)


def _orphan(step: Step, row: ListedContainer) -> None:
    """A container with a task ARN of no task: removed if it is ours for sure, else only reported."""
    if row.task_arn in step.lost_task_arns:
        step.note(_orphan_note(row, is_removed=True))
        step.act(RemoveOrphan(docker_id=row.docker_id))
        return
    if row.docker_id in step.foreign:
        return
    step.note(_orphan_note(row, is_removed=False))


def _orphan_note(row: ListedContainer, *, is_removed: bool) -> history.OrphanContainerFound:
    return history.OrphanContainerFound(
        docker_id=row.docker_id, docker_name=row.docker_name, task_arn=row.task_arn, is_removed=is_removed
    )
