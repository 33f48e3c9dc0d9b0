"""Whose agent answers on port 51678 of this machine, so that nobody is sent to another one's."""

from __future__ import annotations

import asyncio

import msgspec

_ANSWER_S = 2.0
_LONGEST_ANSWER_BYTES = 64 * 1024


class _Metadata(msgspec.Struct, rename="pascal"):
    container_instance_arn: str | None = None


async def instance_at(port: int) -> str | None:
    """ARN of the container instance of the agent there; ``""``: something else; ``None``: nobody listens."""
    try:
        async with asyncio.timeout(_ANSWER_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except (OSError, TimeoutError):
        return None
    try:
        async with asyncio.timeout(_ANSWER_S):
            writer.write(b"GET /v1/metadata HTTP/1.0\r\nHost: localhost\r\n\r\n")
            answer = b""
            while (read := await reader.read(_LONGEST_ANSWER_BYTES)) and len(answer) < _LONGEST_ANSWER_BYTES:
                answer += read
    except (OSError, TimeoutError):
        return ""
    finally:
        writer.close()
    try:
        return msgspec.json.decode(answer.partition(b"\r\n\r\n")[2], type=_Metadata).container_instance_arn or ""
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
