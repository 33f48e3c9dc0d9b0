"""Every refusal of AWS is named for what it means, and nothing that AWS quotes of our secrets is kept."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from multidict import CIMultiDict

from ecscope.model.api_failure import ApiFailure
from ecscope.model.container_instance import ObstacleKind
from ecscope.wire.aws_errors import failure_of
from tests.tables import each_row

NOW = datetime(2026, 11, 23, 15, 0, 0, tzinfo=UTC)
PRINCIPAL = "arn:aws:sts::012345678910:assumed-role/ecsInstanceRole/i-0123456789abcdef0"


def told(
    body: bytes | dict[str, object], *, status: int = 400, headers: dict[str, str] | None = None
) -> ApiFailure | None:
    return failure_of(
        "RegisterContainerInstance",
        status=status,
        headers=CIMultiDict(headers or {}),
        body=body if isinstance(body, bytes) else json.dumps(body).encode(),
        endpoint="https://ecs.us-west-2.amazonaws.com",
        received_at=NOW,
    )


def failure(body: bytes | dict[str, object], *, status: int = 400, headers: dict[str, str] | None = None) -> ApiFailure:
    found = told(body, status=status, headers=headers)
    assert found is not None
    return found


def test_an_object_with_status_200_is_no_failure() -> None:
    assert told({}, status=200) is None


@each_row(
    "code, status, kind",
    [
        ("AccessDeniedException", 400, ObstacleKind.ACCESS_DENIED),
        ("AccessDenied", 403, ObstacleKind.ACCESS_DENIED),
        ("RequestTimeTooSkewed", 403, ObstacleKind.CLOCK_SKEW),
        ("RequestExpired", 400, ObstacleKind.CLOCK_SKEW),
        ("UnrecognizedClientException", 400, ObstacleKind.INVALID_CREDENTIALS),
        ("InvalidClientTokenId", 403, ObstacleKind.INVALID_CREDENTIALS),
        ("SignatureDoesNotMatch", 403, ObstacleKind.INVALID_CREDENTIALS),
        ("InvalidSignatureException", 400, ObstacleKind.INVALID_CREDENTIALS),
        ("ExpiredTokenException", 400, ObstacleKind.INVALID_CREDENTIALS),
        ("IncompleteSignature", 400, ObstacleKind.INVALID_CREDENTIALS),
        ("MissingAuthenticationToken", 403, ObstacleKind.INVALID_CREDENTIALS),
        ("ThrottlingException", 400, ObstacleKind.THROTTLED),
        ("LimitExceededException", 400, ObstacleKind.THROTTLED),
        ("Whatever", 429, ObstacleKind.THROTTLED),
        ("ServerException", 400, ObstacleKind.SERVER_ERROR),
        ("Whatever", 500, ObstacleKind.SERVER_ERROR),
        ("RequestTimeout", 408, ObstacleKind.SERVER_ERROR),
        ("ClusterNotFoundException", 400, ObstacleKind.CLUSTER_NOT_FOUND),
        ("InvalidParameterException", 400, ObstacleKind.REGISTRATION_REFUSED),
        ("ClientException", 400, ObstacleKind.REGISTRATION_REFUSED),
        ("UnknownOperationException", 404, ObstacleKind.REGISTRATION_REFUSED),
    ],
)
def test_each_code_has_its_meaning(code: str, status: int, kind: ObstacleKind) -> None:
    found = failure({"__type": code, "message": "words"}, status=status)
    assert (found.kind, found.code, found.message, found.status) == (kind, code, "words", status)
    assert found.endpoint == "https://ecs.us-west-2.amazonaws.com"
    assert found.operation == "RegisterContainerInstance"


def test_the_recorded_refusal_means_that_there_is_no_cluster() -> None:
    found = failure({"__type": "ClientException", "message": "Cluster not found."})
    assert (found.kind, found.code) == (ObstacleKind.CLUSTER_NOT_FOUND, "ClientException")


@each_row(
    "body, headers",
    [
        ({"__type": "com.amazonaws.ecs#ClientException", "message": "m"}, {}),
        ({"__type": "ClientException", "Message": "m"}, {}),
        ({"code": "ClientException", "errorMessage": "m"}, {}),
        ({"Code": "ClientException", "message": "m"}, {}),
        ({"message": "m"}, {"X-Amzn-ErrorType": "ClientException:http://internal.amazon.com/"}),
        ({"__type": "Other", "message": "m"}, {"x-amzn-errortype": "ns#ClientException"}),
    ],
)
def test_code_and_message_are_found_where_aws_puts_them(body: dict[str, object], headers: dict[str, str]) -> None:
    found = failure(body, headers=headers)
    assert (found.code, found.message) == ("ClientException", "m")


def test_a_denial_names_the_principal_and_the_action() -> None:
    sentence = (
        f"User: {PRINCIPAL} is not authorized to perform: ecs:RegisterContainerInstance on resource: "
        "arn:aws:ecs:us-west-2:012345678910:cluster/default because no identity-based policy allows the "
        "ecs:RegisterContainerInstance action"
    )
    found = failure({"__type": "AccessDeniedException", "Message": sentence})
    assert found.role_arn == PRINCIPAL
    assert found.action == "ecs:RegisterContainerInstance"
    assert found.message == sentence


def test_a_denial_in_other_words_is_a_denial_all_the_same() -> None:
    found = failure({"__type": "AccessDeniedException", "Message": "no"})
    assert (found.kind, found.role_arn, found.action) == (ObstacleKind.ACCESS_DENIED, "", "")


@pytest.mark.parametrize(
    "message",
    [
        "Signature expired: 20261123T140000Z is now earlier than 20261123T145500Z (20261123T150000Z - 5 min.)",
        "Signature not yet current: 20261123T160000Z is still later than 20261123T150500Z (20261123T150000Z + 5 min.)",
    ],
)
def test_a_signature_of_another_time_means_that_the_clock_is_off(message: str) -> None:
    found = failure(
        {"__type": "InvalidSignatureException", "message": message}, headers={"Date": "Mon, 23 Nov 2026 14:00:00 GMT"}
    )
    assert found.kind is ObstacleKind.CLOCK_SKEW
    assert found.skew_s == 3600


@pytest.mark.parametrize(
    ("date", "skew_s"),
    [
        ("Mon, 23 Nov 2026 15:00:30 GMT", -30.0),
        ("Mon, 23 Nov 2026 14:59:59 -0000", 1.0),
        ("tomorrow", None),
        ("", None),
    ],
)
def test_how_far_the_clock_is_off_is_read_from_the_answer(date: str, skew_s: float | None) -> None:
    assert failure({"__type": "RequestTimeTooSkewed"}, headers={"Date": date}).skew_s == skew_s


def test_other_refusals_say_nothing_of_the_clock() -> None:
    headers = {"Date": "Mon, 23 Nov 2026 14:00:00 GMT"}
    assert failure({"__type": "ClientException"}, headers=headers).skew_s is None


@pytest.mark.parametrize(
    "message",
    [
        "The request signature we calculated does not match the signature you provided.\n\n"
        "The Canonical String for this request should have been\n'POST\n/\n\nx-amz-security-token:SECRET\n",
        "The request signature we calculated does not match. The String-to-Sign should have been 'SECRET'",
        "Authorization header requires 'Signature' parameter. Found in Authorization header: SECRET",
    ],
)
def test_what_aws_quotes_of_the_request_is_cut_off(message: str) -> None:
    found = failure({"__type": "InvalidSignatureException", "message": message})
    assert found.kind is ObstacleKind.INVALID_CREDENTIALS
    assert found.message
    assert "SECRET" not in found.message


@each_row(
    "status, body, headers, message",
    [
        (200, b"<html>\n hello </html>", {}, "HTTP 200, and not as AWS answers: <html> hello </html>"),
        (200, b"[1]", {}, "HTTP 200, and not as AWS answers: [1]"),
        (200, b'{"a":"\xff"}', {}, 'HTTP 200, and not as AWS answers: {"a":"\ufffd"}'),
        (403, b"", {}, "HTTP 403, and not as AWS answers, with an empty body"),
        (404, b'{"message":"Not Found"}', {}, "HTTP 404, and not as AWS answers: Not Found"),
        (
            302,
            b"",
            {"location": "https://login.example"},
            "HTTP 302 (to https://login.example), and not as AWS answers, with an empty body",
        ),
        (502, b"\xff" * 10, {}, "HTTP 502, and not as AWS answers: " + "\ufffd" * 10),
    ],
)
def test_what_is_no_answer_of_aws_is_a_fault_of_the_endpoint(
    status: int, body: bytes, headers: dict[str, str], message: str
) -> None:
    found = failure(body, status=status, headers=headers)
    assert (found.kind, found.code, found.message) == (ObstacleKind.SERVER_ERROR, "", message)


def test_an_answer_that_is_nested_without_end_is_none_of_aws() -> None:
    found = failure(b"[" * 100_000 + b"]" * 100_000, status=200)
    assert found.kind is ObstacleKind.SERVER_ERROR
    assert found.message.startswith("HTTP 200, and not as AWS answers: [[[")


def test_texts_without_end_are_cut() -> None:
    assert len(failure(b"x" * 100_000, status=500).message) < 300
    assert len(failure({"__type": "ClientException", "message": "x" * 100_000}).message) == 1024


def test_a_refusal_without_a_word_says_its_status() -> None:
    assert failure({"__type": "ClientException", "message": 7}).message == "HTTP 400 without a message"
