"""Airflow's operators and sensors for ECS, as its workers execute them: what they wait for and take for a failure."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.contract.control.live import APP, ARN, LivePlane

JUDGE = "airflow, Amazon provider"
pytestmark = pytest.mark.timeout(900)  # the first one installs it

SCRIPT = Path(__file__).parent.parent / "clients" / "airflow_operators.py"
Step = tuple[str, Mapping[str, Any]]
QUICKLY = {"waiter_delay": 1, "waiter_max_attempts": 60}
POKING = {"poke_interval": 1, "timeout": 60}


@pytest.fixture
def execute(
    live: LivePlane, airflow_programs: Path, tmp_path: Path, judge_version: Callable[[str], None]
) -> Callable[..., list[Any]]:
    """Executes one operator after the other; gives what each returned and pushed, or its error."""
    environment = live.environment(home=tmp_path) | {
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__UNIT_TEST_MODE": "True",  # an operator may be executed outside of a run
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }

    def run(*steps: Step) -> list[Any]:
        done = subprocess.run(
            [str(airflow_programs / "python"), str(SCRIPT), json.dumps(steps)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        told = json.loads(done.stdout.splitlines()[-1])
        judge_version(told["version"])
        return list(told["told"])

    return run


def run_task(command: str, **arguments: Any) -> Step:
    return (
        "EcsRunTaskOperator",
        {
            "cluster": "default",
            "task_definition": "airflow",
            "launch_type": "EC2",
            "overrides": {"containerOverrides": [{"name": "app", "command": [command]}]},
            **QUICKLY,
            **arguments,
        },
    )


def test_clusters_and_definitions(ecs: Any, execute: Callable[..., list[Any]]) -> None:
    """`EcsCreateClusterOperator`, `EcsRegisterTaskDefinitionOperator`, their sensors, and what undoes them."""
    definition = {"family": "airflow-gone", "container_definitions": [APP]}
    register = {**definition, "register_task_kwargs": {"networkMode": "bridge"}}
    told = execute(
        ("EcsCreateClusterOperator", {"cluster_name": "airflow", **QUICKLY}),
        ("EcsClusterStateSensor", {"cluster_name": "airflow", **POKING}),
        ("EcsRegisterTaskDefinitionOperator", register),
        ("EcsTaskDefinitionStateSensor", {"task_definition": "airflow-gone:1", **POKING}),
        ("EcsDeregisterTaskDefinitionOperator", {"task_definition": "airflow-gone:1"}),
        ("EcsDeleteClusterOperator", {"cluster_name": "airflow", **QUICKLY}),
    )
    assert [step for step in told if "error" in step] == []
    made, _, registered, _, deregistered, deleted = told
    assert made["returned"]["clusterArn"] == f"{ARN}:cluster/airflow"
    arn = f"{ARN}:task-definition/airflow-gone:1"
    assert registered == {"returned": arn, "pushed": {"task_definition_arn": arn}}
    assert deregistered["returned"] == arn
    assert deleted["returned"]["status"] == "INACTIVE"
    assert ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]["status"] == "INACTIVE"


def test_tasks(live: LivePlane, ecs: Any, execute: Callable[..., list[Any]]) -> None:
    """`EcsRunTaskOperator`: overrides, tags, placement, waited for; `EcsTaskStateSensor` sees one that goes on."""
    live.behave("load", run_for_s=0.5)
    ecs.register_task_definition(family="airflow", containerDefinitions=[APP])
    placed = {
        "placement_strategy": [{"type": "spread", "field": "instanceId"}],
        "placement_constraints": [{"type": "memberOf", "expression": "attribute:ecs.os-type == linux"}],
        "group": "airflow-group",
        "propagate_tags": "TASK_DEFINITION",
        "tags": {"team": "data"},
    }
    ended, goes_on = execute(run_task("load", **placed), run_task("serve", wait_for_completion=False))
    assert "error" not in ended, ended
    (task,) = ecs.describe_tasks(tasks=[ended["pushed"]["ecs_task_arn"]], include=["TAGS"])["tasks"]
    assert (task["lastStatus"], task["group"]) == ("STOPPED", "airflow-group")
    assert task["tags"] == [{"key": "team", "value": "data"}]
    arn = goes_on["pushed"]["ecs_task_arn"]
    (running,) = execute(("EcsTaskStateSensor", {"cluster": "default", "task": arn, **POKING}))
    assert "error" not in running, running
    ecs.stop_task(task=arn)


def test_failures(live: LivePlane, ecs: Any, execute: Callable[..., list[Any]]) -> None:
    """`EcsRunTaskOperator` and failures: an exit code, one to skip, no start, no place."""
    live.behave("broken", run_for_s=0.2, exit_code=3)
    live.behave("unstartable", start_error="no such program")
    ecs.register_task_definition(family="airflow", containerDefinitions=[APP])
    nowhere = [{"type": "memberOf", "expression": "attribute:nothing exists"}]
    failed, skipped, unstarted, unplaced = execute(
        run_task("broken"),
        run_task("broken", skip_on_exit_code=3),
        run_task("unstartable"),
        run_task("load", placement_constraints=nowhere),
    )
    assert failed["error"] == "AirflowException"
    assert "This task is not in success state" in failed["text"]
    assert skipped["error"] == "AirflowSkipException"
    assert unstarted["error"] == "EcsTaskFailToStart"
    assert "no such program" in unstarted["text"] or "failed to start" in unstarted["text"]
    assert unplaced["error"] == "EcsOperatorError"


def test_reattached(live: LivePlane, ecs: Any, execute: Callable[..., list[Any]]) -> None:
    """`reattach`: a second run of the same Airflow task finds the ECS task of the first by `startedBy`."""
    ecs.register_task_definition(family="airflow", containerDefinitions=[APP])
    first, second = execute(*[run_task("serve", reattach=True, wait_for_completion=False)] * 2)
    assert first["pushed"]["ecs_task_arn"] == second["pushed"]["ecs_task_arn"]
    ecs.stop_task(task=first["pushed"]["ecs_task_arn"])
