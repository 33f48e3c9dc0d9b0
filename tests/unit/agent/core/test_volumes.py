"""Which volumes Docker has to make, and for whom: engine.md §5.3, §9."""

from __future__ import annotations

import pytest

from ecscope.agent.core.state import Settings
from ecscope.agent.core.volumes import refusal, wanted
from ecscope.model.container import MountPoint
from ecscope.model.status import ContainerStatus, TaskStatus
from ecscope.model.task import VolumeKind
from ecscope.model.task_resource import VOLUME, RemovedAt
from tests.builders import a_container, a_task, a_volume
from tests.unit.agent.core.scenes import ONE
from tests.world import World


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
    (data,) = wanted(Settings(), task)
    assert (data.needed_by, data.needed_for) == (("a",), ContainerStatus.PULLED), "and what nobody mounts is not made"


def test_a_shared_volume_that_must_be_there_is_looked_for_before_anything_begins() -> None:
    shared = a_volume("data", kind=VolumeKind.SHARED, docker_name="common")
    (found,) = wanted(Settings(), a_task(a_container(), volumes=(shared,)))
    assert (found.is_condition, found.needed_by, found.needed_for) == (True, None, ContainerStatus.MANIFEST_PULLED)


def test_a_volume_of_the_task_cannot_be_autoprovisioned() -> None:
    assert refusal(a_task(volumes=(a_volume("v", autoprovision=True),))) == (
        "volume [v] : task scoped volume could not be autoprovisioned"
    )
    assert refusal(a_task(volumes=(a_volume("v", kind=VolumeKind.SHARED, autoprovision=True),))) == ""


@pytest.mark.parametrize("joins_cluster", [True, False])
def test_a_task_whose_shared_volume_is_not_there_is_refused(joins_cluster: bool) -> None:
    """Nothing of it begins, nobody but ECS learns of it, and its other resources go: engine.md "Seen running" 4."""
    shared = a_volume("common", kind=VolumeKind.SHARED, docker_name="common")
    world = World(settings=Settings(joins_cluster=joins_cluster))
    world.connect()
    if joins_cluster:
        world.register()
    world.run_calls()
    world.submit(a_task(volumes=(shared, a_volume("data", docker_name="ecs-data"))))
    looked_for = next(call for call in world.calls if getattr(call, "name", "") == "common")
    world.finish(looked_for, outcome="failed", effect=False)
    if joins_cluster:
        task = world.task(ONE)
        assert (task.is_refused, task.known, task.containers) == (True, TaskStatus.STOPPED, ())
        (change,) = task.state_changes
        assert (change.status.value, change.containers) == ("STOPPED", ())
        assert change.reason
    assert not any(type(call).__name__ in {"ResolveManifest", "PullImage"} for call in world.calls)
    world.run_calls()
    if joins_cluster:
        world.accept_all()
        world.run_calls()
    assert ONE not in world.state.tasks
    assert not world.volumes
