"""A task value finds its containers, volumes and resources, and survives being saved."""

from __future__ import annotations

import msgspec

from ecscope.model.status import ContainerStatus
from ecscope.model.task import HostResourcesHeld, ImageRecord, Task, TaskSource
from ecscope.model.task_resource import CGROUP, VOLUME, ContainerReached, ResourceStatus
from tests.builders import AT, a_container, a_resource, a_source, a_task, a_volume, an_image_record

REACHED = ContainerReached(container_name="db", status=ContainerStatus.RUNNING)


def test_a_container_is_found_by_its_name() -> None:
    web, db = a_container("web"), a_container("db")
    task = a_task(web, db)
    assert task.container("db") is db
    assert task.container("web") is web
    assert task.container("cache") is None


def test_volumes_and_resources_are_found_by_their_names() -> None:
    data, logs = a_volume("data"), a_volume("logs")
    volume, cgroup = a_resource("data"), a_resource("data", kind=CGROUP)
    task = a_task(volumes=(data, logs), resources=(volume, cgroup))
    assert task.volume("logs") is logs
    assert task.volume("cache") is None
    assert task.resource(CGROUP, "data") is cgroup
    assert task.resource(VOLUME, "data") is volume
    assert task.resource(VOLUME, "logs") is None


def test_a_task_is_the_same_after_it_was_saved() -> None:
    task = a_task(
        a_container("web"),
        volumes=(a_volume(driver_options={"type": "tmpfs"}),),
        resources=(a_resource(status=ResourceStatus.CREATED, made_after=REACHED, needed_by=("web",)),),
        cpu_vcpu=0.25,
        memory_mib=512,
        host_resources=HostResourcesHeld.HELD,
        pull_started_at=AT,
        stopped_at=AT,
    )
    assert msgspec.json.decode(msgspec.json.encode(task), type=Task) == task


def test_records_of_images_and_task_files_are_the_same_after_they_were_saved() -> None:
    record, source = an_image_record(), a_source()
    assert msgspec.json.decode(msgspec.json.encode(record), type=ImageRecord) == record
    assert msgspec.json.decode(msgspec.json.encode(source), type=TaskSource) == source
