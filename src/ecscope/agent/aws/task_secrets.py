"""Secrets, parameters and log streams of tasks: the calls that are made with the credentials of execution roles.

A call that was throttled, or not answered, is made again a few times. No value is logged, shown or written to disk.

Source: agent-protocol.md §3.9; botocore's service models ``secretsmanager``, ``ssm``, ``logs``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from ecscope.agent.aws.client import AwsClient
from ecscope.agent.aws.credentials import Credentials
from ecscope.agent.aws.endpoints import ServiceEndpoints
from ecscope.agent.aws.interface import AwsCallFailed
from ecscope.agent.core.log_streams import LogStream
from ecscope.agent.core.task_secrets import SecretReference
from ecscope.backoff import Backoff, Retry
from ecscope.model.api_failure import ApiFailure
from ecscope.model.container_instance import ObstacleKind
from ecscope.model.credentials import TaskCredentials

RETRIES = Backoff(tries=6, first_s=0.5, cap_s=8.0, factor=2.0, jitter=0.2)
_WORTH_RETRYING = (ObstacleKind.THROTTLED, ObstacleKind.SERVER_ERROR, ObstacleKind.ENDPOINT_UNREACHABLE)
_TARGETS = {"secretsmanager": "secretsmanager", "ssm": "AmazonSSM", "logs": "Logs_20140328"}
T = TypeVar("T")

_EXISTS = "ResourceAlreadyExistsException"


class _SecretValue(msgspec.Struct, frozen=True, rename="pascal"):
    secret_string: str | None = None

    def __repr__(self) -> str:
        return "_SecretValue(…)"


class _Parameters(msgspec.Struct, frozen=True, rename="pascal"):
    parameters: tuple[dict[str, Any], ...] = ()

    def __repr__(self) -> str:
        return "_Parameters(…)"


class AwsTaskSecrets:
    """``TaskSecrets`` and ``LogStreams`` over an ``AwsClient``."""

    def __init__(
        self, client: AwsClient, *, region: str, endpoints: ServiceEndpoints, retry: Retry | None = None
    ) -> None:
        """``region``: the agent's own, for what names none."""
        self._client = client
        self._region = region
        self._endpoints = endpoints
        self._retry = retry or Retry()

    async def secret(self, reference: SecretReference, *, region: str, credentials: TaskCredentials) -> str | None:
        """See ``TaskSecrets``."""
        asked = {"SecretId": reference.secret_id, "VersionStage": reference.stage, "VersionId": reference.version}
        body = {name: value for name, value in asked.items() if value}
        answer = await self._ask("secretsmanager", "GetSecretValue", body, region, credentials)
        return self._read("GetSecretValue", answer, _SecretValue).secret_string

    async def parameters(
        self, names: tuple[str, ...], *, region: str, credentials: TaskCredentials
    ) -> tuple[Mapping[str, str], ...]:
        """See ``TaskSecrets``."""
        body = {"Names": list(names), "WithDecryption": True}
        answer = await self._ask("ssm", "GetParameters", body, region, credentials)
        found = self._read("GetParameters", answer, _Parameters).parameters
        return tuple({name: value for name, value in one.items() if isinstance(value, str)} for one in found)

    async def create(self, stream: LogStream, *, credentials: TaskCredentials) -> None:
        """See ``LogStreams``."""
        group = {"logGroupName": stream.group}
        if stream.creates_group:
            await self._make("CreateLogGroup", group, stream.region, credentials)
        await self._make("CreateLogStream", group | {"logStreamName": stream.stream}, stream.region, credentials)

    async def _make(self, operation: str, body: Mapping[str, Any], region: str, credentials: TaskCredentials) -> None:
        try:
            await self._ask("logs", operation, body, region, credentials)
        except AwsCallFailed as failed:
            if failed.failure.code != _EXISTS:
                raise

    async def _ask(
        self, service: str, operation: str, body: Mapping[str, Any], region: str, credentials: TaskCredentials
    ) -> Mapping[str, Any]:
        region = region or self._region
        keys = Credentials(
            access_key_id=credentials.access_key_id,
            secret_access_key=credentials.secret_access_key,
            session_token=credentials.session_token,
            source=f"execution role {credentials.role_arn}",
        )

        async def once() -> Mapping[str, Any]:
            return await self._client.call_service(
                service,
                operation,
                body,
                target=_TARGETS[service],
                endpoint=self._endpoints.of(service, region),
                region=region,
                credentials=keys,
            )

        return await self._retry.run(RETRIES, once, is_worth_retrying=_is_worth_retrying)

    def _read(self, operation: str, answer: Mapping[str, Any], form: type[T]) -> T:
        try:
            return msgspec.convert(answer, form)
        except msgspec.ValidationError:
            message = "the answer is not of the form that the API has"
            raise AwsCallFailed(
                ApiFailure(operation=operation, kind=ObstacleKind.SERVER_ERROR, message=message)
            ) from None


def _is_worth_retrying(error: Exception) -> bool:
    return isinstance(error, AwsCallFailed) and error.failure.kind in _WORTH_RETRYING
