"""Builders of what ECS sends over the ACS: tasks, containers, credentials.

``a_payload_task(a_payload_container(command=["true"]))``. The form is that of the recordings: the members of
``dockerConfig`` and ``overrides`` are JSON in strings, ``version`` is a string. Nothing here is random.
"""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from tests.builders import SAMPLE_IMAGE, an_arn

CLUSTER_ARN = "arn:aws:ecs:us-west-2:012345678910:cluster/default"
STAYS_UP = ("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1; done")
HOST_CONFIG = {"NetworkMode": "bridge", "CapAdd": [], "CapDrop": []}


def a_payload_container(
    name: str = "app",
    *,
    image: str = SAMPLE_IMAGE,
    command: tuple[str, ...] | list[str] = STAYS_UP,
    config: dict[str, Any] | None = None,
    host_config: dict[str, Any] | None = None,
    overrides: dict[str, Any] | None = None,
    **members: Any,
) -> dict[str, Any]:
    """An essential container that runs until it is told to stop. ``members`` are ECS's own, and go before all else."""
    return {
        "name": name,
        "image": image,
        "essential": True,
        "cpu": 0,
        "memory": 0,
        "command": list(command),
        "environment": {},
        "dockerConfig": {
            "version": "1.17",
            "config": json.dumps(config or {}),
            "hostConfig": json.dumps({**HOST_CONFIG, **(host_config or {})}),
        },
        "overrides": json.dumps(overrides or {}),
        **members,
    }


def a_payload_task(
    *containers: dict[str, Any], number: int = 1, cluster: str = "default", **members: Any
) -> dict[str, Any]:
    """A task to run, with one container ``app`` unless others are given; ``number`` sets its ARN."""
    arn = members.get("arn", an_arn(number, cluster=cluster))
    task_id = str(arn).rsplit("/", 1)[-1]
    task: dict[str, Any] = {
        "arn": arn,
        "taskClusterArn": CLUSTER_ARN.replace("cluster/default", f"cluster/{cluster}"),
        "family": "sample",
        "version": "1",
        "desiredStatus": "RUNNING",
        "networkMode": "bridge",
        "overrides": "{}",
        "taskDefinitionAccountId": "012345678910",
        "launchType": "EC2",
        "containers": [dict(container) for container in containers or (a_payload_container(),)],
        **members,
    }
    for container in task["containers"]:
        container.setdefault(
            "containerArn",
            f"arn:aws:ecs:us-west-2:012345678910:container/{cluster}/{task_id}/"
            f"{uuid.uuid5(uuid.NAMESPACE_OID, task_id + '/' + str(container.get('name')))}",
        )
    return task


def to_stop(task: dict[str, Any]) -> dict[str, Any]:
    """The same task, which is now to stop."""
    return {**task, "desiredStatus": "STOPPED"}


def payload_credentials(credentials_id: str = "11111111-2222-4333-8444-555555555555", **members: Any) -> dict[str, Any]:
    """``roleCredentials`` or ``executionRoleCredentials`` of a task."""
    return {
        "credentialsId": credentials_id,
        "roleArn": "arn:aws:iam::012345678910:role/task-role",
        "accessKeyId": "AKIDTASKROLE",
        "secretAccessKey": "task-role-secret",
        "sessionToken": "task-role-token",
        "expiration": "2030-01-01T00:00:00Z",
        **members,
    }


def generated_at() -> int:
    """Now, as ECS writes it: whole milliseconds since the epoch."""
    return int(time.time() * 1000)
