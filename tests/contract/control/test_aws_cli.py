"""The AWS CLI as a user types it, from a task definition in a file to the end of a service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.contract.control.live import ARN, LivePlane, Programs
from tests.contract.control.planes import IMAGE

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.json"))

pytestmark = pytest.mark.timeout(400)  # the first one installs the CLI

DEFINITION = {
    "family": "hello",
    "containerDefinitions": [
        {
            "name": "web",
            "image": IMAGE,
            "memory": 16,
            "command": ["sh", "-c", "sleep 600"],
            "environment": [{"name": "GREETING", "value": "hello"}],
            "portMappings": [{"containerPort": 8080}],
        }
    ],
    "tags": [{"key": "team", "value": "web"}],
}


class Cli:
    """``aws ecs …``; its answers are JSON, or a refusal's text."""

    def __init__(self, programs: Programs) -> None:
        self._programs = programs

    def __call__(self, command: str, *arguments: str) -> Any:
        output = self._programs.output("aws", "ecs", *command.split(), *arguments, "--output", "json")
        return json.loads(output) if output.strip() else None

    def refused(self, command: str, *arguments: str) -> str:
        done = self._programs.run("aws", "ecs", *command.split(), *arguments)
        assert done.returncode in (254, 255), done.stdout
        return done.stderr.strip()


@pytest.fixture
def aws(programs: Programs) -> Cli:
    return Cli(programs)


def test_each_example_is_registered_as_it_is(aws: Cli) -> None:
    for path in EXAMPLES:
        registered = aws("register-task-definition --cli-input-json", path.as_uri())["taskDefinition"]
        assert registered["family"] == path.stem


def test_tasks(aws: Cli, live: LivePlane, tmp_path: Path) -> None:
    (tmp_path / "hello.json").write_text(json.dumps(DEFINITION))
    registered = aws("register-task-definition --cli-input-json file://hello.json")
    assert registered["taskDefinition"]["taskDefinitionArn"] == f"{ARN}:task-definition/hello:1"
    assert registered["tags"] == DEFINITION["tags"]
    made = aws("run-task --task-definition hello --count 2 --started-by me --tags key=who,value=me")
    arns = [task["taskArn"] for task in made["tasks"]]
    live.until(lambda: live.tasks() == ["RUNNING"] * 2, "the tasks to run")  # the CLI looks again after 6 s
    aws("wait tasks-running --tasks", *arns)
    assert sorted(aws("list-tasks --started-by me")["taskArns"]) == sorted(arns)
    told = aws("describe-tasks --include TAGS --tasks", *arns)
    assert told["failures"] == []
    for task in told["tasks"]:
        assert task["tags"] == [{"key": "who", "value": "me"}]
        assert (task["lastStatus"], task["launchType"], task["group"]) == ("RUNNING", "EC2", "family:hello")
        (container,) = task["containers"]
        assert container["networkBindings"][0]["containerPort"] == 8080
        assert task["startedAt"]
    stopped = aws("stop-task --reason done --task", arns[0])
    assert (stopped["task"]["desiredStatus"], stopped["task"]["stoppedReason"]) == ("STOPPED", "done")
    aws("stop-task --task", arns[1].rpartition("/")[2])
    live.until(lambda: live.tasks("STOPPED") == ["STOPPED"] * 2, "the tasks to stop")
    aws("wait tasks-stopped --tasks", *arns)
    assert aws("list-tasks")["taskArns"] == []


def test_a_service(aws: Cli, live: LivePlane) -> None:
    live.client().register_task_definition(**{**DEFINITION, "family": "served"})
    made = aws("create-service --service-name web --task-definition served --desired-count 2")
    assert made["service"]["status"] == "ACTIVE"
    live.until_stable("web")  # the CLI looks again after 15 s
    aws("wait services-stable --services web")
    first = set(aws("list-tasks --service-name web")["taskArns"])
    updated = aws("update-service --service web --force-new-deployment")
    assert [deployment["status"] for deployment in updated["service"]["deployments"]] == ["PRIMARY", "ACTIVE"]
    live.until_stable("web")
    aws("wait services-stable --services web")
    second = set(aws("list-tasks --service-name web")["taskArns"])
    assert (len(second), first & second) == (2, set())
    assert aws("list-services")["serviceArns"] == [f"{ARN}:service/default/web"]
    assert "scaled above 0" in aws.refused("delete-service --service web")
    gone = aws("delete-service --service web --force")
    assert (gone["service"]["status"], gone["service"]["desiredCount"]) == ("DRAINING", 0)
    live.until(lambda: not live.tasks(), "the tasks to stop")
    aws("wait services-inactive --services web")


def test_execute_command_says_what_to_type_instead(aws: Cli, live: LivePlane, tmp_path: Path) -> None:
    """The CLI asks us only where it finds its Session Manager plugin; the one here must never get a session."""
    plugin = tmp_path / "session-manager-plugin"
    plugin.write_text('#!/bin/sh\n[ $# -eq 0 ] || { echo "got a session"; exit 1; }\n')
    plugin.chmod(0o755)
    ecs = live.client()
    ecs.register_task_definition(**{**DEFINITION, "family": "inside"})
    arn = ecs.run_task(taskDefinition="inside", enableExecuteCommand=True)["tasks"][0]["taskArn"]
    live.until(lambda: live.tasks() == ["RUNNING"], "the task to run")
    said = aws.refused("execute-command --interactive --command ls --task", arn)
    assert "An error occurred (TargetNotConnectedException) when calling the ExecuteCommand operation" in said
    assert "type: docker exec -it" in said
    ecs.stop_task(task=arn)


def test_refusals_in_the_words_of_ecs(aws: Cli) -> None:
    assert aws.refused("list-tasks --cluster nowhere") == (
        "An error occurred (ClusterNotFoundException) when calling the ListTasks operation: Cluster not found."
    )
    assert aws.refused("describe-task-definition --task-definition unknown").endswith(
        "Unable to describe task definition."
    )
