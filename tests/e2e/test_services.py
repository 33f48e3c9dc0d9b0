"""Services on the local engine, ``ecscope up`` being a process: killed in between, dying at once, unhealthy."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.agents import eventually
from tests.e2e.ups import Up, an_up

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def up(tmp_path: Path, docker_endpoint: str, sample_image: str) -> Iterator[Up]:
    with an_up(tmp_path, docker_endpoint) as up:
        up.start()
        up.register()
        yield up


def service_of(up: Up) -> Any:
    return up.call("describe_services", cluster=up.cluster, services=["web"])["services"][0]


def await_stable(up: Up, count: int) -> None:
    """What the waiter ServicesStable looks for, and so many containers."""
    eventually(
        lambda: (service_of(up), len(up.containers())),
        lambda found: len(found[0]["deployments"]) == 1 and found[0]["runningCount"] == count == found[1],
        f"a stable service of {count} tasks",
    )


def messages(up: Up) -> str:
    return "\n".join(event["message"] for event in service_of(up)["events"])


def test_a_deployment_goes_on_though_the_control_plane_is_killed(up: Up) -> None:
    up.call("create_service", cluster=up.cluster, serviceName="web", taskDefinition=up.family, desiredCount=3)
    await_stable(up, 3)
    before = up.containers()
    up.call("update_service", cluster=up.cluster, service="web", forceNewDeployment=True)
    up.end(signal.SIGKILL)
    up.start()
    await_stable(up, 3)
    assert not set(before) & set(up.containers())
    assert "has reached a steady state." in messages(up)
    up.call("delete_service", cluster=up.cluster, service="web", force=True)
    eventually(lambda: service_of(up)["status"], lambda status: status == "INACTIVE", "an inactive service")
    assert up.containers() == []
    assert up.end() == 0


def test_a_revision_that_dies_at_once_is_rolled_back(up: Up) -> None:
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
    up.call(
        "create_service",
        cluster=up.cluster,
        serviceName="web",
        taskDefinition=up.family,
        desiredCount=1,
        deploymentConfiguration=breaker,
    )
    eventually(lambda: service_of(up)["deployments"][0]["rolloutState"], lambda state: state == "COMPLETED", "it runs")
    before = up.containers()
    bad = {"name": "app", "image": "ecscope-sample:latest", "memory": 16, "command": ["sh", "-c", "exit 3"]}
    revision = up.call("register_task_definition", family=up.family, containerDefinitions=[bad])["taskDefinition"]
    up.call("update_service", cluster=up.cluster, service="web", taskDefinition=revision["taskDefinitionArn"])
    eventually(lambda: messages(up), lambda said: "rolling back to deployment" in said, "the way back")
    await_stable(up, 1)
    assert up.containers() == before
    assert "deployment failed: tasks failed to start." in messages(up)
    assert up.end() == 0


def test_an_unhealthy_task_is_replaced(up: Up) -> None:
    ill = {
        "name": "app",
        "image": "ecscope-sample:latest",
        "memory": 16,
        "command": ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"],
        "healthCheck": {"command": ["CMD-SHELL", "false"], "interval": 5, "retries": 1},
        "stopTimeout": 5,
    }
    up.call("register_task_definition", family=up.family, containerDefinitions=[ill])
    up.call(
        "create_service",
        cluster=up.cluster,
        serviceName="web",
        taskDefinition=up.family,
        desiredCount=1,
        deploymentConfiguration={"minimumHealthyPercent": 0, "maximumPercent": 100},
    )
    (first,) = eventually(up.tasks, lambda tasks: len(tasks) == 1, "a task")
    eventually(up.tasks, lambda tasks: tasks[first] == "STOPPED" and len(tasks) == 2, "another task", within_s=90)
    told = up.call("describe_tasks", cluster=up.cluster, tasks=[first])["tasks"][0]
    assert (told["stopCode"], told["stoppedReason"], told["healthStatus"]) == (
        "ServiceSchedulerInitiated",
        "Task failed container health checks",
        "UNHEALTHY",
    )
    assert "failed container health checks." in messages(up)
    assert up.end() == 0
