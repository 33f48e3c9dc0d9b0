"""Unit tests of the metadata file of a container: what is in it when, and that it never stops anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ecscope.agent.executors.metadata_file import MetadataFiles
from ecscope.model.arn import DockerId
from ecscope.model.container import ContainerInspection, ContainerNetwork, PortBinding
from ecscope.model.container_instance import ContainerInstance
from ecscope.model.status import ContainerStatus
from tests.builders import a_container, a_task

INSTANCE = ContainerInstance(cluster="default", arn="arn:instance", agent_version="v", availability_zone="us-west-2a")
CONTAINER, OTHER = a_container(name_suffix="a1"), a_container("other", name_suffix="b2")
TASK = a_task(CONTAINER, OTHER)
BEGUN = {"Cluster": "default", "ContainerInstanceARN": "arn:instance", "TaskARN": TASK.arn, "ContainerName": "app"}


def inspection() -> ContainerInspection:
    return ContainerInspection(
        docker_id=DockerId("d" * 64),
        docker_name="ecs-app",
        image_id="sha256:1",
        status=ContainerStatus.RUNNING,
        bindings=(PortBinding(container_port=80, host_port=8080, host_ip="0.0.0.0"),),
        networks=(ContainerNetwork(name="bridge", ipv4="172.17.0.2"),),
    )


async def test_a_file_from_begin_to_end(tmp_path: Path) -> None:
    files = MetadataFiles(tmp_path)
    folder = Path(await files.begin(TASK, CONTAINER, INSTANCE))
    path = folder / "ecs-container-metadata.json"
    assert json.loads(path.read_text()) == BEGUN
    assert (folder.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o755, 0o644)
    await files.complete(TASK, CONTAINER, INSTANCE, inspection())
    assert json.loads(path.read_text()) == {
        **BEGUN,
        "TaskDefinitionFamily": "sample",
        "TaskDefinitionRevision": "1",
        "ContainerID": "d" * 64,
        "DockerContainerName": "ecs-app",
        "ImageID": "sha256:1",
        "ImageName": CONTAINER.definition.image,
        "PortMappings": [{"ContainerPort": 80, "HostPort": 8080, "BindIp": "0.0.0.0", "Protocol": "tcp"}],
        "Networks": [{"NetworkMode": "bridge", "IPv4Addresses": ["172.17.0.2"]}],
        "MetadataFileStatus": "READY",
        "AvailabilityZone": "us-west-2a",
    }
    await files.begin(TASK, OTHER, INSTANCE)
    await files.remove(TASK, CONTAINER)
    assert [each.name for each in folder.parent.iterdir()] == ["b2"]
    await files.remove(TASK, OTHER)
    await files.remove(TASK, OTHER)
    assert list(tmp_path.iterdir()) == []


async def test_docker_is_given_the_path_that_it_knows(tmp_path: Path) -> None:
    files = MetadataFiles(tmp_path, on_host="/var/lib/ecs/data/metadata")
    assert await files.begin(TASK, CONTAINER, INSTANCE) == f"/var/lib/ecs/data/metadata/{TASK.arn[-32:]}/a1"


async def test_a_file_that_cannot_be_written_is_reported_and_not_mounted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    taken = tmp_path / "metadata"
    taken.touch()
    assert await MetadataFiles(taken).begin(TASK, CONTAINER, INSTANCE) == ""
    assert "no metadata file for container app: " in caplog.text
