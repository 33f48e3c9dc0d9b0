"""What is seen of containers in the runtime: the notices of its event stream, and looks at single containers.

Source: engine.md §10, §12.
"""

from __future__ import annotations

from typing import assert_never

import msgspec

from ecscope.agent.core import containers
from ecscope.agent.core.events import (
    ContainerInspected,
    RuntimeNoticed,
)
from ecscope.agent.core.step import Step
from ecscope.model import history
from ecscope.model.container import Container
from ecscope.model.runtime import RuntimeAction, RuntimeNotice
from ecscope.model.status import ContainerStatus
from ecscope.model.task import Task

replace = msgspec.structs.replace


def take(step: Step, event: RuntimeNoticed) -> None:
    """One event of the runtime's stream: most only make the agent look, because they may be late or out of order."""
    notice = event.notice
    place = step.docker_ids.get(notice.docker_id)
    task = step.tasks.get(place[0]) if place is not None else None
    container = task.container(place[1]) if task is not None and place is not None else None
    if task is None or container is None:
        step.ignore(f"{notice.action.value} of a container that is not ours")
        return
    match notice.action:
        case RuntimeAction.CREATE | RuntimeAction.STOP:
            step.ignore("known from the call itself")  # every stop is preceded by a die
        case RuntimeAction.START:
            if container.in_flight is ContainerStatus.RUNNING or container.is_running:
                step.ignore("known from the call itself")
            else:
                step.look_at(notice.docker_id, seen=notice.action)
        case RuntimeAction.DIE:
            task, container = _take_death(step, task, container, notice)
            if container.is_stopped:
                return  # the call that stopped it, or a look at it, was quicker
            if container.in_flight not in (ContainerStatus.RUNNING, ContainerStatus.STOPPED):
                step.look_at(notice.docker_id, seen=notice.action, exit_code=notice.exit_code)
        case RuntimeAction.OOM:
            step.note(history.ContainerOutOfMemory(time_ns=notice.time_ns), task=task, container=container)
        case RuntimeAction.DESTROY:
            if not container.is_stopped and container.in_flight is None:
                step.look_at(notice.docker_id, seen=notice.action)
            elif container.is_stopped and not task.cleanup_due:
                step.note(
                    history.ContainerVanished(why="removed from Docker from outside", time_ns=notice.time_ns),
                    task=task,
                    container=container,
                )
        case RuntimeAction.HEALTH:
            if container.definition.health_check_is_docker and not container.is_stopped:
                step.look_at(notice.docker_id, seen=notice.action)
        case _:
            assert_never(notice.action)


def _take_death(step: Step, task: Task, container: Container, notice: RuntimeNotice) -> tuple[Task, Container]:
    """What only Docker's ``die`` says is kept, once: the signal, and the moment to the nanosecond."""
    is_newer = notice.time_ns > container.died_at_ns if notice.time_ns else not container.is_stopped
    if container.die_exit_code is not None and not is_newer:
        step.ignore("the same death again")
        return task, container
    container = replace(
        container,
        die_exit_code=notice.exit_code,
        die_signal=notice.signal,
        died_at_ns=notice.time_ns,
    )
    task = step.put_container(task, container)
    step.note(
        history.ContainerDied(
            exit_code=notice.exit_code,
            signal=notice.signal,
            time_ns=notice.time_ns,
            stop_requested=container.stop_asked_at is not None,
        ),
        task=task,
        container=container,
    )
    return task, container


def inspected(step: Step, event: ContainerInspected) -> None:
    """What a look at a container showed."""
    place = step.docker_ids.get(event.docker_id)
    task = step.tasks.get(place[0]) if place is not None else None
    container = task.container(place[1]) if task is not None and place is not None else None
    if task is None or container is None:
        step.ignore("inspection of a container that is not ours (any more)")
        return
    if event.inspection is not None:
        if event.seen is not RuntimeAction.START and containers.is_overtaken(container, event.inspection):
            step.look_at(event.docker_id, seen=RuntimeAction.START)  # what this look sees is believed
            return
        containers.take_inspection(step, task, container, event.inspection)
        return
    if event.is_not_found:
        if container.in_flight is None:
            containers.vanished(step, task, container)
        return
    if event.seen is RuntimeAction.DIE and not container.is_stopped:
        # it ended, but cannot be asked: the notice is all there is. Source: engine.md §10.4.
        container = replace(container, exit_code=event.exit_code)
        task = step.put_container(task, container)
        containers.advance_to(step, task, container, ContainerStatus.STOPPED, "exited; details could not be read")
