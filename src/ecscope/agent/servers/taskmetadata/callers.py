"""Whose a request is: the container of an endpoint ID, and the task of an address. Pure.

The endpoint ID in the path decides, as officially. Where a task has an address of its own, its IDs are unknown to any
other address: the official agent does not look at the address.

Source: task-metadata-api.md §6.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ecscope.agent.core.state import AgentState
from ecscope.model.arn import TaskArn
from ecscope.model.container import Container
from ecscope.model.credentials import RoleType, TaskCredentials
from ecscope.model.status import TaskStatus
from ecscope.model.task import Task


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """A container that asks."""

    task: Task
    container: Container


class Callers:
    """An index of endpoint IDs, brought up to date from one state to the next."""

    def __init__(self) -> None:
        self._followed: Mapping[TaskArn, Task] = {}
        self._places: dict[str, tuple[TaskArn, str]] = {}

    def of_endpoint(self, state: AgentState, endpoint_id: str, *, address: str) -> Caller | None:
        """The container of that ID, once Docker has made it; ``None``: it is not known, or not to that address."""
        self._follow(state.tasks)
        place = self._places.get(endpoint_id)
        if place is None:
            return None
        task = state.tasks[place[0]]
        container = task.container(place[1])
        if container is None or not container.docker_id or not may_ask(task, address):
            return None
        return Caller(task=task, container=container)

    def _follow(self, tasks: Mapping[TaskArn, Task]) -> None:
        before = self._followed
        if tasks is before:
            return
        for arn in before.keys() - tasks.keys():
            self._forget(before[arn])
        for arn, task in tasks.items():
            old = before.get(arn)
            if old is task or (old is not None and _ids(old) == _ids(task)):
                continue
            if old is not None:  # it was dropped, and has come once more
                self._forget(old)
            self._places.update((c.endpoint_id, (arn, c.name)) for c in task.containers if c.endpoint_id)
        self._followed = tasks

    def _forget(self, task: Task) -> None:
        for endpoint_id in _ids(task):
            self._places.pop(endpoint_id, None)


def task_of_address(state: AgentState, address: str) -> Task | None:
    """The task with that address of its own, or ``None``. Source: task-metadata-api.md §6."""
    tasks = (task for task in state.tasks.values() if task.known is not TaskStatus.STOPPED and not task.is_refused)
    return next((task for task in tasks if address and own_address(task) == address), None)


def may_ask(task: Task, address: str) -> bool:
    """Whether what is secret of the task is given to who asks from there."""
    own = own_address(task)
    return not own or own == address


def may_fetch(state: AgentState, credentials: TaskCredentials, address: str) -> bool:
    """Whether credentials are given to who asks for their ID from there.

    Those of an execution role are also fetched by Docker, for its log driver: from an address of this host.
    """
    task = state.tasks.get(credentials.task_arn)
    if task is None or may_ask(task, address):
        return True
    return credentials.role_type is RoleType.TASK_EXECUTION and not _is_of_a_container(state, address)


def _is_of_a_container(state: AgentState, address: str) -> bool:
    return any(
        address == own_address(task) or any(address == network.ipv4 for c in task.containers for network in c.networks)
        for task in state.tasks.values()
    )


def own_address(task: Task) -> str:
    """``""``: the task has no address of its own."""
    return task.interface.ipv4 if task.interface is not None else ""


def _ids(task: Task) -> list[str]:
    return [container.endpoint_id for container in task.containers if container.endpoint_id]
