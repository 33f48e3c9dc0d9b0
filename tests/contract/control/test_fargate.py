"""The AWS CLI and Terraform's calls with tasks and services on Fargate, whose agent is in another cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ecscope.control.core.state import Settings
from tests.contract.control.live import ARN, LivePlane, Programs
from tests.contract.control.planes import IMAGE
from tests.contract.control.test_aws_cli import Cli

pytestmark = pytest.mark.timeout(400)  # the first one installs the CLI

SUBNET = "10.213.0.0/20"
DEFINITION: dict[str, Any] = {
    "family": "sample-fargate",
    "networkMode": "awsvpc",
    "requiresCompatibilities": ["FARGATE"],
    "cpu": "256",
    "memory": "512",
    "containerDefinitions": [
        {
            "name": "fargate-app",
            "image": IMAGE,
            "essential": True,
            "entryPoint": ["sh", "-c"],
            "command": ["sleep 600"],
            "portMappings": [{"containerPort": 80, "hostPort": 80, "protocol": "tcp"}],
        },
        {"name": "side", "image": IMAGE, "essential": False, "command": ["sleep", "600"]},
    ],
}
CONFIGURATION = "awsvpcConfiguration={subnets=[subnet-abcd1234],securityGroups=[sg-abcd1234],assignPublicIp=ENABLED}"
NETWORK = {
    "awsvpcConfiguration": {
        "subnets": ["subnet-abcd1234"],
        "securityGroups": ["sg-abcd1234"],
        "assignPublicIp": "ENABLED",
    }
}


SAID: list[str] = []
"""To the user, by the control plane."""


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePlane]:
    """With the agent of ``ecscope up``, in ``default``, and a cluster ``web`` without any."""
    with LivePlane(
        tmp_path_factory.mktemp("fargate"),
        settings=Settings(task_subnet=SUBNET, healthy_after_s=0),
        say=SAID.append,
        settings_of_agents={"ECSCOPE_TASK_BRIDGE": "ecscope-test0", "ECSCOPE_TASK_SUBNET": SUBNET},
    ) as live:
        ecs = live.client()
        ecs.create_cluster(clusterName="web", capacityProviders=["FARGATE", "FARGATE_SPOT"])
        ecs.register_task_definition(**DEFINITION)
        yield live


@pytest.fixture
def aws(programs: Programs) -> Cli:
    return Cli(programs)


def test_run_task(aws: Cli, live: LivePlane, tmp_path: Path) -> None:
    (tmp_path / "fargate.json").write_text(json.dumps({**DEFINITION, "family": "from-a-file"}))
    registered = aws("register-task-definition --cli-input-json file://fargate.json")["taskDefinition"]
    assert registered["compatibilities"] == ["EC2", "FARGATE"]
    run = "run-task --cluster web --launch-type FARGATE --task-definition from-a-file"
    assert "Network Configuration must be provided when networkMode 'awsvpc' is specified." in aws.refused(run)
    made = aws(f"{run} --network-configuration {CONFIGURATION}")
    (task,) = made["tasks"]
    assert (task["lastStatus"], task["attachments"][0]["status"]) == ("PROVISIONING", "PRECREATED")
    live.until(lambda: live.tasks() == ["RUNNING"], "the task to run")
    (task,) = aws("describe-tasks --cluster web --tasks", task["taskArn"])["tasks"]
    assert (task["launchType"], task["platformVersion"], task["platformFamily"]) == ("FARGATE", "1.4.0", "Linux")
    assert "containerInstanceArn" not in task
    details = {detail["name"]: detail["value"] for detail in task["attachments"][0]["details"]}
    assert {container["lastStatus"] for container in task["containers"]} == {"RUNNING"}
    for container in task["containers"]:
        assert container["networkInterfaces"][0]["privateIpv4Address"] == details["privateIPv4Address"]
    aws("stop-task --cluster web --task", task["taskArn"])
    live.until(lambda: live.tasks("STOPPED") == ["STOPPED"], "the task to stop")


def test_create_service(aws: Cli, live: LivePlane) -> None:
    create = "create-service --cluster web --service-name cli --task-definition sample-fargate --desired-count 2"
    service = aws(f"{create} --launch-type FARGATE --network-configuration {CONFIGURATION}")["service"]
    assert service["networkConfiguration"] == NETWORK
    live.until_stable("cli")
    arns = aws("list-tasks --cluster web --service-name cli --launch-type FARGATE")["taskArns"]
    tasks = live.client().describe_tasks(cluster="web", tasks=arns)["tasks"]
    assert len({task["containers"][0]["networkInterfaces"][0]["privateIpv4Address"] for task in tasks}) == 2
    aws("delete-service --force --cluster web --service cli")
    live.until(lambda: not live.tasks(), "the tasks to stop")


def test_what_terraform_reads_back_is_what_it_asked_for(live: LivePlane) -> None:
    """aws_ecs_service: with a launch type, and with capacity providers; a plan compares these members."""
    ecs = live.client()
    strategy = [{"capacityProvider": "FARGATE_SPOT", "base": 0, "weight": 100}]
    for name, capacity in (("typed", {"launchType": "FARGATE"}), ("spot", {"capacityProviderStrategy": strategy})):
        asked = {"serviceName": name, "desiredCount": 1, "networkConfiguration": NETWORK, **capacity}
        ecs.create_service(cluster="web", taskDefinition="sample-fargate", platformVersion="LATEST", **asked)
        live.until_stable(name)
        (found,) = ecs.describe_services(cluster="web", services=[name])["services"]
        assert {member: found.get(member) for member in asked} == asked
        assert found["taskDefinition"] == f"{ARN}:task-definition/sample-fargate:1"
        assert (found["platformVersion"], found["deployments"][0]["platformVersion"]) == ("LATEST", "1.4.0")
        assert ("launchType" in found) is ("launchType" in asked)
        (arn,) = ecs.list_tasks(cluster="web", serviceName=name)["taskArns"]
        (task,) = ecs.describe_tasks(cluster="web", tasks=[arn])["tasks"]
        assert task.get("capacityProviderName") == ("FARGATE_SPOT" if name == "spot" else None)
        ecs.delete_service(cluster="web", service=name, force=True)
    live.until(lambda: not live.tasks(), "the tasks to stop")
    described = ecs.describe_task_definition(taskDefinition="sample-fargate")["taskDefinition"]
    for member in ("networkMode", "requiresCompatibilities", "cpu", "memory"):
        assert described[member] == DEFINITION[member]


def test_what_is_no_limit_here_is_said_once(live: LivePlane) -> None:
    ecs = live.client()
    sized = {**DEFINITION, "family": "large", "cpu": "16 vCPU", "memory": "120 GB", "pidMode": "task"}
    ecs.register_task_definition(**sized, ephemeralStorage={"sizeInGiB": 200})
    for _ in range(2):
        asked = {"taskDefinition": "large", "launchType": "FARGATE", "networkConfiguration": NETWORK}
        arn = ecs.run_task(cluster="web", **asked)["tasks"][0]["taskArn"]
        (task,) = ecs.describe_tasks(cluster="web", tasks=[arn])["tasks"]
        assert task["ephemeralStorage"] == {"sizeInGiB": 200}
        live.until(lambda: live.tasks() == ["RUNNING"], "the task to run")
        ecs.stop_task(cluster="web", task=arn)
        live.until(lambda: not live.tasks() and set(live.tasks("STOPPED")) == {"STOPPED"}, "the task to stop")
    storage, size = sorted(SAID, key=len)
    assert storage.startswith("ephemeralStorage is shown, and is no limit here")
    assert "more than the 4096 and 8192 that this machine has: they share it" in size
