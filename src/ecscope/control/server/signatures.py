"""Verifies Signature Version 4, in the ``Authorization`` header or in the query, and refuses in AWS's words.

Pure: no clock, no state. Written from AWS's description of the signature, and on purpose without botocore's signer, so
that the clients that use that one are a judge. The ECS API takes no signatures in the query: no client of it signs so.
S3 signs its path as it was sent and its body by a digest beside it, and takes Version 2 in the query as well.

Source: AWS General Reference, "Signature Version 4 signing process"; agent-protocol.md §5.2 for telemetry frames.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from hashlib import sha256
from urllib.parse import parse_qsl, quote, quote_from_bytes, unquote_to_bytes

import msgspec

from ecscope.control.core.errors import ApiError

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "ecs"
"""The signing name of the service that requests are for unless the caller says otherwise."""
S3 = "s3"
UNSIGNED = "UNSIGNED-PAYLOAD"
TOLERANCE = timedelta(minutes=5)
"""How far a client's clock may be off."""

_AS_SENT = ("utf-8", "surrogateescape")
"""How the HTTP parser decodes invalid UTF-8; this turns it back into the same bytes."""
_STAMP = "%Y%m%dT%H%M%SZ"
_STAMP_FORM = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_TERMINATOR = "aws4_request"
_SCOPED_TO = re.compile(r"Credential=[^/,\s]+/[^/,]+/[^/,]*/([^/,]+)/")
_OF_PRESIGNED = (
    "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature",
)  # fmt: skip
_LONGEST_PRESIGNED_S = 7 * 24 * 3600
_SUBRESOURCES = frozenset(
    (
        "accelerate", "acl", "cors", "delete", "inventory", "lifecycle", "location", "logging", "metrics",
        "notification", "object-lock", "partNumber", "policy", "replication", "requestPayment",
        "response-cache-control", "response-content-disposition", "response-content-encoding",
        "response-content-language", "response-content-type", "response-expires", "restore", "select", "select-type",
        "storageClass", "tagging", "torrent", "uploadId", "uploads", "versionId", "versioning", "versions", "website",
    )
)  # fmt: skip
"""What of the query is signed in Version 2."""
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
    """Of the credential scope: where the client thinks it is. ``""``: it does not say."""
    payload: str = ""
    """What was signed for the body: its SHA-256 in hex, or a word of S3's such as ``UNSIGNED-PAYLOAD``."""
    chunks: ChunkSigner | None = None
    """What pieces of the body are signed with; ``None``: it is not S3's."""


class ChunkSigner(msgspec.Struct, frozen=True, kw_only=True):
    """Signs the pieces of a body one after the other, each with the one before.

    Source: Amazon S3 API Reference, "Signature calculations: transferring payload in multiple chunks".
    """

    key: bytes
    stamp: str
    scope: str
    signature: str
    """Of the request, which the first piece follows."""

    def __repr__(self) -> str:
        return f"ChunkSigner({self.scope})"

    def of_chunk(self, before: str, digest: str) -> str:
        """Signature of a piece with this SHA-256, in hex, that follows the one with the signature ``before``."""
        return self._sign(f"{ALGORITHM}-PAYLOAD", before, sha256(b"").hexdigest(), digest)

    def of_trailer(self, before: str, trailer: bytes) -> str:
        """Of the headers behind the body: ``name:value`` lines."""
        return self._sign(f"{ALGORITHM}-TRAILER", before, sha256(trailer).hexdigest())

    def _sign(self, algorithm: str, *lines: str) -> str:
        return hmac.digest(self.key, "\n".join((algorithm, self.stamp, self.scope, *lines)).encode(), "sha256").hex()


class _Scope(msgspec.Struct, frozen=True, kw_only=True):
    access_key_id: str
    day: str
    region: str
    service: str
    terminator: str
    signed_headers: tuple[str, ...]
    signature: str


Find = Callable[[str], AccessKey | None]
"""Takes the ID of an access key; ``None``: there is no such key."""


class _Call(msgspec.Struct, frozen=True, kw_only=True):
    """What is signed."""

    method: str
    path: str
    """In its canonical form."""
    query: str
    sent: Mapping[str, str]
    """Headers, in their canonical form."""
    payload: str


def service_of(authorization: str, query: str) -> str:
    """The service that a request is signed for, in its header or its query, still unverified; ``""``: it names none."""
    if authorization:
        return named_service(authorization)
    parameters = _parameters(query)
    parts = parameters.get("X-Amz-Credential", "").split("/")
    if len(parts) == 5:
        return parts[3]
    return S3 if {"AWSAccessKeyId", "Signature", "Expires"} <= parameters.keys() else ""


def verify(
    find: Find,
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
        path: as it was sent, still encoded.
        query: what follows ``?``, still encoded; ``""``: nothing.
        headers: as they were sent, in that order. A ``content-length`` that is not there counts as the body's: a
            telemetry frame does not write it, and yet signs it.
        service: signing name of the service that it must be signed for; for any but ECS also in the query.
    """
    sent = _gathered(headers, body)
    authorization = sent.get("authorization", "").strip()
    call = _Call(method=method, path=canonical_path(path), query=query, sent=sent, payload=sha256(body).hexdigest())
    if not authorization and service != SERVICE and "X-Amz-Signature" in _parameters(query):
        return _presigned(find, service, call, now)
    if not authorization:
        raise ApiError("MissingAuthenticationTokenException", "Missing Authentication Token")
    scope = _scope(authorization, sent)
    key = _key(find, scope.access_key_id, sent.get("x-amz-security-token", ""), now)
    stamp = _stamp(sent, scope, now)
    _check_scope(scope, stamp, service)
    _check_signed_headers(scope, sent)
    signed = _matching(key, scope, stamp, call)
    if not _claims_its_body(sent, body):
        raise ApiError("InvalidSignatureException", _MISMATCH)
    return signed


def verify_s3(
    find: Find,
    *,
    method: str,
    path: str,
    query: str,
    headers: Iterable[tuple[str, str]],
    bucket_of_host: str,
    now: datetime,
) -> Signed:
    """The signer of a request to S3, before its body is read: ``payload`` is what that must then be.

    ``bucket_of_host``: the bucket that the host names; ``""``: the path does. Raises ``ApiError``.
    """
    sent = _gathered(headers, b"")
    parameters = _parameters(query)
    call = _Call(method=method, path=path, query=query, sent=sent, payload="")
    authorization = sent.get("authorization", "").strip()
    if authorization:
        scope = _scope(authorization, sent)
        key = _key(find, scope.access_key_id, sent.get("x-amz-security-token", ""), now)
        stamp = _stamp(sent, scope, now)
        _check_scope(scope, stamp, S3)
        _check_signed_headers(scope, sent)
        payload = sent.get("x-amz-content-sha256", "")
        if not payload:
            raise ApiError("InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
        return _matching(key, scope, stamp, msgspec.structs.replace(call, payload=payload))
    if "X-Amz-Signature" in parameters:
        payload = sent.get("x-amz-content-sha256", parameters.get("X-Amz-Content-Sha256", UNSIGNED))
        return _presigned(find, S3, msgspec.structs.replace(call, payload=payload), now)
    if "Signature" in parameters:
        return _presigned_in_version_2(find, call, bucket_of_host, now)
    raise ApiError("MissingAuthenticationTokenException", "Missing Authentication Token")


def _key(find: Find, access_key_id: str, token: str, now: datetime) -> AccessKey:
    key = find(access_key_id)
    if key is None or not _same(token, key.session_token):
        raise ApiError("UnrecognizedClientException", f"The security token included in the request is invalid. {_KEYS}")
    if key.expires_at is not None and now >= key.expires_at:
        raise ApiError("ExpiredTokenException", "The security token included in the request is expired")
    return key


def _matching(key: AccessKey, scope: _Scope, stamp: str, call: _Call) -> Signed:
    """Raises ``ApiError`` where the signature is another one."""
    canonical = "\n".join(
        (
            call.method,
            call.path,
            canonical_query(call.query),
            *(f"{name}:{call.sent[name]}" for name in scope.signed_headers),
            "",
            ";".join(scope.signed_headers),
            call.payload,
        )
    )
    credential_scope = "/".join((scope.day, scope.region, scope.service, scope.terminator))
    to_sign = "\n".join((ALGORITHM, stamp, credential_scope, sha256(canonical.encode(*_AS_SENT)).hexdigest()))
    signing_key = _signing_key(key.secret_access_key, scope.day, scope.region, scope.service)
    expected = hmac.digest(signing_key, to_sign.encode(*_AS_SENT), "sha256").hex()
    if not _same(expected, scope.signature):
        raise ApiError("InvalidSignatureException", _MISMATCH)
    return Signed(
        access_key_id=scope.access_key_id,
        region=scope.region,
        payload=call.payload,
        chunks=ChunkSigner(key=signing_key, stamp=stamp, scope=credential_scope, signature=expected),
    )


def _presigned(find: Find, service: str, call: _Call, now: datetime) -> Signed:
    """Source: Amazon S3 API Reference, "Authenticating requests: using query parameters"."""
    parameters = _parameters(call.query)
    lacking = [name for name in _OF_PRESIGNED if not parameters.get(name)]
    if lacking:
        raise ApiError("AuthorizationQueryParametersError", f"Query-string authentication requires {lacking[0]}.")
    scope = _scope(
        f"{parameters['X-Amz-Algorithm']} Credential={parameters['X-Amz-Credential']},"
        f" SignedHeaders={parameters['X-Amz-SignedHeaders']}, Signature={parameters['X-Amz-Signature']}",
        {"x-amz-date": parameters["X-Amz-Date"]},
    )
    key = _key(find, scope.access_key_id, parameters.get("X-Amz-Security-Token", ""), now)
    seconds = parameters["X-Amz-Expires"]
    if not (seconds.isascii() and seconds.isdigit()) or not 0 < int(seconds[:9]) <= _LONGEST_PRESIGNED_S:
        raise ApiError("AuthorizationQueryParametersError", "X-Amz-Expires must be between 1 and 604800 seconds")
    stamp = _stamp({"x-amz-date": parameters["X-Amz-Date"]}, scope, now, valid_for=timedelta(seconds=int(seconds)))
    _check_scope(scope, stamp, service)
    _check_signed_headers(scope, {name: value for name, value in call.sent.items() if name != "x-amz-content-sha256"})
    if any(name not in call.sent for name in scope.signed_headers):
        raise ApiError("InvalidSignatureException", _MISMATCH)
    unsigned = "&".join(pair for pair in call.query.split("&") if pair.partition("=")[0] != "X-Amz-Signature")
    return _matching(key, scope, stamp, msgspec.structs.replace(call, query=unsigned))


def _presigned_in_version_2(find: Find, call: _Call, bucket: str, now: datetime) -> Signed:
    """Which SDKs still make for S3 in its oldest regions. Source: S3 User Guide, "Signing and authenticating REST
    requests" of Version 2.
    """
    parameters, sent = _parameters(call.query), call.sent
    lower = {name.lower(): value for name, value in parameters.items()}
    key = _key(find, parameters.get("AWSAccessKeyId", ""), lower.get("x-amz-security-token", ""), now)
    expires = parameters.get("Expires", "")
    if not (expires.isascii() and expires.isdigit()) or now.timestamp() > int(expires[:12]):
        raise ApiError("AccessDeniedException", "Request has expired")
    amz = {name: value for name, value in (*sent.items(), *lower.items()) if name.startswith("x-amz-")}
    resource = f"/{bucket}{call.path}" if bucket else call.path
    given = sorted((name, value) for name, value in parameters.items() if name in _SUBRESOURCES)
    if given:
        resource += "?" + "&".join(f"{name}={value}" if value else name for name, value in given)
    to_sign = "\n".join(
        (
            call.method,
            sent.get("content-md5", lower.get("content-md5", "")),
            sent.get("content-type", lower.get("content-type", "")),
            expires,
            *(f"{name}:{amz[name]}" for name in sorted(amz)),
            resource,
        )
    )
    digest = hmac.digest(key.secret_access_key.encode(), to_sign.encode(*_AS_SENT), "sha1")
    if not _same(b64encode(digest).decode(), parameters["Signature"]):
        raise ApiError("InvalidSignatureException", _MISMATCH)
    return Signed(access_key_id=key.access_key_id, region="", payload=UNSIGNED)


def _parameters(query: str) -> dict[str, str]:
    """Decoded; of several with one name the first."""
    found: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True, errors="surrogateescape"):
        found.setdefault(name, value)
    return found


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


def _stamp(sent: Mapping[str, str], scope: _Scope, now: datetime, *, valid_for: timedelta | None = None) -> str:
    """When it was signed, in the form that was signed.

    ``valid_for``: how long it says that it may be used; ``None``: it is for at once.
    """
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
    if valid_for is not None and signed_at < now - valid_for:
        raise ApiError("AccessDeniedException", "Request has expired")
    if valid_for is None and signed_at < now - TOLERANCE:
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
