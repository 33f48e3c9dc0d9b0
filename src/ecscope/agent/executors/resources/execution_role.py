"""What is made with the credentials of a task's execution role: where they are, and what a failed call is called.

Source: agent-protocol.md §4.6.
"""

from __future__ import annotations

from collections.abc import Callable

from ecscope.agent.aws.interface import AwsCallFailed
from ecscope.model.container_instance import ObstacleKind
from ecscope.model.credentials import TaskCredentials
from ecscope.model.task import Task

CredentialsOf = Callable[[str], TaskCredentials | None]
"""What is known now under a credentials ID."""

_RETRIED = (ObstacleKind.THROTTLED, ObstacleKind.SERVER_ERROR, ObstacleKind.ENDPOINT_UNREACHABLE)
_RETRIES = 5


def execution_credentials(task: Task, credentials_of: CredentialsOf) -> TaskCredentials | None:
    """``None``: the task has no execution role, or ECS has not sent its credentials."""
    return credentials_of(task.execution_credentials_id) if task.execution_credentials_id else None


def cause(failed: AwsCallFailed) -> str:
    """``<code>: <message>`` as AWS's SDKs write it."""
    failure = failed.failure
    return f"{failure.code}: {failure.message}" if failure.code else failure.message


def retries(failed: AwsCallFailed) -> int:
    """As ECS counts them, which calls a first try one."""
    return _RETRIES if failed.failure.kind in _RETRIED else 1
