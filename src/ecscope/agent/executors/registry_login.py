"""Which credentials a container's image is pulled with.

Carries out what the container's definition says: AWS is asked where it says that AWS keeps them,
else the agent's own (``ECS_ENGINE_AUTH_DATA``) are looked through.

Source: engine.md §4.4, §10.5.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ecscope.agent.aws.interface import AwsCallFailed, RegistryTokens
from ecscope.agent.runtime.interface import RegistryAuth, RuntimeFailure
from ecscope.model.container import ContainerDefinition, NamedError, RegistryLogin
from ecscope.model.credentials import TaskCredentials
from ecscope.model.task import Task


class RegistryLogins:
    """See the module docstring. Holds no credentials: its sources may cache them."""

    def __init__(
        self,
        *,
        own: Callable[[str], RegistryAuth | None],
        aws: RegistryTokens | None = None,
        credentials_of: Callable[[str], TaskCredentials | None] = lambda credentials_id: None,
        of_user: Callable[[str], Awaitable[RegistryAuth | None]] | None = None,
    ) -> None:
        """Make no call yet.

        Args:
            own: the agent's own credentials for an image; ``None``: it has none.
            aws: ``None``: the agent works without AWS.
            of_user: the login of the user who started it, where the agent has none of its own; ``None``: of no user.
            credentials_of: what is known now under a credentials ID.
        """
        self._own = own
        self._aws = aws
        self._credentials_of = credentials_of
        self._of_user = of_user

    async def of(self, task: Task, definition: ContainerDefinition) -> RegistryAuth | None:
        """Credentials for the container's image; ``None``: it is pulled without. May be cancelled.

        Raises ``RuntimeFailure`` with ``CannotPullECRContainerError`` or ``CannotPullContainerAuthError``.
        """
        login = definition.registry_login
        if login is None:
            own = self._own(definition.image)
            return own if own is not None or self._of_user is None else await self._of_user(definition.image)
        execution = self._credentials_of(task.execution_credentials_id) if task.execution_credentials_id else None
        match login.kind:
            case "ecr":
                return await self._ecr(login, execution)
            case _:
                return await self._secret(login, execution)

    async def _ecr(self, login: RegistryLogin, execution: TaskCredentials | None) -> RegistryAuth:
        name = "CannotPullECRContainerError"
        aws = self._reachable(name)
        if login.use_execution_role and execution is None:
            raise _failure(name, "engine ecr credentials: not found")
        try:
            username, password, server = await aws.ecr(
                registry_id=login.registry_id,
                region=login.region,
                endpoint_override=login.endpoint_override,
                credentials=execution if login.use_execution_role else None,
            )
        except AwsCallFailed as failed:
            raise _failure(name, str(failed)) from failed
        return RegistryAuth(username=username, password=password, server_address=server)

    async def _secret(self, login: RegistryLogin, execution: TaskCredentials | None) -> RegistryAuth:
        name = "CannotPullContainerAuthError"
        aws = self._reachable(name)
        if execution is None:
            raise _failure(name, "engine docker private registry credentials: not found")
        try:
            username, password = await aws.secret(
                secret_arn=login.secret_arn, region=login.region, credentials=execution
            )
        except AwsCallFailed as failed:
            raise _failure(name, str(failed)) from failed
        return RegistryAuth(username=username, password=password)

    def _reachable(self, error_name: str) -> RegistryTokens:
        if self._aws is None:
            raise _failure(
                error_name,
                "AWS keeps the registry's credentials, and this agent was started without an ECS cluster to join",
            )
        return self._aws


def _failure(name: str, message: str) -> RuntimeFailure:
    return RuntimeFailure(NamedError(name=name, message=message))
