"""What a container runtime reports about itself and about containers. Values only.

Source: engine.md §12.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from ecscope.model.arn import DockerId


class EngineInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the runtime is and what the host under it has."""

    version: str
    api_version: str
    cpus: int
    memory_bytes: int
    cgroup_version: str = "1"
    cgroup_driver: str = "cgroupfs"
    storage_root: str = ""
    storage_driver: str = ""
    architecture: str = ""
    """As the kernel names it: ``x86_64``, ``aarch64``, …"""


class RuntimeAction(Enum):
    """The container events that matter. Source: engine.md §12."""

    CREATE = "create"
    START = "start"
    STOP = "stop"
    DIE = "die"
    OOM = "oom"
    DESTROY = "destroy"
    HEALTH = "health_status"


class RuntimeNotice(msgspec.Struct, frozen=True, kw_only=True):
    """One event of the runtime's stream, already filtered to the actions that matter."""

    docker_id: DockerId
    action: RuntimeAction
    time_ns: int
    """When it happened, nanoseconds since the epoch."""
    exit_code: int | None = None
    """Of ``DIE``."""
    signal: int | None = None
    """Of ``DIE``: the last signal sent through the runtime since the start; ``None``: none was sent that way."""


class PullProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a pull is."""

    layers_total: int
    layers_done: int
    bytes_total: int
    bytes_done: int
