"""The cgroup of a task: CPU and memory limits over all of its containers.

Makes and removes directories in the kernel's cgroup file system, quickly and without waiting
for anything but the kernel. Which task gets which limits is the core's to say.

Source: engine.md §6.5 (``CgroupParent``), §6.6.
"""

from __future__ import annotations

import os
from pathlib import Path

from ecscope.agent.core.cgroups import limits_of
from ecscope.agent.executors.resources.interface import ResourceFailure
from ecscope.model.arn import task_id
from ecscope.model.container import NamedError
from ecscope.model.names import task_cgroup_parent
from ecscope.model.resources import TaskLimits
from ecscope.model.task import Task
from ecscope.model.task_resource import TaskResource

_V1_PREFIX = "ecs"
_V2_SLICE = "ecstasks.slice"
_V1_NEEDED = ("cpu", "memory")


class CgroupError(Exception):
    """The kernel refused; the message says what and where."""


class CgroupProvider:
    """Holds to ``ResourceProvider``. ``cgroups`` ``None``: task-level limits are off."""

    def __init__(self, cgroups: TaskCgroups | None, *, cpus: int | None = None) -> None:
        """``cpus``: of this machine; ``None``: as many as there are."""
        self._cgroups = cgroups
        self._cpus = cpus or os.cpu_count() or 1

    async def create(self, task: Task, resource: TaskResource) -> None:
        """Make the cgroup and set its limits."""
        del resource  # there is one for a task
        try:
            self._enabled().create(task.arn, limits_of(task, cpus=self._cpus))
        except CgroupError as error:
            raise _failure(error) from error

    async def remove(self, task: Task, resource: TaskResource) -> None:
        """Remove it with what Docker made under it."""
        del resource
        try:
            self._enabled().remove(task.arn)
        except CgroupError as error:
            raise _failure(error) from error

    def _enabled(self) -> TaskCgroups:
        if self._cgroups is None:
            raise CgroupError("task-level limits are off now, but were on when the task was accepted")
        return self._cgroups


def _failure(error: CgroupError) -> ResourceFailure:
    return ResourceFailure(NamedError(name="CgroupError", message=str(error)))


class TaskCgroups:
    """The task cgroups under one cgroup mount."""

    def __init__(self, root: Path, *, cpu_period_us: int = 100_000) -> None:
        self._root = root
        self._period_us = cpu_period_us

    @property
    def is_v2(self) -> bool:
        """One unified hierarchy rather than one per controller."""
        return (self._root / "cgroup.controllers").is_file()

    def check(self) -> None:
        """Make the directory that holds those of all tasks. Raises ``CgroupError``."""
        for folder in self._prefixes():
            self._make(folder)

    def create(self, task_arn: str, limits: TaskLimits) -> None:
        """Make the cgroup and set its limits; may be repeated. Raises ``CgroupError``."""
        if self.is_v2:
            self._create_v2(self._v2_folder(task_arn), limits)
        else:
            self._create_v1(task_id(task_arn), limits)

    def remove(self, task_arn: str) -> None:
        """Remove it in every hierarchy, with what Docker made under it; absent counts as done.

        Raises ``CgroupError`` while processes are in it.
        """
        if self.is_v2:
            self._remove(self._v2_folder(task_arn))
            return
        for hierarchy in self._hierarchies():
            self._remove(hierarchy / _V1_PREFIX / task_id(task_arn))

    # --- version 1: a directory per controller -------------------------------------------------------

    def _create_v1(self, name: str, limits: TaskLimits) -> None:
        cpu = self._root / "cpu" / _V1_PREFIX / name
        self._make(cpu)
        if limits.cpu_vcpu > 0:
            self._write(cpu / "cpu.cfs_period_us", self._period_us)
            self._write(cpu / "cpu.cfs_quota_us", int(limits.cpu_vcpu * self._period_us))
        if limits.is_weighed or not limits.cpu_vcpu > 0:
            self._write(cpu / "cpu.shares", limits.cpu_shares)
        memory = self._root / "memory" / _V1_PREFIX / name
        self._make(memory)
        if limits.memory_bytes > 0:
            self._write(memory / "memory.limit_in_bytes", limits.memory_bytes)

    def _hierarchies(self) -> list[Path]:
        try:
            return sorted(folder for folder in self._root.iterdir() if folder.is_dir() and not folder.is_symlink())
        except OSError:
            return []

    # --- version 2: one directory ----------------------------------------------------------------------

    def _v2_folder(self, task_arn: str) -> Path:
        return self._root / _V2_SLICE / task_cgroup_parent(task_arn, is_v2=True)

    def _create_v2(self, folder: Path, limits: TaskLimits) -> None:
        for above in (self._root, self._root / _V2_SLICE):
            self._make(above)
            self._write(above / "cgroup.subtree_control", "+cpu +memory")
        self._make(folder)
        if limits.cpu_vcpu > 0:
            self._write(folder / "cpu.max", f"{int(limits.cpu_vcpu * self._period_us)} {self._period_us}")
        if limits.is_weighed or not limits.cpu_vcpu > 0:
            self._write(folder / "cpu.weight", _weight_of(limits.cpu_shares))
        if limits.memory_bytes > 0:
            self._write(folder / "memory.max", limits.memory_bytes)

    # --- the file system ---------------------------------------------------------------------------------

    def _prefixes(self) -> list[Path]:
        if self.is_v2:
            return [self._root / _V2_SLICE]
        missing = [name for name in _V1_NEEDED if not (self._root / name).is_dir()]
        if missing:
            raise CgroupError(f"no cgroup controller {' and '.join(missing)} under {self._root}")
        return [self._root / name / _V1_PREFIX for name in _V1_NEEDED]

    def _make(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CgroupError(f"cannot make cgroup {folder}: {error.strerror}") from error

    def _write(self, file: Path, value: int | str) -> None:
        try:
            file.write_text(str(value))
        except OSError as error:
            raise CgroupError(f"cannot set {file} to {value}: {error.strerror}") from error

    def _remove(self, folder: Path) -> None:
        """Deepest first; a cgroup directory's files are the kernel's and go with it."""
        try:
            below = [child for child in folder.iterdir() if child.is_dir()]
        except OSError:
            return
        for child in below:
            self._remove(child)
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            raise CgroupError(f"cannot remove cgroup {folder}: {error.strerror}") from error


def _weight_of(shares: int) -> int:
    """CPU shares (2 to 262144) on the scale of cgroup v2 (1 to 10000), as container runtimes convert them."""
    return 1 + ((shares - 2) * 9999) // 262142
