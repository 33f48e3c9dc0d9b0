"""A task's cgroup is made, limited and removed in both layouts of the file system."""

from __future__ import annotations

from pathlib import Path

import pytest

from ecscope.agent.executors.resources.cgroup import CgroupError, CgroupProvider, TaskCgroups
from ecscope.agent.executors.resources.interface import ResourceFailure
from ecscope.model.resources import TaskLimits
from ecscope.model.task_resource import CGROUP
from tests.builders import a_container, a_resource, a_task, an_arn

ARN = an_arn(7)
ID = f"{7:032x}"


@pytest.fixture
def v1(tmp_path: Path) -> Path:
    for name in ("cpu", "memory", "freezer"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.fixture
def v2(tmp_path: Path) -> Path:
    (tmp_path / "cgroup.controllers").write_text("cpu memory")
    return tmp_path


def test_v1_quota_and_memory(v1: Path) -> None:
    TaskCgroups(v1).create(ARN, TaskLimits(cpu_vcpu=0.25, memory_bytes=1 << 20))
    assert (v1 / "cpu" / "ecs" / ID / "cpu.cfs_quota_us").read_text() == "25000"
    assert (v1 / "cpu" / "ecs" / ID / "cpu.cfs_period_us").read_text() == "100000"
    assert (v1 / "memory" / "ecs" / ID / "memory.limit_in_bytes").read_text() == "1048576"


def test_v1_shares_without_a_quota_and_no_memory_limit(v1: Path) -> None:
    TaskCgroups(v1).create(ARN, TaskLimits(cpu_shares=512))
    assert (v1 / "cpu" / "ecs" / ID / "cpu.shares").read_text() == "512"
    assert not (v1 / "memory" / "ecs" / ID / "memory.limit_in_bytes").exists()


def test_v2_limits(v2: Path) -> None:
    TaskCgroups(v2).create(ARN, TaskLimits(cpu_vcpu=2, memory_bytes=4096))
    folder = v2 / "ecstasks.slice" / f"ecstasks-{ID}.slice"
    assert (folder / "cpu.max").read_text() == "200000 100000"
    assert (folder / "memory.max").read_text() == "4096"


@pytest.mark.parametrize(("shares", "weight"), [(2, "1"), (1024, "39"), (262144, "10000")])
def test_v2_weight(v2: Path, shares: int, weight: str) -> None:
    TaskCgroups(v2).create(ARN, TaskLimits(cpu_shares=shares))
    assert (v2 / "ecstasks.slice" / f"ecstasks-{ID}.slice" / "cpu.weight").read_text() == weight


@pytest.mark.parametrize("layout", ["v1", "v2"])
def test_check_makes_the_common_parent(layout: str, request: pytest.FixtureRequest) -> None:
    root = request.getfixturevalue(layout)
    TaskCgroups(root).check()
    assert (root / ("ecstasks.slice" if layout == "v2" else "memory/ecs")).is_dir()


def test_check_names_missing_controllers(tmp_path: Path) -> None:
    with pytest.raises(CgroupError, match="no cgroup controller cpu and memory under"):
        TaskCgroups(tmp_path).check()


def test_what_cannot_be_made_or_set_is_named(v1: Path) -> None:
    (v1 / "cpu" / "ecs").write_text("in the way")
    with pytest.raises(CgroupError, match=r"cannot make cgroup .*/cpu/ecs/"):
        TaskCgroups(v1).create(ARN, TaskLimits())
    (v1 / "cpu" / "ecs").unlink()
    (v1 / "cpu" / "ecs" / ID / "cpu.shares").mkdir(parents=True)
    with pytest.raises(CgroupError, match=r"cannot set .*/cpu\.shares to 2: Is a directory"):
        TaskCgroups(v1).create(ARN, TaskLimits())


@pytest.mark.parametrize("layout", ["v1", "v2"])
def test_remove_takes_what_docker_made_below_and_may_be_repeated(layout: str, request: pytest.FixtureRequest) -> None:
    root = request.getfixturevalue(layout)
    below = "ecstasks.slice/ecstasks-" + ID + ".slice" if layout == "v2" else f"freezer/ecs/{ID}"
    (root / below / "a-container").mkdir(parents=True)
    cgroups = TaskCgroups(root)
    cgroups.remove(ARN)
    assert not (root / below).exists()
    cgroups.remove(ARN)


def test_a_cgroup_in_use_is_named(v1: Path) -> None:
    (v1 / "cpu" / "ecs" / ID).mkdir(parents=True)
    (v1 / "cpu" / "ecs" / ID / "a-file-as-in-no-real-cgroup").touch()
    with pytest.raises(CgroupError, match="cannot remove cgroup"):
        TaskCgroups(v1).remove(ARN)


def test_a_mount_that_is_gone_has_nothing_to_remove(tmp_path: Path) -> None:
    TaskCgroups(tmp_path / "gone").remove(ARN)


# --- as a task resource ---


async def test_a_task_gets_the_limits_that_it_asks_for(v1: Path) -> None:
    provider = CgroupProvider(TaskCgroups(v1))
    task = a_task(a_container(cpu_units=256), number=7, memory_mib=64)
    await provider.create(task, a_resource(f"/ecs/{ID}", kind=CGROUP))
    assert (v1 / "cpu" / "ecs" / ID / "cpu.shares").read_text() == "256"
    assert (v1 / "memory" / "ecs" / ID / "memory.limit_in_bytes").read_text() == str(64 * 1024 * 1024)


async def test_a_refusal_of_the_kernel_is_an_error_with_a_name(tmp_path: Path) -> None:
    (tmp_path / "cpu").write_text("not a directory")
    resource = a_resource(f"/ecs/{ID}", kind=CGROUP)
    with pytest.raises(ResourceFailure, match=r"^CgroupError: cannot make cgroup .*/cpu/ecs/"):
        await CgroupProvider(TaskCgroups(tmp_path)).create(a_task(number=7), resource)
    with pytest.raises(ResourceFailure, match="task-level limits are off now"):
        await CgroupProvider(None).remove(a_task(number=7), resource)
