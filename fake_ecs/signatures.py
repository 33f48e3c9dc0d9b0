"""Checks a Signature Version 4 as AWS does: computed anew by botocore's signer, refused in AWS's words.

What the signer puts into the canonical request is taken from the request as it arrived, so that a header or a query
that was changed on the way, or signed in another form than sent, is found out.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

from fake_ecs.aws_error import AwsError
from fake_ecs.principals import Principal

STAMP = "%Y%m%dT%H%M%SZ"
TOLERANCE = timedelta(minutes=5)
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/\s,]+)/(\d{8})/([^/\s,]+)/([^/\s,]+)/aws4_request,\s*"
    r"SignedHeaders=([a-z0-9;-]+),\s*Signature=([0-9a-f]{64})"
)
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)


class _Verifier(SigV4Auth):  # type: ignore[misc]  # botocore carries no types
    """Signs exactly the headers that the caller named, and the query in the one canonical form."""

    def __init__(self, principal: Principal, service: str, region: str, signed: list[str]) -> None:
        super().__init__(Credentials(principal.access_key_id, principal.secret_access_key), service, region)
        self._signed = signed

    def headers_to_sign(self, request: AWSRequest) -> HTTPHeaders:
        chosen = HTTPHeaders()
        for name in self._signed:
            for value in request.headers.get_all(name, []):
                chosen[name] = value
        return chosen

    def canonical_query_string(self, request: AWSRequest) -> str:
        pairs = parse_qsl(urlsplit(request.url).query, keep_blank_values=True)
        return "&".join(sorted(f"{quote(key, safe='-_.~')}={quote(value, safe='-_.~')}" for key, value in pairs))


def verify(
    principals: Mapping[str, Principal],
    *,
    method: str,
    url: str,
    headers: Iterable[tuple[str, str]],
    body: bytes,
    service: str,
    region: str,
    now: datetime,
) -> Principal:
    """The principal that signed this request. Raises ``AwsError``.

    ``content-length`` counts as sent although a telemetry frame does not write it (agent-protocol.md §5.2).
    """
    sent = list(headers)
    by_name = {name.lower(): value for name, value in sent}
    authorization = by_name.get("authorization")
    if not authorization:
        raise AwsError("MissingAuthenticationTokenException", "Missing Authentication Token")
    parts = _AUTHORIZATION.fullmatch(authorization.strip())
    if parts is None:
        raise AwsError(
            "IncompleteSignatureException", f"Authorization header is malformed. Authorization={authorization}"
        )
    key, day, scope_region, scope_service, signed_headers, signature = parts.groups()
    principal = principals.get(key)
    if principal is None or by_name.get("x-amz-security-token", "") != principal.session_token:
        raise AwsError("UnrecognizedClientException", "The security token included in the request is invalid.")
    if principal.expires_at is not None and now >= principal.expires_at:
        raise AwsError("ExpiredTokenException", "The security token included in the request is expired")
    signed = signed_headers.split(";")
    stamp = _signing_time(by_name, now)
    if stamp[:8] != day:
        raise AwsError(
            "InvalidSignatureException",
            f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{day}' != '{stamp[:8]}', from '{stamp}'.",
        )
    if scope_region != region:
        raise AwsError("InvalidSignatureException", "Credential should be scoped to a valid region. ")
    if scope_service != service:
        raise AwsError("InvalidSignatureException", f"Credential should be scoped to correct service: '{service}'. ")
    unsigned = sorted(name for name in by_name if (name == "host" or name.startswith("x-amz-")) and name not in signed)
    if unsigned:
        raise AwsError(
            "InvalidSignatureException", f"'{unsigned[0].title()}' must be a 'SignedHeader' in the AWS Authorization."
        )
    request = _as_request(method, url, sent, body)
    verifier = _Verifier(principal, service, region, signed)
    request.context["timestamp"] = stamp
    expected = verifier.signature(verifier.string_to_sign(request, verifier.canonical_request(request)), request)
    if not hmac.compare_digest(expected, signature) or not _is_digest_of(body, by_name):
        raise AwsError("InvalidSignatureException", _MISMATCH)
    return principal


def _signing_time(by_name: Mapping[str, str], now: datetime) -> str:
    stamp = by_name.get("x-amz-date", "")
    try:
        signed_at = datetime.strptime(stamp, STAMP).replace(tzinfo=UTC)
    except ValueError:
        raise AwsError(
            "IncompleteSignatureException",
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
        ) from None
    text = now.strftime(STAMP)
    if signed_at < now - TOLERANCE:
        limit = (now - TOLERANCE).strftime(STAMP)
        raise AwsError(
            "InvalidSignatureException", f"Signature expired: {stamp} is now earlier than {limit} ({text} - 5 min.)"
        )
    if signed_at > now + TOLERANCE:
        limit = (now + TOLERANCE).strftime(STAMP)
        raise AwsError(
            "InvalidSignatureException",
            f"Signature not yet current: {stamp} is still later than {limit} ({text} + 5 min.)",
        )
    return stamp


def _as_request(method: str, url: str, sent: list[tuple[str, str]], body: bytes) -> AWSRequest:
    request = AWSRequest(method=method, url=url, data=body)
    for name, value in sent:
        request.headers[name] = value
    if "content-length" not in {name.lower() for name, _ in sent}:
        request.headers["content-length"] = str(len(body))
    return request


def _is_digest_of(body: bytes, by_name: Mapping[str, str]) -> bool:
    claimed = by_name.get("x-amz-content-sha256")
    return claimed is None or claimed == sha256(body).hexdigest()


def signed_frame(text: str) -> tuple[list[tuple[str, str]], str]:
    """The header block of a telemetry frame and the envelope after it; no headers where the frame is bare JSON.

    Source: agent-protocol.md §5.2.
    """
    if text.startswith("{"):
        return [], text
    block, found, envelope = text.partition("\r\n\r\n")
    if not found:
        raise ValueError("no empty line after the header block")
    headers: list[tuple[str, str]] = []
    for line in block.split("\r\n"):
        name, colon, value = line.partition(": ")
        if not colon:
            raise ValueError(f"not a header line: {line[:80]!r}")
        headers.append((name, value))
    return headers, envelope


def shown(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers as a recording keeps them: neither signature nor session token."""
    kept: dict[str, Any] = {}
    for name, value in headers:
        if name.lower() == "authorization":
            value = re.sub(r"Signature=[0-9a-f]+", "Signature=...", value)  # noqa: PLW2901
        kept[name] = "..." if name.lower() == "x-amz-security-token" else value
    return kept
