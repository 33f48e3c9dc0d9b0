"""The whole state of the agent: frozen, replaced and never changed.

What ``decide`` returns is saved, then published as it is: the snapshot that every server
reads *is* the state.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

import msgspec

from ecscope.model.arn import DockerId, TaskArn
from ecscope.model.attachment import Attachment
from ecscope.model.container_instance import ContainerInstance, Obstacle
from ecscope.model.credentials import TaskCredentials
from ecscope.model.network import TaskNetwork
from ecscope.model.resources import HostResources
from ecscope.model.task import ImageRecord, Task, TaskSource

MANIFEST_SEQUENCE_KEY = "acs-manifest-sequence"
"""Under which the newest timeline is saved."""
INSTANCE_ARN_KEY = "registered-container-instance-arn"
"""Under which the ARN that ECS gave is saved."""
ATTACHMENTS_KEY = "attachments"
"""Under which are saved, in one, all attachments that ECS has not heard of yet."""
INACTIVE_KEY = "container-instance-inactive"
"""Under which is saved that ECS called the instance of that ARN inactive."""
CLUSTER_KEY = "registered-cluster"
"""Under which the cluster is saved in which ECS gave that ARN."""
AVAILABILITY_ZONE_KEY = "availability-zone"
EC2_INSTANCE_KEY = "ec2-instance-id"
"""Under which is saved on what EC2 instance this state came about."""


class PullBehavior(Enum):
    """``ECS_IMAGE_PULL_BEHAVIOR``. Source: engine.md §4.1."""

    DEFAULT = "default"
    ALWAYS = "always"
    ONCE = "once"
    PREFER_CACHED = "prefer-cached"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The part of the configuration that decisions depend on. Durations in seconds."""

    pull_behavior: PullBehavior = PullBehavior.DEFAULT
    pull_dependents_upfront: bool = False
    cgroup_version: int = 0
    """1 or 2: tasks get cgroups of their own; 0: task-level limits are off."""
    task_network: TaskNetwork | None = None
    """On which awsvpc tasks have their addresses; ``None``: there are no such tasks here."""
    stop_timeout_s: int = 30
    cleanup_wait_s: float = 3 * 3600.0
    cleanup_jitter_s: float = 0.0
    steady_check_s: float = 300.0
    steady_check_jitter_s: float = 30.0
    image_cleanup_enabled: bool = True
    image_cleanup_interval_s: float = 1800.0
    image_minimum_age_s: float = 3600.0
    images_per_cycle: int = 5
    images_excluded: frozenset[str] = frozenset()
    local_images: Mapping[str, str] = {}
    """Image as task definitions name it (a repository, or one tag of it) → local image that is used in its place."""
    joins_cluster: bool = False
    """Tasks are reported to ECS. ``False``: tasks come from files, and nothing is reported."""
    report_drain_s: float = 10.0
    """Container changes that no task change carries wait this long, and a random part of the next."""
    report_drain_jitter_s: float = 20.0
    reports_at_once: int = 100
    """Tasks whose state changes are submitted at the same time, at most. Most of it is for those that ECS does not
    take and that wait for their next try; the calls themselves have a bound of their own."""


class AgentState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the agent knows."""

    instance: ContainerInstance
    settings: Settings = Settings()
    tasks: Mapping[TaskArn, Task] = {}
    """In the order in which they were accepted."""
    waiting: tuple[TaskArn, ...] = ()
    """Tasks in the host-resource queue, first in first out."""
    host: HostResources = HostResources()
    """All that the host has; the ports are those reserved."""
    taken: HostResources = HostResources()
    """Sum over the tasks that hold host resources."""
    docker_ids: Mapping[DockerId, tuple[TaskArn, str]] = {}
    """Docker ID → (task, container name), for every container with a Docker ID."""
    images: Mapping[str, ImageRecord] = {}
    sources: Mapping[str, TaskSource] = {}
    lost_task_arns: frozenset[str] = frozenset()
    """Tasks whose records could not be read: containers that carry them are orphans."""
    foreign: frozenset[DockerId] = frozenset()
    """Containers of tasks that are not ours, of the last listing: said once, and not at each reconnect."""
    credentials: Mapping[str, TaskCredentials] = {}
    """By credentials ID. Never saved: ECS sends them again to an agent that has just started."""
    manifest_sequence: int = -1
    """The newest timeline that ECS has sent. Source: agent-protocol.md §4.7."""
    manifest_message_id: str = ""
    """The manifest whose stop verification is awaited; ``""``: none."""
    attachments: Mapping[str, Attachment] = {}
    """By ARN: what is to come, or is here and ECS does not know yet."""
    report_queue: tuple[TaskArn, ...] = ()
    """Tasks with a state change to submit, first in first out; none of them is in ``reporting``."""
    reporting: frozenset[TaskArn] = frozenset()
    """Tasks whose oldest state change is under way."""
    runtime_connected: bool = False
    obstacle: Obstacle | None = None
    """Why the instance is not registered; shown by the introspection API. ``None``: it is, or joins no cluster."""
    reconciled: bool = False
    """The listing after the last connect has been taken in; until then no runtime action is decided."""
