"""Protection of a task from scale-in, which its containers may ask for and set: what they send, what they get. Pure.

Source: task-metadata-api.md §14.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from ecscope.agent.servers import go_json
from ecscope.agent.servers.go_time import timestamp
from ecscope.model.api_failure import ApiFailure

TIME_LIMIT_S = 4.0
"""For the call of the ECS API."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a container asks for."""

    protection_enabled: bool | None = None
    """``None``: it does not say, which is refused."""
    expires_in_minutes: int | None = None
    """``None``: ECS's default."""


class Undecodable(ValueError):
    """The body is not a valid request."""


def wish_of(body: bytes) -> Wish:
    """Raises ``Undecodable``. As Go reads it: names in any case, what follows the first value is ignored."""
    members = _first_object(body)
    fields = {"protectionenabled": "protection_enabled", "expiresinminutes": "expires_in_minutes"}
    try:
        return msgspec.convert({fields[name.casefold()]: value for name, value in members.items()}, Wish)
    except (KeyError, msgspec.ValidationError):
        raise Undecodable from None


def _first_object(body: bytes) -> dict[str, Any]:
    import json  # noqa: PLC0415  # its decoder stops where the first value ends

    try:
        text = body.decode().lstrip(" \t\r\n")
        found, _ = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        raise Undecodable from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise Undecodable
    return found


def error_body(code: str, message: str, *, task_arn: str = "", request_id: str = "") -> bytes:
    """``task_arn`` ``""``: the task is not known yet."""
    error = {"Arn": task_arn} if task_arn else {}
    shown: dict[str, Any] = {"requestID": request_id} if request_id else {}
    return go_json.encode(shown | {"error": error | {"Code": code, "Message": message}})


def refused(failure: ApiFailure, *, task_arn: str) -> tuple[int, bytes]:
    """The status and body for a call that ECS refused, or that did not reach it."""
    if not failure.status:
        return 500, error_body("ServerException", failure.message, task_arn=task_arn)
    body = error_body(
        failure.code or "ServerException", failure.message, task_arn=task_arn, request_id=failure.request_id
    )
    return failure.status, body


def answered(answer: Mapping[str, Any], *, task_arn: str) -> tuple[int, bytes]:
    """The status and body for what ECS answered about one task."""
    failures, protected = answer.get("failures") or [], answer.get("protectedTasks") or []
    if len(failures) == 1:
        failure = failures[0]
        shown = {"Arn": failure.get("arn"), "Detail": failure.get("detail"), "Reason": failure.get("reason")}
        return 200, go_json.encode({"failure": shown})
    if failures or len(protected) != 1:
        return 500, error_body("ServerException", "Unexpected error occurred", task_arn=task_arn)
    task = protected[0]
    shown = {
        "ExpirationDate": _time(task.get("expirationDate")),
        "ProtectionEnabled": bool(task.get("protectionEnabled")),
        "TaskArn": task.get("taskArn", ""),
    }
    return 200, go_json.encode({"protection": shown})


def _time(epoch_s: float | None) -> str | None:
    """To the millisecond, cut off."""
    if epoch_s is None:
        return None
    milliseconds = int(epoch_s * 1000)
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC).replace(microsecond=milliseconds % 1000 * 1000)
    return timestamp(moment.isoformat())
