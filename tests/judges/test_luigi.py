"""luigi's ECSTask: runs a task to its end, and does not take one that failed for done."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contract.control.live import APP, ARN, LivePlane

JUDGE = "luigi"
pytestmark = pytest.mark.timeout(900)  # the first one installs it

SCRIPT = Path(__file__).parent.parent / "clients" / "luigi_tasks.py"


@pytest.fixture
def build(
    live: LivePlane, judges_programs: Path, tmp_path: Path, judge_version: Callable[[str], None]
) -> Callable[..., Any]:
    """Builds an ECSTask with these arguments; gives what luigi says of it."""

    def run(**arguments: Any) -> Any:
        done = subprocess.run(
            [str(judges_programs / "python"), str(SCRIPT), json.dumps(arguments)],
            cwd=tmp_path,
            env=live.environment(home=tmp_path),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        told = json.loads(done.stdout.splitlines()[-1])
        judge_version(told["version"])
        return told

    return run


def test_a_definition(live: LivePlane, ecs: Any, build: Callable[..., Any]) -> None:
    """`ECSTask` with a task definition of its own and a command: registered, run, waited for."""
    live.behave("load", run_for_s=1.0)
    definition = {"family": "luigi", "volumes": [], "containerDefinitions": [{**APP, "essential": True}]}
    told = build(task_def=definition, command=[{"name": "app", "command": ["load"]}])
    assert told["status"] == "SUCCESS"
    (arn,) = told["tasks"]
    (task,) = ecs.describe_tasks(tasks=[arn])["tasks"]
    assert task["taskDefinitionArn"] == f"{ARN}:task-definition/luigi:1"
    assert (task["lastStatus"], task["containers"][0]["exitCode"]) == ("STOPPED", 0)


def test_an_arn(live: LivePlane, ecs: Any, build: Callable[..., Any]) -> None:
    """`ECSTask` with the ARN of a task definition and a cluster by name."""
    live.behave("again", run_for_s=1.0)
    made = ecs.register_task_definition(family="luigi-again", containerDefinitions=[APP])
    arn = made["taskDefinition"]["taskDefinitionArn"]
    told = build(task_def_arn=arn, command=[{"name": "app", "command": ["again"]}], cluster="default")
    assert told["status"] == "SUCCESS"


def test_a_mistake(build: Callable[..., Any]) -> None:
    """A task definition that is not there is a failure, not an endless wait."""
    told = build(task_def_arn=f"{ARN}:task-definition/nothing:1", command=[{"name": "app", "command": ["x"]}])
    assert told["status"] == "FAILED"
