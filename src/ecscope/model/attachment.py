"""What ECS attaches to the instance or to a task, and expects a report on once it is attached.

Source: agent-protocol.md §4.8.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from ecscope.model.arn import TaskArn


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """A network interface on its way to this instance."""

    arn: str
    mac_address: str
    """In lower case, with colons."""
    expires_at: datetime
    """When ECS gives it up. Aware UTC."""
    task_arn: TaskArn = TaskArn("")
    """``""``: it is the instance's own."""
    is_attached: bool = False
    """It was found, and is being reported to ECS."""
