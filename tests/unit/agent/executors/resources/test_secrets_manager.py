"""Each secret is fetched once, with the execution role's credentials, and a failure says which it was, and no value."""

from __future__ import annotations

import pytest

from ecscope.agent.executors.resources.interface import ResourceFailure
from ecscope.agent.executors.resources.secrets_manager import SecretsManagerProvider
from ecscope.agent.executors.secret_values import SecretValues
from ecscope.model.container import Secret, SecretStore
from ecscope.model.task import Task
from tests.builders import a_container, a_resource, a_task

from .task_aws import TaskAws, credentials_of, denied

ARN = "arn:aws:secretsmanager:eu-west-1:1:secret:db-AbCdEf"


def of(*value_from: str, role: str = "an-id") -> Task:
    store = SecretStore.SECRETS_MANAGER
    secrets = tuple(
        Secret(name=f"S{number}", store=store, value_from=text, region="eu-west-1")
        for number, text in enumerate(value_from)
    )
    return a_task(a_container(secrets=secrets), execution_credentials_id=role)


async def created(aws: TaskAws | None, task: Task) -> SecretValues:
    values = SecretValues()
    await SecretsManagerProvider(aws, values=values, credentials_of=credentials_of).create(task, a_resource())
    return values


async def reason_of(aws: TaskAws | None, task: Task) -> str:
    with pytest.raises(ResourceFailure) as raised:
        await created(aws, task)
    return raised.value.error.message


async def test_two_keys_of_a_secret_are_one_call() -> None:
    aws = TaskAws()
    aws.secrets = {ARN: '{"user": "me", "pass": "hunter2"}'}
    task = of(f"{ARN}:user::", f"{ARN}:pass::", f"{ARN}::AWSPREVIOUS:")
    values = await created(aws, task)
    assert list(values.of(task.arn, task.containers[0].definition).values()) == ["me", "hunter2", aws.secrets[ARN]]
    assert sorted(aws.asked, key=str) == [("eu-west-1", ARN, "", ""), ("eu-west-1", ARN, "AWSPREVIOUS", "")]
    await SecretsManagerProvider(aws, values=values, credentials_of=credentials_of).remove(task, a_resource())
    with pytest.raises(LookupError):
        values.of(task.arn, task.containers[0].definition)


async def test_failures() -> None:
    begin = "fetching secret data from AWS Secrets Manager in region eu-west-1: secret"
    assert await reason_of(TaskAws(failure=denied()), of(ARN)) == f"{begin} {ARN}: Denied: no"
    assert await reason_of(TaskAws(failure=denied()), of(ARN, "b", "c")) in {
        f"{begin} {name}: Denied: no" for name in (ARN, "b", "c")
    }
    aws = TaskAws()
    aws.secrets = {ARN: "hunter2", "b": None}
    assert await reason_of(aws, of(f"{ARN}:x::")) == (
        f"{begin} {ARN}:x::: the secret is not a JSON object, so it has no key x"
    )
    assert "is binary" in await reason_of(aws, of("b"))
    assert "unexpected ARN format" in await reason_of(aws, of(f"{ARN}:x"))
    for nothing in (of(ARN, role=""), of(ARN, role="another")):
        assert "unable to find execution role credentials" in await reason_of(aws, nothing)
    assert "unable to find execution role credentials" in await reason_of(None, of(ARN))
