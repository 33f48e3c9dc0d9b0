"""The EC2 instance metadata service: what the agent itself wants to know of it, by version 2 with a fallback to 1.

Credentials of the instance role are not read here but by the chain (``credentials``).

Source: agent-protocol.md §2.1, §2.4, §3.2.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import msgspec

from ecscope.backoff import Backoff, Retry

ENDPOINT = "http://169.254.169.254"
LOOK_UPS = Backoff(tries=5, first_s=1.0, cap_s=5.0, factor=1.3, jitter=0.2)
IDENTITY = Backoff(tries=None, first_s=0.1, cap_s=5.0, factor=2.0, jitter=0.2)
IDENTITY_LIMIT_S = 30.0
"""For the identity document, tries and waits together; likewise for its signature."""

_TOKEN_TTL_S = 21600
_TOKEN_MARGIN_S = 60
_ANSWER_LIMIT_BYTES = 64 * 1024
"""User data is 16 KB at most, everything else is less."""


class MetadataUnavailable(Exception):
    """The service gave no answer; the message says why."""

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status; 0: no answer."""

    @property
    def is_absent(self) -> bool:
        """The service answers, and has nothing at that path."""
        return self.status == 404


class InstanceAction(msgspec.Struct, frozen=True):
    """What EC2 is about to do to a spot instance."""

    action: str
    """``terminate``, ``stop`` or ``hibernate``."""
    time: str = ""


class InstanceMetadata:
    """Asks the service. Every call may be cancelled and repeated, and raises ``MetadataUnavailable``.

    Goes straight there, never through a proxy. To be closed.
    """

    def __init__(
        self,
        *,
        endpoint: str = "",
        disabled: bool = False,
        retry: Retry | None = None,
        timeout_s: float = 5.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            endpoint: ``AWS_EC2_METADATA_SERVICE_ENDPOINT``; ``""``: the usual one.
            disabled: every call fails at once: ``AWS_EC2_METADATA_DISABLED``, or on ECS Anywhere.
            timeout_s: for one request.
        """
        self._endpoint = (endpoint or ENDPOINT).rstrip("/")
        self._disabled = disabled
        self._retry = retry or Retry()
        self._timeout_s = timeout_s
        self._monotonic = monotonic
        self._token = ""
        self._token_until_s = 0.0
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def instance_id(self) -> str:
        return await self._look_up("meta-data/instance-id")

    async def region(self) -> str:
        return await self._look_up("meta-data/placement/region")

    async def user_data(self) -> str:
        """``""``: the instance was started without any."""
        try:
            return await self._look_up("user-data")
        except MetadataUnavailable as failure:
            if failure.is_absent:
                return ""
            raise

    async def spot_instance_action(self) -> InstanceAction | None:
        """``None``: nothing is planned. One try: it is asked every second."""
        try:
            text = await self.get("meta-data/spot/instance-action")
            return msgspec.json.decode(text, type=InstanceAction)
        except MetadataUnavailable as failure:
            if failure.is_absent:
                return None
            raise
        except (ValueError, RecursionError) as error:
            raise MetadataUnavailable(f"spot/instance-action is not of the known form: {error}") from error

    async def identity_document(self) -> str:
        """The raw text, which is what is signed."""
        return await self._identity("dynamic/instance-identity/document")

    async def identity_signature(self) -> str:
        return await self._identity("dynamic/instance-identity/signature")

    async def _look_up(self, path: str) -> str:
        return await self._retry.run(LOOK_UPS, lambda: self.get(path), is_worth_retrying=_may_heal)

    async def _identity(self, path: str) -> str:
        until_s = self._monotonic() + IDENTITY_LIMIT_S

        def is_worth_retrying(failure: Exception) -> bool:
            return _may_heal(failure) and self._monotonic() < until_s

        return await self._retry.run(IDENTITY, lambda: self.get(path), is_worth_retrying=is_worth_retrying)

    async def get(self, path: str) -> str:
        """The content of ``/latest/<path>``, in one try."""
        if self._disabled:
            raise MetadataUnavailable("the instance metadata service is switched off", status=404)
        try:
            token = await self._session_token()
            status, text = await self._request("GET", path, {"X-aws-ec2-metadata-token": token} if token else {})
            if status == 401 and token:  # the service forgot it: the instance was stopped and started
                self._token = ""
                token = await self._session_token()
                status, text = await self._request("GET", path, {"X-aws-ec2-metadata-token": token})
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            why = f"no answer within {self._timeout_s:g} s" if isinstance(error, TimeoutError) else str(error)
            raise MetadataUnavailable(f"{self._endpoint} did not answer for {path}: {why[:200]}") from error
        if status != 200:
            raise MetadataUnavailable(f"{self._endpoint} answered {status} for {path}", status=status)
        return text

    async def _session_token(self) -> str:
        """``""``: the service knows no version 2."""
        if self._token and self._monotonic() < self._token_until_s:
            return self._token
        status, text = await self._request(
            "PUT", "api/token", {"X-aws-ec2-metadata-token-ttl-seconds": str(_TOKEN_TTL_S)}
        )
        if status in (403, 404, 405):
            return ""
        if status != 200:
            raise MetadataUnavailable(f"{self._endpoint} answered {status} for a session token", status=status)
        self._token, self._token_until_s = text, self._monotonic() + _TOKEN_TTL_S - _TOKEN_MARGIN_S
        return text

    async def _request(self, method: str, path: str, headers: dict[str, Any]) -> tuple[int, str]:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._timeout_s), cookie_jar=aiohttp.DummyCookieJar()
            )
        url = f"{self._endpoint}/latest/{path}"
        async with self._session.request(method, url, headers=headers, allow_redirects=False) as response:
            try:
                body = await response.content.readexactly(_ANSWER_LIMIT_BYTES)
            except asyncio.IncompleteReadError as all_of_it:
                body = all_of_it.partial
            return response.status, body.decode("utf-8", "replace")


def _may_heal(failure: Exception) -> bool:
    return isinstance(failure, MetadataUnavailable) and not failure.is_absent
