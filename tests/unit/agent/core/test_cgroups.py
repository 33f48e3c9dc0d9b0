"""A task's cgroup is made before its containers, limits what it should, and goes after them."""

from __future__ import annotations

import pytest

from ecscope.agent.core import actions as act
from ecscope.agent.core.cgroups import limits_of, parent_of
from ecscope.agent.core.state import Settings
from ecscope.model.resources import TaskLimits
from ecscope.model.status import ContainerStatus, TaskStatus
from ecscope.model.task_resource import CGROUP
from tests.builders import a_container, a_task, an_arn
from tests.world import World

ARN = an_arn()
ID = f"{1:032x}"


def a_world(version: int = 1) -> World:
    world = World(settings=Settings(cgroup_version=version, cleanup_wait_s=60.0))
    world.connect()
    world.run_calls()
    return world


@pytest.mark.parametrize(
    ("version", "parent"), [(1, f"/ecs/{ID}"), (2, f"ecstasks-{ID}.slice")], ids=["cgroup v1", "cgroup v2"]
)
def test_the_parent_is_named_as_the_official_agent_names_it(version: int, parent: str) -> None:
    world = a_world(version)
    world.submit(a_task())
    (cgroup,) = world.task(ARN).resources
    assert (cgroup.kind, cgroup.name, cgroup.in_flight) == (CGROUP, parent, True)
    assert parent_of(world.task(ARN)) == parent


def test_without_task_level_limits_there_is_no_cgroup() -> None:
    world = a_world(0)
    world.submit(a_task())
    assert world.task(ARN).resources == ()
    assert parent_of(world.task(ARN)) == ""


def test_the_image_is_not_pulled_before_the_cgroup_is_made() -> None:
    """Source: engine.md §5.3."""
    world = a_world()
    world.submit(a_task())
    make = next(call for call in world.calls if isinstance(call, act.CreateResource))
    for call in [call for call in world.calls if call is not make]:
        world.finish(call)
    assert world.calls == [make]
    assert world.task(ARN).containers[0].known is ContainerStatus.MANIFEST_PULLED
    world.finish(make)
    assert [type(call) for call in world.calls] == [act.PullImage]


@pytest.mark.parametrize(
    ("task", "limits"),
    [
        (a_task(a_container(cpu_units=0)), TaskLimits(cpu_shares=2)),
        (a_task(a_container("a", cpu_units=256), a_container("b", cpu_units=1)), TaskLimits(cpu_shares=258)),
        (a_task(a_container(cpu_units=300_000)), TaskLimits(cpu_shares=262_144)),
        (
            a_task(a_container(cpu_units=256), cpu_vcpu=0.5, memory_mib=512),
            TaskLimits(cpu_vcpu=0.5, cpu_shares=256, memory_bytes=512 * 1024 * 1024),
        ),
        (
            a_task(a_container(cpu_units=256), cpu_vcpu=4.0, memory_mib=8192, launch_type="FARGATE"),
            TaskLimits(cpu_vcpu=2.0, cpu_shares=4096, is_weighed=True, memory_bytes=8192 * 1024 * 1024),
        ),
        (
            a_task(a_container(), cpu_vcpu=0.25, memory_mib=512, launch_type="FARGATE"),
            TaskLimits(cpu_vcpu=0.25, cpu_shares=256, is_weighed=True, memory_bytes=512 * 1024 * 1024),
        ),
    ],
    ids=[
        "nothing asked",
        "sum of containers",
        "at most what the kernel takes",
        "quota and memory",
        "the whole machine",
        "a part of it",
    ],
)
def test_limits(task, limits: TaskLimits) -> None:
    """Source: engine.md §6.6."""
    assert limits_of(task, cpus=2) == limits


def test_a_cgroup_that_cannot_be_made_stops_the_task_with_the_official_reason() -> None:
    world = a_world()
    world.submit(a_task())
    world.finish(next(call for call in world.calls if isinstance(call, act.CreateResource)), outcome="failed")
    world.run_calls()
    task = world.task(ARN)
    assert task.known is TaskStatus.STOPPED
    assert task.terminal_reason == "CgroupError: Agent could not create task's platform resources"
    assert not world.boxes


@pytest.mark.parametrize("outcome", ["done", "failed"])
def test_it_goes_after_the_containers_and_with_the_task(outcome: str) -> None:
    world = a_world()
    world.submit(a_task())
    world.run_calls()
    assert world.cgroups == {ARN}
    world.stop(ARN)
    world.run_calls()
    world.advance(61)
    assert [type(call) for call in world.calls] == [act.RemoveContainer]
    world.finish(world.calls[0])
    assert [type(call) for call in world.calls] == [act.RemoveResource]
    world.finish(world.calls[0], outcome=outcome, effect=False)
    assert ARN not in world.state.tasks, "what cannot be removed is remembered and left"
    left = [n.text for n in world.notes if n.text.startswith(f"could not remove cgroup /ecs/{ID}: ")]
    assert bool(left) is (outcome == "failed")


def test_a_failure_after_the_end_is_no_reason() -> None:
    world = a_world()
    world.submit(a_task())
    make = next(call for call in world.calls if isinstance(call, act.CreateResource))
    world.stop(ARN)
    world.finish(make, outcome="failed", effect=False)
    world.run_calls()
    assert world.task(ARN).terminal_reason == ""


def test_a_restart_of_the_agent_makes_it_again() -> None:
    world = a_world()
    world.submit(a_task())
    world.restart_agent()
    world.run_calls()
    task = world.task(ARN)
    assert task.known is TaskStatus.RUNNING
    assert task.resources[0].is_created
