"""A task: its containers, volumes and statuses. Values only: no rules, no I/O.

Source: engine.md §1, §2, §9, §11; introspection-api.md §6.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum

import msgspec

from ecscope.model.arn import TaskArn
from ecscope.model.container import Container
from ecscope.model.network import NetworkMode, TaskInterface
from ecscope.model.resources import HostResources
from ecscope.model.state_change import ContainerStateChange, TaskStateChange
from ecscope.model.status import ReportedStatus, TaskStatus
from ecscope.model.task_resource import ResourceKind, TaskResource
from ecscope.model.waiting import Waiting


class VolumeKind(Enum):
    """How a task volume is provided. Source: engine.md §9."""

    BIND = "BIND"
    """A path of the host."""
    TASK = "TASK"
    """A Docker volume made for the task and removed with it."""
    SHARED = "SHARED"
    """A Docker volume that outlives the task."""


class Volume(msgspec.Struct, frozen=True, kw_only=True):
    """One volume of a task, as it is defined. Whether it is made says the task's resource of that name."""

    name: str
    kind: VolumeKind
    source_path: str = ""
    """Host path, for ``BIND``."""
    docker_name: str = ""
    """Docker volume name, for ``TASK`` (generated) and ``SHARED`` (its own name)."""
    driver: str = "local"
    driver_options: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    autoprovision: bool = False


class TaskSource(msgspec.Struct, frozen=True, kw_only=True):
    """What a task file last started, so that a restart does not start it again."""

    key: str
    """Absolute path of the task file."""
    digest: str
    """SHA-256 of the definition's canonical form."""
    version: str
    task_arn: TaskArn


class HostResourcesHeld(Enum):
    """The task's share of the instance's CPU, memory and ports. Source: engine.md §2.2."""

    WAITING = "WAITING"
    HELD = "HELD"
    RELEASED = "RELEASED"


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One task with all that is known about it."""

    arn: TaskArn
    family: str
    version: str
    """Task definition revision, as text."""
    desired: TaskStatus = TaskStatus.RUNNING
    known: TaskStatus = TaskStatus.NONE
    containers: tuple[Container, ...]
    """In the order of the task definition."""
    volumes: tuple[Volume, ...] = ()
    resources: tuple[TaskResource, ...] = ()
    """What is created for it besides containers; determined when it is accepted."""
    source: TaskSource | None = None
    """The task file it came from; ``None``: from none."""
    network_mode: NetworkMode = NetworkMode.DEFAULT
    interface: TaskInterface | None = None
    """That of an awsvpc task; ``None``: it has none of its own."""
    pid_mode: str = ""
    ipc_mode: str = ""
    cpu_vcpu: float = 0.0
    """Task-level limit in vCPU; 0: none."""
    memory_mib: int = 0
    """Task-level limit; 0: none."""
    launch_type: str = "EC2"
    cluster_arn: str = ""
    """As ECS sent it; ``""``: tasks from files."""
    service_name: str = ""
    group: str = ""
    credentials_id: str = ""
    """Under which the task role's credentials are known; ``""``: it has no task role."""
    execution_credentials_id: str = ""
    """Likewise for the execution role."""
    unsupported: str = ""
    """What the task requires and is not supported here, as one clause; the task is stopped at once. ``""``: nothing."""
    needs: HostResources = HostResources()
    """What it takes of the instance; computed when it is accepted."""
    host_resources: HostResourcesHeld = HostResourcesHeld.WAITING
    received_at: datetime
    pull_started_at: datetime | None = None
    pull_stopped_at: datetime | None = None
    execution_stopped_at: datetime | None = None
    """When the first essential container became known STOPPED."""
    stopped_at: datetime | None = None
    waiting: Waiting | None = None
    """What keeps it from the status that it is to have; ``None``: nothing does, or it has it."""
    terminal_reason: str = ""
    """Set only for resource failures and tasks that could not progress. Source: engine.md §10.5."""
    stop_requested_by: str = ""
    """Who asked for the stop (``task file …``, ``ACS payload …``); ``""``: no one, it ended by itself."""
    stopped_again: bool = False
    """A STOPPED container that came up again was stopped once more, which is done once per task."""
    cleanup_due: bool = False
    """The clean-up wait is over: containers and volumes are being removed."""
    is_refused: bool = False
    """It was never managed, and is kept, unlisted, only until that is reported to ECS. Source: engine.md §2."""
    reported: ReportedStatus | None = None
    """The furthest status that was, or is being, reported to ECS; ``None``: none yet."""
    state_changes: tuple[TaskStateChange, ...] = ()
    """What ECS has not accepted yet, oldest first."""
    state_changes_made: int = 0
    """How many there were in all: the number of the newest."""
    container_news: tuple[ContainerStateChange, ...] = ()
    """What happened to containers since the newest state change, in order; the next one takes it along."""

    def container(self, name: str) -> Container | None:
        """The container of that name, or ``None``."""
        for container in self.containers:
            if container.definition.name == name:
                return container
        return None

    def volume(self, name: str) -> Volume | None:
        """The volume of that name, or ``None``."""
        return next((volume for volume in self.volumes if volume.name == name), None)

    def resource(self, kind: ResourceKind, name: str) -> TaskResource | None:
        """The resource of that kind and name, or ``None``."""
        return next((r for r in self.resources if (r.kind, r.name) == (kind, name)), None)


class ImageRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An image the agent pulled, for pull behavior ``once`` and image clean-up. Source: engine.md §4, §14."""

    name: str
    """Reference as in the task definition; the image's ID once its tag leads to another image."""
    image_id: str
    pulled_at: datetime
    last_used_at: datetime
    size_bytes: int = 0
    removing: bool = False
    """A removal is under way. Cleared by a restart of the agent."""
