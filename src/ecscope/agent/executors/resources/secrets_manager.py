"""Values out of Secrets Manager, fetched with the credentials of the task's execution role.

Source: engine.md §5.3; agent-protocol.md §3.9.
"""

from __future__ import annotations

import asyncio

from ecscope.agent.aws.interface import AwsCallFailed, TaskSecrets
from ecscope.agent.core import task_secrets
from ecscope.agent.core.task_secrets import InvalidSecret
from ecscope.agent.executors.resources.execution_role import CredentialsOf, cause, execution_credentials, retries
from ecscope.agent.executors.resources.interface import ResourceFailure
from ecscope.agent.executors.secret_values import SecretValues
from ecscope.model.container import NamedError, Secret, SecretStore
from ecscope.model.credentials import TaskCredentials
from ecscope.model.task import Task
from ecscope.model.task_resource import TaskResource

_STORE = SecretStore.SECRETS_MANAGER
_AT_ONCE = 8
"""Calls under way for one task. The quota of the API is far above that."""


class SecretsManagerProvider:
    """Implements ``ResourceProvider``."""

    def __init__(self, aws: TaskSecrets | None, *, values: SecretValues, credentials_of: CredentialsOf) -> None:
        """``aws`` ``None``: without a cluster there is no execution role either."""
        self._aws = aws
        self._values = values
        self._credentials_of = credentials_of

    async def create(self, task: Task, resource: TaskResource) -> None:
        """Fetch what all containers have there; each secret once, however many of its keys they take."""
        del resource
        secrets = task_secrets.of_store(task, _STORE)
        credentials = execution_credentials(task, self._credentials_of)
        if self._aws is None or credentials is None:
            raise _failure(task, secrets[0], task_secrets.NO_CREDENTIALS)
        limit = asyncio.Semaphore(_AT_ONCE)
        fetched: dict[tuple[str, str, str, str], asyncio.Task[str | None]] = {}
        try:
            async with asyncio.TaskGroup() as group:
                for secret in secrets:
                    key = _key(task, secret)
                    if key not in fetched:
                        fetched[key] = group.create_task(self._fetch(task, secret, credentials, limit))
        except* ResourceFailure as failures:
            raise failures.exceptions[0] from None
        self._values.keep(task.arn, {s: _text(task, s, fetched[_key(task, s)].result()) for s in secrets})

    async def remove(self, task: Task, resource: TaskResource) -> None:
        """Forget the values."""
        del resource
        self._values.drop(task.arn, _STORE)

    async def _fetch(
        self, task: Task, secret: Secret, credentials: TaskCredentials, limit: asyncio.Semaphore
    ) -> str | None:
        assert self._aws is not None
        async with limit:
            try:
                reference = task_secrets.secret_reference(secret.value_from)
                return await self._aws.secret(reference, region=secret.region, credentials=credentials)
            except AwsCallFailed as failed:
                raise _failure(task, secret, cause(failed), retries=retries(failed)) from None


def _key(task: Task, secret: Secret) -> tuple[str, str, str, str]:
    """What one call answers. Raises ``ResourceFailure``."""
    try:
        reference = task_secrets.secret_reference(secret.value_from)
    except InvalidSecret as invalid:
        raise _failure(task, secret, str(invalid)) from None
    return secret.region, reference.secret_id, reference.stage, reference.version


def _text(task: Task, secret: Secret, secret_string: str | None) -> str:
    try:
        return task_secrets.text_of(task_secrets.secret_reference(secret.value_from), secret_string)
    except InvalidSecret as invalid:
        raise _failure(task, secret, str(invalid)) from None


def _failure(task: Task, secret: Secret, why: str, *, retries: int = 1) -> ResourceFailure:
    message = task_secrets.failure(
        task, _STORE, region=secret.region, value_from=secret.value_from, why=why, retries=retries
    )
    return ResourceFailure(NamedError(name="ResourceInitializationError", message=message))
