"""What a task needs besides its containers: a volume, a cgroup, and further kinds. Values only.

A resource is made before the containers that need it and, if it belongs to the task, removed after them. Every kind
goes through the same life (``agent/core/resources.py``) and is made by one provider (``agent/executors/resources/``).
What a resource consists of is in the task that it belongs to; the record identifies it and holds its status.

Source: engine.md §5.3, §6.6, §9, §11.
"""

from __future__ import annotations

from enum import Enum
from typing import NewType

import msgspec

from ecscope.model.status import ContainerStatus

ResourceKind = NewType("ResourceKind", str)
"""Names the provider. Stored: never rename one."""

VOLUME = ResourceKind("volume")
"""A Docker volume, named as in the task definition."""
CGROUP = ResourceKind("cgroup")
"""The cgroup over all containers of a task, named as Docker's ``CgroupParent``."""
SECRETS = ResourceKind("asmsecret")
"""Values of Secrets Manager for the containers of a task, in the agent's memory."""
PARAMETERS = ResourceKind("ssmsecret")
"""Values of the Parameter Store of Systems Manager, likewise."""
LOG_STREAMS = ResourceKind("awslogs")
"""The streams of CloudWatch Logs that the containers of a task on Fargate write to."""

TASK_NETWORK = ResourceKind("task network")
"""The Docker network that the task's network namespace is connected to."""


class ResourceStatus(Enum):
    """How far a resource has come."""

    NONE = "NONE"
    CREATED = "CREATED"
    REMOVED = "REMOVED"


class RemovedAt(Enum):
    """When a resource is removed."""

    NEVER = "NEVER"
    """It outlives the task."""
    STOPPED = "STOPPED"
    """As soon as the task is STOPPED."""
    CLEANUP = "CLEANUP"
    """When the task is cleaned up, after its containers."""


class ContainerReached(msgspec.Struct, frozen=True, kw_only=True):
    """A container of the task has come to a status, or further."""

    container_name: str
    status: ContainerStatus


class TaskResource(msgspec.Struct, frozen=True, kw_only=True):
    """One resource of one task; a task has at most one of a kind and name."""

    kind: ResourceKind
    name: str
    status: ResourceStatus = ResourceStatus.NONE
    in_flight: bool = False
    """It is being made or removed. Cleared by a restart of the agent."""
    needed_by: tuple[str, ...] | None = None
    """Names of the containers that wait for it; ``None``: all of the task."""
    needed_for: ContainerStatus = ContainerStatus.PULLED
    """Which step of those containers waits for it. Source: engine.md §5.3."""
    made_after: ContainerReached | None = None
    """It is created once a container has reached this status; ``None``: at once."""
    removed_at: RemovedAt = RemovedAt.CLEANUP
    is_lost_by_restart: bool = False
    """What was made is in the agent's memory only; after a restart it is made again for who still needs it."""
    is_condition: bool = False
    """It is looked for, not made. A task for which it is not there is refused, as if it had never been accepted."""
    needs_execution_role: bool = False
    """It is made with the credentials of the execution role, which ECS sends again after a restart."""
    failure_reason: str = ""
    """The task's reason when it cannot be made; ``""``: the provider's own words."""
    error: str = ""
    """Why it could not be made, as the task's reason; ``""``: it could, or was not tried."""

    @property
    def is_created(self) -> bool:
        return self.status is ResourceStatus.CREATED

    def is_awaited_by(self, container_name: str, status: ContainerStatus) -> bool:
        """The container has to wait for it before it goes on to ``status``."""
        if self.is_created or self.needed_for is not status:
            return False
        return self.is_needed_by(container_name)

    def is_needed_by(self, container_name: str) -> bool:
        """The container cannot run without it."""
        return self.needed_by is None or container_name in self.needed_by
