"""The whole state of the control plane: frozen, replaced and never changed; derived values are separate.

Servers read it without a lock: it *is* the published snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ecscope.control.core.records import Cluster, Instance, Service, Task, TaskDefinition, Token
from ecscope.model.arn import TaskArn
from ecscope.model.resources import HostResources

STOPPED_KEPT_S = 3600.0
"""How long a stopped task is shown, at least. Source: control-plane.md §6.3."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What decisions depend on and no record holds. Durations in seconds."""

    region: str = "us-east-1"
    account: str = "000000000000"
    endpoint: str = "http://127.0.0.1:51677"
    """Where agents find ACS and TCS."""
    availability_zone: str = "us-east-1a"
    stopped_kept_s: float = STOPPED_KEPT_S
    start_backoff_first_s: float = 1.0
    start_backoff_cap_s: float = 60.0
    """Between failed starts of a service's tasks."""
    healthy_after_s: float = 5.0
    """A task without a health check counts as healthy this long after it began to run. At once, one that dies soon
    would be a success. ECS waits 40 s."""
    task_subnet: str | None = None
    """In CIDR notation: where awsvpc tasks get their addresses; ``None``: none can run here."""
    runs_any_architecture: bool = False
    """``runtimePlatform`` does not keep a task off an instance of another architecture."""
    limits_storage: bool = False
    """The engine holds the root file system of each container on Fargate to its task's ``ephemeralStorage``."""
    is_ending: bool = False
    """The control plane is being taken down: services start nothing any more."""


def live_delays(settings: Settings) -> Settings:
    """With services as slow as in ECS. Source: control-plane.md §8.2, §8.3."""
    return msgspec.structs.replace(settings, healthy_after_s=40.0, start_backoff_cap_s=900.0)


class ControlState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the control plane knows."""

    settings: Settings = Settings()
    clusters: Mapping[str, Cluster] = {}
    task_definitions: Mapping[str, TaskDefinition] = {}
    """In the order of registration."""
    instances: Mapping[str, Instance] = {}
    tasks: Mapping[TaskArn, Task] = {}
    """In the order of creation."""
    services: Mapping[str, Service] = {}
    account_settings: Mapping[str, str] = {}
    """``<principal ARN or "default">/<name>`` → value."""
    tokens: Mapping[str, Token] = {}
    sequence: int = 0
    """The newest sequence number that an agent was sent; only ever rises, over restarts too."""

    last_address: int = 0
    """The address that an awsvpc task was given last, as a number; 0: none yet."""

    # --- derived -------------------------------------------------------------------------------
    revisions: Mapping[str, int] = {}
    """Family → its newest revision, of any status."""
    tasks_on: Mapping[str, frozenset[TaskArn]] = {}
    """Instance ARN → its tasks that are not STOPPED."""
    taken: Mapping[str, HostResources] = {}
    """Instance ARN → what those tasks take of it."""
    tasks_of: Mapping[str, frozenset[TaskArn]] = {}
    """Service ARN → its tasks that are not STOPPED."""
    addresses: Mapping[str, TaskArn] = {}
    """Address → the awsvpc task that has it and is not STOPPED."""
    groups_on: Mapping[str, Mapping[str, int]] = {}
    """Instance ARN → task group → how many of its tasks are not STOPPED; a group without any is not there."""
