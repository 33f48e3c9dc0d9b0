"""Registry credentials come from ECR and from secrets, are kept as long as they are good, and are never shown."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from aiohttp import web

from ecscope.agent.aws import registry
from ecscope.agent.aws.client import AwsClient
from ecscope.agent.aws.credentials import Credentials, CredentialsProvider
from ecscope.agent.aws.endpoints import ServiceEndpoints
from ecscope.agent.aws.interface import AwsCallFailed
from ecscope.agent.aws.registry import AwsRegistryTokens
from ecscope.clock import SystemClock
from ecscope.model.container_instance import ObstacleKind
from ecscope.model.credentials import RoleType, TaskCredentials
from tests.builders import an_arn

OWN = Credentials(access_key_id="AKIDOWN", secret_access_key="hush")
TASK = TaskCredentials(
    task_arn=an_arn(),
    role_type=RoleType.TASK_EXECUTION,
    credentials_id="an-id",
    role_arn="arn:aws:iam::012345678910:role/execution",
    access_key_id="ASIATASK",
    secret_access_key="hush",
    session_token="token",
)


class FakeTime:
    def __init__(self) -> None:
        self.at = datetime.now(UTC)

    def now(self) -> datetime:
        return self.at


class Place:
    """The agent's own credentials."""

    def look(self) -> Credentials:
        return OWN


class Aws:
    """ECR and Secrets Manager in one."""

    def __init__(self, time: FakeTime) -> None:
        self.time = time
        self.calls: list[tuple[str, str, Any]] = []
        """Target, access key, body."""
        self.ecr: Any = [self.token("AWS:password-1")]
        self.secret: Any = {"SecretString": '{"username":"me","password":"mine"}'}
        self.url = ""

    def token(self, text: str, *, left: timedelta | None = timedelta(hours=12)) -> dict[str, Any]:
        token = {
            "authorizationToken": base64.b64encode(text.encode()).decode(),
            "proxyEndpoint": "https://012345678910.dkr.ecr.us-west-2.amazonaws.com",
        }
        return token if left is None else token | {"expiresAt": (self.time.at + left).timestamp()}

    async def serve(self, request: web.BaseRequest) -> web.Response:
        target = request.headers["X-Amz-Target"]
        scope = request.headers["Authorization"].partition("Credential=")[2].partition(",")[0].split("/")
        self.calls.append((target, f"{scope[0]} {scope[2]} {scope[3]}", await request.json()))
        if target.startswith("secretsmanager."):
            return web.json_response(self.secret)
        return web.json_response({"authorizationData": self.ecr})


@asynccontextmanager
async def tokens_from(aws: Aws) -> AsyncIterator[AwsRegistryTokens]:
    runner = web.ServerRunner(web.Server(aws.serve), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    aws.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    provider = CredentialsProvider((Place(),), clock=SystemClock())
    client = AwsClient(region="us-west-2", credentials=provider, clock=aws.time, endpoint=aws.url)
    try:
        endpoints = ServiceEndpoints(of_services={"secretsmanager": aws.url})
        yield AwsRegistryTokens(client, clock=aws.time, endpoints=endpoints, random=lambda: 0.5)
    finally:
        await client.close()
        await runner.cleanup()


@pytest.fixture
def aws() -> Aws:
    return Aws(FakeTime())


async def ask(
    tokens: AwsRegistryTokens,
    aws: Aws,
    *,
    registry_id: str = "012345678910",
    credentials: TaskCredentials | None = None,
) -> tuple[str, str, str]:
    return await tokens.ecr(
        registry_id=registry_id, region="eu-west-1", endpoint_override=aws.url, credentials=credentials
    )


async def test_ecr_gives_user_password_and_server(aws: Aws) -> None:
    async with tokens_from(aws) as tokens:
        found = await ask(tokens, aws)
    assert found == ("AWS", "password-1", "012345678910.dkr.ecr.us-west-2.amazonaws.com")
    assert aws.calls == [
        (
            "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken",
            "AKIDOWN eu-west-1 ecr",
            {"registryIds": ["012345678910"]},
        )
    ]


async def test_the_execution_role_s_keys_are_used_where_they_are_given_and_have_tokens_of_their_own(aws: Aws) -> None:
    async with tokens_from(aws) as tokens:
        await ask(tokens, aws)
        await ask(tokens, aws, credentials=TASK)
        await ask(tokens, aws, registry_id="", credentials=TASK)
    assert [who for _, who, _ in aws.calls] == [
        "AKIDOWN eu-west-1 ecr",
        "ASIATASK eu-west-1 ecr",
        "ASIATASK eu-west-1 ecr",
    ]
    assert aws.calls[2][2] == {}


async def test_a_token_is_kept_until_shortly_before_it_expires(aws: Aws) -> None:
    async with tokens_from(aws) as tokens:
        await ask(tokens, aws)
        aws.ecr = [aws.token("AWS:password-2", left=timedelta(hours=24))]
        assert "password-1" not in repr(vars(tokens))
        aws.time.at += timedelta(hours=12) - timedelta(minutes=45, seconds=1)
        assert (await ask(tokens, aws))[1] == "password-1"
        aws.time.at += timedelta(seconds=1)
        assert (await ask(tokens, aws))[1] == "password-2"


@pytest.mark.parametrize("left", [None, timedelta(hours=24)])
async def test_no_token_is_kept_longer_than_half_a_day(aws: Aws, left: timedelta | None) -> None:
    aws.ecr = [aws.token("AWS:password-1", left=left)]
    async with tokens_from(aws) as tokens:
        await ask(tokens, aws)
        aws.time.at += timedelta(hours=11, minutes=15)
        await ask(tokens, aws)
    assert len(aws.calls) == 2


async def test_the_tokens_used_last_are_kept(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "CACHE_ENTRIES", 2)
    async with tokens_from(aws) as tokens:
        for registry_id in ("1", "2", "1", "3", "1", "2"):
            await ask(tokens, aws, registry_id=registry_id)
    assert [body["registryIds"] for _, _, body in aws.calls] == [["1"], ["2"], ["3"], ["2"]]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([], "ECR gave no token for registry 012345678910"),
        ([{"authorizationToken": "not base64!"}], "the token of ECR is not of the form base64"),
        ([{"authorizationToken": base64.b64encode(b"no colon").decode()}], "the token of ECR is not of the form"),
        ([{"authorizationToken": base64.b64encode(b"\xff:").decode()}], "the token of ECR is not of the form"),
        ([{"authorizationToken": 7}], "the answer is not of the form that the API has"),
    ],
)
async def test_a_token_that_cannot_be_used_is_told(aws: Aws, answer: Any, message: str) -> None:
    aws.ecr = answer
    async with tokens_from(aws) as tokens:
        with pytest.raises(AwsCallFailed, match=message) as failed:
            await ask(tokens, aws)
    assert failed.value.failure.kind is ObstacleKind.SERVER_ERROR
    assert failed.value.failure.endpoint == aws.url


async def test_without_an_override_the_region_has_its_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Recording(AwsClient):
        async def call_service(self, service: str, operation: str, body: Any, **arguments: Any) -> Any:
            asked.append(arguments["endpoint"])
            return {"authorizationData": []}

    client = Recording(
        region="us-west-2", credentials=CredentialsProvider((Place(),), clock=SystemClock()), clock=SystemClock()
    )
    tokens = AwsRegistryTokens(client, clock=SystemClock())
    for override in ("", "vpce-1.api.ecr.eu-west-1.vpce.amazonaws.com"):
        with pytest.raises(AwsCallFailed):
            await tokens.ecr(registry_id="1", region="eu-west-1", endpoint_override=override, credentials=None)
    await client.close()
    assert asked == [
        "https://api.ecr.eu-west-1.amazonaws.com",
        "https://vpce-1.api.ecr.eu-west-1.vpce.amazonaws.com",
    ]


async def test_a_secret_holds_user_and_password(aws: Aws) -> None:
    async with tokens_from(aws) as tokens:
        found = await tokens.secret(secret_arn="arn:secret", region="eu-west-1", credentials=TASK)
    assert found == ("me", "mine")
    assert aws.calls == [
        ("secretsmanager.GetSecretValue", "ASIATASK eu-west-1 secretsmanager", {"SecretId": "arn:secret"})
    ]


@pytest.mark.parametrize(
    "secret",
    [
        {},
        {"SecretString": "hush-hush"},
        {"SecretString": '{"username":"me"}'},
        {"SecretString": '{"username":7}'},
        {"SecretString": '{"more":' + "[" * 100_000 + "]" * 100_000 + "}"},
    ],
)
async def test_a_secret_of_another_form_is_told_but_not_shown(aws: Aws, secret: Any) -> None:
    aws.secret = secret
    async with tokens_from(aws) as tokens:
        with pytest.raises(AwsCallFailed) as failed:
            await tokens.secret(secret_arn="arn:secret", region="eu-west-1", credentials=TASK)
    assert "the secret arn:secret is not of the form" in failed.value.failure.message
    assert "hush-hush" not in msgspec.json.encode(failed.value.failure).decode()
    assert failed.value.__suppress_context__
    assert json.dumps(secret) not in str(failed.value)
