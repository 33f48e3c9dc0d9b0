"""Who signs with a task's credentials is found by them, for as long as the task is there to use them."""

from __future__ import annotations

import msgspec
import pytest

from ecscope.control.core.role_sessions import role_key, session_of_key
from ecscope.control.core.state import ControlState
from tests.control_builders import a_cluster, a_control_task, a_state, a_task_definition

TASK = a_control_task(credentials_id="id-1", execution_credentials_id="id-2")


def a_state_with(**fields: object) -> ControlState:
    body = {**a_task_definition().body, "taskRoleArn": "arn:role/a", "executionRoleArn": "arn:role/b"}
    return a_state(a_cluster(), a_task_definition(body=body), msgspec.structs.replace(TASK, **fields))


@pytest.mark.parametrize(("credentials_id", "role_arn"), [("id-1", "arn:role/a"), ("id-2", "arn:role/b")])
def test_each_key_of_a_task_is_of_its_role(credentials_id: str, role_arn: str) -> None:
    session = session_of_key(a_state_with(), role_key(credentials_id).access_key_id)
    assert session is not None
    assert session.role_arn == role_arn
    assert session.session_name == TASK.arn.rsplit("/", 1)[-1]
    assert session.key == role_key(credentials_id)


def test_a_role_of_the_request_wins() -> None:
    state = a_state_with(overrides={"taskRoleArn": "arn:role/c"})
    session = session_of_key(state, role_key("id-1").access_key_id)
    assert session is not None
    assert session.role_arn == "arn:role/c"


def test_unknown_keys_and_those_of_stopped_tasks_are_nobodys() -> None:
    assert session_of_key(a_state_with(), "ASIAOTHER") is None
    assert session_of_key(a_state_with(), role_key("").access_key_id) is None
    assert session_of_key(a_state_with(last_status="STOPPED"), role_key("id-1").access_key_id) is None


def test_keys_differ_look_like_those_of_aws_and_show_no_secret() -> None:
    key, other = role_key("id-1"), role_key("id-2")
    assert key.access_key_id.startswith("ASIA")
    assert len(key.access_key_id) == 20
    values = [*msgspec.structs.astuple(key), *msgspec.structs.astuple(other)]
    assert len(set(values)) == 6
    assert key.secret_access_key not in repr(key)
