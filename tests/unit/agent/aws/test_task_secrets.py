"""The calls of execution roles: their bodies and signatures, what is tried again, and what is good though refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from ecscope.agent.aws.client import AwsClient
from ecscope.agent.aws.credentials import Credentials, CredentialsProvider
from ecscope.agent.aws.endpoints import ServiceEndpoints
from ecscope.agent.aws.interface import AwsCallFailed
from ecscope.agent.aws.task_secrets import RETRIES, AwsTaskSecrets
from ecscope.agent.core.log_streams import LogStream
from ecscope.agent.core.task_secrets import SecretReference
from ecscope.backoff import Retry
from ecscope.clock import SystemClock
from tests.builders import some_credentials

ROLE = some_credentials(access_key_id="ASIAROLE", secret_access_key="hush", session_token="token")


class Place:
    def look(self) -> Credentials:
        return Credentials(access_key_id="AKIDOWN", secret_access_key="hush")


class Aws:
    """Answers in order; then always the last."""

    def __init__(self, *answers: tuple[int, Any]) -> None:
        self.answers = list(answers)
        self.calls: list[tuple[str, str, Any]] = []
        self.slept: list[float] = []

    async def serve(self, request: web.BaseRequest) -> web.Response:
        scope = request.headers["Authorization"].partition("Credential=")[2].partition(",")[0].split("/")
        assert request.headers["X-Amz-Security-Token"] == "token"
        self.calls.append((request.headers["X-Amz-Target"], f"{scope[0]} {scope[2]} {scope[3]}", await request.json()))
        status, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.json_response(body, status=status, content_type="application/x-amz-json-1.1")

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@asynccontextmanager
async def asking(aws: Aws) -> AsyncIterator[AwsTaskSecrets]:
    runner = web.ServerRunner(web.Server(aws.serve), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    provider = CredentialsProvider((Place(),), clock=SystemClock())
    client = AwsClient(region="us-west-2", credentials=provider, clock=SystemClock())
    endpoints = ServiceEndpoints(of_all=f"http://127.0.0.1:{runner.addresses[0][1]}")
    try:
        yield AwsTaskSecrets(client, region="us-west-2", endpoints=endpoints, retry=Retry(sleep=aws.sleep))
    finally:
        await client.close()
        await runner.cleanup()


async def test_a_secret_of_a_version() -> None:
    aws = Aws((200, {"SecretString": "hunter2"}), (200, {"SecretBinary": "aHVudGVyMg=="}))
    reference = SecretReference(secret_id="db", json_key="x", stage="s", version="v")
    async with asking(aws) as secrets:
        assert await secrets.secret(reference, region="eu-west-1", credentials=ROLE) == "hunter2"
        assert await secrets.secret(SecretReference(secret_id="db"), region="", credentials=ROLE) is None
    target = "secretsmanager.GetSecretValue"
    assert aws.calls == [
        (target, "ASIAROLE eu-west-1 secretsmanager", {"SecretId": "db", "VersionStage": "s", "VersionId": "v"}),
        (target, "ASIAROLE us-west-2 secretsmanager", {"SecretId": "db"}),
    ]


async def test_throttled_parameters_are_asked_for_again() -> None:
    throttled = (400, {"__type": "ThrottlingException", "message": "Rate exceeded"})
    aws = Aws(throttled, throttled, (200, {"Parameters": [{"Name": "/a", "Value": "1", "Version": 3}]}))
    async with asking(aws) as secrets:
        found = await secrets.parameters(("/a",), region="eu-west-1", credentials=ROLE)
        assert found == ({"Name": "/a", "Value": "1"},)
    body = {"Names": ["/a"], "WithDecryption": True}
    assert aws.calls == [("AmazonSSM.GetParameters", "ASIAROLE eu-west-1 ssm", body)] * 3
    assert [round(seconds) for seconds in aws.slept] == [1, 1] or len(aws.slept) == 2
    aws = Aws(throttled)
    async with asking(aws) as secrets:
        with pytest.raises(AwsCallFailed, match="Rate exceeded"):
            await secrets.parameters(("/a",), region="", credentials=ROLE)
    assert len(aws.calls) == RETRIES.tries


async def test_a_refusal_is_not_asked_for_again() -> None:
    aws = Aws((400, {"__type": "AccessDeniedException", "message": "no"}))
    async with asking(aws) as secrets:
        with pytest.raises(AwsCallFailed, match="AccessDeniedException: no"):
            await secrets.secret(SecretReference(secret_id="db"), region="", credentials=ROLE)
    assert len(aws.calls) == 1


async def test_an_answer_of_another_form_is_not_quoted() -> None:
    aws = Aws((200, {"SecretString": ["hunter2"]}))
    async with asking(aws) as secrets:
        with pytest.raises(AwsCallFailed, match="not of the form") as failed:
            await secrets.secret(SecretReference(secret_id="db"), region="", credentials=ROLE)
    assert "hunter2" not in str(failed.value)


async def test_a_stream_that_exists_is_good_and_a_missing_group_is_not() -> None:
    exists = (400, {"__type": "ResourceAlreadyExistsException", "message": "it does"})
    aws = Aws(exists, exists, (400, {"__type": "ResourceNotFoundException", "message": "no group"}))
    stream = LogStream(region="eu-west-1", group="g", stream="s", creates_group=True)
    async with asking(aws) as secrets:
        await secrets.create(stream, credentials=ROLE)
        with pytest.raises(AwsCallFailed, match="no group"):
            await secrets.create(LogStream(region="", group="g", stream="s"), credentials=ROLE)
    assert aws.calls == [
        ("Logs_20140328.CreateLogGroup", "ASIAROLE eu-west-1 logs", {"logGroupName": "g"}),
        ("Logs_20140328.CreateLogStream", "ASIAROLE eu-west-1 logs", {"logGroupName": "g", "logStreamName": "s"}),
        ("Logs_20140328.CreateLogStream", "ASIAROLE us-west-2 logs", {"logGroupName": "g", "logStreamName": "s"}),
    ]
