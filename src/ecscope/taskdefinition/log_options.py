"""The options of a container's log driver, as ECS hands them to Docker.

Source: ECS API, ``LogConfiguration``; engine.md §6.7; task-metadata-api.md, ``LogOptions``.
"""

from __future__ import annotations

from typing import NamedTuple

from ecscope.taskdefinition.definition import ContainerDefinition

AWSLOGS = "awslogs"
GROUP, PREFIX, REGION, STREAM = "awslogs-group", "awslogs-stream-prefix", "awslogs-region", "awslogs-stream"
MODE = "mode"


class LogDefaults(NamedTuple):
    """The default of an ``awslogs`` option that a definition does not set; ``""``: none."""

    region: str = ""
    mode: str = ""
    """``blocking`` or ``non-blocking``."""


NO_LOG_DEFAULTS = LogDefaults()


def log_options(container: ContainerDefinition, *, task_arn: str, defaults: LogDefaults) -> dict[str, str]:
    """The prefix of a stream is ECS's: Docker gets the name of the stream; without one, it takes the container's ID."""
    options = dict(container.log_configuration.options) if container.log_configuration is not None else {}
    if container.log_driver != AWSLOGS:
        return options
    prefix = options.pop(PREFIX, "")
    if prefix and STREAM not in options:
        options[STREAM] = f"{prefix}/{container.name}/{task_arn.rpartition('/')[2]}"
    for name, value in ((REGION, defaults.region), (MODE, defaults.mode)):
        if value:
            options.setdefault(name, value)
    return options
