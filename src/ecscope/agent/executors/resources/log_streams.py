"""The log streams of a task on Fargate, created before its containers: ECS starts none whose stream it cannot create.

Source: engine.md §6.7.
"""

from __future__ import annotations

from ecscope.agent.aws.interface import AwsCallFailed, LogStreams
from ecscope.agent.core import log_streams, task_secrets
from ecscope.agent.executors.resources.execution_role import CredentialsOf, cause, execution_credentials, retries
from ecscope.agent.executors.resources.interface import ResourceFailure
from ecscope.model.container import NamedError
from ecscope.model.task import Task
from ecscope.model.task_resource import TaskResource


class LogStreamsProvider:
    """Implements ``ResourceProvider``."""

    def __init__(self, aws: LogStreams | None, *, credentials_of: CredentialsOf) -> None:
        """``aws`` ``None``: without a cluster there is no task on Fargate either."""
        self._aws = aws
        self._credentials_of = credentials_of

    async def create(self, task: Task, resource: TaskResource) -> None:
        """One stream for each container that logs with ``awslogs``; existing ones are good."""
        del resource
        credentials = execution_credentials(task, self._credentials_of)
        if self._aws is None or credentials is None:
            raise _failure(task_secrets.NO_CREDENTIALS)
        for container in task.containers:
            stream = log_streams.log_stream(container.definition)
            if stream is None:
                continue
            try:
                await self._aws.create(stream, credentials=credentials)
            except AwsCallFailed as failed:
                raise _failure(cause(failed), retries=retries(failed)) from None

    async def remove(self, task: Task, resource: TaskResource) -> None:
        """Nothing: what a task has logged outlives it."""


def _failure(why: str, *, retries: int = 1) -> ResourceFailure:
    message = log_streams.failure(why, retries=retries)
    return ResourceFailure(NamedError(name="ResourceInitializationError", message=message))
