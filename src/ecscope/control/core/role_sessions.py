"""The credentials that a task has for its roles: what they are, and whose they are when a request is signed with them.

They are made from the id under which the agent serves them to the task's containers, so that they are the same at each
sending and are not stored. Anyone who knows that ID can get them from the agent anyway.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256

import msgspec

from ecscope.control.core.overrides import members_for
from ecscope.control.core.state import ControlState


class RoleKey(msgspec.Struct, frozen=True, kw_only=True):
    """What a task signs with."""

    access_key_id: str
    secret_access_key: str
    session_token: str

    def __repr__(self) -> str:
        return f"RoleKey({self.access_key_id})"


class RoleSession(msgspec.Struct, frozen=True, kw_only=True):
    """A task in one of its roles."""

    role_arn: str
    session_name: str
    """The task's id, as in AWS."""
    key: RoleKey


@lru_cache(maxsize=32768)
def role_key(credentials_id: str) -> RoleKey:
    """In the form of AWS's: clients and redactors know them by it."""

    def made(purpose: str) -> str:
        return sha256(f"{purpose}/{credentials_id}".encode()).hexdigest()

    return RoleKey(
        access_key_id=f"ASIA{made('key').upper()[:11]}LOCAL",
        secret_access_key=made("secret")[:40],
        session_token=f"{made('token')}{made('more')}",
    )


def role_arn(account: str, named: str) -> str:
    """Of a role as task definitions name it: by ARN, or by the name of one of this account without a path."""
    return named if named.startswith("arn:") else f"arn:aws:iam::{account}:role/{named}"


def session_of_key(state: ControlState, access_key_id: str) -> RoleSession | None:
    """``None``: no task that is still to run, or stops, has such a key."""
    for task in state.tasks.values():
        if task.is_stopped:
            continue
        for credentials_id in (task.credentials_id, task.execution_credentials_id):
            if credentials_id and role_key(credentials_id).access_key_id == access_key_id:
                members = members_for(state.task_definitions[task.definition_arn], task.overrides)
                is_of_task = credentials_id == task.credentials_id
                named = members.task_role_arn if is_of_task else members.execution_role_arn
                return RoleSession(
                    role_arn=role_arn(state.settings.account, named),
                    session_name=task.arn.rsplit("/", 1)[-1],
                    key=role_key(credentials_id),
                )
    return None
