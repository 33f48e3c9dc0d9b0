"""Signed calls to AWS over aiohttp: the ECS API, and other services with AWS's JSON protocol.

One try per call. Two exceptions, both inside the same call: keys that AWS rejects are looked up again, and a
kept connection that the other side has closed is opened again. When to try again is up to the caller.

Importing this imports botocore (ADR 0013).

Source: agent-protocol.md §2.2, §2.5, §3; the headers are those of ``traffic/register-container-instance.json``.
"""

from __future__ import annotations

import logging
import ssl
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import msgspec
from yarl import URL

from ecscope.agent.aws.credentials import Credentials, CredentialsProvider, of_task
from ecscope.agent.aws.endpoints import Proxies, UnusableProxy, ecs_endpoint, is_address, origin
from ecscope.agent.aws.failure import first_line, no_connection, why
from ecscope.agent.aws.interface import AwsCallFailed
from ecscope.agent.aws.signing import signature_headers, signed_frame, upgrade_headers
from ecscope.clock import Clock
from ecscope.model.api_failure import ApiFailure
from ecscope.model.container_instance import ObstacleKind
from ecscope.model.credentials import TaskCredentials
from ecscope.version import version_line
from ecscope.wire.aws_errors import failure_of
from ecscope.wire.ecs_api import TARGET

USER_AGENT = f"{version_line()} (linux; {{os_family}}) (+http://aws.amazon.com/ecs/)"
ANSWER_LIMIT_BYTES = 4 * 1024 * 1024
_CONTENT_TYPE = "application/x-amz-json-1.1"

log = logging.getLogger(__name__)


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Source: agent-protocol.md §2.5."""

    dial_s: float = 30.0
    """Until there is a connection, its TLS included."""
    round_trip_s: float = 42.0
    """From the call to the last byte of the answer."""
    keep_alive_s: float = 30.0


class AwsClient:
    """``EcsApi`` and ``WebsocketSigner``. Made inside a running loop; to be closed."""

    def __init__(
        self,
        *,
        region: str,
        credentials: CredentialsProvider,
        clock: Clock,
        endpoint: str = "",
        proxies: Proxies | None = None,
        detailed_os_family: str = "LINUX",
        timeouts: Timeouts | None = None,
        tls: ssl.SSLContext | None = None,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        """
        Args:
            endpoint: ``ECS_BACKEND_HOST``; ``""``: the region's own.
            tls: whom to trust; ``None``: the host's authorities, TLS 1.2 at least, as Python has it.
            new_id: names a call for AWS's support.
        """
        self._region = region
        self._credentials = credentials
        self._clock = clock
        self._new_id = new_id
        self._timeouts = timeouts or Timeouts()
        self.proxies = proxies or Proxies()
        """Also what a websocket has to take."""
        self.endpoint = ecs_endpoint(region=region, override=endpoint)
        self._user_agent = USER_AGENT.format(os_family=detailed_os_family)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(keepalive_timeout=self._timeouts.keep_alive_s, ssl=tls or True),
            timeout=aiohttp.ClientTimeout(total=self._timeouts.round_trip_s, sock_connect=self._timeouts.dial_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept",),
        )

    async def close(self) -> None:
        await self._session.close()

    async def call(self, operation: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """See ``EcsApi``."""
        return await self.call_service(
            "ecs", operation, body, target=TARGET, endpoint=self.endpoint, region=self._region, credentials=None
        )

    async def call_for_task(
        self,
        operation: str,
        body: Mapping[str, Any],
        *,
        credentials: TaskCredentials | None = None,
        on_behalf: str = "",
    ) -> Mapping[str, Any]:
        """See ``EcsForTasks``."""
        return await self.call_service(
            "ecs",
            operation,
            body,
            target=TARGET,
            endpoint=self.endpoint,
            region=self._region,
            credentials=of_task(credentials) if credentials is not None else None,
            on_behalf=on_behalf,
        )

    async def upgrade_headers(self, url: str) -> Mapping[str, str]:
        """See ``WebsocketSigner``. The last upgrade may have been refused for its keys, so they are looked up again."""
        self._credentials.doubt()
        credentials = await self._credentials.get()
        return upgrade_headers(url=url, region=self._region, credentials=credentials, at=self._clock.now())

    async def sign_frame(self, url: str, frame: str) -> str:
        """See ``WebsocketSigner``."""
        credentials = await self._credentials.get()
        return signed_frame(url=url, frame=frame, region=self._region, credentials=credentials, at=self._clock.now())

    async def call_service(
        self,
        service: str,
        operation: str,
        body: Mapping[str, Any],
        *,
        target: str,
        endpoint: str,
        region: str,
        credentials: Credentials | None,
        on_behalf: str = "",
    ) -> Mapping[str, Any]:
        """One signed call of any service with AWS's JSON protocol 1.1; the decoded answer.

        Args:
            service: as signatures name it.
            target: the prefix of the operation in ``X-Amz-Target``.
            credentials: ``None``: the agent's own.
            on_behalf: added to the user agent; ``""``: nothing.

        Raises:
            AwsCallFailed: refused, not reached, or no credentials.
        """
        call = _Call(
            service=service,
            operation=operation,
            target=target,
            endpoint=endpoint,
            region=region,
            body=msgspec.json.encode(body),
            id=self._new_id(),
            user_agent=f"{self._user_agent} {on_behalf}" if on_behalf else self._user_agent,
        )
        if not is_address(endpoint):
            advice = ": correct ECS_BACKEND_HOST" if endpoint == self.endpoint else ""
            raise AwsCallFailed(_failure(call, *_unreachable(f"{origin(endpoint)} is not an address{advice}")))
        try:
            self.proxies.for_url(endpoint)
        except UnusableProxy as error:
            raise AwsCallFailed(_failure(call, *_unreachable(str(error)))) from None
        if credentials is not None:
            return await self._attempt(call, credentials, attempt=1)
        own = await self._own_credentials(call)
        try:
            return await self._attempt(call, own, attempt=1)
        except AwsCallFailed as failed:
            fresh = await self._fresh_credentials(call, own, failed.failure)
            if fresh is None:
                raise
        return await self._attempt(call, fresh, attempt=2)

    async def _fresh_credentials(self, call: _Call, refused: Credentials, failure: ApiFailure) -> Credentials | None:
        """Other credentials to try once more with; ``None``: there are none, or they would not help."""
        if failure.kind is ObstacleKind.ACCESS_DENIED:
            self._credentials.doubt()  # the keys are good; the instance may be given another role
        if failure.kind is not ObstacleKind.INVALID_CREDENTIALS:
            return None
        self._credentials.invalidate(refused)
        fresh = await self._own_credentials(call)
        if fresh == refused:
            return None
        log.info("AWS did not take the credentials (%s): trying %s with new ones", failure.code, call.operation)
        return fresh

    async def _own_credentials(self, call: _Call) -> Credentials:
        try:
            return await self._credentials.get()
        except AwsCallFailed as failed:
            failure = msgspec.structs.replace(failed.failure, operation=call.operation, endpoint=origin(call.endpoint))
            raise AwsCallFailed(failure) from failed

    async def _attempt(self, call: _Call, credentials: Credentials, *, attempt: int) -> Mapping[str, Any]:
        try:
            try:
                status, headers, body = await self._exchange(call, credentials, attempt)
            except aiohttp.ServerDisconnectedError:
                status, headers, body = await self._exchange(call, credentials, attempt)
        except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as error:
            cause = None if isinstance(error, aiohttp.ClientHttpProxyError) else error  # contains the proxy's password
            raise AwsCallFailed(_failure(call, *self._what_went_wrong(call, error))) from cause
        failure = failure_of(
            call.operation,
            status=status,
            headers=headers,
            body=body,
            endpoint=origin(call.endpoint),
            received_at=self._clock.now(),
        )
        if failure is not None:
            raise AwsCallFailed(failure)
        answer: Mapping[str, Any] = msgspec.json.decode(body)
        return answer

    async def _exchange(
        self, call: _Call, credentials: Credentials, attempt: int
    ) -> tuple[int, Mapping[str, str], bytes]:
        headers = {
            "Content-Type": _CONTENT_TYPE,
            "Content-Length": str(len(call.body)),
            "X-Amz-Target": f"{call.target}.{call.operation}",
            "Amz-Sdk-Invocation-Id": call.id,
            "Amz-Sdk-Request": f"attempt={attempt}; max=2",
        }
        url = f"{call.endpoint}/"
        signature = signature_headers(
            method="POST",
            url=url,
            headers=headers,
            body=call.body,
            service=call.service,
            region=call.region,
            credentials=credentials,
            at=self._clock.now(),
        )
        unsigned = {"User-Agent": call.user_agent, "Accept-Encoding": "gzip"}
        async with self._session.post(
            URL(url, encoded=True),
            data=call.body,
            headers=headers | signature | unsigned,
            proxy=self.proxies.for_url(url),
            allow_redirects=False,
        ) as response:
            return response.status, response.headers, await _read(response)

    def _what_went_wrong(self, call: _Call, error: Exception) -> tuple[ObstacleKind, str]:
        endpoint = origin(call.endpoint)
        proxy = self.proxies.for_url(call.endpoint)
        through = f" through the proxy {origin(proxy)}" if proxy else ""
        match error:
            case aiohttp.ClientConnectorCertificateError():
                return ObstacleKind.CERTIFICATE_REFUSED, no_connection(error, endpoint=endpoint, proxy="")
            case aiohttp.ClientHttpProxyError():
                return _unreachable(f"the proxy {origin(proxy or '')} answered {error.status} {error.message}")
            case aiohttp.ClientConnectorError():
                words = no_connection(error, endpoint=endpoint, proxy=origin(proxy or ""), through=through)
                return _unreachable(words)
            case aiohttp.ConnectionTimeoutError():
                return _unreachable(f"no connection to {endpoint}{through} within {self._timeouts.dial_s:g} s")
            case TimeoutError():
                return _unreachable(f"no answer of {endpoint}{through} within {self._timeouts.round_trip_s:g} s")
            case aiohttp.ClientConnectionError() | aiohttp.ClientPayloadError():
                return _unreachable(f"{endpoint} closed the connection{through} before it had answered")
            case _TooLong():
                return ObstacleKind.SERVER_ERROR, f"{endpoint} answered with more than {ANSWER_LIMIT_BYTES} bytes"
            case aiohttp.ClientResponseError():
                return ObstacleKind.SERVER_ERROR, f"{endpoint} does not answer in HTTP: {first_line(error.message)}"
            case _:
                return _unreachable(f"no answer of {endpoint}{through}: {why(error)}")


class _Call(msgspec.Struct, frozen=True, kw_only=True):
    """What stays the same in every try of a call."""

    service: str
    operation: str
    target: str
    endpoint: str
    region: str
    body: bytes
    id: str
    user_agent: str


def _failure(call: _Call, kind: ObstacleKind, message: str) -> ApiFailure:
    """No answer, or none that could be read."""
    return ApiFailure(operation=call.operation, kind=kind, message=message, endpoint=origin(call.endpoint))


class _TooLong(ValueError):
    """The answer is longer than any valid one."""


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The body, unpacked."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > ANSWER_LIMIT_BYTES:
            raise _TooLong
    return bytes(body)


def _unreachable(message: str) -> tuple[ObstacleKind, str]:
    return ObstacleKind.ENDPOINT_UNREACHABLE, message
