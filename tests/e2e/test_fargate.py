"""A Fargate definition of two containers runs under ``ecscope up``, in a cluster of its own, and leaves nothing."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import dockerengine
from ecscope.up.network import bridge_of
from tests.e2e.agents import containers_of, engine, eventually
from tests.e2e.ups import Up, an_up
from tests.session import TEST_PREFIX

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(os.geteuid() != 0, reason="the task network needs root"),
]

NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"], "assignPublicIp": "ENABLED"}}


@pytest.fixture
def up(tmp_path: Path, docker_endpoint: str, sample_image: str) -> Iterator[Up]:
    with an_up(tmp_path, docker_endpoint) as up:
        yield up


def a_container(name: str, port: int, other: int) -> dict[str, Any]:
    """Serves ``/reached`` once it has reached the other one on localhost."""
    script = (
        "mkdir -p /tmp/www && echo I am here > /tmp/www/index.html"
        f" && httpd -p {port} -h /tmp/www"
        f" && until wget -q -O /dev/null http://localhost:{other}/; do sleep 0.1; done"
        " && hostname > /tmp/www/reached"
        " && trap 'exit 0' TERM && while :; do sleep 0.1; done"
    )
    return {
        "name": name,
        "image": "ecscope-sample:latest",
        "essential": True,
        "entryPoint": ["sh", "-c"],
        "command": [script],
        "portMappings": [{"containerPort": port, "hostPort": port, "protocol": "tcp"}],
        "stopTimeout": 5,
    }


def fetched(url: str) -> str:
    """``""``: not yet."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.read().decode()
    except OSError:
        return ""


def test_two_containers_reach_each_other_on_localhost(up: Up) -> None:
    up.start()
    family, cluster = f"{TEST_PREFIX}fargate", f"{up.cluster}-tf"
    up.call("create_cluster", clusterName=cluster)
    registered = up.call(
        "register_task_definition",
        family=family,
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="4096",  # more than many a machine has
        memory="8192",
        runtimePlatform={"operatingSystemFamily": "LINUX"},
        containerDefinitions=[a_container("web", 80, 8080), a_container("side", 8080, 80)],
    )["taskDefinition"]
    assert registered["compatibilities"] == ["EC2", "FARGATE"]
    made = up.call(
        "run_task",
        cluster=cluster,
        taskDefinition=family,
        launchType="FARGATE",
        count=2,
        networkConfiguration=NETWORK,
    )
    assert (len(made["tasks"]), made["failures"]) == (2, [])
    arns = [task["taskArn"] for task in made["tasks"]]

    def told() -> list[Any]:
        return up.call("describe_tasks", cluster=cluster, tasks=arns)["tasks"]

    tasks = eventually(told, lambda tasks: {task["lastStatus"] for task in tasks} == {"RUNNING"}, "the tasks to run")
    addresses = []
    for task in tasks:
        assert "containerInstanceArn" not in task
        assert (task["launchType"], task["cpu"], task["platformVersion"]) == ("FARGATE", "4096", "1.4.0")
        (attachment,) = task["attachments"]
        details = {detail["name"]: detail["value"] for detail in attachment["details"]}
        assert (attachment["status"], details["subnetId"]) == ("ATTACHED", "subnet-1")
        address = details["privateIPv4Address"]
        addresses.append(address)
        for container in task["containers"]:
            assert container["networkInterfaces"][0]["privateIpv4Address"] == address
        for port in (80, 8080):
            reached = f"http://{address}:{port}/reached"
            assert eventually(lambda url=reached: fetched(url), bool, reached).strip() == details["privateDnsName"]
    assert len(set(addresses)) == 2, "two tasks with port 80"
    instance = up.call("list_container_instances", cluster=up.cluster)["containerInstanceArns"]
    (shown,) = up.call("describe_container_instances", cluster=up.cluster, containerInstances=instance)[
        "containerInstances"
    ]
    assert (shown["runningTasksCount"], shown["remainingResources"]) == (0, shown["registeredResources"])
    up.call("stop_task", cluster=cluster, task=arns[0], reason="done")
    eventually(told, lambda tasks: "STOPPED" in {task["lastStatus"] for task in tasks}, "the task to stop")
    (stopped,) = (task for task in told() if task["lastStatus"] == "STOPPED")
    assert (stopped["stoppedReason"], stopped["attachments"][0]["status"]) == ("done", "DELETED")
    assert up.end() == 0
    assert containers_of(up.cluster) == []
    with pytest.raises(dockerengine.EngineError):
        engine().request("GET", f"/networks/{bridge_of(up.data_dir)}")
