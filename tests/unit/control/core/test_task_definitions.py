"""A definition is held to the rules of task files, filled in as ECS does, and says what an instance must have."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ecscope.control.core.errors import ApiError
from ecscope.control.core.events import TimePassed
from ecscope.control.core.records import Deployment, Record, TaskDefinition
from ecscope.control.core.restore import restored_state
from ecscope.control.core.step import Decision, Step
from ecscope.control.core.task_definitions import ECR, LARGEST_BYTES, expire, register
from tests.control_builders import (
    AT,
    PREFIX,
    PRINCIPAL,
    a_control_step,
    a_control_task,
    a_request,
    a_service,
    a_state,
    a_task_definition,
)
from tests.tables import each_row
from tests.unit.taskdefinition.definitions import FULL


def a_body(*containers: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"family": "sample", "containerDefinitions": list(containers or (a_container(),)), **members}


def a_container(**members: Any) -> dict[str, Any]:
    return {"name": "app", "image": "busybox", "memory": 64, **members}


def registered(body: Any) -> TaskDefinition:
    return register(a_control_step(), body, {})


def refusal(body: Any) -> str:
    with pytest.raises(ApiError) as caught:
        registered(body)
    assert caught.value.code == "ClientException"
    return caught.value.message


def test_revisions_count_up_for_ever() -> None:
    step = a_control_step(a_task_definition(revision=7, status="INACTIVE"))
    definition = register(step, a_body(), {"a": "1"})
    assert definition.arn == f"{PREFIX}:task-definition/sample:8"
    assert (definition.registered_at, definition.registered_by) == (AT, PRINCIPAL)
    assert (definition.tags, definition.status) == ({"a": "1"}, "ACTIVE")
    assert definition.compatibilities == ("EC2", "EXTERNAL")
    assert register(step, a_body(), {}).revision == 9
    assert register(step, a_body(family="other"), {}).revision == 1
    assert step.task_definitions[definition.arn] == definition


def test_ecs_fills_in_what_was_left_out() -> None:
    definition = registered(a_body(tags=[{"key": "a"}]))
    assert definition.body == {
        "volumes": [],
        "placementConstraints": [],
        "containerDefinitions": [
            {
                "name": "app",
                "image": "busybox",
                "memory": 64,
                "cpu": 0,
                "portMappings": [],
                "essential": True,
                "environment": [],
                "mountPoints": [],
                "volumesFrom": [],
                "systemControls": [],
            }
        ],
    }


@each_row(
    "body, path, filled",
    [
        (a_body(cpu="0.5 vCPU"), ["cpu"], "512"),
        (a_body(memory="1 GB"), ["memory"], "1024"),
        (a_body(volumes=[{"name": "v"}]), ["volumes", 0], {"name": "v", "host": {}}),
        (
            a_body(volumes=[{"name": "v", "dockerVolumeConfiguration": {}}]),
            ["volumes", 0, "dockerVolumeConfiguration"],
            {"scope": "task"},
        ),
        (
            a_body(a_container(portMappings=[{"containerPort": 80}])),
            ["containerDefinitions", 0, "portMappings", 0],
            {"containerPort": 80, "hostPort": 0, "protocol": "tcp"},
        ),
        (
            a_body(a_container(portMappings=[{"containerPort": 80}]), networkMode="host"),
            ["containerDefinitions", 0, "portMappings", 0, "hostPort"],
            80,
        ),
        (
            a_body(a_container(portMappings=[{"containerPortRange": "80-90"}])),
            ["containerDefinitions", 0, "portMappings", 0],
            {"containerPortRange": "80-90", "protocol": "tcp"},
        ),
        (
            a_body(a_container(linuxParameters={"capabilities": {"drop": ["ALL"]}})),
            ["containerDefinitions", 0, "linuxParameters", "capabilities"],
            {"add": [], "drop": ["ALL"]},
        ),
        (
            a_body(a_container(healthCheck={"command": ["curl", "localhost"]})),
            ["containerDefinitions", 0, "healthCheck", "command"],
            ["curl", "localhost"],
        ),
        (
            a_body(a_container(healthCheck={"command": ["CMD", "x"], "retries": 1})),
            ["containerDefinitions", 0, "healthCheck"],
            {"command": ["CMD", "x"], "interval": 30, "timeout": 5, "retries": 1},
        ),
    ],
)
def test_defaults(body: Any, path: list[Any], filled: object) -> None:
    found: Any = registered(body).body
    for part in path:
        found = found[part]
    assert found == filled


def test_all_that_a_task_file_can_say_can_be_registered() -> None:
    body = {name: value for name, value in FULL.items() if name != "revision"}
    definition = registered(body)
    assert definition.body["memory"] == "1024"
    assert definition.body["containerDefinitions"][0] == FULL["containerDefinitions"][0]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (a_body(a_container(name="")), "Container.name should not be null or empty."),
        (a_body({"name": "app", "memory": 64}), "Container.image should not be null or empty."),
        (
            a_body({"name": "app", "image": "busybox"}),
            "Invalid setting for container 'app'. At least one of 'memory' or 'memoryReservation' must be specified.",
        ),
    ],
)
def test_texts_that_users_search_for(body: Any, message: str) -> None:
    assert refusal(body) == message


def test_memory_of_the_task_or_a_reservation_is_enough() -> None:
    registered(a_body({"name": "app", "image": "busybox"}, memory="64"))
    registered(a_body({"name": "app", "image": "busybox", "memoryReservation": 64}))


def test_a_fargate_definition_meets_every_mistake_in_the_first_answer() -> None:
    with pytest.raises(ApiError) as refused:
        registered(a_body(a_container(privileged=True), requiresCompatibilities=["FARGATE"], memory="512"))
    for words in ("network mode ‘awsvpc’", "'cpu' be defined at the task level", "do not support privileged"):
        assert words in refused.value.message


def test_a_fargate_definition_is_kept_and_shown() -> None:
    definition = registered(
        a_body(
            a_container(portMappings=[{"containerPort": 80}]),
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            cpu=".25 vCPU",
            memory="0.5 GB",
            ephemeralStorage={"sizeInGiB": 30},
            runtimePlatform={"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"},
        )
    )
    assert definition.compatibilities == ("EC2", "FARGATE")
    assert (definition.body["cpu"], definition.body["memory"]) == ("256", "512")
    assert definition.body["ephemeralStorage"] == {"sizeInGiB": 30}
    assert definition.body["runtimePlatform"]["cpuArchitecture"] == "ARM64"
    (container,) = definition.body["containerDefinitions"]
    assert container["portMappings"] == [{"containerPort": 80, "hostPort": 80, "protocol": "tcp"}]
    assert "ecs.capability.task-eni" in [attribute.name for attribute in definition.requires_attributes]


def test_compatibilities_are_what_a_definition_could_run_on() -> None:
    assert registered(a_body(a_container())).compatibilities == ("EC2", "EXTERNAL")
    assert registered(a_body(a_container(), networkMode="awsvpc")).compatibilities == ("EC2",)
    sized = a_body(a_container(), networkMode="awsvpc", cpu="256", memory="512")
    assert registered(sized).compatibilities == ("EC2", "FARGATE")


@each_row(
    "body, words",
    [
        (a_body(a_container(hostname="x"), networkMode="awsvpc"), "hostname is not supported on container when"),
        (a_body(a_container(), requiresCompatibilities=["FARGATE"]), "Fargate only supports network mode ‘awsvpc’"),
        (a_body(proxyConfiguration={"containerName": "x"}), "App Mesh"),
        (a_body(trustedExecutionConfiguration={"isolationMode": "SHARED"}), "trusted execution"),
        (a_body(volumes=[{"name": "v", "efsVolumeConfiguration": {"fileSystemId": "x"}}]), "EFS volumes"),
        (
            a_body(a_container(environmentFiles=[{"type": "s3", "value": "y"}])),
            "containerDefinitions[0].environmentFiles: environment files",
        ),
        (a_body(a_container(environmentFiles=[{"value": "x", "type": "s3"}])), "environment files in S3"),
        (a_body(a_container(firelensConfiguration={"type": "fluentd"})), "FireLens"),
        (a_body(a_container(resourceRequirements=[{"type": "GPU", "value": "1"}])), "GPUs are not supported"),
        (a_body(a_container(resourceRequirements=[{"type": "NeuronDevice", "value": "1"}])), "Neuron devices"),
        (a_body(a_container(memory=64, memoryReservation=65)), "must not be less than memoryReservation"),
        (a_body(a_container(essential=False)), "at least one essential container"),
        (a_body(a_container(), a_container()), "is the name of an earlier container"),
        (a_body(placementConstraints=[{"type": "memberOf", "expression": "a b"}]), "cannot be read at character"),
        (a_body(a_container(command=["x" * LARGEST_BYTES])), "Max allowed length is '65536' bytes."),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(body: Any, words: str) -> None:
    assert words in refusal(body)


def test_of_very_many_mistakes_some_are_told() -> None:
    message = refusal(a_body(a_container(links=[f"none{number}" for number in range(15)])))
    assert message.endswith("; and 5 more.")


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (a_body(), ["com.amazonaws.ecs.capability.docker-remote-api.1.17"]),
        (
            a_body(
                a_container(logConfiguration={"logDriver": "awslogs", "options": {"awslogs-group": "g"}}),
                executionRoleArn="role",
            ),
            [
                "com.amazonaws.ecs.capability.docker-remote-api.1.18",
                "com.amazonaws.ecs.capability.docker-remote-api.1.19",
                "com.amazonaws.ecs.capability.logging-driver.awslogs",
                "ecs.capability.execution-role-awslogs",
            ],
        ),
        (
            a_body(a_container(image="123456789012.dkr.ecr.eu-west-1.amazonaws.com/x:1"), executionRoleArn="role"),
            [
                "com.amazonaws.ecs.capability.docker-remote-api.1.17",
                "com.amazonaws.ecs.capability.ecr-auth",
                "ecs.capability.execution-role-ecr-pull",
            ],
        ),
        (
            a_body(cpu="11264", memory="128", taskRoleArn="role", networkMode="host"),
            [
                "com.amazonaws.ecs.capability.docker-remote-api.1.17",
                "com.amazonaws.ecs.capability.task-iam-role",
                "com.amazonaws.ecs.capability.task-iam-role-network-host",
                "ecs.capability.task-cpu-mem-limit",
                "ecs.capability.increased-task-cpu-limit",
            ],
        ),
        (
            a_body(
                a_container(
                    privileged=True,
                    healthCheck={"command": ["CMD", "x"]},
                    restartPolicy={"enabled": True},
                    portMappings=[{"containerPortRange": "80-90"}],
                ),
                a_container(name="side", dependsOn=[{"containerName": "app", "condition": "HEALTHY"}]),
                volumes=[
                    {"name": "one", "dockerVolumeConfiguration": {}},
                    {"name": "two", "dockerVolumeConfiguration": {"driver": "rexray/ebs:latest"}},
                ],
                taskRoleArn="role",
                pidMode="host",
            ),
            [
                "com.amazonaws.ecs.capability.docker-remote-api.1.24",
                "com.amazonaws.ecs.capability.privileged-container",
                "ecs.capability.container-health-check",
                "ecs.capability.container-restart-policy",
                "ecs.capability.network.container-port-range",
                "ecs.capability.container-ordering",
                "com.amazonaws.ecs.capability.task-iam-role",
                "ecs.capability.pid-ipc-namespace-sharing",
                "ecs.capability.docker-plugin.local",
                "ecs.capability.docker-plugin.rexray/ebs.latest",
            ],
        ),
    ],
)
def test_what_an_instance_must_have(body: Any, names: list[str]) -> None:
    assert [attribute.name for attribute in registered(body).requires_attributes] == names


@pytest.mark.parametrize(
    "image",
    [
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/x:1",
        "123456789012.dkr.ecr-fips.us-east-1.amazonaws.com/x",
        "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/x",
        "123456789012.dkr-ecr.eu-west-1.on.aws/x",
    ],
)
def test_images_in_ecr(image: str) -> None:
    found = ECR.fullmatch(image)
    assert found is not None
    assert found[1] == "123456789012"


def test_other_images() -> None:
    assert ECR.fullmatch("public.ecr.aws/x/y") is None


# --- the end ----------------------------------------------------------------------------------------


def deleted(revision: int, *, hours: float = 1, family: str = "sample") -> TaskDefinition:
    at = AT - timedelta(hours=hours)
    return a_task_definition(family, revision, status="DELETE_IN_PROGRESS", delete_requested_at=at)


def a_deployment(definition_arn: str) -> Deployment:
    return Deployment(
        id="ecs-svc/1", status="PRIMARY", definition_arn=definition_arn, desired_count=1, created_at=AT, updated_at=AT
    )


def left(*records: Record) -> Decision:
    step = Step(a_state(*records), TimePassed(id="1" * 32, at=AT))
    expire(step)
    return step.decision()


def test_what_is_being_deleted_is_gone_after_an_hour() -> None:
    decision = left(deleted(1), deleted(2, hours=0.9), a_task_definition(revision=3, status="INACTIVE"))
    assert [definition.revision for definition in decision.state.task_definitions.values()] == [2, 3]
    assert decision.records == {"task_definitions": {deleted(1).arn: None}}


@each_row(
    "user, is_kept",
    [
        (a_control_task(), True),
        (a_control_task(last_status="STOPPED", desired_status="STOPPED", stopped_at=AT), False),
        (a_service(deployments=(a_deployment(deleted(1).arn),)), True),
        (a_service(last_completed={"definition_arn": deleted(1).arn}), True),
        (a_service(status="INACTIVE", past_deployments=(a_deployment(deleted(1).arn),)), False),
        (a_service(deployments=(a_deployment(deleted(2).arn),)), False),
    ],
)
def test_what_a_task_or_a_service_uses_is_not_deleted(user: Record, is_kept: bool) -> None:
    assert bool(left(deleted(1), user).state.task_definitions) is is_kept


def test_the_number_of_a_revision_is_never_given_twice() -> None:
    decision = left(deleted(1), deleted(2))
    assert decision.state.task_definitions == {}
    assert decision.records["meta"] == {"revision/sample": 2}
    step = Step(decision.state, a_request("RegisterTaskDefinition"))
    container = {"name": "app", "image": "i", "memory": 64}
    assert register(step, {"family": "sample", "containerDefinitions": [container]}, {}).revision == 3
    again = restored_state(settings=decision.state.settings, retired={"sample": 2})
    assert Step(again, a_request("RegisterTaskDefinition")).newest_revision("sample") == 2


SECRET = "arn:aws:secretsmanager:us-east-1:1:secret:db-AbCdEf"


@each_row(
    "members, names",
    [
        ({"secrets": [{"name": "A", "valueFrom": SECRET}]}, ["ecs.capability.secrets.asm.environment-variables"]),
        ({"secrets": [{"name": "A", "valueFrom": "/db"}]}, ["ecs.capability.secrets.ssm.environment-variables"]),
        (
            {"repositoryCredentials": {"credentialsParameter": SECRET}},
            ["ecs.capability.private-registry-authentication.secretsmanager"],
        ),
        (
            {
                "logConfiguration": {
                    "logDriver": "splunk",
                    "secretOptions": [{"name": "splunk-token", "valueFrom": SECRET}, {"name": "x", "valueFrom": "y"}],
                }
            },
            [
                "ecs.capability.secrets.asm.bootstrap.log-driver",
                "ecs.capability.secrets.ssm.bootstrap.log-driver",
            ],
        ),
    ],
)
def test_what_secrets_require(members: Any, names: list[str]) -> None:
    body = a_body(a_container(**members))
    with pytest.raises(ApiError, match="you must also specify a value for 'executionRoleArn'"):
        registered(body)
    definition = registered({**body, "executionRoleArn": "role"})
    assert [a.name for a in definition.requires_attributes if "secret" in a.name] == names


def test_a_secret_does_not_share_its_name() -> None:
    twice = {"environment": [{"name": "A", "value": "1"}], "secrets": [{"name": "A", "valueFrom": "b"}]}
    with pytest.raises(ApiError, match=r"The secret name must be unique .* such as 'A'"):
        registered({**a_body(a_container(**twice)), "executionRoleArn": "role"})
