"""Signatures are those that AWS publishes, and those that the official agent's Go signer makes for its frames."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta, timezone

import pytest

from ecscope.agent.aws.credentials import Credentials
from ecscope.agent.aws.signing import signature_headers, signed_frame, upgrade_headers

AT = datetime(2015, 8, 30, 12, 36, 0, tzinfo=UTC)
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
KEYS = Credentials(access_key_id="AKIDEXAMPLE", secret_access_key=SECRET)
TEMPORARY = Credentials(access_key_id="AKIDEXAMPLE", secret_access_key=SECRET, session_token="the-token")
EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def signature_of(canonical_request: str, *, region: str = "us-west-2", service: str = "ecs") -> str:
    """By hand, from the request's canonical form; nothing of botocore."""
    scope = f"20150830/{region}/{service}/aws4_request"
    digest = hashlib.sha256(canonical_request.encode()).hexdigest()
    key = f"AWS4{SECRET}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, f"AWS4-HMAC-SHA256\n20150830T123600Z\n{scope}\n{digest}".encode(), "sha256").hex()


@pytest.mark.parametrize(
    ("method", "query", "signature"),
    [
        ("GET", "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        (
            "GET",
            "?Param2=value2&Param1=value1",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        ("POST", "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    ],
    ids=["get-vanilla", "get-vanilla-query-order-key-case", "post-vanilla"],
)
def test_the_published_test_suite_is_met(method: str, query: str, signature: str) -> None:
    headers = signature_headers(
        method=method,
        url=f"https://example.amazonaws.com/{query}",
        headers={},
        body=b"",
        service="service",
        region="us-east-1",
        credentials=KEYS,
        at=AT,
    )
    assert headers == {
        "X-Amz-Date": "20150830T123600Z",
        "Authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders=host;x-amz-date, Signature={signature}",
    }


def test_a_call_signs_its_headers_and_its_body_but_not_the_user_agent() -> None:
    headers = signature_headers(
        method="POST",
        url="http://127.0.0.1:18000/",
        headers={"Content-Type": "application/x-amz-json-1.1", "Content-Length": "2", "User-Agent": "agent"},
        body=b"{}",
        service="ecs",
        region="us-west-2",
        credentials=TEMPORARY,
        at=AT,
    )
    expected = signature_of(
        "POST\n/\n\ncontent-length:2\ncontent-type:application/x-amz-json-1.1\nhost:127.0.0.1:18000\n"
        "x-amz-date:20150830T123600Z\nx-amz-security-token:the-token\n\n"
        "content-length;content-type;host;x-amz-date;x-amz-security-token\n" + hashlib.sha256(b"{}").hexdigest()
    )
    assert headers["Authorization"].endswith(f"Signature={expected}")
    assert headers["X-Amz-Security-Token"] == "the-token"


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("ws://127.0.0.1:18000/ws?dockerVersion=DockerVersion:%2020.10&cluster=a%2Fb&empty=", "127.0.0.1:18000"),
        ("ws://127.0.0.1:18000/ws?dockerVersion=DockerVersion%3A+20.10&cluster=a/b&empty=", "127.0.0.1:18000"),
        ("wss://ecs-a-1.us-west-2.amazonaws.com:443/ws?dockerVersion=DockerVersion%3A%2020.10&cluster=a/b&empty",
         "ecs-a-1.us-west-2.amazonaws.com"),
    ],
)  # fmt: skip
def test_an_upgrade_is_signed_over_the_query_however_it_is_spelled(url: str, host: str) -> None:
    headers = upgrade_headers(url=url, region="us-west-2", credentials=KEYS, at=AT)
    expected = signature_of(
        "GET\n/ws\ncluster=a%2Fb&dockerVersion=DockerVersion%3A%2020.10&empty=\n"
        f"host:{host}\nx-amz-date:20150830T123600Z\n\nhost;x-amz-date\n{EMPTY_SHA256}"
    )
    assert headers["Authorization"].endswith(f"SignedHeaders=host;x-amz-date, Signature={expected}")


def test_a_frame_stands_behind_its_signed_headers() -> None:
    frame = '{"type":"PublishMetricsRequest","message":{"é":1}}'
    text = signed_frame(
        url="ws://127.0.0.1:18000/tcs/ws?cluster=default", frame=frame, region="us-west-2", credentials=TEMPORARY, at=AT
    )
    head, _, body = text.partition("\r\n\r\n")
    assert body == frame
    assert [line.partition(": ")[0] for line in head.split("\r\n")] == [
        "Authorization",
        "Host",
        "X-Amz-Date",
        "X-Amz-Security-Token",
    ]
    length = len(frame.encode())
    expected = signature_of(
        f"GET\n/tcs/ws\ncluster=default\ncontent-length:{length}\nhost:127.0.0.1:18000\nx-amz-date:20150830T123600Z\n"
        "x-amz-security-token:the-token\n\ncontent-length;host;x-amz-date;x-amz-security-token\n"
        + hashlib.sha256(frame.encode()).hexdigest()
    )
    assert f"Signature={expected}\r\nHost: 127.0.0.1:18000\r\nX-Amz-Date: 20150830T123600Z\r\n" in text


def test_without_a_token_none_is_named() -> None:
    text = signed_frame(url="wss://tcs/ws", frame="{}", region="us-west-2", credentials=KEYS, at=AT)
    assert text.endswith("\r\nHost: tcs\r\nX-Amz-Date: 20150830T123600Z\r\n\r\n{}")


def test_any_time_zone_is_the_same_moment() -> None:
    there = AT.astimezone(timezone(timedelta(hours=9)))
    here, abroad = (
        upgrade_headers(url="wss://acs/ws", region="us-west-2", credentials=KEYS, at=at) for at in (AT, there)
    )
    assert here == abroad
