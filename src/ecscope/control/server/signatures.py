"""Verifies Signature Version 4 in the ``Authorization`` header, and refuses in AWS's words. Pure: no clock, no state.

Written from AWS's description of the signature, and on purpose without botocore's signer, so that the clients that use
that one are a judge. Signatures in the query are not taken: no client of ECS signs so.

Source: AWS General Reference, "Signature Version 4 signing process"; agent-protocol.md §5.2 for telemetry frames.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from hashlib import sha256
from urllib.parse import quote, quote_from_bytes, unquote_to_bytes

import msgspec

from ecscope.control.core.errors import ApiError

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "ecs"
"""The signing name of the service that requests are for unless the caller says otherwise."""
TOLERANCE = timedelta(minutes=5)
"""How far a client's clock may be off."""

_AS_SENT = ("utf-8", "surrogateescape")
"""How the HTTP parser decodes invalid UTF-8; this turns it back into the same bytes."""
_STAMP = "%Y%m%dT%H%M%SZ"
_STAMP_FORM = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_TERMINATOR = "aws4_request"
_SCOPED_TO = re.compile(r"Credential=[^/,\s]+/[^/,]+/[^/,]*/([^/,]+)/")
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)


class AccessKey(msgspec.Struct, frozen=True, kw_only=True):
    """What a client signs with."""

    access_key_id: str
    secret_access_key: str
    session_token: str = ""
    """``""``: a long-lived key, which is used without one."""
    expires_at: datetime | None = None
    """Aware UTC; ``None``: never."""

    def __repr__(self) -> str:
        return f"AccessKey({self.access_key_id})"


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """What a valid signature proves."""

    access_key_id: str
    region: str
    """Of the credential scope: where the client thinks it is."""


class _Scope(msgspec.Struct, frozen=True, kw_only=True):
    access_key_id: str
    day: str
    region: str
    service: str
    terminator: str
    signed_headers: tuple[str, ...]
    signature: str


def verify(
    find: Callable[[str], AccessKey | None],
    *,
    method: str,
    path: str,
    query: str,
    headers: Iterable[tuple[str, str]],
    body: bytes,
    now: datetime,
    service: str = SERVICE,
) -> Signed:
    """The signer of this request. Raises ``ApiError`` unless it is signed with a key that ``find`` knows.

    Args:
        service: signing name of the service that it must be signed for.
        path: as it was sent, still encoded.
        query: what follows ``?``, still encoded; ``""``: nothing.
        headers: as they were sent, in that order. A ``content-length`` that is not there counts as the body's: a
            telemetry frame does not write it, and yet signs it.
    """
    sent = _gathered(headers, body)
    authorization = sent.get("authorization", "").strip()
    if not authorization:
        raise ApiError("MissingAuthenticationTokenException", "Missing Authentication Token")
    scope = _scope(authorization, sent)
    key = find(scope.access_key_id)
    if key is None or not _same(sent.get("x-amz-security-token", ""), key.session_token):
        raise ApiError("UnrecognizedClientException", f"The security token included in the request is invalid. {_KEYS}")
    if key.expires_at is not None and now >= key.expires_at:
        raise ApiError("ExpiredTokenException", "The security token included in the request is expired")
    stamp = _stamp(sent, scope, now)
    _check_scope(scope, stamp, service)
    _check_signed_headers(scope, sent)
    canonical = "\n".join(
        (
            method,
            canonical_path(path),
            canonical_query(query),
            *(f"{name}:{sent[name]}" for name in scope.signed_headers),
            "",
            ";".join(scope.signed_headers),
            sha256(body).hexdigest(),
        )
    )
    to_sign = "\n".join(
        (
            ALGORITHM,
            stamp,
            "/".join((scope.day, scope.region, scope.service, scope.terminator)),
            sha256(canonical.encode(*_AS_SENT)).hexdigest(),
        )
    )
    signing_key = _signing_key(key.secret_access_key, scope.day, scope.region, scope.service)
    expected = hmac.digest(signing_key, to_sign.encode(*_AS_SENT), "sha256").hex()
    if not _same(expected, scope.signature) or not _claims_its_body(sent, body):
        raise ApiError("InvalidSignatureException", _MISMATCH)
    return Signed(access_key_id=scope.access_key_id, region=scope.region)


def named_service(authorization: str) -> str:
    """The service that an ``Authorization`` header is scoped to, still unverified; ``""``: it names none."""
    found = _SCOPED_TO.search(authorization)
    return found[1] if found is not None else ""


def canonical_path(path: str) -> str:
    """Without ``.``, ``..`` and empty parts, each part encoded once more: AWS does so for every service but S3."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in {"", "."}:
            parts.append(part)
    slash = "/" if parts and path.endswith("/") else ""
    return quote("/" + "/".join(parts) + slash, safe="/-_.~", errors="surrogateescape")


def canonical_query(query: str) -> str:
    """Sorted by name, then by value, both encoded in the one way."""
    pairs = []
    for pair in query.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            pairs.append((_encoded_once(name), _encoded_once(value)))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _encoded_once(text: str) -> str:
    return quote_from_bytes(unquote_to_bytes(text.replace("+", " ").encode(*_AS_SENT)), safe="-_.~")


_KEYS = (
    "(This is ecscope, which knows its own keys only: use those that `ecscope up` printed. They are in keys.json of its"
    " data directory.)"
)


def _gathered(headers: Iterable[tuple[str, str]], body: bytes) -> dict[str, str]:
    """Lower-case name → value in its canonical form; several of one name are joined."""
    sent: dict[str, str] = {}
    for name, value in headers:
        name, value = name.lower(), " ".join(value.split())  # noqa: PLW2901  # the canonical form is what is meant
        sent[name] = f"{sent[name]},{value}" if name in sent else value
    sent.setdefault("content-length", str(len(body)))
    return sent


def _scope(authorization: str, sent: Mapping[str, str]) -> _Scope:
    algorithm, _, rest = authorization.partition(" ")
    if algorithm != ALGORITHM:
        raise ApiError("IncompleteSignatureException", f"Unsupported AWS 'algorithm': '{algorithm[:40]}'.")
    parts = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    lacking = [
        f"Authorization header requires '{name}' parameter."
        for name in ("Credential", "Signature", "SignedHeaders")
        if not parts.get(name)
    ]
    if not sent.get("x-amz-date") and not sent.get("date"):
        lacking.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    if lacking:
        # AWS repeats the header here; it would carry the signature into logs.
        raise ApiError("IncompleteSignatureException", " ".join(lacking))
    credential = parts["Credential"].split("/")
    if len(credential) != 5:
        raise ApiError(
            "IncompleteSignatureException",
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            f"got {len(credential)}.",
        )
    key, day, region, service, terminator = credential
    return _Scope(
        access_key_id=key,
        day=day,
        region=region,
        service=service,
        terminator=terminator,
        signed_headers=tuple(parts["SignedHeaders"].lower().split(";")),
        signature=parts["Signature"],
    )


def _stamp(sent: Mapping[str, str], scope: _Scope, now: datetime) -> str:
    """When it was signed, in the form that was signed."""
    stamp = sent.get("x-amz-date", "")
    try:
        if stamp:
            signed_at = datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC) if _STAMP_FORM.fullmatch(stamp) else None
        else:
            signed_at = parsedate_to_datetime(sent["date"]).astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        signed_at = None
    if signed_at is None:
        raise ApiError(
            "IncompleteSignatureException", "Date must be in ISO-8601 'basic format', such as 20260131T235959Z."
        )
    stamp = signed_at.strftime(_STAMP)
    if signed_at < now - TOLERANCE:
        limit = (now - TOLERANCE).strftime(_STAMP)
        raise ApiError(
            "InvalidSignatureException",
            f"Signature expired: {stamp} is now earlier than {limit} ({now.strftime(_STAMP)} - 5 min.)",
        )
    if signed_at > now + TOLERANCE:
        limit = (now + TOLERANCE).strftime(_STAMP)
        raise ApiError(
            "InvalidSignatureException",
            f"Signature not yet current: {stamp} is still later than {limit} ({now.strftime(_STAMP)} + 5 min.)",
        )
    return stamp


def _check_scope(scope: _Scope, stamp: str, service: str) -> None:
    if not scope.region:
        raise ApiError("InvalidSignatureException", "Credential should be scoped to a valid region. ")
    if scope.service != service:
        raise ApiError("InvalidSignatureException", f"Credential should be scoped to correct service: '{service}'. ")
    if scope.terminator != _TERMINATOR:
        raise ApiError(
            "InvalidSignatureException",
            f"Credential should be scoped with a valid terminator: '{_TERMINATOR}', not '{scope.terminator[:40]}'. ",
        )
    if scope.day != stamp[:8]:
        raise ApiError(
            "InvalidSignatureException",
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{scope.day[:40]}' != '{stamp[:8]}', from '{stamp}'.",
        )


def _check_signed_headers(scope: _Scope, sent: Mapping[str, str]) -> None:
    """Whatever decides what the request means must be signed; nothing may be signed that is not there."""
    unsigned = sorted(
        name for name in sent if (name == "host" or name.startswith("x-amz-")) and name not in scope.signed_headers
    )
    if "host" not in sent or unsigned:
        name = "Host" if "host" not in sent else unsigned[0].title()
        raise ApiError("InvalidSignatureException", f"'{name}' must be a 'SignedHeader' in the AWS Authorization.")
    if any(name not in sent for name in scope.signed_headers):
        raise ApiError("InvalidSignatureException", _MISMATCH)


def _claims_its_body(sent: Mapping[str, str], body: bytes) -> bool:
    """A digest that the client sends beside must be the body's; ``UNSIGNED-PAYLOAD`` is none."""
    claimed = sent.get("x-amz-content-sha256")
    return claimed is None or _same(claimed, sha256(body).hexdigest())


def _same(one: str, other: str) -> bool:
    """In a time that does not reveal where they differ."""
    return hmac.compare_digest(one.encode(*_AS_SENT), other.encode(*_AS_SENT))


@lru_cache(maxsize=64)
def _signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, _TERMINATOR):
        key = hmac.digest(key, part.encode(*_AS_SENT), "sha256")
    return key
