"""A volume's kind, Docker name and defaults, the same for task files and payloads."""

from __future__ import annotations

from ecscope.model.task import Volume, VolumeKind
from ecscope.taskdefinition.volumes import bind_volume, docker_volume

PLACE = {"family": "web", "version": "7", "suffix": "0123456789abcdef0123"}


def test_a_path_of_the_host() -> None:
    volume = bind_volume("data", "/srv/data")
    assert volume == Volume(name="data", kind=VolumeKind.BIND, source_path="/srv/data")


def test_a_volume_of_the_task_has_a_name_of_its_own_and_dockers_driver() -> None:
    assert docker_volume("data", **PLACE) == Volume(
        name="data", kind=VolumeKind.TASK, docker_name="ecs-web-7-data-0123456789abcdef0123", driver="local"
    )


def test_a_shared_volume_keeps_its_name() -> None:
    volume = docker_volume(
        "data",
        **PLACE,
        is_shared=True,
        driver="nfs",
        driver_options={"o": "ro"},
        labels={"a": "b"},
        autoprovision=True,
    )
    assert volume == Volume(
        name="data",
        kind=VolumeKind.SHARED,
        docker_name="data",
        driver="nfs",
        driver_options={"o": "ro"},
        labels={"a": "b"},
        autoprovision=True,
    )
