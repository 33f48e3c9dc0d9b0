"""What a request for credentials is answered. Pure.

Source: task-metadata-api.md §4.
"""

from __future__ import annotations

import msgspec

from ecscope.agent.core.state import AgentState
from ecscope.agent.servers import go_json
from ecscope.agent.servers.taskmetadata.callers import may_fetch
from ecscope.model.credentials import RoleType, TaskCredentials
from ecscope.model.status import TaskStatus


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """An answer, and whose credentials were given out. ``repr`` does not show the body."""

    status: int
    body: bytes
    task_arn: str = ""
    """``""``: none."""
    role_type: RoleType | None = None
    """``None``: none were given."""

    def __repr__(self) -> str:
        return f"Outcome(status={self.status}, task_arn={self.task_arn!r}, role_type={self.role_type})"


def outcome(state: AgentState, credentials_id: str, *, version: int, address: str) -> Outcome:
    """``version``: of the path, 1 or 2.

    The ID is the secret: any client that knows it gets the credentials, except those of a task with an address of its
    own, whose IDs are unknown to others.
    """
    request = f"CredentialsV{version}Request"
    if not credentials_id:
        return _failure(400, "NoIdInRequest", f"{request}: No Credential ID in the request")
    credentials = state.credentials.get(credentials_id)
    if credentials is not None and may_fetch(state, credentials, address):
        return _given(credentials)
    if credentials is None and _is_awaited(state, credentials_id):
        return _failure(503, "CredentialsUninitialized", f"{request}: Credentials uninitialized for ID")
    return _failure(400, "InvalidIdInRequest", f"{request}: Credentials not found")


def _given(credentials: TaskCredentials) -> Outcome:
    body = {
        "RoleArn": credentials.role_arn,
        "AccessKeyId": credentials.access_key_id,
        "SecretAccessKey": credentials.secret_access_key,
        "Token": credentials.session_token,
        "Expiration": credentials.expiration,
    }
    return Outcome(
        status=200, body=go_json.encode(body), task_arn=credentials.task_arn, role_type=credentials.role_type
    )


def _is_awaited(state: AgentState, credentials_id: str) -> bool:
    """After a start of the agent, until ECS has sent them again."""
    return any(
        credentials_id == task.execution_credentials_id
        or (credentials_id == task.credentials_id and task.known is not TaskStatus.STOPPED)
        for task in state.tasks.values()
        if not task.is_refused
    )


def _failure(status: int, code: str, message: str) -> Outcome:
    body = {"code": code, "message": message, "HTTPErrorCode": status}
    return Outcome(status=status, body=go_json.encode(body))
