"""Unit tests of the answers to requests for credentials."""

from __future__ import annotations

import json

import msgspec
import pytest

from ecscope.agent.servers.taskmetadata.credentials import outcome
from ecscope.model.credentials import RoleType
from ecscope.model.status import TaskStatus
from tests.unit.agent.servers.taskmetadata.scenes import CREDENTIALS, RECORDED_ID, STATE, TASK, a_state


def test_who_knows_the_id_gets_all_that_came_and_its_owner_is_told() -> None:
    found = outcome(STATE, RECORDED_ID, version=2, address="172.17.0.2")
    assert (found.status, found.task_arn, found.role_type) == (200, TASK.arn, RoleType.TASK_APPLICATION)
    assert list(json.loads(found.body)) == ["RoleArn", "AccessKeyId", "SecretAccessKey", "Token", "Expiration"]
    assert "secret" not in repr(found)


def test_members_that_did_not_come_are_there_all_the_same() -> None:
    bare = msgspec.structs.replace(CREDENTIALS, role_arn="", session_token="")
    assert json.loads(outcome(a_state(bare), RECORDED_ID, version=1, address="172.17.0.2").body) == {
        "RoleArn": "",
        "AccessKeyId": "AKIDTASKROLE",
        "SecretAccessKey": "task-role-secret",
        "Token": "",
        "Expiration": "2030-01-01T00:00:00Z",
    }


@pytest.mark.parametrize(
    ("credentials_id", "status", "code", "message"),
    [
        ("", 400, "NoIdInRequest", "CredentialsV1Request: No Credential ID in the request"),
        ("execution", 503, "CredentialsUninitialized", "CredentialsV1Request: Credentials uninitialized for ID"),
        ("other", 400, "InvalidIdInRequest", "CredentialsV1Request: Credentials not found"),
    ],
)
def test_what_cannot_be_given(credentials_id: str, status: int, code: str, message: str) -> None:
    found = outcome(STATE, credentials_id, version=1, address="172.17.0.2")
    assert (found.status, found.task_arn, found.role_type) == (status, "", None)
    assert list(json.loads(found.body).items()) == [("code", code), ("message", message), ("HTTPErrorCode", status)]


def test_the_id_of_a_stopped_task_is_not_known_any_more() -> None:
    stopped = msgspec.structs.replace(TASK, known=TaskStatus.STOPPED)
    state = msgspec.structs.replace(a_state(), tasks={TASK.arn: stopped})
    assert b"InvalidIdInRequest" in outcome(state, RECORDED_ID, version=2, address="172.17.0.2").body
    assert b"CredentialsUninitialized" in outcome(state, "execution", version=2, address="172.17.0.2").body


def test_a_refused_task_waits_for_nothing() -> None:
    refused = msgspec.structs.replace(TASK, is_refused=True)
    state = msgspec.structs.replace(a_state(), tasks={TASK.arn: refused})
    assert b"InvalidIdInRequest" in outcome(state, RECORDED_ID, version=2, address="172.17.0.2").body
