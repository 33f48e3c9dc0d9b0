"""Values out of the Parameter Store of Systems Manager, fetched with the credentials of the task's execution role.

Source: engine.md §5.3; agent-protocol.md §3.9.
"""

from __future__ import annotations

from collections.abc import Mapping

from ecscope.agent.aws.interface import AwsCallFailed, TaskSecrets
from ecscope.agent.core import task_secrets
from ecscope.agent.core.task_secrets import InvalidSecret
from ecscope.agent.executors.resources.execution_role import CredentialsOf, cause, execution_credentials, retries
from ecscope.agent.executors.resources.interface import ResourceFailure
from ecscope.agent.executors.secret_values import SecretValues
from ecscope.model.container import NamedError, SecretStore
from ecscope.model.task import Task
from ecscope.model.task_resource import TaskResource

_STORE = SecretStore.PARAMETER_STORE


class ParametersProvider:
    """Implements ``ResourceProvider``."""

    def __init__(self, aws: TaskSecrets | None, *, values: SecretValues, credentials_of: CredentialsOf) -> None:
        """``aws`` ``None``: without a cluster there is no execution role either."""
        self._aws = aws
        self._values = values
        self._credentials_of = credentials_of

    async def create(self, task: Task, resource: TaskResource) -> None:
        """Fetch what all containers have there, region by region."""
        del resource
        secrets = task_secrets.of_store(task, _STORE)
        credentials = execution_credentials(task, self._credentials_of)
        for region in dict.fromkeys(secret.region for secret in secrets):
            if self._aws is None or credentials is None:
                raise _failure(task, region, task_secrets.NO_CREDENTIALS)
            here = tuple(secret for secret in secrets if secret.region == region)
            names = tuple(dict.fromkeys(secret.value_from for secret in here))
            found: list[Mapping[str, str]] = []
            try:
                for batch in task_secrets.parameter_batches(names):
                    found += await self._aws.parameters(batch, region=region, credentials=credentials)
                values = task_secrets.parameter_values(names, tuple(found))
            except AwsCallFailed as failed:
                raise _failure(task, region, cause(failed), retries=retries(failed)) from None
            except InvalidSecret as invalid:
                raise _failure(task, region, str(invalid)) from None
            self._values.keep(task.arn, {secret: values[secret.value_from] for secret in here})

    async def remove(self, task: Task, resource: TaskResource) -> None:
        """Forget the values."""
        del resource
        self._values.drop(task.arn, _STORE)


def _failure(task: Task, region: str, why: str, *, retries: int = 1) -> ResourceFailure:
    message = task_secrets.failure(task, _STORE, region=region, value_from="", why=why, retries=retries)
    return ResourceFailure(NamedError(name="ResourceInitializationError", message=message))
