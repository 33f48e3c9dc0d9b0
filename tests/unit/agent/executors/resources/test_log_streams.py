"""Before a task on Fargate starts, each of its containers that logs with awslogs has its stream."""

from __future__ import annotations

import json

import pytest

from ecscope.agent.core.log_streams import LogStream
from ecscope.agent.executors.resources.interface import ResourceFailure
from ecscope.agent.executors.resources.log_streams import LogStreamsProvider
from ecscope.model.container import Container
from tests.builders import a_container, a_resource, a_task

from .task_aws import TaskAws, credentials_of, denied


def logging(name: str) -> Container:
    options = {"awslogs-group": "g", "awslogs-stream": f"p/{name}/1"}
    config = {"LogConfig": {"Type": "awslogs", "Config": options}}
    return a_container(name, docker_host_config=json.dumps(config))


TASK = a_task(logging("app"), a_container("db"), logging("web"), execution_credentials_id="an-id")


async def test_each_stream() -> None:
    aws = TaskAws()
    provider = LogStreamsProvider(aws, credentials_of=credentials_of)
    await provider.create(TASK, a_resource())
    await provider.remove(TASK, a_resource())
    assert aws.asked == [LogStream(region="", group="g", stream=f"p/{name}/1") for name in ("app", "web")]


@pytest.mark.parametrize(
    ("aws", "words"), [(TaskAws(failure=denied()), "log stream: Denied: no : exit status 1"), (None, "execution role")]
)
async def test_failures(aws: TaskAws | None, words: str) -> None:
    with pytest.raises(ResourceFailure, match=rf"ResourceInitializationError: failed to validate logger args.*{words}"):
        await LogStreamsProvider(aws, credentials_of=credentials_of).create(TASK, a_resource())
