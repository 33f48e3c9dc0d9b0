"""The words of ECS for statuses and kinds.

Each member is the word itself: it is saved, sent and shown as written here. A word outside these lists never enters a
record; one that a client may send is checked by the API's model before.

Source: control-plane.md §3-§8; the service model of ECS (2014-11-13).
"""

from __future__ import annotations

from enum import StrEnum


class ClusterStatus(StrEnum):
    """Of a cluster."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    """Deleted, and shown for a while."""


class TaskDefinitionStatus(StrEnum):
    """Of a task definition."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    """Deregistered: what uses it is unaffected, nothing new may use it."""
    DELETE_IN_PROGRESS = "DELETE_IN_PROGRESS"
    """Forgotten as soon as nothing uses it."""


class InstanceStatus(StrEnum):
    """Of a container instance."""

    ACTIVE = "ACTIVE"
    DRAINING = "DRAINING"
    """Gets no new tasks; those of services move elsewhere."""
    INACTIVE = "INACTIVE"
    """Deregistered, and shown for a while."""


class LastStatus(StrEnum):
    """How far a task or one of its containers has come, in this order. Source: control-plane.md §6.3."""

    PROVISIONING = "PROVISIONING"
    PENDING = "PENDING"
    ACTIVATING = "ACTIVATING"
    RUNNING = "RUNNING"
    DEACTIVATING = "DEACTIVATING"
    STOPPING = "STOPPING"
    DEPROVISIONING = "DEPROVISIONING"
    STOPPED = "STOPPED"
    """Final."""

    @property
    def rank(self) -> int:
        """Position in the order, 0 for the first member."""
        return _RANKS[self]

    @property
    def is_pending(self) -> bool:
        """It has not run yet: what counts as pending wherever ECS counts tasks."""
        return self in _PENDING


_RANKS = {status: rank for rank, status in enumerate(LastStatus)}
_PENDING = frozenset((LastStatus.PROVISIONING, LastStatus.PENDING, LastStatus.ACTIVATING))


class DesiredStatus(StrEnum):
    """What a task is to become. A stop is never taken back."""

    RUNNING = "RUNNING"
    STOPPED = "STOPPED"


class StopCode(StrEnum):
    """Who or what ended a task. Source: control-plane.md §6.4."""

    NONE = ""
    """It is not to stop."""
    TASK_FAILED_TO_START = "TaskFailedToStart"
    ESSENTIAL_CONTAINER_EXITED = "EssentialContainerExited"
    USER_INITIATED = "UserInitiated"
    SERVICE_SCHEDULER_INITIATED = "ServiceSchedulerInitiated"
    TERMINATION_NOTICE = "TerminationNotice"
    """Its container instance was deregistered."""


class LaunchType(StrEnum):
    """What kind of capacity a task runs on."""

    EC2 = "EC2"
    EXTERNAL = "EXTERNAL"
    """Container instances outside AWS."""
    FARGATE = "FARGATE"


class SchedulingStrategy(StrEnum):
    """How many tasks a service has."""

    REPLICA = "REPLICA"
    """As many as were asked for."""
    DAEMON = "DAEMON"
    """One on each container instance."""


class ServiceStatus(StrEnum):
    """Of a service."""

    ACTIVE = "ACTIVE"
    DRAINING = "DRAINING"
    """Deleted, and its tasks still stop."""
    INACTIVE = "INACTIVE"
    """Deleted, and shown for a while."""


class DeploymentStatus(StrEnum):
    """The place of a deployment in its service."""

    PRIMARY = "PRIMARY"
    """The newest one: its tasks are wanted."""
    ACTIVE = "ACTIVE"
    """An older one that still has tasks."""
    INACTIVE = "INACTIVE"
    """An older one without tasks."""


class RolloutState(StrEnum):
    """How a deployment went."""

    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    """Given up: it starts no more tasks."""
