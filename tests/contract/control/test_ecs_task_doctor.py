"""ecs-task-doctor: from our answers alone it finds what ails a service, and nothing in a sound one.

Not tried: its looks at ECR, IAM roles, CloudWatch logs and subnets. Nobody answers as those services here, and what it
asks of ECS before (the definition's image, roles, log driver and network) is answered.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.contract.control.live import APP, LivePlane, Programs

pytestmark = pytest.mark.timeout(400)  # the first one installs the clients

CRASHING = ["sh", "-c", "exit 1"]


@pytest.fixture(scope="module", autouse=True)
def _services(live: LivePlane) -> None:
    live.behave(*CRASHING, run_for_s=0.05, exit_code=1)
    ecs = live.client()
    for name, changes in (
        ("sound", {}),
        ("crashing", {"command": CRASHING}),
        ("unpullable", {"image": "missing:image"}),
        ("large", {"memory": 2**20}),
    ):
        ecs.register_task_definition(family=name, containerDefinitions=[{**APP, **changes}])
        ecs.create_service(serviceName=name, taskDefinition=name, desiredCount=1)
    live.until_stable("sound")
    for ill in ("crashing", "unpullable"):
        live.until(lambda name=ill: len(stopped(ecs, name)) >= 3, f"three tasks of {ill} to end")


def stopped(ecs: Any, service: str) -> list[str]:
    return list(ecs.list_tasks(serviceName=service, desiredStatus="STOPPED")["taskArns"])


def diagnosed(programs: Programs, *arguments: str) -> list[tuple[str, str, str]]:
    report = json.loads(programs.output("ecs-doctor", "diagnose", "--cluster", "default", *arguments, "--format=json"))
    return [(check["name"], check["severity"], check["message"]) for check in report["checks"]]


def test_a_sound_service(programs: Programs) -> None:
    found = diagnosed(programs, "--service", "sound")
    assert ("Task Status", "ok", "No recently stopped tasks found") in found
    assert ("Service Events", "ok", "Service has reached a steady state") in found
    assert {severity for _, severity, _ in found} <= {"ok", "warning"}


def test_a_service_whose_container_ends(programs: Programs) -> None:
    found = diagnosed(programs, "--service", "crashing")
    application = "Container 'app' exited with code 1 (Application error — check application logs)"
    assert ("Task Status", "critical", application) in found
    assert any(message.endswith("Essential container in task exited") for _, _, message in found)
    assert not [check for check in found if check[1] == "error"]


def test_a_service_whose_image_is_missing(programs: Programs) -> None:
    """In the agent's newer words, which it shows and has no advice for."""
    critical = [message for _, severity, message in diagnosed(programs, "--service", "unpullable") if severity != "ok"]
    assert any("CannotPullImageManifestError: Error response from daemon" in message for message in critical)


def test_a_service_that_fits_nowhere(programs: Programs) -> None:
    (critical,) = [check for check in diagnosed(programs, "--service", "large") if check[1] == "critical"]
    assert critical[0] == "Service Events"
    assert "capacity" in critical[2]


def test_one_task(programs: Programs, ecs: Any) -> None:
    found = diagnosed(programs, "--task", stopped(ecs, "crashing")[0])
    assert [name for name, severity, _ in found if severity == "critical"] == ["Task Status", "Task Status"]


def test_all_services(programs: Programs, ecs: Any) -> None:
    told = json.loads(programs.output("ecs-doctor", "health", "--cluster", "default", "--format=json"))
    status = {service["service"]: service["status"] for service in told["services"]}
    assert (status["sound"], status["unpullable"], status["large"]) == ("healthy", "down", "down")
    said = programs.output("ecs-doctor", "scan", "--cluster", "default", "--format=markdown")
    assert "**Service:** large" in said
    assert "**Service:** sound" not in said
    assert "Cluster not found." in programs.output("ecs-doctor", "health", "--cluster", "none")
