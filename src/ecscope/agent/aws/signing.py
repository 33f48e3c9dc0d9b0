"""Signature Version 4, by botocore's signer: API calls, websocket upgrades, telemetry frames.

The moment of the signature comes in, so that a test can pin one. Importing this imports botocore (ADR 0013).

Source: agent-protocol.md §3, §4.1, §5.2; IAM user guide, "Create a signed AWS API request".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

import botocore.auth
import botocore.awsrequest

from ecscope.agent.aws.credentials import Credentials

AMZ_DATE = "%Y%m%dT%H%M%SZ"
_HTTP_FOR = {"ws": "http", "wss": "https"}


def signature_headers(
    *,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    service: str,
    region: str,
    credentials: Credentials,
    at: datetime,
) -> dict[str, str]:
    """``Authorization``, ``X-Amz-Date`` and, with temporary keys, ``X-Amz-Security-Token``: to be added to ``headers``.

    Args:
        url: ``ws`` and ``wss`` count as ``http`` and ``https``.
        headers: those that are signed with it, beside the host. The user agent never is.
        at: aware; the host's own idea of the time.
    """
    request = botocore.awsrequest.AWSRequest(method=method, url=_as_received(url), headers=dict(headers), data=body)
    request.context["timestamp"] = at.astimezone(UTC).strftime(AMZ_DATE)
    _SignerAt(_Keys(credentials), service, region).add_auth(request)
    names = ("Authorization", "X-Amz-Date", "X-Amz-Security-Token")
    return {name: str(request.headers[name]) for name in names if name in request.headers}


def upgrade_headers(*, url: str, region: str, credentials: Credentials, at: datetime) -> dict[str, str]:
    """What the upgrade request of a websocket of ECS carries. Source: agent-protocol.md §4.1."""
    return signature_headers(
        method="GET", url=url, headers={}, body=b"", service="ecs", region=region, credentials=credentials, at=at
    )


def signed_frame(*, url: str, frame: str, region: str, credentials: Credentials, at: datetime) -> str:
    """``frame`` behind the header block that the telemetry service wants. Source: agent-protocol.md §5.2.

    Quirk: the length is signed and not written; the verifier knows it from the frame.
    """
    body = frame.encode()
    headers = signature_headers(
        method="GET",
        url=url,
        headers={"Content-Length": str(len(body))},
        body=body,
        service="ecs",
        region=region,
        credentials=credentials,
        at=at,
    )
    headers["Host"] = urlsplit(url).netloc
    return "".join(f"{name}: {headers[name]}\r\n" for name in sorted(headers)) + "\r\n" + frame


def _as_received(url: str) -> str:
    """As the verifier will spell it: each part of the query quoted again, a space as ``%20``."""
    parts = urlsplit(url)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    query = "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in pairs)
    scheme = _HTTP_FOR.get(parts.scheme, parts.scheme)
    return urlunsplit((scheme, parts.netloc, parts.path or "/", query, ""))


class _Keys:
    """Credentials under the names that botocore's signer reads."""

    def __init__(self, credentials: Credentials) -> None:
        self.access_key = credentials.access_key_id
        self.secret_key = credentials.secret_access_key
        self.token = credentials.session_token or None


class _SignerAt(botocore.auth.SigV4Auth):  # type: ignore[misc]  # botocore carries no types
    """botocore's, for the moment in ``request.context`` instead of its own."""

    def add_auth(self, request: Any) -> None:
        self._modify_request_before_signing(request)
        to_sign = self.string_to_sign(request, self.canonical_request(request))
        self._inject_signature_to_request(request, self.signature(to_sign, request))
