"""What the rest of the agent may ask of AWS.

Held to this: ``aws/client`` (the real thing, over HTTPS) and fakes of the tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ecscope.agent.core.log_streams import LogStream
from ecscope.agent.core.task_secrets import SecretReference
from ecscope.model.api_failure import ApiFailure
from ecscope.model.credentials import TaskCredentials


class AwsCallFailed(Exception):
    """A call failed: all tries that belong to the call itself have been made."""

    def __init__(self, failure: ApiFailure) -> None:
        super().__init__(str(failure))
        self.failure = failure


class EcsApi(Protocol):
    """The ECS API. Calls may be cancelled at any time; each may be repeated."""

    async def call(self, operation: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """One signed call of ``AmazonEC2ContainerServiceV20141113.<operation>``; the decoded answer.

        Raises ``AwsCallFailed``. Makes no second try, save at once with new credentials where AWS did not take the
        old ones: when to try again is the caller's to say.
        """


class EcsForTasks(Protocol):
    """The ECS API, asked because a container wants to know. Calls may be cancelled at any time."""

    async def call_for_task(
        self,
        operation: str,
        body: Mapping[str, Any],
        *,
        credentials: TaskCredentials | None = None,
        on_behalf: str = "",
    ) -> Mapping[str, Any]:
        """As ``EcsApi.call``. Raises ``AwsCallFailed``.

        Args:
            credentials: of the task's role; ``None``: the agent's own.
            on_behalf: of whom, as CloudTrail shows it in the user agent; ``""``: nothing is shown.
        """


class WebsocketSigner(Protocol):
    """Signs what goes over the agent's websockets."""

    async def upgrade_headers(self, url: str) -> Mapping[str, str]:
        """Headers for the upgrade request: ``Authorization``, ``X-Amz-Date``, ``X-Amz-Security-Token`` where there is
        one. Raises ``AwsCallFailed`` (no credentials)."""

    async def sign_frame(self, url: str, frame: str) -> str:
        """``frame`` with the header block that the telemetry service wants before it (agent-protocol.md §5.2).

        Raises ``AwsCallFailed`` (no credentials)."""


class RegistryTokens(Protocol):
    """Credentials for image registries that AWS keeps. Raises ``AwsCallFailed``."""

    async def ecr(
        self, *, registry_id: str, region: str, endpoint_override: str, credentials: TaskCredentials | None
    ) -> tuple[str, str, str]:
        """User name, password and server of an ECR registry; ``credentials`` ``None``: the instance's own."""

    async def secret(self, *, secret_arn: str, region: str, credentials: TaskCredentials) -> tuple[str, str]:
        """User name and password out of a secret of Secrets Manager."""


class TaskSecrets(Protocol):
    """Values that AWS keeps for containers. A call that was throttled is made again. Raises ``AwsCallFailed``."""

    async def secret(self, reference: SecretReference, *, region: str, credentials: TaskCredentials) -> str | None:
        """The text of a secret, ``None``: it is binary. ``region`` ``""``: the agent's own."""

    async def parameters(
        self, names: tuple[str, ...], *, region: str, credentials: TaskCredentials
    ) -> tuple[Mapping[str, str], ...]:
        """``Parameters`` of the answer, decrypted, with their texts; at most ten names."""


class LogStreams(Protocol):
    """Streams of CloudWatch Logs. Raises ``AwsCallFailed``."""

    async def create(self, stream: LogStream, *, credentials: TaskCredentials) -> None:
        """Create it, and its group where it says so; existing ones are good."""
