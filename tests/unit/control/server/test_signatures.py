"""A signature is taken or refused as AWS does, in its words; botocore's signer is the judge."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from ecscope.control.core.errors import ApiError
from ecscope.control.server.signatures import AccessKey, Signed, canonical_path, canonical_query, named_service, verify
from tests.control_signing import ROLE_KEY, USER_KEY, signed_headers
from tests.tables import each_row

BODY = b'{"cluster": "default"}'
KEYS = {key.access_key_id: key for key in (USER_KEY, ROLE_KEY)}
SOCKET = "http://127.0.0.1:51677/acs/ws?agentVersion=1.0&dockerVersion=DockerVersion%3A%2028.0&sendCredentials=true&z="
Headers = list[tuple[str, str]]


def check(headers: Headers, *, body: bytes = BODY, method: str = "POST", path: str = "/", query: str = "",
          now: datetime | None = None) -> Signed:  # fmt: skip
    return verify(
        KEYS.get,
        method=method,
        path=path,
        query=query,
        headers=headers,
        body=body,
        now=now or datetime.now(UTC),
    )


def refused(headers: Headers, **request: object) -> ApiError:
    with pytest.raises(ApiError) as caught:
        check(headers, **request)  # type: ignore[arg-type]  # the tests' own keywords
    return caught.value


def changed(headers: Headers, name: str, change: Callable[[str], str | None]) -> Headers:
    """With one header changed, or without it."""
    made = [(each, change(value) if each.lower() == name.lower() else value) for each, value in headers]
    return [(each, value) for each, value in made if value is not None]


def a_call(key: AccessKey = USER_KEY, **request: object) -> Headers:
    return signed_headers(key, body=BODY, action="ListTasks", **request)  # type: ignore[arg-type]


@pytest.mark.parametrize("key", [USER_KEY, ROLE_KEY])
def test_a_good_signature_tells_the_key_and_the_region(key: AccessKey) -> None:
    signed = check(a_call(key, region="eu-west-3"))
    assert (signed.access_key_id, signed.region) == (key.access_key_id, "eu-west-3")


@pytest.mark.parametrize("key", [USER_KEY, ROLE_KEY])
def test_an_upgrade_is_signed_with_its_query(key: AccessKey) -> None:
    path, _, query = SOCKET.removeprefix("http://127.0.0.1:51677").partition("?")
    headers = signed_headers(key, method="GET", url=SOCKET)
    assert check(headers, body=b"", method="GET", path=path, query=query).access_key_id == key.access_key_id
    assert refused(headers, body=b"", method="GET", path=path, query=query.replace("true", "false"))
    assert refused(headers, body=b"", method="GET", path="/tcs/ws", query=query)


def test_a_content_length_that_is_signed_and_not_sent_counts_as_the_bodys() -> None:
    headers = a_call(more={"Content-Length": str(len(BODY))})
    assert check([each for each in headers if each[0] != "Content-Length"])


def test_headers_are_taken_in_their_canonical_form() -> None:
    headers = a_call(more={"X-Amz-Odd": "  a   b "})
    assert check(changed(headers, "x-amz-odd", lambda value: "a b"))


def test_without_a_signature_there_is_no_token() -> None:
    for headers in ([], [("Authorization", " ")], [("Host", "a")]):
        error = refused(headers)
        assert (error.code, error.message) == ("MissingAuthenticationTokenException", "Missing Authentication Token")


@pytest.mark.parametrize(
    ("authorization", "said"),
    [
        ("Basic YTpi", "Unsupported AWS 'algorithm': 'Basic'."),
        (
            "AWS4-HMAC-SHA256 Credential=a/b/c/ecs/aws4_request",
            "Authorization header requires 'Signature' parameter. "
            "Authorization header requires 'SignedHeaders' parameter.",
        ),
        (
            "AWS4-HMAC-SHA256",
            "Authorization header requires 'Credential' parameter. "
            "Authorization header requires 'Signature' parameter. "
            "Authorization header requires 'SignedHeaders' parameter.",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=AKID, SignedHeaders=host, Signature=00",
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got 1.",
        ),
    ],
)
def test_an_incomplete_header_is_told_what_it_lacks(authorization: str, said: str) -> None:
    error = refused(changed(a_call(), "authorization", lambda value: authorization))
    assert (error.code, error.message) == ("IncompleteSignatureException", said)


def test_a_signature_without_a_readable_date_is_incomplete() -> None:
    error = refused(changed(a_call(), "x-amz-date", lambda value: None))
    assert error.code == "IncompleteSignatureException"
    assert "requires existence of either a 'X-Amz-Date' or a 'Date' header." in error.message
    for wrong in ("yesterday", "20240230T000000Z", "2024-05-17T00:00:00Z"):
        error = refused(changed(a_call(), "x-amz-date", lambda value, wrong=wrong: wrong))  # type: ignore[misc]
        assert error.code == "IncompleteSignatureException"


@pytest.mark.parametrize("date", ["Fri, 99 Nov", "\ud800"])
def test_a_date_header_that_is_none_is_no_bug(date: str) -> None:
    headers = [*changed(a_call(), "x-amz-date", lambda value: None), ("Date", date)]
    assert refused(headers).code == "IncompleteSignatureException"


def test_unknown_keys_and_tokens_are_not_told_apart() -> None:
    said = "The security token included in the request is invalid."
    unknown = msgspec.structs.replace(USER_KEY, access_key_id="AKIDOTHER")
    tokenless = msgspec.structs.replace(ROLE_KEY, session_token="")
    surplus = msgspec.structs.replace(USER_KEY, session_token="token")
    for key in (unknown, tokenless, surplus):
        error = refused(a_call(key))
        assert error.code == "UnrecognizedClientException"
        assert error.message.startswith(said)
        assert "keys.json" in error.message


def test_a_key_ends() -> None:
    now = datetime.now(UTC)
    key = msgspec.structs.replace(USER_KEY, expires_at=now + timedelta(seconds=60))
    headers = signed_headers(key, body=BODY)

    def at(moment: datetime) -> Signed:
        return verify(
            lambda _: key, method="POST", path="/", query="", headers=headers, body=BODY, now=moment
        )  # fmt: skip

    assert at(now)
    with pytest.raises(ApiError, match="The security token included in the request is expired") as caught:
        at(now + timedelta(seconds=60))
    assert caught.value.code == "ExpiredTokenException"


@each_row(
    "name, change",
    [
        ("content-type", lambda value: "application/json"),
        ("x-amz-target", lambda value: value.replace("ListTasks", "StopTask")),
        ("host", lambda value: "ecs.example"),
        ("authorization", lambda value: value[:-1] + ("0" if value[-1] != "0" else "1")),
        ("authorization", lambda value: value[:-1] + "é"),
        ("authorization", lambda value: value.replace("SignedHeaders=", "SignedHeaders=x-none;")),
        ("authorization", lambda value: value.replace("/us-east-1/", "/us-east-2/")),
        ("x-amz-target", lambda value: "\udcff"),
    ],
)
def test_what_was_changed_on_the_way_does_not_match(name: str, change: Callable[[str], str]) -> None:
    error = refused(changed(a_call(), name, change))
    assert error.code == "InvalidSignatureException"
    assert error.message.startswith("The request signature we calculated does not match the signature you provided.")


def test_a_wrong_secret_and_an_altered_body_do_not_match() -> None:
    wrong = msgspec.structs.replace(USER_KEY, secret_access_key="other")
    for error in (refused(a_call(wrong)), refused(a_call(), body=BODY + b" "), refused(a_call(), method="GET")):
        assert error.code == "InvalidSignatureException"
        assert error.message.endswith("Consult the service documentation for details.")


def test_an_unsigned_body_is_none() -> None:
    # botocore itself would sign the words in place of the digest when the header is there.
    assert refused(a_call(more={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})).code == "InvalidSignatureException"


def test_what_decides_the_meaning_must_be_signed() -> None:
    error = refused([*a_call(), ("X-Amz-Sneaked", "in")])
    assert error.code == "InvalidSignatureException"
    assert error.message == "'X-Amz-Sneaked' must be a 'SignedHeader' in the AWS Authorization."
    error = refused(changed(a_call(), "authorization", lambda value: value.replace("host;", "")))
    assert error.message == "'Host' must be a 'SignedHeader' in the AWS Authorization."


def test_headers_beside_the_signed_ones_may_be_there() -> None:
    assert check([*a_call(), ("User-Agent", "any"), ("X-Amzn-Trace-Id", "any"), ("Accept", "*/*")])


def test_clocks_may_be_five_minutes_apart() -> None:
    headers = a_call()
    stamp = dict(headers)["X-Amz-Date"]
    signed_at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    for apart in (timedelta(minutes=5), timedelta(minutes=-5)):
        assert check(headers, now=signed_at + apart)
    late = signed_at + timedelta(minutes=5, seconds=1)
    error = refused(headers, now=late)
    limit = (signed_at + timedelta(seconds=1)).strftime("%Y%m%dT%H%M%SZ")
    assert error.code == "InvalidSignatureException"
    assert error.message == (
        f"Signature expired: {stamp} is now earlier than {limit} ({late.strftime('%Y%m%dT%H%M%SZ')} - 5 min.)"
    )
    early = signed_at - timedelta(minutes=5, seconds=1)
    error = refused(headers, now=early)
    assert error.message.startswith(f"Signature not yet current: {stamp} is still later than ")
    assert refused(headers, now=signed_at + timedelta(days=4000)).message.startswith("Signature expired: ")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("/ecs/", "/ecr/"), "Credential should be scoped to correct service: 'ecs'. "),
        (("/us-east-1/", "//"), "Credential should be scoped to a valid region. "),
        (
            ("/aws4_request", "/other"),
            "Credential should be scoped with a valid terminator: 'aws4_request', not 'other'. ",
        ),
    ],
)
def test_the_scope_must_be_of_this_service(change: tuple[str, str], said: str) -> None:
    error = refused(changed(a_call(), "authorization", lambda value: value.replace(*change)))
    assert (error.code, error.message) == ("InvalidSignatureException", said)


def test_the_scopes_day_is_that_of_the_date() -> None:
    headers = a_call()
    day = dict(headers)["X-Amz-Date"][:8]
    error = refused(changed(headers, "authorization", lambda value: value.replace(day, "20010101")))
    assert error.message.startswith("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date")


@each_row(
    "path, canonical",
    [("/", "/"), ("", "/"), ("/acs/ws", "/acs/ws"), ("/a//b/./c/../d/", "/a/b/d/"), ("/a%20b", "/a%2520b"),
     ("/../..", "/"), ("/\udcff", "/%FF")],
)  # fmt: skip
def test_paths_have_one_form(path: str, canonical: str) -> None:
    assert canonical_path(path) == canonical


@each_row(
    "query, canonical",
    [("", ""), ("b=2&a=1", "a=1&b=2"), ("a=2&a=1", "a=1&a=2"), ("a", "a="), ("a=x+y", "a=x%20y"), ("a=%2f", "a=%2F"),
     ("a-b=1&a=2", "a=2&a-b=1"), ("a=%ff&&", "a=%FF"), ("a=b=c", "a=b%3Dc")],
)  # fmt: skip
def test_queries_have_one_form(query: str, canonical: str) -> None:
    assert canonical_query(query) == canonical


def test_a_key_shows_no_secret() -> None:
    assert repr(ROLE_KEY) == "AccessKey(ASIAEXAMPLE)"


@pytest.mark.parametrize(
    ("authorization", "service"),
    [
        (
            "AWS4-HMAC-SHA256 Credential=AKID/20261201/us-east-1/logs/aws4_request, SignedHeaders=host, Signature=0",
            "logs",
        ),
        ("AWS4-HMAC-SHA256 SignedHeaders=host,Credential=AKID/20261201//s3/aws4_request,Signature=0", "s3"),
        ("AWS4-HMAC-SHA256 Credential=AKID/20261201/us-east-1", ""),
        ("Bearer logs", ""),
        ("", ""),
    ],
)
def test_the_service_that_a_request_names_is_read_before_it_is_verified(authorization: str, service: str) -> None:
    assert named_service(authorization) == service
