"""HTTP to the Docker Engine: one ``request`` and one ``stream``. No other module of ``runtime`` imports aiohttp.

Failures are raised as ``RuntimeFailure``. A call that is cancelled or times out closes its connection,
from which the engine learns that the client has gone.

Source: engine.md §3, §6.5; library-choice.md §4.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Self
from urllib.parse import urlencode

import aiohttp
import msgspec
from yarl import URL

from ecscope.agent.runtime.docker import api_version, errors
from ecscope.agent.runtime.docker.endpoint import Endpoint
from ecscope.agent.runtime.docker.errors import Operation

_ERROR_BODY_LIMIT = 65536
"""Bytes read of an error answer."""


class _Component(msgspec.Struct, rename="pascal"):
    name: str = ""


class Version(msgspec.Struct, rename="pascal"):
    """The answer to ``/version``."""

    version: str
    api_version: str
    min_api_version: str = msgspec.field(name="MinAPIVersion", default="1.12")
    components: list[_Component] | None = None

    @property
    def is_podman(self) -> bool:
        """Whether it is Podman behind Docker's API."""
        return any(component.name == "Podman Engine" for component in self.components or ())


class Answer(msgspec.Struct):
    """An answer that was read to its end."""

    status: int
    body: bytes


class DockerClient:
    """One engine behind one endpoint. Connections are not limited: streams hold theirs for long."""

    def __init__(self, endpoint: Endpoint, *, version_timeout_s: float) -> None:
        self._endpoint = endpoint
        self._version_timeout_s = version_timeout_s
        self._prefix = ""
        self.is_podman = False
        """As negotiated last."""
        connector: aiohttp.BaseConnector = (
            aiohttp.UnixConnector(path=endpoint.socket_path, limit=0)
            if endpoint.socket_path
            else aiohttp.TCPConnector(limit=0)
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # each call has a limit of its own
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent"),
        )

    @property
    def api_version(self) -> tuple[int, int] | None:
        """The pinned API version, ``None`` before the first call."""
        if not self._prefix:
            return None
        return api_version.parsed(self._prefix.removeprefix("/v"))

    async def negotiate(self, operation: Operation) -> Version:
        """Ask for the engine's version and pin the newest API version that both sides know.

        An engine that supports only versions newer than the tested ones is used with its oldest, the nearest to them.

        Raises:
            RuntimeFailure: no answer, or an engine that is too old.
        """
        answer = await self._request(operation, "GET", "/version", timeout_s=self._version_timeout_s)
        try:
            version = msgspec.json.decode(answer.body, type=Version)
            newest, oldest = api_version.parsed(version.api_version), api_version.parsed(version.min_api_version)
        except (msgspec.DecodeError, ValueError) as error:
            raise errors.unusable(operation, f"{self._endpoint.text} is not a Docker Engine: {error}") from error
        pinned = api_version.chosen(oldest=oldest, newest=newest)
        if pinned is None:
            raise errors.unusable(
                operation,
                f"the Docker Engine {version.version} at {self._endpoint.text} speaks API {version.min_api_version} to "
                f"{version.api_version}, the agent {api_version.text_of(api_version.OLDEST)} and later:"
                " use a newer engine",
            )
        self._prefix = f"/v{api_version.text_of(pinned)}"
        self.is_podman = version.is_podman
        return version

    async def request(
        self,
        operation: Operation,
        method: str,
        path: str,
        *,
        timeout_s: float,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        accept: tuple[int, ...] = (200,),
    ) -> Answer:
        """Call and read the answer.

        Args:
            path: already quoted, without API version.
            accept: statuses that are not failures.

        Raises:
            RuntimeFailure: refused, out of time, or unreachable.
        """
        if not self._prefix:
            await self.negotiate(operation)
        answer = await self._request(
            operation, method, self._prefix + path, timeout_s=timeout_s, query=query, body=body, headers=headers
        )
        if answer.status not in accept:
            raise errors.refused(operation, answer.status, answer.body)
        return answer

    @asynccontextmanager
    async def stream(
        self,
        operation: Operation,
        method: str,
        path: str,
        *,
        query: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
        open_timeout_s: float | None,
        beat_s: float | None = None,
        silence_s: float | None = None,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a stream of chunks; leaving the context closes the connection.

        Args:
            open_timeout_s: until the status has come; ``None``: no limit.
            beat_s: read at whole multiples of this on the loop's clock only. Many slow streams are then read
                in one go, which costs a fraction of waking up for each. ``None``: read what comes when it comes.
            silence_s: between two chunks; ``None``: no limit.

        Raises:
            RuntimeFailure: refused, out of time, or unreachable; inside the context, when the stream breaks off.
        """
        if not self._prefix:
            await self.negotiate(operation)
        try:
            async with asyncio.timeout(open_timeout_s):
                response = await self._open(operation, method, self._prefix + path, query=query, headers=headers)
        except TimeoutError as error:
            raise errors.timed_out(operation, open_timeout_s or 0.0) from error
        try:
            if response.status != 200:
                body = await self._error_body(operation, path, response)
                raise errors.refused(operation, response.status, body)
            if beat_s is None:
                yield self._chunks(operation, path, response, silence_s)
            else:
                yield self._chunks_on_the_beat(operation, path, response, silence_s, beat_s)
        finally:
            response.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def _request(
        self,
        operation: Operation,
        method: str,
        path: str,
        *,
        timeout_s: float,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        response: aiohttp.ClientResponse | None = None
        try:
            async with asyncio.timeout(timeout_s):
                response = await self._open(operation, method, path, query=query, body=body, headers=headers)
                try:
                    return Answer(response.status, await response.read())
                except (aiohttp.ClientError, OSError) as error:
                    raise errors.connection_lost(operation, f"{method} {path}") from error
        except TimeoutError as error:
            raise errors.timed_out(operation, timeout_s) from error
        finally:
            if response is not None:
                response.close()  # no-op for an answer read to its end: that connection is kept

    async def _open(
        self,
        operation: Operation,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> aiohttp.ClientResponse:
        text = f"{self._endpoint.base_url}{path}?{urlencode(query)}" if query else f"{self._endpoint.base_url}{path}"
        all_headers = dict(headers or {})
        if body is not None:
            all_headers.setdefault("Content-Type", "application/json")
        try:
            return await self._session.request(
                method, URL(text, encoded=True), data=body, headers=all_headers, allow_redirects=False
            )
        except aiohttp.ClientConnectorError as error:
            cause = error.os_error
            raise errors.cannot_connect(operation, self._endpoint.text, cause) from error
        except (aiohttp.ClientError, OSError) as error:
            raise errors.connection_lost(operation, f"{method} {path}") from error

    async def _chunks(
        self, operation: Operation, path: str, response: aiohttp.ClientResponse, silence_s: float | None
    ) -> AsyncIterator[bytes]:
        with _Watch(response, silence_s) as watch:
            while chunk := await self._watched_chunk(operation, path, response, watch):
                yield chunk

    async def _chunks_on_the_beat(
        self,
        operation: Operation,
        path: str,
        response: aiohttp.ClientResponse,
        silence_s: float | None,
        beat_s: float,
    ) -> AsyncIterator[bytes]:
        clock = asyncio.get_running_loop().time
        content = response.content
        transport = response.connection.transport if response.connection is not None else None
        with _Watch(response, silence_s) as watch:
            while True:
                if transport is not None and not content.is_eof():  # after the end, it is another call's
                    transport.pause_reading()
                await asyncio.sleep(beat_s - clock() % beat_s)
                if transport is not None and not content.is_eof():
                    transport.resume_reading()
                for _ in range(2):  # turns of the loop: it looks at the socket, and reads
                    await asyncio.sleep(0)
                # Without data, do not wait for it: the loop would wake up for each stream.
                chunk = await self._watched_chunk(operation, path, response, watch, waits=False)
                if chunk:
                    yield chunk
                elif content.at_eof():
                    return

    async def _error_body(self, operation: Operation, path: str, response: aiohttp.ClientResponse) -> bytes:
        try:
            return await response.content.read(_ERROR_BODY_LIMIT)
        except (aiohttp.ClientError, OSError) as error:
            raise errors.connection_lost(operation, path) from error

    async def _watched_chunk(
        self,
        operation: Operation,
        path: str,
        response: aiohttp.ClientResponse,
        watch: _Watch,
        *,
        waits: bool = True,
    ) -> bytes:
        try:
            chunk = await response.content.readany() if waits else response.content.read_nowait()
        except (aiohttp.ClientError, OSError) as error:
            if watch.gave_up_after_s is not None:
                raise errors.timed_out(operation, watch.gave_up_after_s) from error
            raise errors.connection_lost(operation, path) from error
        if chunk:
            watch.heard()
        return chunk


class _Watch:
    """Closes a response that has been silent for too long. Costs nothing per chunk: it looks once in a limit."""

    def __init__(self, response: aiohttp.ClientResponse, silence_s: float | None) -> None:
        self._response = response
        self._silence_s = silence_s
        self._loop = asyncio.get_running_loop()
        self._heard_at_s = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self.gave_up_after_s: float | None = None
        """``None``: not yet."""

    def __enter__(self) -> Self:
        self._look()
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def heard(self) -> None:
        self._heard_at_s = self._loop.time()

    def _look(self) -> None:
        if self._silence_s is None:
            return
        due_s = self._heard_at_s + self._silence_s
        if self._loop.time() < due_s:
            self._timer = self._loop.call_at(due_s, self._look)
        else:
            self.gave_up_after_s = self._silence_s
            self._response.close()
