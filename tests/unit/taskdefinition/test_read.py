"""A task definition becomes the task that ECS would send: field by field, and the same for every layout of the file."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from ecscope.model.arn import TaskArn
from ecscope.model.container import (
    ContainerDefinition,
    Dependency,
    DependencyCondition,
    MountPoint,
    PortMapping,
    RestartPolicy,
    VolumeFrom,
)
from ecscope.model.task import Task, Volume, VolumeKind
from ecscope.taskdefinition.read import read_task_definition, to_task

from .definitions import FULL, container, read, task

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.json"))
RECEIVED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def converted(document: object) -> Task:
    numbers = count()
    return to_task(
        read(document),
        arn=TaskArn("arn:aws:ecs:us-west-2:000000000000:task/default/1"),
        version="7",
        suffixes=lambda: f"{next(numbers):020x}",
        received_at=RECEIVED_AT,
    )


def definition_of(**members: object) -> ContainerDefinition:
    return converted(task(container("app", **members))).containers[0].definition


# --- reading --------------------------------------------------------------------------------------


def test_family_and_revision_are_read() -> None:
    definition = read(FULL)
    assert (definition.family, definition.revision) == ("web-app_1", 7)
    assert read(task()).revision is None


def test_the_digest_is_the_same_for_every_layout_and_order_of_members() -> None:
    digest = read(FULL).digest
    assert len(digest) == 64
    shuffler = random.Random(1)

    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            names = list(value)
            shuffler.shuffle(names)
            return {name: shuffled(value[name]) for name in names}
        return [shuffled(item) for item in value] if isinstance(value, list) else value

    for indent in (None, 2, "\t"):
        text = json.dumps(shuffled(FULL), indent=indent, ensure_ascii=indent is None)
        assert read_task_definition(text.encode()).digest == digest


def test_the_digest_changes_with_any_value_and_with_the_order_of_a_list() -> None:
    digests = {
        read(document).digest
        for document in (
            task(),
            task(container(command=["a", "b"])),
            task(container(command=["b", "a"])),
            task(container(cpu=0)),
            task(revision=1),
            task(tags=[]),
        )
    }
    assert len(digests) == 6


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_can_run(path: Path) -> None:
    definition = read_task_definition(path.read_bytes())
    assert definition.family == path.stem
    assert converted(json.loads(path.read_text())).containers


def test_the_first_example_is_the_one_of_the_aws_documentation() -> None:
    made = converted(json.loads((EXAMPLES[0].parent / "console-sample-app-static.json").read_text()))
    app, busybox = made.containers
    assert made.family == "console-sample-app-static"
    assert (app.name, busybox.name) == ("simple-app", "busybox")
    assert app.definition.port_mappings == (PortMapping(container_port=80, host_port=8080),)
    assert app.definition.mount_points == (
        MountPoint(source_volume="my-vol", container_path="/usr/local/apache2/htdocs"),
    )
    assert busybox.definition.volumes_from == (VolumeFrom(source_container="simple-app"),)
    assert not busybox.definition.essential


# --- the task -------------------------------------------------------------------------------------


def test_the_task_itself() -> None:
    made = converted(FULL)
    assert made.arn == "arn:aws:ecs:us-west-2:000000000000:task/default/1"
    assert (made.family, made.version, made.received_at) == ("web-app_1", "7", RECEIVED_AT)
    assert (made.network_mode.value, made.pid_mode, made.ipc_mode) == ("bridge", "host", "none")
    assert (made.cpu_vcpu, made.memory_mib, made.launch_type) == (0.5, 1024, "EC2")
    assert [each.name for each in made.containers] == ["web", "init"]
    assert [each.name_suffix for each in made.containers] == [f"{0:020x}", f"{1:020x}"]


def test_a_task_that_asks_for_nothing() -> None:
    made = converted(task())
    assert (made.network_mode.value, made.pid_mode, made.ipc_mode, made.cpu_vcpu, made.memory_mib) == (
        "",
        "",
        "",
        0.0,
        0,
    )
    assert made.volumes == ()
    assert made.containers[0].definition == ContainerDefinition(
        name="app", image="busybox", environment={"AWS_EXECUTION_ENV": "AWS_ECS_EC2"}
    )


@pytest.mark.parametrize(("text", "vcpu"), [("256", 0.25), ("1 vCPU", 1.0), (".5 vCPU", 0.5), ("2048", 2.0)])
def test_task_cpu_is_in_vcpus(text: str, vcpu: float) -> None:
    assert converted(task(cpu=text)).cpu_vcpu == vcpu


@pytest.mark.parametrize(("text", "mib"), [("512", 512), ("1GB", 1024), ("0.5 GB", 512)])
def test_task_memory_is_in_mib(text: str, mib: int) -> None:
    assert converted(task(memory=text)).memory_mib == mib


VOLUMES = {
    "a path of the host": (
        {"name": "v", "host": {"sourcePath": "/srv"}},
        Volume(name="v", kind=VolumeKind.BIND, source_path="/srv"),
    ),
    "an empty host": (
        {"name": "v", "host": {}},
        Volume(name="v", kind=VolumeKind.TASK, docker_name=f"ecs-sample-7-v-{1:020x}"),
    ),
    "an empty path": (
        {"name": "v", "host": {"sourcePath": ""}},
        Volume(name="v", kind=VolumeKind.TASK, docker_name=f"ecs-sample-7-v-{1:020x}"),
    ),
    "nothing but a name": (
        {"name": "v"},
        Volume(name="v", kind=VolumeKind.TASK, docker_name=f"ecs-sample-7-v-{1:020x}"),
    ),
    "a Docker volume of the task": (
        {"name": "v", "dockerVolumeConfiguration": {"scope": "task", "driver": "d", "driverOpts": {"a": "b"}}},
        Volume(
            name="v",
            kind=VolumeKind.TASK,
            docker_name=f"ecs-sample-7-v-{1:020x}",
            driver="d",
            driver_options={"a": "b"},
        ),
    ),
    "a Docker volume without a scope": (
        {"name": "v", "dockerVolumeConfiguration": {"labels": {"a": "b"}}},
        Volume(name="v", kind=VolumeKind.TASK, docker_name=f"ecs-sample-7-v-{1:020x}", labels={"a": "b"}),
    ),
    "a shared Docker volume": (
        {"name": "vol", "dockerVolumeConfiguration": {"scope": "shared"}},
        Volume(name="vol", kind=VolumeKind.SHARED, docker_name="vol"),
    ),
    "a shared Docker volume made if missing": (
        {"name": "vol", "dockerVolumeConfiguration": {"scope": "shared", "autoprovision": True}},
        Volume(name="vol", kind=VolumeKind.SHARED, docker_name="vol", autoprovision=True),
    ),
}


@pytest.mark.parametrize(("written", "expected"), VOLUMES.values(), ids=VOLUMES)
def test_volumes(written: object, expected: Volume) -> None:
    assert converted(task(volumes=[written])).volumes == (expected,)


# --- the container --------------------------------------------------------------------------------


def test_what_the_agent_reads_itself() -> None:
    definition = converted(FULL).containers[0].definition
    assert (definition.name, definition.image) == ("web", "registry.example:5000/team/web:1.2")
    assert (definition.essential, definition.cpu_units, definition.memory_mib) == (True, 256, 512)
    assert (definition.command, definition.entry_point) == (("serve",), ("sh", "-c"))
    assert definition.environment == {"AWS_EXECUTION_ENV": "AWS_ECS_EC2", "MODE": "fast", "EMPTY": ""}
    assert definition.links == ("init:first",)
    assert definition.volumes_from == (VolumeFrom(source_container="init", read_only=True),)
    assert definition.mount_points == (MountPoint(source_volume="logs", container_path="/logs", read_only=True),)
    assert definition.port_mappings == (
        PortMapping(container_port=80, host_port=8080),
        PortMapping(container_port_range="9000-9005", protocol="udp"),
    )
    assert definition.depends_on == (Dependency(container_name="init", condition=DependencyCondition.SUCCESS),)
    assert (definition.start_timeout_s, definition.stop_timeout_s) == (60, 10)
    assert definition.health_check_is_docker
    assert definition.restart_policy == RestartPolicy(
        enabled=True, ignored_exit_codes=(0, 3), restart_attempt_period_s=90
    )


def test_what_links_and_volumes_from_imply_is_left_to_the_core() -> None:
    made = converted(task(container("a", links=["b"], volumesFrom=[{"sourceContainer": "b"}]), container("b")))
    assert made.containers[0].definition.depends_on == ()


def test_the_users_own_execution_environment_wins() -> None:
    environment = [{"name": "AWS_EXECUTION_ENV", "value": "mine"}]
    assert definition_of(environment=environment).environment == {"AWS_EXECUTION_ENV": "mine"}


def test_an_empty_command_or_entry_point_is_the_images_own() -> None:
    definition = definition_of(command=[], entryPoint=[])
    assert (definition.command, definition.entry_point) == (None, None)


def test_a_restart_policy_has_a_default_period() -> None:
    assert definition_of(restartPolicy={"enabled": True}).restart_policy == RestartPolicy(enabled=True)
    assert RestartPolicy().restart_attempt_period_s == 300


def test_in_host_mode_the_host_port_is_the_container_port() -> None:
    made = converted(task(container(portMappings=[{"containerPort": 80}]), networkMode="host"))
    assert made.containers[0].definition.port_mappings == (PortMapping(container_port=80, host_port=80),)
    made = converted(task(container(portMappings=[{"containerPort": 80, "hostPort": 0}])))
    assert made.containers[0].definition.port_mappings == (PortMapping(container_port=80, host_port=0),)
