"""The streams of CloudWatch Logs that a task's containers write to, where ECS checks them before the start.

On Fargate a container whose stream cannot be created does not start, whatever the mode of its log driver. On EC2 the
log driver of Docker creates it: in blocking mode it refuses to start the container otherwise.

Source: engine.md §6.7; ECS Developer Guide, "Stopped task error messages" ("failed to validate logger args").
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ecscope.agent.core.state import Settings
from ecscope.model.container import ContainerDefinition
from ecscope.model.status import ContainerStatus
from ecscope.model.task import Task
from ecscope.model.task_resource import LOG_STREAMS, RemovedAt, TaskResource


class LogStream(msgspec.Struct, frozen=True, kw_only=True):
    """Where a container's log goes."""

    region: str
    """``""``: the agent's own."""
    group: str
    stream: str
    creates_group: bool = False


def wanted(settings: Settings, task: Task) -> tuple[TaskResource, ...]:
    """One for all containers of a task on Fargate that log with ``awslogs``."""
    del settings
    if task.launch_type != "FARGATE":
        return ()
    needed_by = tuple(c.name for c in task.containers if log_stream(c.definition) is not None)
    if not needed_by:
        return ()
    return (
        TaskResource(
            kind=LOG_STREAMS,
            name=LOG_STREAMS,
            needed_by=needed_by,
            needed_for=ContainerStatus.CREATED,
            removed_at=RemovedAt.NEVER,
            needs_execution_role=True,
        ),
    )


def log_options(definition: ContainerDefinition) -> tuple[str, Mapping[str, str]]:
    """Log driver and options in Docker's settings as they came; ``""`` and none where there are none, or no text."""
    try:
        host = msgspec.json.decode(definition.docker_host_config, type=dict[str, object])
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return "", {}  # the create call will say what is wrong
    config = _member(host, "LogConfig")
    driver, options = _member(config, "Type"), _member(config, "Config")
    if not isinstance(driver, str):
        return "", {}
    texts = options if isinstance(options, dict) else {}
    return driver, {name: value for name, value in texts.items() if isinstance(value, str)}


def log_stream(definition: ContainerDefinition) -> LogStream | None:
    """``None``: the container does not log with ``awslogs``, or Docker's ID is its stream."""
    driver, options = log_options(definition)
    group, stream = options.get("awslogs-group", ""), options.get("awslogs-stream", "")
    if driver != "awslogs" or not group or not stream:
        return None
    return LogStream(
        region=options.get("awslogs-region", ""),
        group=group,
        stream=stream,
        creates_group=options.get("awslogs-create-group", "").lower() in ("true", "1", "t"),
    )


def failure(why: str, *, retries: int) -> str:
    """The reason of a task whose stream cannot be created."""
    return (
        f"ResourceInitializationError: failed to validate logger args: create stream has been retried {retries} times:"
        f" failed to create Cloudwatch log stream: {why} : exit status 1"
    )


def _member(value: object, name: str) -> object:
    """A member, its name in any case; the last of several counts."""
    if not isinstance(value, dict):
        return None
    return next((found for key, found in reversed(value.items()) if key.casefold() == name.casefold()), None)
