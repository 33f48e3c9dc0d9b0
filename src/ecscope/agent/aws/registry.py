"""Credentials for image registries that AWS keeps: ECR's tokens, and secrets of Secrets Manager.

ECR's tokens are kept until shortly before they expire. Nothing here is logged, shown or written to disk.

Source: engine.md §4.4, §10.5; agent-protocol.md §3.9.
"""

from __future__ import annotations

import base64
import binascii
from collections import OrderedDict
from collections.abc import Callable, Mapping
from random import random
from typing import Any, TypeVar

import msgspec

from ecscope.agent.aws.client import AwsClient
from ecscope.agent.aws.credentials import of_task
from ecscope.agent.aws.endpoints import ServiceEndpoints, service_endpoint
from ecscope.agent.aws.interface import AwsCallFailed
from ecscope.clock import Clock
from ecscope.model.api_failure import ApiFailure
from ecscope.model.container_instance import ObstacleKind
from ecscope.model.credentials import TaskCredentials

ECR_TARGET = "AmazonEC2ContainerRegistry_V20150921"
SECRETS_TARGET = "secretsmanager"
CACHE_ENTRIES = 100
LONGEST_KEPT_S = 12 * 3600
REFRESH_BEFORE_S = 30 * 60
"""And up to as much again, by chance, so that many instances do not all come at once."""

T = TypeVar("T")


class _Secret(msgspec.Struct, frozen=True):
    """Parent of what holds a password; ``repr`` does not show it."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"


class _EcrToken(_Secret, frozen=True, rename="camel"):
    authorization_token: str
    proxy_endpoint: str = ""
    expires_at: float | None = None


class _EcrAnswer(_Secret, frozen=True, rename="camel"):
    authorization_data: list[_EcrToken]


class _SecretAnswer(_Secret, frozen=True, rename="pascal"):
    secret_string: str = ""


class _Login(_Secret, frozen=True):
    username: str
    password: str


class _Kept(_Secret, frozen=True):
    user: str
    password: str
    server: str
    until_s: float


class AwsRegistryTokens:
    """``RegistryTokens`` over an ``AwsClient``."""

    def __init__(
        self,
        client: AwsClient,
        *,
        clock: Clock,
        endpoints: ServiceEndpoints | None = None,
        random: Callable[[], float] = random,
    ) -> None:
        """``endpoints``: of Secrets Manager; ``None``: the regions' own."""
        self._client = client
        self._endpoints = endpoints or ServiceEndpoints()
        self._clock = clock
        self._random = random
        self._kept: OrderedDict[tuple[str, ...], _Kept] = OrderedDict()

    async def ecr(
        self, *, registry_id: str, region: str, endpoint_override: str, credentials: TaskCredentials | None
    ) -> tuple[str, str, str]:
        """See ``RegistryTokens``. Kept per registry, and per role where one is given."""
        key = (registry_id, region, endpoint_override, credentials.role_arn if credentials else "")
        now_s = self._clock.now().timestamp()
        kept = self._kept.get(key)
        if kept is None or now_s >= kept.until_s:
            kept = await self._ask_ecr(registry_id, region, endpoint_override, credentials, now_s)
            self._kept[key] = kept
        self._kept.move_to_end(key)
        while len(self._kept) > CACHE_ENTRIES:
            self._kept.popitem(last=False)
        return kept.user, kept.password, kept.server

    async def secret(self, *, secret_arn: str, region: str, credentials: TaskCredentials) -> tuple[str, str]:
        """See ``RegistryTokens``. Read again for each pull: there is no notice when a secret changes."""
        operation = "GetSecretValue"
        endpoint = self._endpoints.of("secretsmanager", region)
        answer = await self._client.call_service(
            "secretsmanager",
            operation,
            {"SecretId": secret_arn},
            target=SECRETS_TARGET,
            endpoint=endpoint,
            region=region,
            credentials=of_task(credentials),
        )
        text = _read(operation, endpoint, answer, _SecretAnswer).secret_string
        try:
            login = msgspec.json.decode(text, type=_Login)
        except (ValueError, RecursionError):
            raise _unusable(
                operation, endpoint, f'the secret {secret_arn} is not of the form {{"username":"…","password":"…"}}'
            ) from None  # the error quotes the content of the secret
        return login.username, login.password

    async def _ask_ecr(
        self, registry_id: str, region: str, override: str, credentials: TaskCredentials | None, now_s: float
    ) -> _Kept:
        operation = "GetAuthorizationToken"
        endpoint = (override if "://" in override else f"https://{override}") if override else ""
        endpoint = endpoint.rstrip("/") or service_endpoint("api.ecr", region)
        answer = await self._client.call_service(
            "ecr",
            operation,
            {"registryIds": [registry_id]} if registry_id else {},
            target=ECR_TARGET,
            endpoint=endpoint,
            region=region,
            credentials=of_task(credentials) if credentials else None,
        )
        tokens = _read(operation, endpoint, answer, _EcrAnswer).authorization_data
        if not tokens:
            raise _unusable(operation, endpoint, f"ECR gave no token for registry {registry_id}")
        token = tokens[0]
        try:
            user, colon, password = base64.b64decode(token.authorization_token, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            colon = user = password = ""
        if not colon:
            raise _unusable(operation, endpoint, "the token of ECR is not of the form base64(user:password)") from None
        margin_s = REFRESH_BEFORE_S * (1 + self._random())
        expires_s = token.expires_at if token.expires_at is not None else now_s + LONGEST_KEPT_S
        server = token.proxy_endpoint.removeprefix("https://").removeprefix("http://")
        until_s = min(expires_s, now_s + LONGEST_KEPT_S) - margin_s
        return _Kept(user=user, password=password, server=server, until_s=until_s)


def _read(operation: str, endpoint: str, answer: Mapping[str, Any], form: type[T]) -> T:
    try:
        return msgspec.convert(answer, form)
    except msgspec.ValidationError:
        raise _unusable(operation, endpoint, "the answer is not of the form that the API has") from None


def _unusable(operation: str, endpoint: str, message: str) -> AwsCallFailed:
    return AwsCallFailed(
        ApiFailure(operation=operation, kind=ObstacleKind.SERVER_ERROR, message=message, endpoint=endpoint)
    )
