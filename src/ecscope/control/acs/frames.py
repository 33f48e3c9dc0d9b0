"""What an effect is on the wire: the frames of ACS, made of the state as it is when they are sent. Pure.

Source: agent-protocol.md §4.4-§4.7; control-plane.md §10.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from ecscope.control.core.effects import ConfirmStop, SendCredentials, SendManifest, SendPayload
from ecscope.control.core.records import Json, Task
from ecscope.control.core.state import ControlState
from ecscope.model.arn import TaskArn
from ecscope.model.credentials import RoleType
from ecscope.wire.acs import (
    IAMRoleCredentialsMessage,
    PayloadMessage,
    TaskIdentifier,
    TaskManifestMessage,
    TaskStopVerificationAck,
    encode,
)
from ecscope.wire.acs_payload import PayloadTask, RoleCredentials

ForAgent = SendPayload | SendManifest | ConfirmStop | SendCredentials
"""Effects that become frames."""

PayloadOf = Callable[[ControlState, Task], Json]
"""Gives a task as ACS sends it, with the credentials of its roles."""

_ROLES = {"roleCredentials": RoleType.TASK_APPLICATION, "executionRoleCredentials": RoleType.TASK_EXECUTION}


def frames(
    state: ControlState, effect: ForAgent, *, payload_of: PayloadOf, at_ms: int, new_id: Callable[[], str]
) -> Iterator[str]:
    """``at_ms``: milliseconds since the epoch. Tasks that are forgotten by now are left out.

    Raises ``msgspec.ValidationError`` for a task that an agent could not read, which is a bug.
    """
    instance = state.instances.get(effect.instance_arn)
    if instance is None:
        return
    cluster_arn = state.clusters[instance.cluster].arn
    match effect:
        case SendPayload():
            tasks = tuple(
                msgspec.convert(payload_of(state, task), PayloadTask) for task in _known(state, effect.task_arns)
            )
            if tasks:
                yield encode(
                    PayloadMessage(
                        cluster_arn=cluster_arn,
                        container_instance_arn=instance.arn,
                        message_id=effect.message_id,
                        seq_num=effect.sequence,
                        generated_at=at_ms,
                        tasks=tasks,
                    )
                )
        case SendManifest():
            yield encode(
                TaskManifestMessage(
                    cluster_arn=cluster_arn,
                    container_instance_arn=instance.arn,
                    message_id=effect.message_id,
                    timeline=effect.timeline,
                    generated_at=at_ms,
                    tasks=tuple(_identifiers(effect.task_arns, cluster_arn, "RUNNING")),
                )
            )
        case ConfirmStop():
            yield encode(
                TaskStopVerificationAck(
                    message_id=effect.message_id,
                    generated_at=at_ms,
                    stop_tasks=tuple(_identifiers(effect.task_arns, cluster_arn, "STOPPED")),
                )
            )
        case SendCredentials():
            for task in _known(state, effect.task_arns):
                yield from _credentials(payload_of(state, task), task.arn, cluster_arn, new_id)


def _known(state: ControlState, arns: Iterable[TaskArn]) -> Iterator[Task]:
    return (task for arn in arns if (task := state.tasks.get(arn)) is not None)


def _identifiers(arns: Iterable[str], cluster_arn: str, desired_status: str) -> Iterator[TaskIdentifier]:
    for arn in arns:
        yield TaskIdentifier(task_arn=arn, task_cluster_arn=cluster_arn, desired_status=desired_status)


def _credentials(task: Json, task_arn: str, cluster_arn: str, new_id: Callable[[], str]) -> Iterator[str]:
    for member, role_type in _ROLES.items():
        if member in task:
            yield encode(
                IAMRoleCredentialsMessage(
                    message_id=new_id(),
                    task_arn=task_arn,
                    task_cluster_arn=cluster_arn,
                    role_type=role_type.value,
                    role_credentials=msgspec.convert(task[member], RoleCredentials),
                )
            )
