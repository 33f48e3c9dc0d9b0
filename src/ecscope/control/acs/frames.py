"""What an effect is on the wire: the frames of ACS, made of the state as it is when they are sent. Pure.

Source: agent-protocol.md §4.4-§4.7; control-plane.md §10.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ecscope.control.core.effects import ConfirmStop, SendCredentials, SendManifest, SendPayload
from ecscope.control.core.payloads import payload_task
from ecscope.control.core.records import Task
from ecscope.control.core.state import ControlState
from ecscope.control.core.statuses import DesiredStatus
from ecscope.model.arn import TaskArn
from ecscope.model.credentials import RoleType
from ecscope.wire.acs.messages import (
    IAMRoleCredentialsMessage,
    PayloadMessage,
    TaskIdentifier,
    TaskManifestMessage,
    TaskStopVerificationAck,
    encode,
)

ForAgent = SendPayload | SendManifest | ConfirmStop | SendCredentials
"""Effects that become frames."""


def frames(state: ControlState, effect: ForAgent, *, at_ms: int, new_id: Callable[[], str]) -> Iterator[str]:
    """``at_ms``: milliseconds since the epoch. Tasks that are forgotten by now are left out."""
    instance = state.instances.get(effect.instance_arn)
    if instance is None:
        return
    cluster_arn = state.clusters[instance.cluster].arn
    match effect:
        case SendPayload():
            tasks = tuple(payload_task(state, task) for task in _known(state, effect.task_arns))
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
                    tasks=tuple(_identifiers(effect.task_arns, DesiredStatus.RUNNING)),
                )
            )
        case ConfirmStop():
            yield encode(
                TaskStopVerificationAck(
                    message_id=effect.message_id,
                    generated_at=at_ms,
                    stop_tasks=tuple(_identifiers(effect.task_arns, DesiredStatus.STOPPED)),
                )
            )
        case SendCredentials():
            for task in _known(state, effect.task_arns):
                payload = payload_task(state, task)
                for role_type, credentials in (
                    (RoleType.TASK_APPLICATION, payload.role_credentials),
                    (RoleType.TASK_EXECUTION, payload.execution_role_credentials),
                ):
                    if credentials is not None:
                        yield encode(
                            IAMRoleCredentialsMessage(
                                message_id=new_id(),
                                task_arn=task.arn,
                                task_cluster_arn=_cluster_of(task.arn),
                                role_type=role_type.value,
                                role_credentials=credentials,
                            )
                        )


def _known(state: ControlState, arns: Iterable[TaskArn]) -> Iterator[Task]:
    return (task for arn in arns if (task := state.tasks.get(arn)) is not None)


def _identifiers(arns: Iterable[str], desired_status: str) -> Iterator[TaskIdentifier]:
    for arn in arns:
        yield TaskIdentifier(task_arn=arn, task_cluster_arn=_cluster_of(arn), desired_status=desired_status)


def _cluster_of(task_arn: str) -> str:
    """The ARN of a task's own cluster, which need not be that of its instance; ``""``: it is not the ARN of a task."""
    prefix, is_of_a_task, path = task_arn.partition(":task/")
    return f"{prefix}:cluster/{path.partition('/')[0]}" if is_of_a_task else ""
