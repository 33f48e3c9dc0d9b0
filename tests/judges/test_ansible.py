"""ansible's modules for ECS (community.aws): what they make is found again, so that a second run changes nothing."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.contract.control.live import ARN, LivePlane
from tests.contract.control.planes import IMAGE

JUDGE = "ansible"
pytestmark = pytest.mark.timeout(900)  # the first one installs it

Step = tuple[str, Mapping[str, Any]]
CLUSTER: Step = ("ecs_cluster", {"name": "ansible", "state": "present"})
DEFINITION: Step = (
    "ecs_taskdefinition",
    {
        "family": "ansible-web",
        "state": "present",
        "network_mode": "bridge",
        "volumes": [{"name": "data"}],
        "containers": [
            {
                "name": "app",
                "image": IMAGE,
                "cpu": 10,
                "memory": 16,
                "essential": True,
                "environment": [{"name": "GREETING", "value": "hello"}],
                "portMappings": [{"containerPort": 80, "hostPort": 0}],
                "mountPoints": [{"sourceVolume": "data", "containerPath": "/data"}],
                "ulimits": [{"name": "nofile", "softLimit": 1024, "hardLimit": 2048}],
            }
        ],
    },
)
SERVICE: Step = (
    "ecs_service",
    {
        "name": "ansible-web",
        "cluster": "default",
        "state": "present",
        "task_definition": "ansible-web:1",
        "desired_count": 2,
        "deployment_configuration": {
            "minimum_healthy_percent": 50,
            "maximum_percent": 200,
            "deployment_circuit_breaker": {"enable": True, "rollback": True},
        },
        "placement_strategy": [{"type": "spread", "field": "instanceId"}],
        "placement_constraints": [{"type": "memberOf", "expression": "attribute:ecs.os-type == linux"}],
        "propagate_tags": "SERVICE",
        "tags": {"team": "web"},
    },
)


class Playbooks:
    """Plays of one step after the other, on this machine."""

    def __init__(self, programs: Path, live: LivePlane, home: Path) -> None:
        self._home = home
        self._programs = programs
        self._environment = live.environment(home=home) | {
            "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "ANSIBLE_PYTHON_INTERPRETER": str(programs / "python"),
        }

    @property
    def version(self) -> str:
        """Of the package, which has the collections."""
        listed = [str(self._programs / "python"), "-m", "pip", "list", "--format=json", "--disable-pip-version-check"]
        done = subprocess.run(listed, capture_output=True, text=True, timeout=60, check=True)
        return next(str(package["version"]) for package in json.loads(done.stdout) if package["name"] == "ansible")

    def __call__(self, *steps: Step) -> list[Any]:
        """The result of each; one that fails fails the test."""
        play = {
            "hosts": "localhost",
            "connection": "local",
            "gather_facts": False,
            "tasks": [{"name": module, f"community.aws.{module}": arguments} for module, arguments in steps],
        }
        playbook = self._home / "play.yml"
        playbook.write_text(json.dumps([play]))  # JSON is YAML
        done = subprocess.run(
            [str(self._programs / "ansible-playbook"), str(playbook)],
            cwd=self._home,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        (played,) = json.loads(done.stdout)["plays"]
        return [task["hosts"]["localhost"] for task in played["tasks"]]

    def changed(self, *steps: Step) -> list[bool]:
        return [result["changed"] for result in self(*steps)]


@pytest.fixture
def play(live: LivePlane, judges_programs: Path, tmp_path: Path, judge_version: Callable[[str], None]) -> Playbooks:
    play = Playbooks(judges_programs, live, tmp_path)
    judge_version(play.version)
    return play


def but(step: Step, **arguments: Any) -> Step:
    """``step`` with other arguments."""
    return step[0], {**step[1], **arguments}


def test_made_once(live: LivePlane, ecs: Any, play: Playbooks) -> None:
    """`ecs_cluster`, `ecs_taskdefinition`, `ecs_service`: made; a second run has `changed: false`."""
    assert play.changed(CLUSTER, DEFINITION, SERVICE) == [True, True, True]
    live.until_stable("ansible-web")
    (service,) = ecs.describe_services(services=["ansible-web"], include=["TAGS"])["services"]
    assert service["taskDefinition"] == f"{ARN}:task-definition/ansible-web:1"
    assert service["runningCount"] == 2
    assert service["tags"] == [{"key": "team", "value": "web"}]
    assert play.changed(CLUSTER, DEFINITION, SERVICE) == [False, False, False]


def test_changes(live: LivePlane, ecs: Any, play: Playbooks) -> None:
    """A new revision, deployed and scaled by `ecs_service`, then forced; `changed: false` again after it."""
    # ansible takes lists of one length for the same, so another environment would be no change to it.
    revision = but(DEFINITION, containers=[{**DEFINITION[1]["containers"][0], "memory": 20}])
    service = but(SERVICE, task_definition="ansible-web:2", desired_count=1)
    assert play.changed(revision, service) == [True, True]
    live.until_stable("ansible-web")
    (told,) = ecs.describe_services(services=["ansible-web"])["services"]
    assert (told["taskDefinition"], told["runningCount"]) == (f"{ARN}:task-definition/ansible-web:2", 1)
    assert play.changed(revision, service) == [False, False]
    assert play.changed(but(service, force_new_deployment=True)) == [True]
    live.until_stable("ansible-web")


def test_a_task(live: LivePlane, ecs: Any, play: Playbooks) -> None:
    """`ecs_task`: run with overrides and tags, started on an instance, waited for, stopped."""
    overrides = {"containerOverrides": [{"name": "app", "command": ["sleep", "9"]}]}
    task = {"task_definition": "ansible-web", "started_by": "ansible", "tags": {"team": "web"}}
    (ran,) = play(("ecs_task", {**task, "operation": "run", "count": 1, "overrides": overrides, "wait": True}))
    (made,) = ran["task"]
    (told,) = ecs.describe_tasks(tasks=[made["taskArn"]], include=["TAGS"])["tasks"]
    assert (told["lastStatus"], told["startedBy"]) == ("RUNNING", "ansible")
    assert told["tags"] == [{"key": "team", "value": "web"}]
    assert told["overrides"]["containerOverrides"] == [{"name": "app", "command": ["sleep", "9"]}]

    instance = ecs.list_container_instances()["containerInstanceArns"][0]
    (started,) = play(
        ("ecs_task", {**task, "operation": "start", "task": "ansible-web", "container_instances": [instance]})
    )
    assert started["task"][0]["containerInstanceArn"] == instance
    for arn in (made["taskArn"], started["task"][0]["taskArn"]):
        stop = {"operation": "stop", "task_definition": "ansible-web", "task": arn, "wait": True}
        assert play.changed(("ecs_task", stop)) == [True]
        assert ecs.describe_tasks(tasks=[arn])["tasks"][0]["lastStatus"] == "STOPPED"


def test_what_is_there(ecs: Any, play: Playbooks) -> None:
    """`ecs_service_info`, `ecs_taskdefinition_info`, `ecs_tag`, `ecs_attribute`; the last two twice."""
    services, definition = play(
        ("ecs_service_info", {"cluster": "default", "service": ["ansible-web"], "details": True, "events": True}),
        ("ecs_taskdefinition_info", {"task_definition": "ansible-web:2"}),
    )
    (service,) = services["services"]
    assert (service["serviceName"], service["runningCount"]) == ("ansible-web", 1)
    assert service["events"]
    assert definition["revision"] == 2
    tag = {"cluster_name": "default", "resource": "ansible-web", "resource_type": "service", "tags": {"tier": "one"}}
    told = ecs.describe_container_instances(containerInstances=ecs.list_container_instances()["containerInstanceArns"])
    instance = told["containerInstances"][0]
    attribute = {
        "cluster": "default",
        "ec2_instance_id": instance["ec2InstanceId"],
        "attributes": [{"stack": "blue"}],
    }
    steps: list[Step] = [("ecs_tag", tag), ("ecs_attribute", attribute)]
    assert play.changed(*steps) == [True, True]
    assert play.changed(*steps) == [False, False]
    gone: list[Step] = [(module, {**arguments, "state": "absent"}) for module, arguments in steps]
    assert play.changed(*gone) == [True, True]
    assert play.changed(*gone) == [False, False]


def test_absent(ecs: Any, play: Playbooks) -> None:
    """`state: absent` for a service (waited for), both revisions and a cluster; a second run has `changed: false`."""
    steps = [  # the module for task definitions wants containers for this, too
        but(SERVICE, state="absent", force_deletion=True, wait=True, delay=1, repeat=60),
        *(but(DEFINITION, revision=number, state="absent") for number in (1, 2)),
        but(CLUSTER, state="absent"),
    ]
    assert play.changed(*steps) == [True, True, True, True]
    assert ecs.describe_services(services=["ansible-web"])["services"][0]["status"] == "INACTIVE"
    assert ecs.list_task_definitions(familyPrefix="ansible-web")["taskDefinitionArns"] == []
    assert ecs.describe_clusters(clusters=["ansible"])["clusters"][0]["status"] == "INACTIVE"
    assert play.changed(*steps) == [False, False, False, False]
