"""A task value finds its containers, knows when volumes may be mounted, and survives being saved."""

from __future__ import annotations

import msgspec
import pytest

from ecscope.model.task import HostResourcesHeld, ImageRecord, Task, TaskSource, VolumeKind
from tests.builders import AT, a_container, a_source, a_task, a_volume, an_image_record


def test_a_container_is_found_by_its_name() -> None:
    web, db = a_container("web"), a_container("db")
    task = a_task(web, db)
    assert task.container("db") is db
    assert task.container("web") is web
    assert task.container("cache") is None


@pytest.mark.parametrize(
    ("kind", "created", "ready"),
    [
        (VolumeKind.BIND, False, True),  # Docker makes a missing path itself
        (VolumeKind.TASK, False, False),
        (VolumeKind.TASK, True, True),
        (VolumeKind.SHARED, False, False),
        (VolumeKind.SHARED, True, True),
    ],
)
def test_a_volume_can_be_mounted_when_it_is_a_path_or_was_made(kind: VolumeKind, created: bool, ready: bool) -> None:
    """engine.md §9."""
    assert a_volume(kind=kind, created=created).is_ready is ready


def test_a_task_is_the_same_after_it_was_saved() -> None:
    task = a_task(
        a_container("web"),
        volumes=(a_volume(driver_options={"type": "tmpfs"}, created=True),),
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
