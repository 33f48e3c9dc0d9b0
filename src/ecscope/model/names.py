"""The names that ECS gives to Docker objects. Source: engine.md §6.1."""

from __future__ import annotations

import re

from ecscope.model.arn import task_id

TASK_ARN_LABEL = "com.amazonaws.ecs.task-arn"
"""Labels of a container. Source: engine.md §6.2."""
CONTAINER_NAME_LABEL = "com.amazonaws.ecs.container-name"
FAMILY_LABEL = "com.amazonaws.ecs.task-definition-family"
VERSION_LABEL = "com.amazonaws.ecs.task-definition-version"
CLUSTER_LABEL = "com.amazonaws.ecs.cluster"

PAUSE_IMAGE = "ecscope-pause:1"
"""The image that holds the namespaces of tasks. Another program has another number."""
PAUSE_IMAGE_LABEL = "ecscope.image"

NETWORK_PAUSE = "~internal~ecs~pause"
"""Name of the container that holds a task's network namespace. Source: engine.md §8."""
NAMESPACE_PAUSE = "~internal~ecs~pause~namespace"
"""Name of the one that holds its PID or IPC namespace."""
TASK_NETWORK_LABEL = "ecscope.network"
"""Of the Docker network of awsvpc tasks."""

_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9-]")


def container_docker_name(*, family: str, version: str, container_name: str, suffix: str) -> str:
    """``ecs-<family>-<version>-<container name, cleaned>-<20 hex digits>``."""
    return f"ecs-{family}-{version}-{_NOT_ALLOWED.sub('', container_name)}-{suffix}"


def volume_docker_name(*, family: str, version: str, volume_name: str, suffix: str) -> str:
    """``ecs-<family>-<version>-<volume name>-<20 hex digits>``, for task-scoped volumes."""
    return f"ecs-{family}-{version}-{volume_name}-{suffix}"


def task_cgroup_parent(arn: str, *, is_v2: bool) -> str:
    """``/ecs/<task id>``, or ``ecstasks-<task id>.slice`` with cgroup v2. Source: engine.md §6.5."""
    return f"ecstasks-{task_id(arn)}.slice" if is_v2 else f"/ecs/{task_id(arn)}"
