"""What the control plane can want done: small typed effects in the imperative. They may be repeated after a crash.

Nothing is sent to a disconnected agent; what it should know is in the state, and is sent when it connects.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from ecscope.model.arn import TaskArn
from ecscope.model.resources import HostResources


class Effect(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Parent of all effects."""


class SendPayload(Effect, frozen=True, kw_only=True, tag=True):
    """Tell an agent the desired status of tasks. Gives ``MessageAcknowledged`` in the end."""

    instance_arn: str
    message_id: str
    sequence: int
    task_arns: tuple[TaskArn, ...]


class SendManifest(Effect, frozen=True, kw_only=True, tag=True):
    """List the tasks that should be on an instance. May give ``StopVerificationAsked``."""

    instance_arn: str
    message_id: str
    timeline: int
    task_arns: tuple[TaskArn, ...]
    """Those whose desired status is RUNNING."""


class ConfirmStop(Effect, frozen=True, kw_only=True, tag=True):
    """Answer a stop verification: these tasks are really to stop."""

    instance_arn: str
    message_id: str
    task_arns: tuple[TaskArn, ...]


class SendCredentials(Effect, frozen=True, kw_only=True, tag=True):
    """Hand an agent that has just started the credentials of its running tasks."""

    instance_arn: str
    task_arns: tuple[TaskArn, ...]


class Disconnect(Effect, frozen=True, kw_only=True, tag=True):
    """Close an agent's connections: a newer one took its place, or the instance is gone."""

    instance_arn: str
    connection_id: str
    """ACS connection; ``""``: every one of the instance, which is not registered any more."""
    reason: str


class WakeAt(Effect, frozen=True, kw_only=True, tag=True):
    """Post ``TimePassed`` at this moment; an earlier one that is set stays."""

    at: datetime


class ReportOvercommitment(Effect, frozen=True, kw_only=True, tag=True):
    """Say, once, that the tasks on an instance may use more together than it has: those on Fargate are not counted."""

    instance_arn: str
    cpu_units: int
    """Asked for by all tasks."""
    memory_mib: int
    """Asked for by all tasks."""
    has: HostResources


class ReportUnlimitedStorage(Effect, frozen=True, kw_only=True, tag=True):
    """Say, once, that the ``ephemeralStorage`` that a task asks for is not enforced here."""


AnyEffect = (
    SendPayload
    | SendManifest
    | ConfirmStop
    | SendCredentials
    | Disconnect
    | WakeAt
    | ReportOvercommitment
    | ReportUnlimitedStorage
)
