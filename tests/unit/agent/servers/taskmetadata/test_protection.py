"""Unit tests of what containers send and get about their protection, beyond what is recorded."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ecscope.agent.servers.taskmetadata.protection import Undecodable, Wish, answered, refused, wish_of
from tests.builders import a_failure
from tests.tables import each_row


@each_row(
    "body, enabled, minutes",
    [
        (b'{"ProtectionEnabled":true,"ExpiresInMinutes":10}', True, 10),
        (b'{"protectionenabled":false}', False, None),
        (b' {"PROTECTIONENABLED":true} trailing', True, None),
        (b'{"ProtectionEnabled":true,"ExpiresInMinutes":null}', True, None),
        (b'{"ProtectionEnabled":null}', None, None),
        (b"null", None, None),
        (b"{}", None, None),
    ],
)
def test_wishes(body: bytes, enabled: bool | None, minutes: int | None) -> None:
    assert wish_of(body) == Wish(protection_enabled=enabled, expires_in_minutes=minutes)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"[]",
        b"true",
        b'"x"',
        b"\xff",
        b'{"ProtectionEnabled":"true"}',
        b'{"ProtectionEnabled":1}',
        b'{"ProtectionEnabled":true,"ExpiresInMinutes":"10"}',
        b'{"ProtectionEnabled":true,"ExpiresInMinutes":1.5}',
        b'{"ProtectionEnabled":true,"Other":1}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_wish(body: bytes) -> None:
    with pytest.raises(Undecodable):
        wish_of(body)


PROTECTED = {"taskArn": "arn", "protectionEnabled": True, "expirationDate": 1772366400.5}


@each_row(
    "answer, status, body",
    [
        (
            {"protectedTasks": [PROTECTED]},
            200,
            {
                "protection": {
                    "ExpirationDate": "2026-03-01T12:00:00.5Z",
                    "ProtectionEnabled": True,
                    "TaskArn": "arn",
                }
            },
        ),
        (
            {"protectedTasks": [], "failures": [{"arn": "arn", "reason": "DEPLOYMENT_BLOCKED"}]},
            200,
            {"failure": {"Arn": "arn", "Detail": None, "Reason": "DEPLOYMENT_BLOCKED"}},
        ),
        ({"protectedTasks": [PROTECTED, PROTECTED]}, 500, None),
        ({"failures": [{}, {}]}, 500, None),
        ({}, 500, None),
    ],
)
def test_what_ecs_answers(answer: dict[str, Any], status: int, body: dict[str, Any] | None) -> None:
    unexpected = {"error": {"Arn": "arn", "Code": "ServerException", "Message": "Unexpected error occurred"}}
    found = answered(answer, task_arn="arn")
    assert (found[0], json.loads(found[1])) == (status, body or unexpected)


def test_a_refusal_of_ecs_is_passed_on() -> None:
    failure = a_failure(code="AccessDeniedException", message="not authorized", status=400, request_id="9c0f")
    status, body = refused(failure, task_arn="arn")
    assert status == 400
    assert body == (
        b'{"requestID":"9c0f","error":{"Arn":"arn","Code":"AccessDeniedException","Message":"not authorized"}}'
    )
    status, body = refused(a_failure(code="", message="no connection", status=0), task_arn="arn")
    assert (status, body) == (500, b'{"error":{"Arn":"arn","Code":"ServerException","Message":"no connection"}}')
