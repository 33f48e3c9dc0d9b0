"""Which volumes Docker has to make, and for whom: engine.md §5.3, §9."""

from __future__ import annotations

import pytest

from ecscope.agent.core.state import Settings
from ecscope.agent.core.volumes import refusal, wanted
from ecscope.model.container import MountPoint
from ecscope.model.status import ContainerStatus
from ecscope.model.task import VolumeKind
from ecscope.model.task_resource import VOLUME, RemovedAt
from tests.builders import a_container, a_task, a_volume


@pytest.mark.parametrize(
    ("kind", "removed_at"),
    [(VolumeKind.BIND, None), (VolumeKind.TASK, RemovedAt.CLEANUP), (VolumeKind.SHARED, RemovedAt.NEVER)],
)
def test_paths_need_nothing_and_shared_volumes_stay(kind: VolumeKind, removed_at: RemovedAt | None) -> None:
    found = wanted(Settings(), a_task(volumes=(a_volume("data", kind=kind),)))
    assert [(r.kind, r.name, r.removed_at) for r in found] == ([(VOLUME, "data", removed_at)] if removed_at else [])


def test_who_mounts_a_volume_waits_for_it_before_its_image_is_pulled() -> None:
    mounts = (MountPoint(source_volume="data", container_path="/data"),)
    task = a_task(
        a_container("a", mount_points=mounts), a_container("b"), volumes=(a_volume("data"), a_volume("unused"))
    )
    data, unused = wanted(Settings(), task)
    assert (data.needed_by, data.needed_for) == (("a",), ContainerStatus.PULLED)
    assert unused.needed_by == (), "it is made all the same, and nobody waits"


def test_a_volume_of_the_task_cannot_be_autoprovisioned() -> None:
    assert refusal(a_task(volumes=(a_volume("v", autoprovision=True),))) == (
        "volume [v] : task scoped volume could not be autoprovisioned"
    )
    assert refusal(a_task(volumes=(a_volume("v", kind=VolumeKind.SHARED, autoprovision=True),))) == ""
