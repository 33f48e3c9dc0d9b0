"""ecs-deploy: what it calls of ECS is answered so that its own conclusions are the right ones.

Not tried: ``ecs cron`` (needs EventBridge) and ``--assume-role`` (needs STS).
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.contract.control.live import APP, ARN, LivePlane, Programs
from tests.contract.control.planes import IMAGE

pytestmark = pytest.mark.timeout(400)  # the first one installs the clients

WAIT = ("--timeout", "30", "--sleep-time", "1")


@pytest.fixture(scope="module", autouse=True)
def _service(live: LivePlane) -> None:
    ecs = live.client()
    side = {"name": "side", "image": IMAGE, "memoryReservation": 16, "essential": False}
    ecs.register_task_definition(
        family="web",
        containerDefinitions=[{**APP, "environment": [{"name": "A", "value": "one"}]}, side],
        networkMode="bridge",
        volumes=[{"name": "data", "host": {}}],
        tags=[{"key": "team", "value": "web"}],
    )
    ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=2)
    live.until_stable("web")


def service(ecs: Any) -> Any:
    return ecs.describe_services(services=["web"])["services"][0]


def test_a_new_definition_is_deployed(programs: Programs, ecs: Any) -> None:
    said = programs.output("ecs", "deploy", "default", "web", *WAIT, "-e", "app", "A", "two", "-c", "side", "sleep 9")
    assert "Successfully created revision: 2" in said
    assert "Deployment successful" in said
    assert "Successfully deregistered revision: 1" in said
    assert service(ecs)["taskDefinition"] == f"{ARN}:task-definition/web:2"
    before = ecs.describe_task_definition(taskDefinition="web:1")["taskDefinition"]
    told = ecs.describe_task_definition(taskDefinition="web:2", include=["TAGS"])
    after = told["taskDefinition"]
    assert told["tags"] == [{"key": "team", "value": "web"}]
    assert before["status"] == "INACTIVE"
    app, side = after["containerDefinitions"]
    assert (app["environment"], side["command"]) == ([{"name": "A", "value": "two"}], ["sleep", "9"])
    for same in ("volumes", "networkMode", "requiresAttributes", "compatibilities"):
        assert after[same] == before[same]


def test_the_service_is_scaled(programs: Programs, ecs: Any) -> None:
    assert "Scaling successful" in programs.output("ecs", "scale", "default", "web", "3", *WAIT)
    assert (service(ecs)["desiredCount"], service(ecs)["runningCount"]) == (3, 3)


def test_what_cannot_start_is_told_and_rolled_back(programs: Programs, ecs: Any) -> None:
    at_first = service(ecs)["taskDefinition"]
    arguments = ("-i", "app", "missing:image", "--rollback", "--timeout", "6", "--sleep-time", "1")
    done = programs.run("ecs", "deploy", "default", "web", *arguments)
    assert done.returncode == 1
    assert "tasks failed to start" in done.stderr
    assert "Rollback successful" in done.stdout
    assert service(ecs)["taskDefinition"] == at_first
    assert service(ecs)["runningCount"] == service(ecs)["desiredCount"]


def test_tasks_are_run_with_changes(programs: Programs, ecs: Any) -> None:
    said = programs.output("ecs", "run", "default", "web", "2", "-e", "app", "A", "three")
    arns = re.findall(r"- (arn:\S+)", said)
    told = ecs.describe_tasks(tasks=arns)["tasks"]
    assert [(task["startedBy"], task["group"]) for task in told] == [("ECS Deploy", "family:web")] * 2
    overridden = {each["name"]: each for each in told[0]["overrides"]["containerOverrides"]}
    assert {"name": "A", "value": "three"} in overridden["app"]["environment"]
    for arn in arns:
        ecs.stop_task(task=arn)


def test_definitions_are_changed_and_compared(programs: Programs, ecs: Any) -> None:
    ecs.register_task_definition(family="other", containerDefinitions=[APP])
    assert "Successfully created revision: 2" in programs.output("ecs", "update", "other", "-e", "app", "Z", "z")
    said = programs.output("ecs", "diff", "other", "1", "2")
    assert re.findall(r"(?m)^(\w+): (\S+)$", said) == [("change", "containers.app.environment")] or "Z" in said


def test_refusals(programs: Programs) -> None:
    assert "Service not found." in programs.run("ecs", "deploy", "default", "none").stderr
    assert "Cluster not found." in programs.run("ecs", "deploy", "nowhere", "web").stderr
    done = programs.run("ecs", "run", "default", "web", "1", "--memory", "app", "100000")
    assert done.returncode == 1 or "Successfully started 0" in done.stdout
