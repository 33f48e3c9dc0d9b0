"""The cgroup of a task: whether it has one, its name and its limits.

Source: engine.md §6.6.
"""

from __future__ import annotations

from ecscope.agent.core.state import Settings
from ecscope.model.names import task_cgroup_parent
from ecscope.model.resources import FARGATE, TaskLimits
from ecscope.model.task import Task
from ecscope.model.task_resource import CGROUP, TaskResource

FAILURE = "CgroupError: Agent could not create task's platform resources"
"""Reason of a task whose limits cannot be set."""

_MIN_SHARES, _MAX_SHARES = 2, 262144
_MIB = 1024 * 1024


def wanted(settings: Settings, task: Task) -> tuple[TaskResource, ...]:
    """One, unless task-level limits are off."""
    version = settings.cgroup_version
    if not version:
        return ()
    parent = task_cgroup_parent(task.arn, is_v2=version == 2)
    return (TaskResource(kind=CGROUP, name=parent, failure_reason=FAILURE),)


def parent_of(task: Task) -> str:
    """What Docker gets as ``CgroupParent``; ``""``: the task has no cgroup of its own."""
    return next((r.name for r in task.resources if r.kind == CGROUP), "")


def limits_of(task: Task, *, cpus: int) -> TaskLimits:
    """A quota where the task asks for CPU, else the weight of its containers together.

    A task on Fargate is not placed by the size of the machine: its quota is at most the whole of it, and what it asks
    for is its weight besides.

    Args:
        cpus: of this machine.
    """
    if task.launch_type == FARGATE and task.cpu_vcpu > 0:
        return TaskLimits(
            cpu_vcpu=min(task.cpu_vcpu, float(cpus)),
            cpu_shares=min(max(round(task.cpu_vcpu * 1024), _MIN_SHARES), _MAX_SHARES),
            is_weighed=True,
            memory_bytes=task.memory_mib * _MIB,
        )
    shares = sum(max(_MIN_SHARES, c.definition.cpu_units) for c in task.containers if not c.is_agents_own)
    return TaskLimits(
        cpu_vcpu=task.cpu_vcpu,
        cpu_shares=min(max(shares, _MIN_SHARES), _MAX_SHARES),
        memory_bytes=task.memory_mib * _MIB,
    )
