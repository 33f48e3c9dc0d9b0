"""The cgroup of a task: whether it has one, its limits, its making and its end.

Source: engine.md §6.6.
"""

from __future__ import annotations

import msgspec

from ecscope.agent.core.actions import CreateCgroup, RemoveCgroup
from ecscope.agent.core.events import CgroupCreated, CgroupCreateFailed, CgroupRemoved
from ecscope.agent.core.step import Step
from ecscope.model.history import Happening
from ecscope.model.names import task_cgroup_parent
from ecscope.model.resources import TaskLimits
from ecscope.model.task import Task, TaskCgroup

replace = msgspec.structs.replace

FAILURE = "CgroupError: Agent could not create task's platform resources"
"""Reason of a task whose limits cannot be set."""

_MIN_SHARES, _MAX_SHARES = 2, 262144
_MIB = 1024 * 1024


def wanted(step: Step, task: Task) -> TaskCgroup | None:
    """The cgroup that a task just accepted is to have; ``None``: task-level limits are off."""
    version = step.settings.cgroup_version
    return TaskCgroup(parent=task_cgroup_parent(task.arn, is_v2=version == 2)) if version else None


def limits_of(task: Task) -> TaskLimits:
    """A quota where the task asks for CPU, else the weight of its containers together."""
    shares = sum(max(_MIN_SHARES, c.definition.cpu_units) for c in task.containers)
    return TaskLimits(
        cpu_vcpu=task.cpu_vcpu,
        cpu_shares=min(max(shares, _MIN_SHARES), _MAX_SHARES),
        memory_bytes=task.memory_mib * _MIB,
    )


def is_ready(task: Task) -> bool:
    """Containers may be made, as far as the cgroup is concerned."""
    return task.cgroup is None or task.cgroup.created


def provide(step: Step, task: Task) -> Task:
    """Want the cgroup made, once."""
    if task.cgroup is None or task.cgroup.created or task.cgroup.in_flight:
        return task
    task = step.put(replace(task, cgroup=replace(task.cgroup, in_flight=True)))
    step.act(CreateCgroup(task_arn=task.arn, limits=limits_of(task)))
    return task


def remove(step: Step, task: Task) -> bool:
    """Want the cgroup removed; true when it is gone."""
    if task.cgroup is None or task.cgroup.removed:
        return True
    if not task.cgroup.in_flight:
        step.put(replace(task, cgroup=replace(task.cgroup, in_flight=True)))
        step.act(RemoveCgroup(task_arn=task.arn))
    return False


def created(step: Step, task: Task, cgroup: TaskCgroup, event: CgroupCreated | CgroupCreateFailed) -> Task:
    """The end of making it. What a failure means for the task is the caller's to say."""
    is_made = isinstance(event, CgroupCreated)
    task = step.put(replace(task, cgroup=replace(cgroup, created=is_made, in_flight=False)))
    if isinstance(event, CgroupCreateFailed):
        step.note(Happening.CGROUP_FAILED, event.reason, task=task)
    return task


def removed(step: Step, task: Task, cgroup: TaskCgroup, event: CgroupRemoved) -> None:
    """The end of removing it; a failure is remembered and otherwise ignored."""
    task = step.put(replace(task, cgroup=replace(cgroup, removed=True, in_flight=False)))
    if event.reason:
        step.note(Happening.CLEANUP_FAILED, event.reason, task=task)
