"""The ordered statuses of containers and tasks, and how one maps to the other.

No I/O and no rules about *when* a status changes: those live in ``agent/core``.

Source: engine.md §1.
"""

from __future__ import annotations

from enum import Enum


class _Ordered(Enum):
    """An enum whose members compare by the order in which they are written."""

    rank: int
    """Position in the order, 0 for the first member."""

    def __init__(self, _: str) -> None:
        self.rank = len(type(self).__members__)

    def __lt__(self, other: object) -> bool:
        if isinstance(other, _Ordered) and type(other) is type(self):
            return self.rank < other.rank
        return NotImplemented

    def __le__(self, other: object) -> bool:
        if isinstance(other, _Ordered) and type(other) is type(self):
            return self.rank <= other.rank
        return NotImplemented

    def __gt__(self, other: object) -> bool:
        if isinstance(other, _Ordered) and type(other) is type(self):
            return self.rank > other.rank
        return NotImplemented

    def __ge__(self, other: object) -> bool:
        if isinstance(other, _Ordered) and type(other) is type(self):
            return self.rank >= other.rank
        return NotImplemented


class ContainerStatus(_Ordered):
    """How far a container has come. ``STOPPED`` is final."""

    NONE = "NONE"
    """Nothing has been done yet."""
    MANIFEST_PULLED = "MANIFEST_PULLED"
    """The image digest is resolved, or resolving it was skipped."""
    PULLED = "PULLED"
    """The image is there, or the pull failed and the local image will be tried."""
    CREATED = "CREATED"
    """The Docker container exists."""
    RUNNING = "RUNNING"
    """The Docker container has been started: the steady state of ordinary containers."""
    RESOURCES_PROVISIONED = "RESOURCES_PROVISIONED"
    """The network of the task is set up: the steady state of network pause containers."""
    STOPPED = "STOPPED"
    """Terminal."""


class TaskStatus(_Ordered):
    """How far a task has come: the least advanced of its containers."""

    NONE = "NONE"
    MANIFEST_PULLED = "MANIFEST_PULLED"
    CREATED = "CREATED"
    RUNNING = "RUNNING"
    STOPPED = "STOPPED"


class ReportedStatus(_Ordered):
    """The statuses that ECS knows. Source: engine.md §1.3."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    STOPPED = "STOPPED"


class HealthStatus(Enum):
    """What Docker's health check says; everything but its two verdicts is ``UNKNOWN``."""

    UNKNOWN = "UNKNOWN"
    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"


_TASK_STATUS = {
    ContainerStatus.NONE: TaskStatus.NONE,
    ContainerStatus.MANIFEST_PULLED: TaskStatus.MANIFEST_PULLED,
    ContainerStatus.PULLED: TaskStatus.MANIFEST_PULLED,
    ContainerStatus.CREATED: TaskStatus.CREATED,
    ContainerStatus.RUNNING: TaskStatus.RUNNING,
    ContainerStatus.RESOURCES_PROVISIONED: TaskStatus.RUNNING,
    ContainerStatus.STOPPED: TaskStatus.STOPPED,
}


def task_status_of(status: ContainerStatus, *, steady: ContainerStatus = ContainerStatus.RUNNING) -> TaskStatus:
    """The task status that a container's known status corresponds to; ``steady``: its last status before STOPPED.

    Source: engine.md §1.2.
    """
    if status is ContainerStatus.RUNNING and status < steady:
        return TaskStatus.CREATED
    return _TASK_STATUS[status]
