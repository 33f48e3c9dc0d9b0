"""Which log streams are created before the containers of a task, and ECS's words if one cannot be."""

from __future__ import annotations

import json

from ecscope.agent.core.log_streams import LogStream, failure, log_options, log_stream, wanted
from ecscope.agent.core.state import Settings
from ecscope.model.container import ContainerDefinition
from tests.builders import a_container, a_definition, a_task
from tests.tables import each_row

LOGGED = {"awslogs-group": "g", "awslogs-stream": "p/app/1", "awslogs-region": "eu-west-1"}


def logging(driver: str = "awslogs", **options: str) -> str:
    return json.dumps({"LogConfig": {"Type": driver, "Config": {**LOGGED, **options}}})


def test_on_fargate_only() -> None:
    containers = (a_container("app", docker_host_config=logging()), a_container("db"))
    (resource,) = wanted(Settings(), a_task(*containers, launch_type="FARGATE"))
    assert resource.needed_by == ("app",)
    assert resource.needs_execution_role
    assert wanted(Settings(), a_task(*containers)) == ()
    assert wanted(Settings(), a_task(launch_type="FARGATE")) == ()


@each_row(
    "text, stream",
    [
        (logging(), LogStream(region="eu-west-1", group="g", stream="p/app/1")),
        (
            logging(**{"awslogs-create-group": "true"}),
            LogStream(region="eu-west-1", group="g", stream="p/app/1", creates_group=True),
        ),
        (logging("json-file"), None),
        (logging(**{"awslogs-stream": ""}), None),
        ("{}", None),
        ("{", None),
        ("[]", None),
        ('{"LogConfig": 1}', None),
    ],
)
def test_where_a_container_logs(text: str, stream: LogStream | None) -> None:
    assert log_stream(a_definition(docker_host_config=text)) == stream


def test_members_are_found_in_any_case() -> None:
    definition: ContainerDefinition = a_definition(
        docker_host_config='{"logconfig": {"type": "x", "CONFIG": {"a": "b"}}}'
    )
    assert log_options(definition) == ("x", {"a": "b"})


def test_the_words_of_ecs() -> None:
    why = "ResourceNotFoundException: The specified log group does not exist."
    assert failure(why, retries=1) == (
        "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: failed to"
        f" create Cloudwatch log stream: {why} : exit status 1"
    )
