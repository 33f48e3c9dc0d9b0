"""Credentials, endpoint, names, proxy, clock and instance metadata, by calls that change nothing.

Importing this imports botocore.
"""

from __future__ import annotations

import asyncio
import http.client
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from ecscope.agent.aws.client import AwsClient, Timeouts
from ecscope.agent.aws.credentials import CredentialsProvider, chain
from ecscope.agent.aws.endpoints import Proxies, UnusableProxy, ecs_endpoint, is_address, origin
from ecscope.agent.aws.imds import InstanceMetadata, MetadataUnavailable
from ecscope.agent.aws.interface import AwsCallFailed
from ecscope.agent.config.settings import Config
from ecscope.agent.core.registration import detail_of
from ecscope.agent.diagnosis.doctor.facts import (
    CallFact,
    ClockFact,
    CredentialsFact,
    InstanceMetadataFact,
    NamesFact,
    NotKnown,
    ProxyFact,
)
from ecscope.clock import Clock
from ecscope.wire.ecs_api import discover_poll_endpoint

_LINK_LOCAL = ("http://169.254.169.254", "http://169.254.170.2")
_PORTS = {"http": 80, "https": 443}


class Aws:
    """Asks as an agent with this configuration would. Made inside a running loop; to be closed."""

    def __init__(self, config: Config, environ: Mapping[str, str], *, clock: Clock, limit_s: float) -> None:
        self._config = config
        self._clock = clock
        self._limit_s = limit_s
        self._proxies = Proxies(http=config.http_proxy, https=config.https_proxy, no_proxy=config.no_proxy)
        self._endpoint = ecs_endpoint(region=config.region or "us-east-1", override=config.api_endpoint)
        self._credentials = CredentialsProvider(
            chain(
                {**environ, **config.aws_environment()},
                external=config.external,
                clock=clock,
                imds_endpoint=config.imds_endpoint,
                imds_disabled=config.imds_disabled,
                rotating_profile=config.alternate_credential_profile,
            ),
            clock=clock,
        )
        self._client = AwsClient(
            region=config.region or "us-east-1",
            credentials=self._credentials,
            clock=clock,
            endpoint=config.api_endpoint,
            proxies=self._proxies,
            timeouts=Timeouts(dial_s=limit_s, round_trip_s=limit_s),
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()
        await self._credentials.close()

    async def credentials(self) -> CredentialsFact:
        """Where they were found, and until when they are good."""
        now = self._clock.now()
        try:
            found = await self._credentials.get()
        except AwsCallFailed as failed:
            return CredentialsFact(failure=failed.failure.message, now=now)
        return CredentialsFact(source=found.source, expires_at=found.expires_at, now=now)

    async def call(self, container_instance_arn: str) -> CallFact | NotKnown:
        """DiscoverPollEndpoint, which every agent may call."""
        body = discover_poll_endpoint(cluster=self._config.cluster, container_instance_arn=container_instance_arn)
        begun_s = time.monotonic()
        try:
            await self._client.call("DiscoverPollEndpoint", body)
        except AwsCallFailed as failed:
            failure = failed.failure
            return CallFact(
                endpoint=origin(self._endpoint),
                failure=failure.kind,
                message=failure.message,
                details=detail_of(failure),
            )
        return CallFact(endpoint=origin(self._endpoint), took_s=time.monotonic() - begun_s)

    async def names(self) -> NamesFact | NotKnown:
        """The look-up of the endpoint's name."""
        if not is_address(self._endpoint):
            return NotKnown(why=f"{origin(self._endpoint)} is not an address")
        host = urlsplit(self._endpoint).hostname or ""
        with suppress(UnusableProxy):
            if self._proxies.for_url(self._endpoint):
                return NotKnown(why="the proxy looks names up")
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError as error:
            return NamesFact(host=host, failure=error.strerror or str(error))
        return NamesFact(host=host, addresses=len({entry[4][0] for entry in found}))

    async def proxy(self) -> ProxyFact:
        """The proxy on the way to the endpoint, and whether something listens there."""
        try:
            proxy = self._proxies.for_url(self._endpoint)
            through = tuple(urlsplit(url).hostname or "" for url in _LINK_LOCAL if self._proxies.for_url(url))
        except UnusableProxy as error:
            return ProxyFact(failure=str(error))
        if not proxy:
            return ProxyFact(metadata_goes_through=through)
        parts = urlsplit(proxy)
        try:
            _, writer = await asyncio.open_connection(parts.hostname, parts.port or _PORTS[parts.scheme])
            writer.close()
        except OSError as error:
            return ProxyFact(
                proxy=origin(proxy), failure=f"the proxy {origin(proxy)} does not answer: {error.strerror or error}"
            )
        return ProxyFact(proxy=origin(proxy), metadata_goes_through=through)

    async def clock(self) -> ClockFact | NotKnown:
        """By the ``Date`` of an answer; any answer will do."""
        with suppress(UnusableProxy):
            if self._proxies.for_url(self._endpoint):
                return NotKnown(why="the way to the endpoint leads through a proxy, which may answer with its own time")
        return await asyncio.to_thread(self._date)

    def _date(self) -> ClockFact | NotKnown:
        parts = urlsplit(self._endpoint)
        host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 443)
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            # only the time is asked for, so a certificate that this clock takes for expired does not matter
            context = ssl._create_unverified_context()  # noqa: S323
            connection = http.client.HTTPSConnection(host, port, timeout=self._limit_s, context=context)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=self._limit_s)
        try:
            sent = self._clock.now()
            connection.request("GET", "/", headers={"Connection": "close"})
            date = connection.getresponse().getheader("Date")
            received = self._clock.now()
        except (OSError, http.client.HTTPException) as error:
            return NotKnown(why=f"the endpoint does not answer: {error}")
        finally:
            connection.close()
        try:
            theirs = parsedate_to_datetime(date or "").astimezone(UTC)
        except ValueError:
            return NotKnown(why="the endpoint's answer has no time")
        # the header is cut to whole seconds
        return ClockFact(offset_s=round(_seconds(sent, received, theirs), 1))

    async def instance_metadata(self) -> InstanceMetadataFact | NotKnown:
        """Whether the service answers at all, in one try."""
        if not self._config.may_ask_imds:
            return InstanceMetadataFact()
        metadata = InstanceMetadata(endpoint=self._config.imds_endpoint, timeout_s=self._limit_s)
        try:
            return InstanceMetadataFact(instance_id=await metadata.get("meta-data/instance-id"))
        except MetadataUnavailable as failure:
            return InstanceMetadataFact(failure=str(failure))
        finally:
            await metadata.close()


def _seconds(sent: datetime, received: datetime, theirs: datetime) -> float:
    """How far the middle of the exchange is ahead of ``theirs``, a time in whole seconds."""
    middle = sent + (received - sent) / 2
    return (middle - theirs).total_seconds() - 0.5
