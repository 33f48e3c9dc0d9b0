"""Whose agent answers on port 51678 of this machine, so that users are not sent to another one."""

from __future__ import annotations

import asyncio

import aiohttp
import msgspec

_ANSWER = aiohttp.ClientTimeout(total=4.0, connect=2.0)
_AGAIN_S = 0.05
_LONGEST_ANSWER_BYTES = 64 * 1024


class _Metadata(msgspec.Struct, rename="pascal"):
    container_instance_arn: str | None = None


async def instance_at(port: int, *, patience_s: float = 0.0) -> str | None:
    """ARN of the container instance of the agent there; ``""``: something else; ``None``: nothing listens.

    ``patience_s``: how long it may take until something listens.
    """
    loop = asyncio.get_running_loop()
    give_up_at_s = loop.time() + patience_s
    while True:
        arn = await _instance_now(port)
        if arn is not None or loop.time() >= give_up_at_s:
            return arn
        await asyncio.sleep(_AGAIN_S)


async def _instance_now(port: int) -> str | None:
    try:
        body = await _answer(f"http://127.0.0.1:{port}/v1/metadata")
        return msgspec.json.decode(body, type=_Metadata).container_instance_arn or ""
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        return None
    except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError, UnicodeDecodeError):
        return ""


async def _answer(url: str) -> bytes:
    """Of an answer that is too long, only the beginning, which is not valid JSON."""
    body = b""
    async with aiohttp.ClientSession(timeout=_ANSWER) as session, session.get(url, allow_redirects=False) as answer:
        async for chunk in answer.content.iter_any():
            body += chunk
            if len(body) > _LONGEST_ANSWER_BYTES:
                break
    return body
