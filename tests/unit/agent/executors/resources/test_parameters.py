"""Parameters are fetched ten at a time from each region, and a missing one is named."""

from __future__ import annotations

import pytest

from ecscope.agent.executors.resources.interface import ResourceFailure
from ecscope.agent.executors.resources.parameters import ParametersProvider
from ecscope.agent.executors.secret_values import SecretValues
from ecscope.model.container import Secret, SecretStore
from ecscope.model.container_instance import ObstacleKind
from ecscope.model.task import Task
from tests.builders import a_container, a_resource, a_task

from .task_aws import TaskAws, credentials_of, denied

NAMES = tuple(f"/p/{number}" for number in range(12))


def of(*names: str, region: str = "r", **task: object) -> Task:
    store = SecretStore.PARAMETER_STORE
    secrets = tuple(Secret(name=name, store=store, value_from=name, region=region) for name in names)
    return a_task(a_container(secrets=secrets), **{"execution_credentials_id": "an-id", **task})


async def created(aws: TaskAws | None, task: Task) -> SecretValues:
    values = SecretValues()
    await ParametersProvider(aws, values=values, credentials_of=credentials_of).create(task, a_resource())
    return values


async def reason_of(aws: TaskAws | None, task: Task) -> str:
    with pytest.raises(ResourceFailure) as raised:
        await created(aws, task)
    return raised.value.error.message


async def test_ten_at_a_time() -> None:
    aws = TaskAws()
    aws.known_parameters = {name: f"value of {name}" for name in NAMES}
    task = of(*NAMES)
    values = await created(aws, task)
    assert aws.asked == [("r", NAMES[:10]), ("r", NAMES[10:])]
    assert list(values.of(task.arn, task.containers[0].definition).values()) == list(aws.known_parameters.values())
    await ParametersProvider(aws, values=values, credentials_of=credentials_of).remove(task, a_resource())
    with pytest.raises(LookupError):
        values.of(task.arn, task.containers[0].definition)


async def test_failures() -> None:
    begin = "fetching secret data from SSM Parameter Store in r: "
    assert await reason_of(TaskAws(), of("/a", "/b")) == f"{begin}invalid parameters: /a,/b"
    assert await reason_of(TaskAws(failure=denied()), of("/a")) == f"{begin}Denied: no"
    assert "unable to find execution role credentials" in await reason_of(None, of("/a"))
    throttled = TaskAws(failure=denied(ObstacleKind.THROTTLED))
    assert "retried 5 time(s): Denied: no" in await reason_of(throttled, of("/a", launch_type="FARGATE"))
    reason = await reason_of(TaskAws(), of("/a", launch_type="FARGATE"))
    assert reason.endswith("service call has been retried 1 time(s): invalid ssm parameters: /a")
