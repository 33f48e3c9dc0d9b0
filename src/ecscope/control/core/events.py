"""Everything the control plane can learn, as small typed events in the past tense.

``id`` also seeds the IDs that a decision generates, so it must be unguessable and never reused.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from ecscope.control.core.iam import Rights
from ecscope.control.core.records import InstanceStatusDetail, Json
from ecscope.model.arn import TaskArn
from ecscope.model.status import HealthStatus


class Event(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Parent of all events."""

    id: str
    """32 hex digits of chance."""
    at: datetime
    """Aware UTC: the only clock there is."""


class ApiRequest(Event, frozen=True, kw_only=True, tag=True):
    """A client asks for a change. Its signature and the model's rules were checked before."""

    action: str
    principal_arn: str
    body: Json
    rights: Rights | None = None
    """Asked again when it is decided: by then a name may mean another record. ``None``: it may do everything."""


class AgentConnected(Event, frozen=True, kw_only=True, tag=True):
    """An agent opened ACS."""

    instance_arn: str
    connection_id: str
    version_info: Mapping[str, str]
    wants_credentials: bool
    """It has just started, and has none."""


class AgentDisconnected(Event, frozen=True, kw_only=True, tag=True):
    """That connection ended."""

    instance_arn: str
    connection_id: str


class MessageAcknowledged(Event, frozen=True, kw_only=True, tag=True):
    """An agent took a message over."""

    instance_arn: str
    message_id: str


class StopVerificationAsked(Event, frozen=True, kw_only=True, tag=True):
    """An agent has tasks that a manifest lacks, and asks whether they are to stop."""

    instance_arn: str
    message_id: str
    task_arns: tuple[TaskArn, ...]


class ContainerHealth(msgspec.Struct, frozen=True, kw_only=True):
    task_arn: TaskArn
    container_name: str
    health: HealthStatus


class HealthReported(Event, frozen=True, kw_only=True, tag=True):
    """An agent reported over TCS the results of its containers' health checks."""

    instance_arn: str
    containers: tuple[ContainerHealth, ...]


class InstanceStatusReported(Event, frozen=True, kw_only=True, tag=True):
    """An agent reported over TCS the status of its container runtime."""

    instance_arn: str
    details: tuple[InstanceStatusDetail, ...]


class TaskExplained(Event, frozen=True, kw_only=True, tag=True):
    """It was found out on this host why a task of a service failed."""

    task_arn: TaskArn
    code: str
    """Of docs/causes.md."""
    sentence: str


class TimePassed(Event, frozen=True, kw_only=True, tag=True):
    """A moment has come at which something may be due."""


AnyEvent = (
    ApiRequest
    | AgentConnected
    | AgentDisconnected
    | MessageAcknowledged
    | StopVerificationAsked
    | HealthReported
    | InstanceStatusReported
    | TaskExplained
    | TimePassed
)
