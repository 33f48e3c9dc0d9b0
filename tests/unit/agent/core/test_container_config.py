"""What ECS makes of a container, in no runtime's words: engine.md §6 to §9.

How it looks in Docker's JSON, row by row, is in ``runtime/docker/test_create_body.py``.
"""

from __future__ import annotations

from typing import Any

import pytest

from ecscope.agent.core.container_config import (
    Bind,
    ContainerConfig,
    ContainerConfigError,
    Link,
    VolumesOf,
    container_config,
    task_endpoint,
)
from ecscope.model.container import (
    Container,
    ContainerKind,
    MountPoint,
    PortMapping,
    Secret,
    SecretStore,
    VolumeFrom,
)
from ecscope.model.network import NetworkMode, TaskInterface
from ecscope.model.task import Task, Volume, VolumeKind
from ecscope.model.task_resource import CGROUP
from tests.builders import SAMPLE_IMAGE, a_container, a_resource, a_task, a_volume, an_arn
from tests.tables import each_row

LABELS = {
    "com.amazonaws.ecs.task-arn": an_arn(),
    "com.amazonaws.ecs.container-name": "app",
    "com.amazonaws.ecs.task-definition-family": "sample",
    "com.amazonaws.ecs.task-definition-version": "1",
    "com.amazonaws.ecs.cluster": "blue",
}


def config_of(container: Container, task: Task | None = None, **given: Any) -> ContainerConfig:
    rest = {"host_ports": {}, "cluster": "blue", "region": "", "image_environment_names": frozenset(), **given}
    return container_config(task=task or a_task(container), container=container, **rest)


def failure_of(container: Container, task: Task | None = None) -> str:
    with pytest.raises(ContainerConfigError) as caught:
        config_of(container, task)
    return str(caught.value)


def test_a_container_that_asks_for_nothing() -> None:
    assert config_of(a_container(docker_name="ecs-app")) == ContainerConfig(
        docker_name="ecs-app", task_arn=an_arn(), container_name="app", image=SAMPLE_IMAGE, labels=LABELS, cpu_shares=2
    )


def test_a_container_that_asks_for_much() -> None:
    db = a_container("db", docker_name="ecs-db")
    app = a_container(
        docker_name="ecs-app",
        environment={"A": "1"},
        command=("run",),
        entry_point=(),
        cpu_units=256,
        memory_mib=1,
        links=("db", "db:store"),
        volumes_from=(VolumeFrom(source_container="db", read_only=True),),
        mount_points=(
            MountPoint(source_volume="path", container_path="/a"),
            MountPoint(source_volume="data", container_path="/b", read_only=True),
        ),
        port_mappings=(PortMapping(container_port=80), PortMapping(container_port_range="90-91", protocol="udp")),
        health_check_is_docker=True,
        docker_config='{"User": "x"}',
        docker_host_config='{"Init": true}',
    )
    volumes = (Volume(name="path", kind=VolumeKind.BIND, source_path="/srv"), a_volume("data", docker_name="ecs-data"))
    cgroup = a_resource("/ecs/1", kind=CGROUP)
    task = a_task(
        app, db, volumes=volumes, resources=(cgroup,), pid_mode="host", ipc_mode="none", credentials_id="id-1"
    )
    ports = {"80/tcp": 8080}
    assert config_of(app, task, region="r", host_ports=ports) == ContainerConfig(
        docker_name="ecs-app",
        task_arn=an_arn(),
        container_name="app",
        image=SAMPLE_IMAGE,
        command=("run",),
        entry_point=(),
        environment={
            "A": "1",
            "AWS_REGION": "r",
            "AWS_DEFAULT_REGION": "r",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/id-1",
        },
        labels=LABELS,
        exposed_ports=("80/tcp", "90/udp", "91/udp"),
        published_ports=ports,
        memory_bytes=4 * 1024 * 1024,
        cpu_shares=256,
        links=(Link(docker_name="ecs-db", alias="db"), Link(docker_name="ecs-db", alias="store")),
        volumes_of=(VolumesOf(docker_name="ecs-db", read_only=True),),
        binds=(
            Bind(source="/srv", container_path="/a"),
            Bind(source="ecs-data", container_path="/b", read_only=True),
        ),
        cgroup_parent="/ecs/1",
        pid_mode="host",
        ipc_mode="none",
        needs_health_check=True,
        docker_config='{"User": "x"}',
        docker_host_config='{"Init": true}',
    )


ENDPOINT = "http://172.17.0.1:51677"
OF_ALL, OF_ECS, OF_LOGS = "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_ECS", "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS"


@each_row(
    "written, of_image, expected",
    [
        ({}, set(), {OF_ALL: ENDPOINT, OF_ECS: ENDPOINT, OF_LOGS: ENDPOINT}),
        ({OF_ECS: "x"}, set(), {OF_ALL: ENDPOINT, OF_ECS: "x", OF_LOGS: ENDPOINT}),
        # A general one of the user's is for all services: ours, being more specific, would go before it.
        ({OF_ALL: "x"}, set(), {OF_ALL: "x"}),
        ({}, {OF_LOGS}, {OF_ALL: ENDPOINT, OF_ECS: ENDPOINT}),
        ({}, {OF_ALL}, {}),
    ],
)
def test_where_a_program_finds_aws(written: dict[str, str], of_image: set[str], expected: dict[str, str]) -> None:
    config = config_of(a_container(environment=written), endpoint=ENDPOINT, image_environment_names=frozenset(of_image))
    assert config.environment == expected


@each_row(
    "mode, bridge, expected",
    [
        ("bridge", "172.17.0.1", ENDPOINT),
        ("", "172.17.0.1", ENDPOINT),
        ("bridge", "", ""),
        ("host", "172.17.0.1", "http://127.0.0.1:51677"),
        ("host", "", "http://127.0.0.1:51677"),
        ("none", "172.17.0.1", ""),
    ],
)
def test_the_address_that_a_task_reaches(mode: str, bridge: str, expected: str) -> None:
    task = a_task(network_mode=NetworkMode(mode))
    assert task_endpoint(task, port=51677, bridge_address=bridge) == expected


def test_a_task_with_an_interface_of_its_own_reaches_the_gateway_of_its_subnet() -> None:
    interface = TaskInterface(eni_id="eni-1", mac="02:00:00:00:00:01", ipv4="10.213.0.7", gateway="10.213.0.1/20")
    task = a_task(network_mode=NetworkMode.AWSVPC, interface=interface)
    assert task_endpoint(task, port=51677, bridge_address="172.17.0.1") == "http://10.213.0.1:51677"


def test_what_the_agent_made_up_gets_nothing_that_is_for_users() -> None:
    """engine.md §6.3: not internal containers."""
    pause = a_container(kind=ContainerKind.NAMESPACE_PAUSE)
    assert config_of(pause, a_task(pause, credentials_id="id-1"), region="r", endpoint=ENDPOINT).environment == {}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"links": ("nobody",)}, "HostConfigError: Link target not available: nobody"),
        (
            {"volumes_from": (VolumeFrom(source_container="nobody"),)},
            "HostConfigError: Volume target not available: nobody",
        ),
        (
            {"mount_points": (MountPoint(source_volume="none", container_path="/a"),)},
            "HostConfigError: Invalid volume referenced: none",
        ),
        (
            {"port_mappings": (PortMapping(container_port_range="9-8"),)},
            "DockerClientConfigError: Invalid container port range '9-8': write first-last, e.g. 8000-8010",
        ),
    ],
)
def test_what_cannot_be_created_is_refused_by_name(asked: dict[str, Any], message: str) -> None:
    assert failure_of(a_container(**asked)) == message


@each_row(
    "mode, has_metadata",
    [
        (NetworkMode.DEFAULT, True),
        (NetworkMode.BRIDGE, True),
        (NetworkMode.HOST, True),
        (NetworkMode.AWSVPC, True),
        (NetworkMode.NONE, False),
    ],
)
def test_containers_are_told_where_their_metadata_is(mode: NetworkMode, has_metadata: bool) -> None:
    asked = a_container(endpoint_id="e-1", environment={"ECS_CONTAINER_METADATA_URI": "mine"})
    environment = config_of(asked, a_task(asked, network_mode=mode)).environment
    given = {
        "ECS_CONTAINER_METADATA_URI": "http://169.254.170.2/v3/e-1",
        "ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2/v4/e-1",
        "ECS_AGENT_URI": "http://169.254.170.2/api/e-1",
    }
    assert environment == (given if has_metadata else asked.definition.environment)


def test_a_container_without_an_endpoint_is_told_nothing() -> None:
    assert config_of(a_container()).environment == {}
    assert config_of(a_container(endpoint_id="e", kind=ContainerKind.NAMESPACE_PAUSE)).environment == {}


def test_a_metadata_file_is_mounted_and_named() -> None:
    config = config_of(a_container(name_suffix="ab12"), metadata_folder="/data/metadata/1/app")
    assert config.binds == (Bind(source="/data/metadata/1/app", container_path="/opt/ecs/metadata/ab12"),)
    path = "/opt/ecs/metadata/ab12/ecs-container-metadata.json"
    assert config.environment == {"ECS_CONTAINER_METADATA_FILE": path}


def test_secrets_come_over_the_environment_or_become_log_options() -> None:
    variable = Secret(name="A", store=SecretStore.SECRETS_MANAGER, value_from="a")
    option = Secret(name="splunk-token", store=SecretStore.PARAMETER_STORE, value_from="b", is_log_option=True)
    made = config_of(a_container(environment={"A": "1", "B": "2"}), secrets={variable: "x\ny", option: "t"})
    assert made.environment == {"A": "x\ny", "B": "2"}
    assert made.log_options == {"splunk-token": "t"}


AWSLOGS = '{"logconfig":{"TYPE":"awslogs","Config":{"awslogs-group":"g"}}}'


@each_row(
    "definition, task, options",
    [
        (
            {"docker_host_config": AWSLOGS},
            {},
            {"awslogs-endpoint": "http://x", "awslogs-credentials-endpoint": "/v2/credentials/own"},
        ),
        (
            {"docker_host_config": AWSLOGS, "logs_as_execution_role": True},
            {"execution_credentials_id": "an-id"},
            {"awslogs-endpoint": "http://x", "awslogs-credentials-endpoint": "/v2/credentials/an-id"},
        ),
        ({"docker_host_config": '{"LogConfig":{"Type":"json-file"}}'}, {}, {}),
        ({"docker_host_config": "[]"}, {}, {}),
    ],
)
def test_where_awslogs_finds_aws(definition: dict[str, Any], task: dict[str, Any], options: dict[str, str]) -> None:
    app = a_container(**definition)
    assert config_of(app, a_task(app, **task), log_endpoint="http://x", log_credentials_id="own").log_options == options


def test_a_log_of_the_execution_role_needs_one() -> None:
    reason = failure_of(a_container(docker_host_config=AWSLOGS, logs_as_execution_role=True))
    assert reason == "HostConfigError: No execution credentials set for the task"
