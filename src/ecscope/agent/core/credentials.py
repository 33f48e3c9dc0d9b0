"""Credentials of tasks: kept while they may be needed, under the ID that containers know.

They are never saved and never noted; after a restart ECS sends them again.

Source: agent-protocol.md §4.6; engine.md §2.1, §11.
"""

from __future__ import annotations

from hashlib import sha256

from ecscope.agent.core.actions import AcknowledgeCredentials
from ecscope.agent.core.events import CredentialsReceived
from ecscope.agent.core.step import Step
from ecscope.model import history
from ecscope.model.arn import TaskArn
from ecscope.model.container import Container
from ecscope.model.credentials import RoleType, TaskCredentials
from ecscope.model.task import Task


def received(step: Step, event: CredentialsReceived) -> None:
    """Replace what is known under the same ID. An unknown task gets no answer."""
    task = step.tasks.get(event.credentials.task_arn)
    if task is None or task.is_refused:
        step.note(
            history.NoChange(
                why=f"credentials {event.credentials.credentials_id} for {event.credentials.task_arn},"
                " which is not known"
            )
        )
        return
    keep(step, event.credentials)
    step.note(
        history.CredentialsReceived(
            credentials_id=event.credentials.credentials_id,
            role_arn=event.credentials.role_arn,
            role_type=event.credentials.role_type.value,
            expiration=event.credentials.expiration,
        ),
        task=task,
    )
    acknowledge(step, event.message_id, event.credentials)


def keep(step: Step, credentials: TaskCredentials) -> None:
    """Have them at hand under their ID; a pull may have waited for them."""
    step.credentials.put(credentials.credentials_id, credentials)
    step.touch(credentials.task_arn)


def are_awaited(step: Step, task: Task, container: Container) -> bool:
    """Whether the image is pulled with the execution role, whose credentials ECS has yet to send again.

    True after a restart. Without a cluster they would never come. Source: engine.md §2.1, §5.3.
    """
    login = container.definition.registry_login
    if login is None or not (login.kind == "asm" or login.use_execution_role):
        return False
    return of_execution_are_awaited(step, task)


def of_execution_are_awaited(step: Step, task: Task) -> bool:
    """Whether the task has an execution role whose credentials ECS has yet to send again."""
    execution = task.execution_credentials_id
    return step.settings.joins_cluster and execution != "" and execution not in step.credentials


def acknowledge(step: Step, message_id: str, credentials: TaskCredentials) -> None:
    """Tell ECS which set is now in use."""
    step.act(
        AcknowledgeCredentials(
            message_id=message_id, credentials_id=credentials.credentials_id, expiration=credentials.expiration
        )
    )


def forget_task_role(step: Step, task: Task) -> None:
    """Containers that ended ask for nothing any more. Source: engine.md §11."""
    _forget(step, task, {RoleType.TASK_APPLICATION})


def forget(step: Step, task: Task) -> None:
    """Nothing of the task is left."""
    _forget(step, task, set(RoleType))


def _forget(step: Step, task: Task, role_types: set[RoleType]) -> None:
    """Also what came for the task under IDs that it does not know."""
    for credentials in tuple(step.credentials):
        if credentials.task_arn == task.arn and credentials.role_type in role_types:
            step.credentials.drop(credentials.credentials_id)


def of_instance(*, access_key_id: str, secret_access_key: str, session_token: str) -> TaskCredentials:
    """The agent's own keys as Docker's log driver gets them, for tasks without an execution role.

    The ID is the same after a restart, since containers keep it, and does not lead back to the key.
    """
    digest = sha256(b"awslogs " + secret_access_key.encode()).hexdigest()
    return TaskCredentials(
        task_arn=TaskArn(""),
        role_type=RoleType.TASK_EXECUTION,
        credentials_id="-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32])),
        access_key_id=access_key_id,
        secret_access_key=secret_access_key,
        session_token=session_token,
        expiration="2099-01-01T00:00:00Z",
    )
