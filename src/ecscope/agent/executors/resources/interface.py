"""The contract between the agent and the provider of one kind of task resource.

When a resource is made and removed, and what a failure means, is decided in the core (``core/resources.py``).
A new kind is a module beside this one and a line in ``providers``.
"""

from __future__ import annotations

from typing import Protocol

from ecscope.model.container import NamedError
from ecscope.model.task import Task
from ecscope.model.task_resource import TaskResource


class ResourceFailure(Exception):
    """A resource cannot be made or removed; the message goes to ECS and into the history, so it holds no secret."""

    def __init__(self, error: NamedError) -> None:
        super().__init__(error)
        self.error = error


class ResourceProvider(Protocol):
    """Makes and removes the resources of one kind.

    Each call may be repeated after a crash, and ``remove`` may come though ``create`` never did. Both raise
    ``ResourceFailure``, or ``RuntimeFailure`` where they ask the runtime.
    """

    async def create(self, task: Task, resource: TaskResource) -> None:
        """Make it, or check that it is there."""

    async def remove(self, task: Task, resource: TaskResource) -> None:
        """Remove it; absent counts as done."""
