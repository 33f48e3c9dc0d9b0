"""Credentials of a task, as ECS hands them to the agent. Never saved, never shown.

Source: agent-protocol.md §4.6.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from ecscope.model.arn import TaskArn


class RoleType(Enum):
    """What the credentials are for."""

    TASK_APPLICATION = "TaskApplication"
    """The containers' own calls: the task role."""
    TASK_EXECUTION = "TaskExecution"
    """The agent's calls for the task, such as image pulls: the execution role."""


class TaskCredentials(msgspec.Struct, frozen=True, kw_only=True):
    """One set. ``repr`` shows neither key nor token."""

    task_arn: TaskArn
    role_type: RoleType
    credentials_id: str
    """Stays the same for the life of the task; a refresh replaces what is under it."""
    role_arn: str = ""
    access_key_id: str = ""
    secret_access_key: str = ""
    session_token: str = ""
    expiration: str = ""
    """RFC 3339, as received."""
    scope: str = ""

    def __repr__(self) -> str:
        return (
            f"TaskCredentials(task_arn={self.task_arn!r}, role_type={self.role_type}, "
            f"credentials_id={self.credentials_id!r}, role_arn={self.role_arn!r}, expiration={self.expiration!r}, …)"
        )
