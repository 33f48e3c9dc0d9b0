"""What the control plane keeps: clusters, task definitions, container instances, tasks, services. Values only.

Each is saved under its key as it is; what can be derived is not in it. Times are aware UTC.

Source: control-plane.md §2-§8, §12.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Any

import msgspec

from ecscope.control.core.service_members import ServiceMembers
from ecscope.control.core.statuses import (
    ClusterStatus,
    DeploymentStatus,
    DesiredStatus,
    InstanceStatus,
    LastStatus,
    LaunchType,
    RolloutState,
    SchedulingStrategy,
    ServiceStatus,
    StopCode,
    TaskDefinitionStatus,
)
from ecscope.model.arn import TaskArn
from ecscope.model.container_instance import Attribute
from ecscope.model.network import TaskInterface
from ecscope.model.resources import HostResources
from ecscope.model.status import HealthStatus
from ecscope.taskdefinition.definition import Definition, definition_of

_RUNNING, _STOPPED, _TO_STOP = LastStatus.RUNNING, LastStatus.STOPPED, DesiredStatus.STOPPED
_FARGATE = LaunchType.FARGATE
"""Asked of thousands of tasks at a time; a name is found faster than a member of an enum."""

Json = Mapping[str, Any]
"""Members as the API has them, checked against its model before they came here."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Parent of all records."""


class Cluster(Record, frozen=True, kw_only=True):
    """Key: its name."""

    name: str
    arn: str
    status: ClusterStatus = ClusterStatus.ACTIVE
    deleted_at: datetime | None = None
    tags: Mapping[str, str] = {}
    settings: Mapping[str, str] = {}
    configuration: Json = {}
    capacity_providers: tuple[str, ...] = ()
    default_strategy: tuple[Json, ...] = ()
    service_connect_defaults: Json = {}


class TaskDefinition(Record, frozen=True, kw_only=True, dict=True):
    """Key: its ARN."""

    arn: str
    family: str
    revision: int
    status: TaskDefinitionStatus = TaskDefinitionStatus.ACTIVE
    body: Json
    """What was registered, with the defaults that ECS fills in: it is kept and shown to the last member. Rules read
    ``members``. No member of this record is repeated in it."""
    requires_attributes: tuple[Attribute, ...] = ()
    compatibilities: tuple[LaunchType, ...] = (LaunchType.EC2,)
    tags: Mapping[str, str] = {}
    registered_at: datetime
    registered_by: str
    deregistered_at: datetime | None = None
    delete_requested_at: datetime | None = None

    @cached_property
    def members(self) -> Definition:
        """What ``body`` says."""
        return definition_of(self.body)


class InstanceStatusDetail(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent last said of its container runtime."""

    type: str
    """As the API calls it: ``CONTAINER_RUNTIME``."""
    status: str
    status_reason: str = ""
    last_updated_at: datetime | None = None
    last_status_change_at: datetime | None = None


class Instance(Record, frozen=True, kw_only=True, dict=True):
    """A container instance. Key: its ARN."""

    arn: str
    cluster: str
    """Name of its cluster."""
    status: InstanceStatus = InstanceStatus.ACTIVE
    ec2_instance_id: str
    registered_at: datetime
    resources: HostResources
    """All that it has for tasks; the ports are those that no task may take."""
    reported_attributes: tuple[Attribute, ...] = ()
    """By the agent's last registration, and what the server adds (``ecs.availability-zone``)."""
    custom_attributes: Mapping[str, str | None] = {}
    """Of the first registration, and by PutAttributes."""
    tags: Mapping[str, str] = {}
    client_token: str = ""
    version_info: Mapping[str, str] = {}
    """``agentVersion``, ``agentHash``, ``dockerVersion``."""
    connection_id: str = ""
    """The agent's ACS connection; ``""``: none. Not meaningful after a restart, which clears it."""
    connectivity_at: datetime | None = None
    """When it last connected, or lost its connection."""
    health: tuple[InstanceStatusDetail, ...] = ()
    version: int = 1

    @property
    def is_connected(self) -> bool:
        return self.connection_id != ""

    @cached_property
    def attributes(self) -> Mapping[str, str | None]:
        """All of them, by name; what a user gave it wins."""
        reported = {attribute.name: attribute.value for attribute in self.reported_attributes}
        return reported | dict(self.custom_attributes)


class TaskContainer(msgspec.Struct, frozen=True, kw_only=True):
    """A container of a task, as its agent last reported it."""

    name: str
    arn: str
    image: str
    is_essential: bool = True
    last_status: LastStatus = LastStatus.PENDING
    runtime_id: str = ""
    exit_code: int | None = None
    reason: str = ""
    image_digest: str = ""
    network_bindings: tuple[Json, ...] = ()
    health: HealthStatus = HealthStatus.UNKNOWN
    has_health_check: bool = False
    cpu: str = "0"
    memory: str = ""
    memory_reservation: str = ""


class Task(Record, frozen=True, kw_only=True):
    """A task. Key: its ARN."""

    arn: TaskArn
    cluster: str
    definition_arn: str
    instance_arn: str
    last_status: LastStatus = LastStatus.PENDING
    """As users see it."""
    desired_status: DesiredStatus = DesiredStatus.RUNNING
    containers: tuple[TaskContainer, ...]
    overrides: Json = {}
    """As asked for, checked."""
    needs: HostResources
    """What it takes of its instance until it is STOPPED."""
    group: str
    started_by: str = ""
    service_arn: str = ""
    deployment_id: str = ""
    """``""``: no service started it."""
    launch_type: LaunchType = LaunchType.EC2
    capacity_provider: str = ""
    """``""``: it was started by launch type."""
    platform: Json = {}
    """What is shown of a task on Fargate only: its size, its platform, its storage."""
    interface: TaskInterface | None = None
    """``None``: its network mode gives it none."""
    subnet_id: str = ""
    """Of its interface, as users call it."""
    execute_command_enabled: bool = False
    health: HealthStatus = HealthStatus.UNKNOWN
    stop_code: StopCode = StopCode.NONE
    stopped_reason: str = ""
    stop_asked_by: str = ""
    """ARN of the user or role that called StopTask; ``""``: nobody did. ECS shows it in CloudTrail only."""
    created_at: datetime
    started_at: datetime | None = None
    stopping_at: datetime | None = None
    stopped_at: datetime | None = None
    pull_started_at: datetime | None = None
    pull_stopped_at: datetime | None = None
    execution_stopped_at: datetime | None = None
    protected_until: datetime | None = None
    is_protected: bool = False
    """``True`` with ``protected_until`` ``None`` never happens: protection always ends."""
    tags: Mapping[str, str] = {}
    version: int = 1
    credentials_id: str = ""
    """Of the task role; ``""``: it has none."""
    execution_credentials_id: str = ""
    message_id: str = ""
    """The last payload that carried the desired status to the agent; ``""``: still to be sent."""
    is_acknowledged: bool = False
    """The agent has taken that payload over."""

    @property
    def is_on_fargate(self) -> bool:
        """No container instance is shown for it."""
        return self.launch_type == _FARGATE

    @property
    def is_running(self) -> bool:
        return self.last_status == _RUNNING

    @property
    def is_stopped(self) -> bool:
        return self.last_status == _STOPPED

    @property
    def is_to_stop(self) -> bool:
        """It is stopped, or is to be stopped."""
        return self.desired_status == _TO_STOP


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment of a service; what can be counted from its tasks is not in it."""

    id: str
    """``ecs-svc/<19 digits>``; also ``startedBy`` of its tasks."""
    status: DeploymentStatus
    definition_arn: str
    desired_count: int
    created_at: datetime
    updated_at: datetime
    failed_tasks: int = 0
    """In a row, none of them healthy in between."""
    rollout_state: RolloutState = RolloutState.IN_PROGRESS
    rollout_reason: str = ""
    rolls_back: str = ""
    """ID of the failed deployment that it replaces; ``""``: it is not a rollback."""
    finished_at: datetime | None = None
    """When it was COMPLETED or FAILED, or gave way to another one."""
    settings: Json = {}
    """What a new deployment is made for: launch type, strategies, network configuration, …"""
    next_start_at: datetime | None = None
    """Start no task before this; ``None``: at once. Tasks that are older belong to an earlier try."""
    starts_failed: int = 0
    """Tries in a row; decides how long the next wait is."""
    failed_at: datetime | None = None
    """When the newest of the failed tasks ended."""

    @property
    def launch_type(self) -> LaunchType:
        """Of its tasks."""
        if self.settings.get("capacityProviderStrategy"):
            return LaunchType.FARGATE
        return LaunchType(self.settings.get("launchType", LaunchType.EC2))


class CompletedDeployment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a circuit breaker would roll back to."""

    id: str = ""
    """``""``: no deployment was completed yet."""
    definition_arn: str = ""
    settings: Json = {}


class ServiceEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to a service, in ECS's words."""

    id: str
    created_at: datetime
    message: str


class Service(Record, frozen=True, kw_only=True, dict=True):
    """A service. Key: its ARN."""

    arn: str
    name: str
    cluster: str
    status: ServiceStatus = ServiceStatus.ACTIVE
    scheduling_strategy: SchedulingStrategy = SchedulingStrategy.REPLICA
    desired_count: int = 0
    deployments: tuple[Deployment, ...] = ()
    """Newest first; the first is PRIMARY."""
    past_deployments: tuple[Deployment, ...] = ()
    """INACTIVE ones, newest first, 20 at most."""
    events: tuple[ServiceEvent, ...] = ()
    """Newest first, 100 at most."""
    created_at: datetime
    created_by: str
    client_token: str = ""
    body: Json = {}
    """Other members as given or by default, kept and shown to the last one. Rules read ``members``."""
    tags: Mapping[str, str] = {}
    last_completed: CompletedDeployment = CompletedDeployment()
    steady_said_at: datetime | None = None
    last_problem: str = ""
    """The last complaint among the events, so that it is not repeated."""
    last_problem_at: datetime | None = None
    look_at: datetime | None = None
    """When time alone may change something about it; ``None``: it waits for nothing but events."""

    @cached_property
    def members(self) -> ServiceMembers:
        """What ``body`` says."""
        return msgspec.convert(self.body, ServiceMembers)

    @property
    def is_daemon(self) -> bool:
        """One task on each instance, instead of a number of them."""
        return self.scheduling_strategy == SchedulingStrategy.DAEMON


class Token(Record, frozen=True, kw_only=True):
    """A client token that was used. Key: ``<action>/<token>``."""

    digest: str
    """Of the request it came with."""
    resource_arns: tuple[str, ...]
    at: datetime
