"""What an unsuccessful answer of an AWS API means: one ``ApiFailure``. Sans-I/O.

Reads AWS's JSON protocol: the code from ``x-amzn-errortype``, ``__type`` or ``code``, the sentence from
``message``. What AWS quotes of our own request (a canonical request with a token in it) is cut off.

Source: agent-protocol.md §3.1, §3.2, §3.8; developer guide, "Common error types" of the ECS API reference.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from ecscope.model.api_failure import ApiFailure
from ecscope.model.container_instance import ObstacleKind

MESSAGE_LIMIT = 1024
"""Characters of AWS's sentence that are kept."""
UNKNOWN_BODY_LIMIT = 200
"""Characters that are shown of a body that is not an answer of AWS."""

ACCESS_DENIED = frozenset(
    {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized", "UnauthorizedAccess"}
)
CLOCK_SKEW = frozenset({"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"})
INVALID_CREDENTIALS = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "InvalidToken",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "NotSignedException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
THROTTLED = frozenset(
    {
        "LimitExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
    }
)
SERVER_ERROR = frozenset({"InternalFailure", "InternalServerError", "ServerException", "ServiceUnavailable"})

_WRONG_TIME = ("Signature expired", "Signature not yet current")
_QUOTED_REQUEST = ("The Canonical String", "The String-to-Sign", "in Authorization header")
"""From here on AWS repeats what it was sent, the session token included."""
_DENIED = re.compile(r"User:\s+(?P<principal>\S+)\s+is not authorized to perform:\s+(?P<action>[\w:*-]+)")


def failure_of(
    operation: str, *, status: int, headers: Mapping[str, str], body: bytes, endpoint: str, received_at: datetime
) -> ApiFailure | None:
    """The failure in an answer; ``None``: it is a success, with a JSON object for a body.

    Args:
        headers: looked up as they are spelled here, so let the mapping ignore case.
        received_at: by this host's clock; compared with the answer's ``Date`` where the clock is at fault.
    """
    answer = _json_object(body)
    if status == 200 and answer is not None:
        return None
    code = _code(headers, answer or {})
    message = _message(answer or {})
    kind = _kind(status, code, message)
    if not code:
        message = _not_an_answer(status, headers, body, message)
    denied = _DENIED.search(message) if kind is ObstacleKind.ACCESS_DENIED else None
    return ApiFailure(
        operation=operation,
        kind=kind,
        message=message or f"HTTP {status} without a message",
        code=code,
        status=status,
        request_id=headers.get("x-amzn-requestid", ""),
        endpoint=endpoint,
        role_arn=denied["principal"] if denied else "",
        action=denied["action"] if denied else "",
        skew_s=_skew_s(headers, received_at) if kind is ObstacleKind.CLOCK_SKEW else None,
    )


def _kind(status: int, code: str, message: str) -> ObstacleKind:
    if code == "ClusterNotFoundException" or (code and "Cluster not found." in message):
        return ObstacleKind.CLUSTER_NOT_FOUND
    if code in ACCESS_DENIED:
        return ObstacleKind.ACCESS_DENIED
    if code in CLOCK_SKEW or (code in INVALID_CREDENTIALS and message.startswith(_WRONG_TIME)):
        return ObstacleKind.CLOCK_SKEW
    if code in INVALID_CREDENTIALS:
        return ObstacleKind.INVALID_CREDENTIALS
    if code in THROTTLED or status == 429:
        return ObstacleKind.THROTTLED
    if not code or code in SERVER_ERROR or status >= 500 or status == 408:
        return ObstacleKind.SERVER_ERROR
    return ObstacleKind.REGISTRATION_REFUSED


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        found = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _code(headers: Mapping[str, str], answer: Mapping[str, Any]) -> str:
    """Without what may stand around it: ``com.amazonaws.ecs#ClientException:http://…``."""
    for found in (headers.get("x-amzn-errortype"), answer.get("__type"), answer.get("code"), answer.get("Code")):
        if isinstance(found, str) and found:
            return found.partition(":")[0].rpartition("#")[2]
    return ""


def _message(answer: Mapping[str, Any]) -> str:
    for name in ("message", "Message", "errorMessage"):
        found = answer.get(name)
        if isinstance(found, str) and found:
            for marker in _QUOTED_REQUEST:
                found = found.partition(marker)[0]
            return _cut(found.strip(), MESSAGE_LIMIT)
    return ""


def _not_an_answer(status: int, headers: Mapping[str, str], body: bytes, message: str) -> str:
    """A proxy answered, or the endpoint is not one of AWS: say so, with its answer."""
    text = message or " ".join(body[: 4 * UNKNOWN_BODY_LIMIT].decode("utf-8", "replace").split())
    where = f" (to {headers['Location']})" if 300 <= status < 400 and "Location" in headers else ""
    said = f": {_cut(text, UNKNOWN_BODY_LIMIT)}" if text else ", with an empty body"
    return f"HTTP {status}{where}, and not as AWS answers{said}"


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _skew_s(headers: Mapping[str, str], received_at: datetime) -> float | None:
    try:
        theirs = parsedate_to_datetime(headers.get("Date", ""))
    except ValueError:
        return None
    if theirs.tzinfo is None:
        theirs = theirs.replace(tzinfo=UTC)
    return (received_at - theirs).total_seconds()
