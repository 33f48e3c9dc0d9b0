"""Unit tests of the objects of task metadata, beyond what is recorded."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from ecscope.agent.core.state import AgentState
from ecscope.agent.servers.taskmetadata.metadata import MetadataViews, TagError, Tags
from ecscope.model.arn import DockerId
from ecscope.model.container import Container, ContainerKind, ContainerNetwork, Health, PortBinding
from ecscope.model.container_instance import ContainerInstance
from ecscope.model.status import ContainerStatus, HealthStatus, TaskStatus
from ecscope.model.task import Task
from tests.builders import AT, a_container, a_task
from tests.tables import each_row

BRIDGE = (ContainerNetwork(name="bridge", ipv4="172.17.0.2", ipv6="fd00::2"),)


def a_state(task: Task) -> AgentState:
    instance = ContainerInstance(cluster="default", arn="arn", agent_version="v", availability_zone="us-west-2a")
    return AgentState(instance=instance, tasks={task.arn: task})


def running(name: str = "app", **fields: object) -> Container:
    made: dict[str, object] = {
        "docker_id": DockerId(f"id-{name}"),
        "docker_name": f"ecs-{name}",
        "known": ContainerStatus.RUNNING,
        "networks": BRIDGE,
    }
    return a_container(name, **made | fields)


def shown(*containers: Container, version: int = 4, **fields: object) -> dict[str, Any]:
    task = a_task(*containers, **fields)
    found: dict[str, Any] = json.loads(MetadataViews().task(a_state(task), task, version=version))
    return found


def test_a_container_that_is_not_made_yet_does_not_spoil_the_answer() -> None:
    begun = a_container("begun", docker_name="ecs-begun", known=ContainerStatus.PULLED)
    for version in (3, 4):
        first, second = shown(running(), begun, version=version)["Containers"]
        assert first["Networks"][0]["IPv4Addresses"] == ["172.17.0.2"]
        assert "Networks" not in second
        assert second["DockerId"] == ""


def test_version_4_shows_after_the_others_what_is_only_pulled() -> None:
    pulled = a_container("pulled", image_id="sha256:1", known=ContainerStatus.PULLED)
    waiting = a_container("waiting", known=ContainerStatus.MANIFEST_PULLED)
    found = shown(pulled, waiting, running())
    assert [(one["Name"], one["DockerName"]) for one in found["Containers"]] == [("app", "ecs-app"), ("pulled", "")]
    assert found["Containers"][1]["ImageID"] == "sha256:1"
    assert [one["Name"] for one in shown(pulled, running(), version=3)["Containers"]] == ["app"]


def test_a_task_without_containers_yet_shows_none() -> None:
    assert "Containers" not in shown(a_container())
    assert shown(a_container())["KnownStatus"] == "NONE"


@each_row("version, addresses", [(2, None), (3, None), (4, ["fd00::2"])])
def test_addresses_of_ipv6_are_shown_by_version_4(version: int, addresses: list[str] | None) -> None:
    container = shown(running(), version=version)["Containers"][0]
    assert container.get("Networks", [{}])[0].get("IPv6Addresses") == addresses
    assert ("Networks" in container) is (version > 2)


@each_row(
    "health, expected",
    [
        (Health(), {}),
        (Health(since="2026-03-01T10:00:00Z", exit_code=0), {}),
        (
            Health(status=HealthStatus.UNHEALTHY, since="2026-03-01T11:00:00.5+01:00", exit_code=3, output="<no>"),
            {"status": "UNHEALTHY", "statusSince": "2026-03-01T10:00:00.5Z", "exitCode": 3, "output": "<no>"},
        ),
    ],
)
def test_health_is_there_where_there_is_a_check(health: Health, expected: dict[str, Any]) -> None:
    assert shown(running(health_check_is_docker=True, health=health))["Containers"][0]["Health"] == expected
    assert "Health" not in shown(running(health=health))["Containers"][0]


@each_row(
    "host_config, driver, options",
    [
        ('{"LogConfig":{"Type":"awslogs","Config":{"b":"2","a":"1"}}}', "awslogs", ["a", "b"]),
        ('{"logconfig":{"type":"json-file"}}', "json-file", None),
        ('{"LogConfig":{"Type":3,"Config":[]}}', None, None),
        ("{", None, None),
    ],
)
def test_the_log_driver_is_what_ecs_sent(host_config: str, driver: str | None, options: list[str] | None) -> None:
    container = shown(running(docker_host_config=host_config))["Containers"][0]
    assert container.get("LogDriver") == driver
    assert (list(container["LogOptions"]) if "LogOptions" in container else None) == options


def test_labels_are_those_that_were_asked_for_until_docker_shows_them() -> None:
    asked = running(docker_config='{"labels":{"team":"ops","com.amazonaws.ecs.cluster":"mine"}}')
    labels = shown(asked)["Containers"][0]["Labels"]
    assert labels["team"] == "ops"
    assert labels["com.amazonaws.ecs.cluster"] == "default"
    assert shown(running(labels={"b": "1", "a": "2"}))["Containers"][0]["Labels"] == {"a": "2", "b": "1"}


def test_a_pause_container_wants_to_get_as_far_as_it_goes() -> None:
    bindings = (PortBinding(container_port=80, host_port=80, host_ip="127.0.0.1"),)
    pause = running("~internal~ecs~pause", kind=ContainerKind.CNI_PAUSE, image_id="sha256:1", bindings=bindings)
    container = shown(pause)["Containers"][0]
    assert (container["DesiredStatus"], container["Type"]) == ("RESOURCES_PROVISIONED", "CNI_PAUSE")
    assert "Ports" not in container, "it publishes those of the task, which no ENI needs"
    assert container["ImageID"] == ""
    stopping = running(kind=ContainerKind.CNI_PAUSE, desired=ContainerStatus.STOPPED)
    assert shown(stopping)["Containers"][0]["DesiredStatus"] == "STOPPED"


def test_limits_and_times_of_a_task() -> None:
    found = shown(
        running(exit_code=0, cpu_units=1),
        cpu_vcpu=2.0,
        known=TaskStatus.STOPPED,
        pull_started_at=AT,
        pull_stopped_at=AT + timedelta(milliseconds=1500),
        execution_stopped_at=AT,
    )
    assert found["Limits"] == {"CPU": 2}
    assert isinstance(found["Limits"]["CPU"], int)
    assert found["PullStartedAt"] == "2024-05-17T12:00:00Z"
    assert found["PullStoppedAt"] == "2024-05-17T12:00:01.5Z"
    assert found["ExecutionStoppedAt"] == "2024-05-17T12:00:00Z"
    assert found["Containers"][0]["ExitCode"] == 0
    assert found["Containers"][0]["Limits"] == {"CPU": 2, "Memory": 0}


def test_the_zone_can_be_left_out() -> None:
    task = a_task(running())
    assert b"AvailabilityZone" in MetadataViews().task(a_state(task), task, version=4)
    assert b"AvailabilityZone" not in MetadataViews(shows_zone=False).task(a_state(task), task, version=4)


def test_tags_and_what_went_wrong_with_them() -> None:
    task = a_task(running())
    error = TagError(error_field="TaskTags", error_code="AccessDeniedException", resource_arn=task.arn)
    tags = Tags(container_instance={"b": "1", "a": "2"}, errors=(error,))
    found = json.loads(MetadataViews().task_with_tags(a_state(task), task, tags, version=4))
    assert list(found["ContainerInstanceTags"]) == ["a", "b"]
    assert found["Errors"] == [
        {"ErrorField": "TaskTags", "ErrorCode": "AccessDeniedException", "ResourceARN": task.arn}
    ]
    assert "Errors" not in json.loads(MetadataViews().task_with_tags(a_state(task), task, tags, version=3))


def test_an_answer_is_kept_until_its_task_changes() -> None:
    views, task = MetadataViews(), a_task(running())
    state = a_state(task)
    first = views.task(state, task, version=4)
    assert views.task(state, task, version=4) is first
    assert views.task(state, task, version=3) != first
    changed = a_task(running(), known=TaskStatus.STOPPED)
    assert b'"KnownStatus":"STOPPED"' in views.task(a_state(changed), changed, version=4)
    registered = a_state(task)  # the instance is another one now
    assert views.task(registered, task, version=4) is not first
