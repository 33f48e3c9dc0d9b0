"""Task definitions through boto3: the behaviours that moto's tests list, and every refusal by name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.control_server import ControlServer
from tests.unit.taskdefinition.definitions import FULL

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.json"))
ARN = "arn:aws:ecs:us-east-1:000000000000:task-definition"
HELLO = {"name": "hello_world", "image": "hello-world:latest", "memory": 400}
TAGS = [{"key": "createdBy", "value": "somebody"}, {"key": "foo", "value": "bar"}]


@pytest.fixture(scope="module")
def server() -> Iterator[ControlServer]:
    with ControlServer() as server:
        yield server


@pytest.fixture
def ecs(server: ControlServer) -> Any:
    return server.client()


def registered(ecs: Any, family: str, *containers: Any, **members: Any) -> Any:
    answer = ecs.register_task_definition(family=family, containerDefinitions=list(containers) or [HELLO], **members)
    return answer["taskDefinition"]


def refused(call: Any, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_the_least_there_can_be(ecs: Any) -> None:
    definition = registered(ecs, "least")
    assert (definition["family"], definition["revision"], definition["status"]) == ("least", 1, "ACTIVE")
    assert definition["taskDefinitionArn"] == f"{ARN}/least:1"
    assert definition["volumes"] == definition["placementConstraints"] == []
    assert not {"requiresCompatibilities", "cpu", "memory"} & definition.keys()
    assert (datetime.now(tz=UTC) - definition["registeredAt"]).total_seconds() < 60
    assert definition["registeredBy"].startswith("arn:aws:iam::")
    (container,) = definition["containerDefinitions"]
    assert container == {
        **HELLO,
        "cpu": 0,
        "essential": True,
        **{name: [] for name in ("portMappings", "environment", "mountPoints", "volumesFrom", "systemControls")},
    }
    assert registered(ecs, "least")["taskDefinitionArn"] == f"{ARN}/least:2"


def test_options_come_back(ecs: Any) -> None:
    container = {
        **HELLO,
        "cpu": 512,
        "environment": [{"name": "AWS_ACCESS_KEY_ID", "value": "SOME_ACCESS_KEY"}],
        "logConfiguration": {"logDriver": "json-file"},
    }
    constraints = [{"type": "memberOf", "expression": "attribute:ecs.instance-type =~ t2.*"}]
    definition = registered(
        ecs,
        "options",
        container,
        taskRoleArn="my-task-role-arn",
        executionRoleArn="my-execution-role-arn",
        cpu="512",
        memory="512",
        networkMode="bridge",
        requiresCompatibilities=["EC2"],
        placementConstraints=constraints,
    )
    assert definition["taskRoleArn"] == "my-task-role-arn"
    assert definition["executionRoleArn"] == "my-execution-role-arn"
    assert (definition["cpu"], definition["memory"], definition["networkMode"]) == ("512", "512", "bridge")
    assert definition["placementConstraints"] == constraints
    assert {name: definition["containerDefinitions"][0][name] for name in container} == container


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_registered_as_they_are(ecs: Any, path: Path) -> None:
    members = json.loads(path.read_text())
    members.pop("revision", None)  # of a task file only
    definition = ecs.register_task_definition(**members)["taskDefinition"]
    again = {name: definition[name] for name in members if name != "tags"}
    assert (
        ecs.register_task_definition(**again)["taskDefinition"]["containerDefinitions"] == again["containerDefinitions"]
    )


def test_all_there_can_be(ecs: Any) -> None:
    members = {name: value for name, value in FULL.items() if name != "revision"}
    ecs.register_task_definition(**members)


def test_what_is_described_can_be_registered_again(ecs: Any) -> None:
    """As the GitHub action amazon-ecs-deploy-task-definition does it, and a line of jq in many a pipeline."""
    members = {name: value for name, value in FULL.items() if name != "revision"}
    first = ecs.register_task_definition(**{**members, "family": "again"})["taskDefinition"]
    ecs.deregister_task_definition(taskDefinition=first["taskDefinitionArn"])
    shown = ecs.describe_task_definition(taskDefinition=first["taskDefinitionArn"])["taskDefinition"]
    answers_only = {"compatibilities", "taskDefinitionArn", "requiresAttributes", "revision", "status"}
    answers_only |= {"registeredAt", "deregisteredAt", "registeredBy"}
    given = {name: value for name, value in shown.items() if name not in answers_only}
    second = ecs.register_task_definition(**given)["taskDefinition"]
    assert {name: second[name] for name in given} == given
    assert set(second) - set(given) == answers_only - {"deregisteredAt"}


@pytest.mark.parametrize(
    ("containers", "members", "message"),
    [
        ([{"image": "x"}], {"memory": "400"}, "Container.name should not be null or empty."),
        ([{"name": "x"}], {"memory": "400"}, "Container.image should not be null or empty."),
        (
            [{"name": "hello_world", "image": "x"}, {"name": "other", "image": "x"}],
            {"requiresCompatibilities": ["EC2"]},
            "Invalid setting for container 'hello_world'. At least one of 'memory' or 'memoryReservation' must be"
            " specified.",
        ),
    ],
)
def test_texts_that_users_search_for(ecs: Any, containers: Any, members: Any, message: str) -> None:
    answer = refused(ecs.register_task_definition, family="bad", containerDefinitions=containers, **members)
    assert answer == ("ClientException", message)


@pytest.mark.parametrize(
    ("members", "path", "feature"),
    [
        ({"requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512"}, "networkMode", "‘awsvpc’"),
        ({"ephemeralStorage": {"sizeInGiB": 21}}, "ephemeralStorage", "Fargate"),
        ({"enableFaultInjection": True}, "enableFaultInjection", "fault injection"),
        (
            {"volumes": [{"name": "v", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}}]},
            "volumes[0].efsVolumeConfiguration",
            "EFS",
        ),
        ({"volumes": [{"name": "v", "configuredAtLaunch": True}]}, "volumes[0].configuredAtLaunch", "EBS"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(ecs: Any, members: Any, path: str, feature: str) -> None:
    code, message = refused(ecs.register_task_definition, family="refused", containerDefinitions=[HELLO], **members)
    assert code == "ClientException"
    assert message.startswith(f"{path}: ")
    assert feature in message
    assert ecs.list_task_definitions(familyPrefix="refused")["taskDefinitionArns"] == []


@pytest.mark.parametrize(
    ("member", "value", "feature"),
    [
        ("environmentFiles", [{"value": "arn", "type": "s3"}], "environment files"),
        ("firelensConfiguration", {"type": "fluentbit"}, "FireLens"),
        ("credentialSpecs", ["credentialspec:x"], "gMSA"),
        ("resourceRequirements", [{"type": "GPU", "value": "1"}], "GPU"),
        ("logConfiguration", {"logDriver": "awsfirelens"}, "FireLens"),
    ],
)
def test_what_no_container_can_have(ecs: Any, member: str, value: Any, feature: str) -> None:
    code, message = refused(
        ecs.register_task_definition, family="refused", containerDefinitions=[{**HELLO, member: value}]
    )
    assert code == "ClientException"
    assert message.startswith(f"containerDefinitions[0].{member}")
    assert feature in message


def test_describe(ecs: Any) -> None:
    for _ in range(3):
        registered(ecs, "described", tags=TAGS)
    described = ecs.describe_task_definition(taskDefinition="described", include=["TAGS"])
    assert described["taskDefinition"]["taskDefinitionArn"] == f"{ARN}/described:3"
    assert described["tags"] == TAGS
    described = ecs.describe_task_definition(taskDefinition="described:2")
    assert described["taskDefinition"]["revision"] == 2
    assert ecs.describe_task_definition(taskDefinition=f"{ARN}/described:1")["taskDefinition"]["revision"] == 1
    arn = f"{ARN}/described:3"
    ecs.tag_resource(resourceArn=arn, tags=[{"key": "k2", "value": "v2"}])
    ecs.untag_resource(resourceArn=arn, tagKeys=["foo", "createdBy"])
    assert ecs.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "k2", "value": "v2"}]
    answer = refused(ecs.describe_task_definition, taskDefinition="unknown")
    assert answer == ("ClientException", "Unable to describe task definition.")


def test_deregister_and_delete(ecs: Any) -> None:
    registered(ecs, "old")
    registered(ecs, "old")
    assert refused(ecs.deregister_task_definition, taskDefinition="old")[1] == "Revision is missing."
    assert (
        refused(ecs.deregister_task_definition, taskDefinition="old:foo")[1] == "Invalid revision number. Number: foo"
    )
    assert refused(ecs.deregister_task_definition, taskDefinition="old:9")[1] == "Unable to describe task definition."
    definition = ecs.deregister_task_definition(taskDefinition="old:2")["taskDefinition"]
    assert (definition["status"], definition["taskDefinitionArn"]) == ("INACTIVE", f"{ARN}/old:2")
    assert ecs.list_task_definitions(familyPrefix="old", status="INACTIVE")["taskDefinitionArns"] == [f"{ARN}/old:2"]
    answer = ecs.delete_task_definitions(taskDefinitions=["old:1", "old:2", "invalid-name", "none:1"])
    assert [each["status"] for each in answer["taskDefinitions"]] == ["DELETE_IN_PROGRESS"]
    assert [each["reason"] for each in answer["failures"]] == [
        "The specified task definition is still in ACTIVE status. Please deregister the target and try again.",
        "The specified task definition identifier is invalid. Specify a valid name or ARN and try again.",
        "The specified task definition does not exist. Specify a valid account, family, revision and try again.",
    ]


def test_lists_and_pages(ecs: Any) -> None:
    for _ in range(3):
        registered(ecs, "listed_a")
    registered(ecs, "listed_b")
    assert ecs.list_task_definitions(familyPrefix="listed")["taskDefinitionArns"] == []
    pages = ecs.get_paginator("list_task_definitions").paginate(
        familyPrefix="listed_a", sort="DESC", PaginationConfig={"PageSize": 2}
    )
    assert [page["taskDefinitionArns"] for page in pages] == [
        [f"{ARN}/listed_a:3", f"{ARN}/listed_a:2"],
        [f"{ARN}/listed_a:1"],
    ]
    assert ecs.list_task_definition_families(familyPrefix="listed")["families"] == ["listed_a", "listed_b"]
    code, message = refused(ecs.list_task_definitions, nextToken="made up")
    assert code == "InvalidParameterException"
    assert "nextToken" in message
