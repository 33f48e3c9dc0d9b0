"""Signed calls of the ECS or the Logs API over raw sockets, so that what is measured is the server and not an SDK.

A connection is kept as long as the server lets it. Any server that speaks AWS JSON 1.1 will do.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple

_SIGNED = "content-type;host;x-amz-date;x-amz-target"
_TYPE = "application/x-amz-json-1.1"
_TARGETS = {"ecs": "AmazonEC2ContainerServiceV20141113", "logs": "Logs_20140328"}


class Key(NamedTuple):
    """What calls are signed with."""

    access_key_id: str
    secret_access_key: str
    session_token: str = ""


class CallFailed(Exception):
    """The server refused a call; the text is what it said."""


class SignedCalls:
    """One connection, one call at a time. For several at once take several."""

    def __init__(self, port: int, key: Key, *, region: str, service: str = "ecs") -> None:
        """``service``: ``ecs`` or ``logs``."""
        self._port = port
        self._service = service
        self._key = key
        self._region = region
        self._signing_keys: dict[str, bytes] = {}
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(self, action: str, **body: Any) -> Any:
        """The answer. Raises ``CallFailed``, or ``OSError`` or ``EOFError`` when nobody answers."""
        content, _ = await self._exchange(action, body)
        return json.loads(content)

    async def timed(self, action: str, **body: Any) -> float:
        """Seconds from the request to the last byte of the answer, with connecting where the server hangs up."""
        _, taken_s = await self._exchange(action, body)
        return taken_s

    async def _exchange(self, action: str, body: Mapping[str, Any]) -> tuple[bytes, float]:
        request = self._request(action, json.dumps(body).encode())
        begun = time.perf_counter()
        reader, writer = await self._connected()
        try:
            writer.write(request)
            status, closes, content = await _answer(reader)
        except BaseException:
            self.close()
            raise
        taken_s = time.perf_counter() - begun
        if closes:
            self.close()
        if status != 200:
            raise CallFailed(f"{action}: {status} {content[:300].decode(errors='replace')}")
        return content, taken_s

    def close(self) -> None:
        """May be repeated; the next call connects anew."""
        if self._stream is not None:
            self._stream[1].close()
            self._stream = None

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._stream is None or self._stream[0].at_eof():
            self.close()
            self._stream = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)
        return self._stream

    def _request(self, action: str, body: bytes) -> bytes:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        host, token = f"127.0.0.1:{self._port}", self._key.session_token
        names = _SIGNED.replace("x-amz-target", "x-amz-security-token;x-amz-target") if token else _SIGNED
        headers = f"content-type:{_TYPE}\nhost:{host}\nx-amz-date:{stamp}\n"
        headers += f"x-amz-security-token:{token}\n" if token else ""
        headers += f"x-amz-target:{_TARGETS[self._service]}.{action}\n"
        canonical = f"POST\n/\n\n{headers}\n{names}\n{sha256(body).hexdigest()}"
        scope = f"{stamp[:8]}/{self._region}/{self._service}/aws4_request"
        to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(self._signing_key(stamp[:8]), to_sign.encode(), "sha256").hex()
        return (
            "POST / HTTP/1.1\n"
            + headers
            + f"authorization:AWS4-HMAC-SHA256 Credential={self._key.access_key_id}/{scope}, "
            + f"SignedHeaders={names}, Signature={signature}\n"
            + f"content-length:{len(body)}\n\n"
        ).replace("\n", "\r\n").encode() + body

    def _signing_key(self, day: str) -> bytes:
        if day not in self._signing_keys:
            key = b"AWS4" + self._key.secret_access_key.encode()
            for part in (day, self._region, self._service, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._signing_keys[day] = key
        return self._signing_keys[day]


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bool, bytes]:
    """Status, whether the server ends the connection, body."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    version, status, *_ = first.split(" ", 2)
    headers = _headers(lines)
    content = await reader.readexactly(int(headers.get("content-length", 0)))
    return int(status), version == "HTTP/1.0" or headers.get("connection", "").lower() == "close", content


def _headers(lines: list[str]) -> Mapping[str, str]:
    return {name.lower(): value.strip() for name, colon, value in (line.partition(":") for line in lines) if colon}
