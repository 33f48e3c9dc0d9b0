"""A definition becomes the task that ACS carries: every member where the sheet has it, of its exact JSON type."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from ecscope.taskdefinition.definition import ContainerDefinition, definition_of
from ecscope.taskdefinition.payload import docker_api_version, docker_api_versions, payload_task
from ecscope.wire.acs.payload import PayloadTask
from tests.tables import each_row

from .definitions import FULL, container, task

CHECK = {"command": ["CMD", "true"]}
LIMIT = {"name": "nofile", "softLimit": 1, "hardLimit": 2}


def sent(definition: Any) -> Any:
    payload = payload_task(definition_of(definition), family=definition["family"], arn="arn:task/1", version="7")
    frame = msgspec.json.encode(payload)
    assert msgspec.json.decode(frame, type=PayloadTask) == payload
    return json.loads(frame)


def read(**members: object) -> ContainerDefinition:
    return msgspec.convert(container("app", **members), ContainerDefinition)


def sent_container(**members: object) -> Any:
    return sent(task(container("app", **members)))["containers"][0]


def test_a_task_that_asks_for_nothing() -> None:
    assert sent({"family": "hello", "containerDefinitions": [{"name": "web", "image": "nginx:alpine"}]}) == {
        "arn": "arn:task/1",
        "family": "hello",
        "version": "7",
        "desiredStatus": "RUNNING",
        "overrides": "{}",
        "containers": [
            {
                "name": "web",
                "image": "nginx:alpine",
                "cpu": 0,
                "memory": 0,
                "essential": True,
                "environment": {"AWS_EXECUTION_ENV": "AWS_ECS_EC2"},
                "portMappings": [],
                "mountPoints": [],
                "volumesFrom": [],
                "overrides": "{}",
                "dockerConfig": {"version": "1.17", "config": "{}", "hostConfig": "{}"},
            }
        ],
        "volumes": [],
    }


def test_the_task_itself() -> None:
    payload = sent(FULL)
    assert {name: payload[name] for name in ("cpu", "memory", "networkMode", "pidMode", "ipcMode")} == {
        "cpu": 0.5,
        "memory": 1024,
        "networkMode": "bridge",
        "pidMode": "host",
        "ipcMode": "none",
    }
    assert payload["volumes"] == [
        {"name": "logs", "type": "host", "host": {"sourcePath": "/var/log"}},
        {
            "name": "data",
            "type": "docker",
            "dockerVolumeConfiguration": {
                "scope": "shared",
                "autoprovision": True,
                "driver": "local",
                "driverOpts": {"type": "tmpfs"},
                "labels": {"keep": "yes"},
            },
        },
        {"name": "scratch", "type": "host", "host": {}},
    ]


def test_what_a_docker_volume_is_by_default() -> None:
    volume = {"name": "data", "dockerVolumeConfiguration": {}}
    assert sent(task(container(), volumes=[volume]))["volumes"][0]["dockerVolumeConfiguration"] == {
        "scope": "task",
        "autoprovision": False,
        "driver": "local",
        "driverOpts": {},
        "labels": {},
    }


def test_a_whole_container() -> None:
    made = sent(FULL)["containers"][0]
    assert json.loads(made.pop("dockerConfig")["hostConfig"])["NetworkMode"] == "bridge"
    assert made == {
        "name": "web",
        "image": "registry.example:5000/team/web:1.2",
        "cpu": 256,
        "memory": 512,
        "essential": True,
        "entryPoint": ["sh", "-c"],
        "command": ["serve"],
        "environment": {"AWS_EXECUTION_ENV": "AWS_ECS_EC2", "MODE": "fast", "EMPTY": ""},
        "links": ["init:first"],
        "portMappings": [
            {"containerPort": 80, "hostPort": 8080, "protocol": "tcp"},
            {"containerPortRange": "9000-9005", "protocol": "udp"},
        ],
        "mountPoints": [{"sourceVolume": "logs", "containerPath": "/logs", "readOnly": True}],
        "volumesFrom": [{"sourceContainer": "init", "readOnly": True}],
        "dependsOn": [{"containerName": "init", "condition": "SUCCESS"}],
        "startTimeout": 60,
        "stopTimeout": 10,
        "restartPolicy": {"enabled": True, "ignoredExitCodes": [0, 3], "restartAttemptPeriod": 90},
        "healthCheckType": "docker",
        "overrides": "{}",
    }


def test_a_restart_policy_has_a_default_period() -> None:
    policy = sent_container(restartPolicy={"enabled": True})["restartPolicy"]
    assert policy == {"enabled": True, "ignoredExitCodes": [], "restartAttemptPeriod": 300}


def test_in_host_mode_the_host_port_is_the_container_port() -> None:
    definition = task(container(portMappings=[{"containerPort": 80}]), networkMode="host")
    assert sent(definition)["containers"][0]["portMappings"][0]["hostPort"] == 80


@each_row(
    "members, version",
    [
        ({}, "1.17"),
        ({"ulimits": [LIMIT]}, "1.18"),
        ({"extraHosts": [{"hostname": "db", "ipAddress": "10.0.0.9"}]}, "1.18"),
        ({"logConfiguration": {"logDriver": "json-file"}}, "1.18"),
        ({"logConfiguration": {"logDriver": "awslogs"}}, "1.19"),
        ({"logConfiguration": {"logDriver": "gelf"}}, "1.20"),
        ({"linuxParameters": {"tmpfs": [{"containerPath": "/t", "size": 1}]}}, "1.22"),
        ({"healthCheck": CHECK, "ulimits": [LIMIT]}, "1.24"),
        ({"linuxParameters": {"initProcessEnabled": True}}, "1.25"),
    ],
)
def test_features_need_a_docker_api_version(members: Any, version: str) -> None:
    assert docker_api_version(read(**members)) == version


def test_every_version_that_a_feature_needs_is_told() -> None:
    members = {"logConfiguration": {"logDriver": "awslogs"}, "healthCheck": CHECK}
    assert docker_api_versions(read(**members)) == {"1.18", "1.19", "1.24"}
