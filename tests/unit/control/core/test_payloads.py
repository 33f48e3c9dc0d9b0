"""A task is sent as the sheet has it: its definition and overrides, who it is, and credentials that open nothing."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from ecscope.control.core.payloads import payload_task
from ecscope.control.core.records import Task
from ecscope.control.core.step import Step
from ecscope.control.core.task_definitions import register
from ecscope.model.container_instance import Attribute
from ecscope.wire.acs.payload import PayloadTask
from tests.control_builders import PREFIX, a_cluster, a_control_step, a_control_task, an_instance

INSTANCE = an_instance()


def a_sample_step(*containers: Any, **members: Any) -> Step:
    step = a_control_step(a_cluster(), INSTANCE)
    given = containers or ({"name": "app", "image": "busybox", "memory": 64},)
    register(step, {"family": "sample", "containerDefinitions": list(given), **members}, {})
    return step


def sent(step: Step, task: Task) -> Any:
    payload = msgspec.to_builtins(payload_task(step.decision().state, task))
    frame = msgspec.json.encode(payload)
    msgspec.json.decode(frame, type=PayloadTask)
    return json.loads(frame)


def test_a_task_says_who_it_is() -> None:
    task = a_control_task()
    assert sent(a_sample_step(), task) == {
        "arn": task.arn,
        "taskClusterArn": f"{PREFIX}:cluster/default",
        "family": "sample",
        "version": "1",
        "desiredStatus": "RUNNING",
        "overrides": "{}",
        "launchType": "EC2",
        "group": "family:sample",
        "zone": "us-east-1a",
        "containers": [
            {
                "name": "app",
                "image": "busybox",
                "cpu": 0,
                "memory": 64,
                "essential": True,
                "environment": {"AWS_EXECUTION_ENV": "AWS_ECS_EC2"},
                "portMappings": [],
                "mountPoints": [],
                "volumesFrom": [],
                "overrides": "{}",
                "containerArn": task.containers[0].arn,
                "dockerConfig": {"version": "1.17", "config": "{}", "hostConfig": "{}"},
            }
        ],
        "volumes": [],
    }


def test_a_task_of_a_service_that_is_to_stop() -> None:
    service = f"{PREFIX}:service/default/web"
    payload = sent(a_sample_step(), a_control_task(desired_status="STOPPED", service_arn=service, group="service:web"))
    assert (payload["desiredStatus"], payload["serviceName"], payload["group"]) == ("STOPPED", "web", "service:web")


def test_overrides_are_merged() -> None:
    overrides = {
        "cpu": "256",
        "containerOverrides": [{"name": "app", "command": ["x"], "environment": [{"name": "A", "value": "1"}]}],
    }
    payload = sent(a_sample_step(), a_control_task(overrides=overrides))
    assert payload["cpu"] == 0.25
    assert payload["overrides"] == "{}"
    (container,) = payload["containers"]
    assert container["command"] == ["x"]
    assert container["environment"] == {"AWS_EXECUTION_ENV": "AWS_ECS_EC2", "A": "1"}


def test_roles_get_credentials_that_stay_the_same() -> None:
    step = a_sample_step(taskRoleArn="arn:role/a", executionRoleArn="arn:role/b")
    task = a_control_task(credentials_id="id-1", execution_credentials_id="id-2")
    payload = sent(step, task)
    assert payload == sent(step, task)
    role, execution = payload["roleCredentials"], payload["executionRoleCredentials"]
    assert (role["credentialsId"], role["roleArn"]) == ("id-1", "arn:role/a")
    assert (execution["credentialsId"], execution["roleArn"]) == ("id-2", "arn:role/b")
    assert role["expiration"] == "2099-01-01T00:00:00Z"
    assert role["accessKeyId"].startswith("ASIA")
    assert len(role["accessKeyId"]) == 20
    assert role["secretAccessKey"] != execution["secretAccessKey"]
    assert role["sessionToken"]
    overridden = sent(step, msgspec.structs.replace(task, overrides={"taskRoleArn": "arn:role/c"}))
    assert overridden["roleCredentials"]["roleArn"] == "arn:role/c"


def test_without_a_role_there_are_no_credentials() -> None:
    payload = sent(a_sample_step(), a_control_task(credentials_id="left over"))
    assert not {"roleCredentials", "executionRoleCredentials"} & payload.keys()


def test_an_image_in_ecr_needs_a_login() -> None:
    image = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/x:1"
    container = {
        "name": "app",
        "image": image,
        "memory": 64,
        "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "g"}},
    }
    made = sent(a_sample_step(container, executionRoleArn="arn:role/b"), a_control_task())["containers"][0]
    assert made["registryAuthentication"] == {
        "type": "ecr",
        "ecrAuthData": {"registryId": "123456789012", "region": "eu-west-1", "useExecutionRole": True},
    }
    assert made["logsAuthStrategy"] == "ExecutionRole"
    made = sent(a_sample_step(container), a_control_task())["containers"][0]
    assert made["registryAuthentication"]["ecrAuthData"]["useExecutionRole"] is False
    assert "logsAuthStrategy" not in made


def test_exec_is_asked_for() -> None:
    made = sent(a_sample_step(), a_control_task(execute_command_enabled=True))["containers"][0]
    assert made["managedAgents"] == [{"name": "ExecuteCommandAgent", "properties": {}}]


def test_the_zone_is_the_instance_s() -> None:
    step = a_sample_step()
    zone = Attribute(name="ecs.availability-zone", value="us-east-1c")
    step.instances.put(INSTANCE.arn, msgspec.structs.replace(INSTANCE, reported_attributes=(zone,)))
    assert sent(step, a_control_task())["zone"] == "us-east-1c"
    step.instances.drop(INSTANCE.arn)
    assert sent(step, a_control_task())["zone"] == "us-east-1a"


def test_secrets_name_their_store_and_region() -> None:
    secret = "arn:aws:secretsmanager:eu-west-1:1:secret:db-AbCdEf:password::"
    container = {
        "name": "app",
        "image": "busybox",
        "memory": 64,
        "secrets": [{"name": "A", "valueFrom": secret}, {"name": "B", "valueFrom": "/b"}],
        "repositoryCredentials": {"credentialsParameter": secret},
        "logConfiguration": {"logDriver": "splunk", "secretOptions": [{"name": "token", "valueFrom": "t"}]},
    }
    made = sent(a_sample_step(container, executionRoleArn="arn:role/b"), a_control_task())["containers"][0]
    kinds = {"type": "ENVIRONMENT_VARIABLE", "target": "CONTAINER"}
    assert made["secrets"] == [
        {"name": "A", "valueFrom": secret, "provider": "asm", "region": "eu-west-1", **kinds},
        {"name": "B", "valueFrom": "/b", "provider": "ssm", "region": "us-east-1", **kinds},
        {"name": "token", "valueFrom": "t", "provider": "ssm", "region": "us-east-1", "type": "BOOTSTRAP",
         "target": "LOG_DRIVER"},
    ]  # fmt: skip
    assert made["registryAuthentication"] == {
        "type": "asm",
        "asmAuthData": {"credentialsParameter": secret, "region": "eu-west-1"},
    }


def test_storage_is_limited_on_fargate_where_the_engine_can() -> None:
    step = a_sample_step()
    limiting = msgspec.structs.replace(step.settings, limits_storage=True)
    state = msgspec.structs.replace(step.decision().state, settings=limiting)
    on_fargate = a_control_task(launch_type="FARGATE", platform={"ephemeralStorage": {"sizeInGiB": 21}})

    def host_config(task: Task, *, limits: bool = True) -> Any:
        payload = payload_task(state if limits else step.decision().state, task)
        return json.loads(msgspec.to_builtins(payload)["containers"][0]["dockerConfig"]["hostConfig"])

    assert host_config(on_fargate) == {"StorageOpt": {"size": "21G"}}
    assert host_config(on_fargate, limits=False) == {}
    assert host_config(a_control_task()) == {}
