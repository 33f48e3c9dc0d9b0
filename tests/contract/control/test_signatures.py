"""The verifier of the product and the one of the tests' back end, which share no code, come to one answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecscope.agent.aws import signing
from ecscope.agent.aws.credentials import Credentials
from ecscope.control.core.errors import ApiError
from ecscope.control.server import signatures as ours
from ecscope.control.server.signatures import AccessKey
from fake_ecs import signatures as theirs
from fake_ecs.aws_error import AwsError
from fake_ecs.principals import Principal
from tests.control_signing import ROLE_KEY, USER_KEY, signed_headers
from tests.examples import examples

KEYS = {key.access_key_id: key for key in (USER_KEY, ROLE_KEY)}
PRINCIPALS = {
    key.access_key_id: Principal(
        access_key_id=key.access_key_id, secret_access_key=key.secret_access_key, session_token=key.session_token
    )
    for key in KEYS.values()
}
Headers = list[tuple[str, str]]

TEXT = st.text(st.characters(blacklist_categories=["Cs"]), max_size=12)
QUERIES = st.lists(st.tuples(st.sampled_from(["cluster", "containerInstance", "z", "agentVersion"]), TEXT), max_size=4)
EVERY_KEY = (USER_KEY, ROLE_KEY, msgspec.structs.replace(USER_KEY, secret_access_key="wrong"),
             msgspec.structs.replace(ROLE_KEY, session_token="other"), AccessKey(access_key_id="AKIDNONE",
             secret_access_key="x"))  # fmt: skip
CHANGES = {
    "nothing": lambda headers: headers,
    "no signature": lambda headers: [each for each in headers if each[0] != "Authorization"],
    "no date": lambda headers: [each for each in headers if each[0] != "X-Amz-Date"],
    "another target": lambda headers: [*headers[:-1], ("X-Amz-Target", "Other")],
    "an unsigned header": lambda headers: [*headers, ("X-Amz-More", "1")],
    "a free header": lambda headers: [*headers, ("User-Agent", "any  at all")],
    "another signature": lambda headers: _authorized(headers, lambda text: text[:-1] + "0"),
    "another day": lambda headers: _authorized(headers, lambda text: text.replace("/20", "/19")),
    "another service": lambda headers: _authorized(headers, lambda text: text.replace("/ecs/", "/ecr/")),
    "half of it": lambda headers: _authorized(headers, lambda text: text.partition("Signature")[0]),
}


def _authorized(headers: Headers, change: object) -> Headers:
    assert callable(change)
    return [(name, change(value) if name == "Authorization" else value) for name, value in headers]


def by_ours(method: str, url: str, headers: Headers, body: bytes, now: datetime) -> tuple[str, str]:
    parts = urlsplit(url)
    try:
        signed = ours.verify(
            KEYS.get, method=method, path=parts.path, query=parts.query, headers=headers, body=body, now=now
        )
    except ApiError as error:
        return error.code, error.message.partition(" (This is ecscope")[0]  # whose keys count is ours to add
    return "", signed.access_key_id


def by_theirs(method: str, url: str, headers: Headers, body: bytes, now: datetime) -> tuple[str, str]:
    try:
        principal = theirs.verify(
            PRINCIPALS,
            method=method,
            url=url,
            headers=headers,
            body=body,
            service="ecs",
            region="us-east-1",
            now=now,
        )
    except AwsError as error:
        return error.code, error.message
    return "", principal.access_key_id


@settings(deadline=None, max_examples=examples(300))
@given(
    key=st.sampled_from(EVERY_KEY),
    method=st.sampled_from(["GET", "POST"]),
    query=QUERIES,
    body=st.binary(max_size=30),
    alter_body=st.booleans(),
    change=st.sampled_from(sorted(CHANGES)),
    skew_s=st.sampled_from([0, 0, 0, 299, -299, 302, -302, 10**6, -(10**6)]),
    more=st.dictionaries(
        st.sampled_from(["X-Amz-Odd", "Content-Type", "X-Trace"]), st.sampled_from(["a", " b  c ", ""])
    ),
)
def test_both_verifiers_agree(
    key: AccessKey,
    method: str,
    query: list[tuple[str, str]],
    body: bytes,
    alter_body: bool,
    change: str,
    skew_s: int,
    more: dict[str, str],
) -> None:
    asked = "&".join(f"{name}={quote(value, safe='')}" for name, value in query)
    url = f"http://127.0.0.1:51677/acs/ws?{asked}" if method == "GET" else "http://127.0.0.1:51677/"
    headers = CHANGES[change](signed_headers(key, method=method, url=url, body=body, more=more))  # type: ignore[no-untyped-call]
    now = datetime.now(UTC) + timedelta(seconds=skew_s)
    sent = body + b"." if alter_body else body
    one, other = by_ours(method, url, headers, sent, now), by_theirs(method, url, headers, sent, now)
    if one[0] == "IncompleteSignatureException":
        assert other[0]  # what is incomplete, ours tells first and in detail
    else:
        assert one == other
    if change in {"nothing", "a free header"} and key in KEYS.values() and not alter_body and abs(skew_s) < 300:
        assert one == ("", key.access_key_id)


@pytest.mark.parametrize("key", [USER_KEY, ROLE_KEY])
def test_a_wrong_region_is_for_the_tests_back_end_only(key: AccessKey) -> None:
    """The product takes every region: one machine is one region, whatever a client thinks."""
    headers = signed_headers(key, url="http://a/", body=b"{}", region="mars-1")
    now = datetime.now(UTC)
    assert by_ours("POST", "http://a/", headers, b"{}", now) == ("", key.access_key_id)
    assert by_theirs("POST", "http://a/", headers, b"{}", now)[0] == "InvalidSignatureException"


AGENT = Credentials(access_key_id=ROLE_KEY.access_key_id, secret_access_key=ROLE_KEY.secret_access_key,
                    session_token=ROLE_KEY.session_token)  # fmt: skip
SOCKET = "http://127.0.0.1:51677/tcs/ws?cluster=default&dockerVersion=DockerVersion: 28.0&agentVersion=1+2&z="


def test_our_agents_upgrades_are_taken() -> None:
    now = datetime.now(UTC)
    headers = signing.upgrade_headers(url=SOCKET, region="us-east-1", credentials=AGENT, at=now)
    sent = [*headers.items(), ("Host", "127.0.0.1:51677"), ("Upgrade", "websocket")]
    assert by_ours("GET", SOCKET, sent, b"", now) == ("", ROLE_KEY.access_key_id)


@pytest.mark.parametrize("frame", ['{"type":"PublishHealthRequest","message":{}}', '{"é":1}'])
def test_our_agents_telemetry_frames_are_taken(frame: str) -> None:
    now = datetime.now(UTC)
    signed = signing.signed_frame(url=SOCKET, frame=frame, region="us-east-1", credentials=AGENT, at=now)
    headers, envelope = theirs.signed_frame(signed)
    assert by_ours("GET", SOCKET, headers, envelope.encode(), now) == ("", ROLE_KEY.access_key_id)
    assert by_ours("GET", SOCKET, headers, envelope.encode() + b" ", now)[0] == "InvalidSignatureException"
