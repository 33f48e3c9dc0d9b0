"""GitHub's action aws-actions/amazon-ecs-deploy-task-definition: what a workflow would set, as a runner would start it.

It is in no package registry: ``ECSCOPE_DEPLOY_ACTION`` names a folder with a release of it (``dist/index.js`` and
``package.json``), as a checkout has them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contract.control.live import APP, ARN, LivePlane

JUDGE = "amazon-ecs-deploy-task-definition"
pytestmark = pytest.mark.timeout(300)

ENVIRONMENT = [{"name": "GREETING", "value": "hello"}]


class Action:
    """One step of a workflow after the other."""

    def __init__(self, folder: Path, environment: dict[str, str], home: Path) -> None:
        self._program = folder / "dist" / "index.js"
        self._environment = environment
        self._home = home

    def __call__(self, definition: Any, **inputs: str) -> tuple[int, dict[str, str], str]:
        """Exit code, outputs and log of a step with these ``inputs``, ``_`` for ``-``."""
        (self._home / "definition.json").write_text(json.dumps(definition))
        outputs = self._home / "outputs"
        outputs.write_text("")
        named = {"task-definition": "definition.json", **{key.replace("_", "-"): text for key, text in inputs.items()}}
        done = subprocess.run(
            ["node", str(self._program)],
            env=self._environment
            | {f"INPUT_{name.upper()}": text for name, text in named.items()}
            | {"GITHUB_WORKSPACE": str(self._home), "GITHUB_OUTPUT": str(outputs)},
            cwd=self._home,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        lines = outputs.read_text().splitlines()  # name<<mark, value, mark
        found = {lines[n].split("<<")[0]: lines[n + 1] for n in range(0, len(lines), 3)}
        return done.returncode, found, done.stdout + done.stderr


@pytest.fixture
def action(live: LivePlane, tmp_path: Path, judge_version: Callable[[str], None]) -> Action:
    named = os.environ.get("ECSCOPE_DEPLOY_ACTION")
    if not named:
        pytest.skip("NOT RUN: ECSCOPE_DEPLOY_ACTION names no folder with the action")
    if shutil.which("node") is None:
        pytest.skip("NOT RUN: node is not installed")
    judge_version(json.loads((Path(named) / "package.json").read_text())["version"])
    return Action(Path(named), live.environment(home=tmp_path), tmp_path)


@pytest.fixture
def service(live: LivePlane, ecs: Any) -> None:
    """``action``, with two tasks of the family's first revision."""
    if ecs.describe_services(services=["action"])["services"]:
        return
    ecs.register_task_definition(family="action", containerDefinitions=[APP])
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
    ecs.create_service(serviceName="action", taskDefinition="action", desiredCount=2, deploymentConfiguration=breaker)
    live.until_stable("action")


def as_described(ecs: Any, **members: Any) -> Any:
    """The newest revision as DescribeTaskDefinition shows it, as workflows get it; ``members`` of its container."""
    told = ecs.describe_task_definition(taskDefinition="action")["taskDefinition"]
    told["containerDefinitions"][0] |= members
    return json.loads(json.dumps(told, default=str))


@pytest.mark.usefixtures("service")
def test_a_deployment(ecs: Any, action: Action) -> None:
    """A task definition as DescribeTaskDefinition shows it: registered, deployed, the service waited for, verified."""
    definition = as_described(ecs, environment=ENVIRONMENT)
    code, outputs, log = action(
        definition, service="action", cluster="default", wait_for_service_stability="true", wait_for_minutes="2"
    )
    assert code == 0, log
    arn = outputs["task-definition-arn"]
    assert arn.startswith(f"{ARN}:task-definition/action:")
    assert "verified: rolloutState=COMPLETED" in log
    (told,) = ecs.describe_services(services=["action"])["services"]
    assert (told["taskDefinition"], told["runningCount"]) == (arn, 2)
    (container,) = ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]["containerDefinitions"]
    assert container["environment"] == ENVIRONMENT


@pytest.mark.usefixtures("service")
def test_a_count(live: LivePlane, ecs: Any, action: Action) -> None:
    """`force-new-deployment`, `desired-count`, `enable-ecs-managed-tags`, `propagate-tags`."""
    code, _, log = action(
        as_described(ecs),
        service="action",
        cluster="default",
        desired_count="1",
        force_new_deployment="true",
        enable_ecs_managed_tags="true",
        propagate_tags="SERVICE",
    )
    assert code == 0, log
    live.until_stable("action")
    (told,) = ecs.describe_services(services=["action"])["services"]
    assert (told["runningCount"], told["enableECSManagedTags"], told["propagateTags"]) == (1, True, "SERVICE")


@pytest.mark.usefixtures("service")
def test_a_task(live: LivePlane, ecs: Any, action: Action) -> None:
    """`run-task` with overrides and tags, before a deployment: waited for; an exit code other than 0 fails the step."""
    live.behave("migrate", run_for_s=0.2)
    live.behave("broken", run_for_s=0.2, exit_code=3)

    def run(command: str) -> tuple[int, dict[str, str], str]:
        return action(
            as_described(ecs),
            cluster="default",
            run_task="true",
            run_task_launch_type="EC2",
            run_task_started_by="workflow",
            run_task_container_overrides=json.dumps([{"name": "app", "command": [command]}]),
            run_task_tags=json.dumps([{"key": "team", "value": "web"}]),
            wait_for_task_stopped="true",
            wait_for_minutes="2",
        )

    code, outputs, log = run("migrate")
    assert code == 0, log
    (arn,) = json.loads(outputs["run-task-arn"])
    (task,) = ecs.describe_tasks(tasks=[arn], include=["TAGS"])["tasks"]
    assert (task["startedBy"], task["tags"]) == ("workflow", [{"key": "team", "value": "web"}])
    assert task["containers"][0]["exitCode"] == 0
    code, _, log = run("broken")
    assert code == 1
    assert "Run task failed" in log


@pytest.mark.usefixtures("service")
def test_a_deployment_that_fails(live: LivePlane, ecs: Any, action: Action) -> None:
    """A revision whose tasks end at once: the circuit breaker rolls back, and the step fails."""
    live.behave("broken", run_for_s=0.05, exit_code=3)
    before = ecs.describe_services(services=["action"])["services"][0]["taskDefinition"]
    definition = as_described(ecs, command=["broken"])
    code, _, log = action(
        definition, service="action", cluster="default", wait_for_service_stability="true", wait_for_minutes="3"
    )
    assert code == 1, log
    assert ecs.describe_services(services=["action"])["services"][0]["taskDefinition"] == before


@pytest.mark.usefixtures("service")
def test_a_mistake(action: Action) -> None:
    """A task definition that ECS refuses fails the step with ECS's own words."""
    code, _, log = action({"family": "action", "containerDefinitions": [{**APP, "memory": 1}]}, service="action")
    assert code == 1
    assert "Failed to register task definition in ECS" in log
