"""What the agent reports to ECS about a task and its containers. Values only.

Source: agent-protocol.md §3.5; engine.md §1.3.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from ecscope.model.container import PortBinding
from ecscope.model.status import ReportedStatus


class ContainerStateChange(msgspec.Struct, frozen=True, kw_only=True):
    """One container reached a status."""

    container_name: str
    status: ReportedStatus
    runtime_id: str = ""
    """Docker ID; ``""``: it was never created."""
    exit_code: int | None = None
    reason: str = ""
    """``<ErrorName>: <message>``; ``""``: none."""
    image_digest: str = ""
    """``sha256:…``; ``""``: unknown."""
    bindings: tuple[PortBinding, ...] = ()
    """As Docker shows them; what is sent of them is decided where the message is written."""


class TaskStateChange(msgspec.Struct, frozen=True, kw_only=True):
    """One message to ECS: a task's status, with all container news since the last one."""

    number: int
    """Counts up within the task, from 1: identifies the change that a late answer belongs to."""
    status: ReportedStatus
    reason: str = ""
    containers: tuple[ContainerStateChange, ...] = ()
    """In the order in which they happened; a container can appear more than once."""
    pull_started_at: datetime | None = None
    pull_stopped_at: datetime | None = None
    execution_stopped_at: datetime | None = None
