"""Identifiers: what they look like and how they are put together. No rules, no I/O."""

from __future__ import annotations

from typing import NewType

TaskArn = NewType("TaskArn", str)
"""Full ARN of a task in the long form, e.g. ``arn:aws:ecs:us-west-2:012345678910:task/default/<32 hex>``."""

DockerId = NewType("DockerId", str)
"""Full Docker container ID, 64 hex digits."""

STANDALONE_ACCOUNT = "000000000000"
"""The account in ARNs of tasks that come from files: no account at all, and visibly so."""


def task_arn(*, region: str, account: str, cluster: str, task_id: str) -> TaskArn:
    """The long-form ARN of a task; ``cluster`` may be a name or a cluster ARN."""
    return TaskArn(f"arn:aws:ecs:{region}:{account}:task/{cluster_name(cluster)}/{task_id}")


def container_instance_arn(*, region: str, account: str, cluster: str, instance_id: str) -> str:
    """The long-form ARN of a container instance."""
    return f"arn:aws:ecs:{region}:{account}:container-instance/{cluster_name(cluster)}/{instance_id}"


def cluster_name(cluster: str) -> str:
    """The short name of a cluster given by name or ARN."""
    return cluster.rsplit("/", 1)[-1]


def task_id(arn: str) -> str:
    """The last part of a task ARN, which is the task's ID."""
    return arn.rsplit("/", 1)[-1]
