"""How the agent comes to its next ACS connection: the address, what a refusal means, and how long to wait.

Pure: chance and durations come from the caller.

Source: agent-protocol.md §2.2, §4.1, §4.3.
Difference: a connection that ends cleanly within a second of its start, several times in a row, is followed by the
back-off. The official agent dials such a server (or a crashing one) again in a tight loop.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote, urlsplit

import msgspec

from ecscope.wire.acs.messages import InactiveInstanceException, Refusal, decode_from_server

CLEAN_CODES = frozenset({1000, 1001, 1006, 1011})
"""Close codes that are followed by a new connection at once; 1006 also means an end without any code."""

FORGOTTEN_WAIT_S = 3600.0
"""Until the agent asks again, after ECS has said that the instance is not registered."""

SCHEMES = {"http": "ws", "https": "wss"}


class UnusableEndpoint(Exception):
    """DiscoverPollEndpoint named an address that no websocket can be opened to."""


def connect_url(
    endpoint: str,
    *,
    agent_hash: str,
    agent_version: str,
    cluster: str,
    container_instance_arn: str,
    docker_version: str,
    send_credentials: bool,
) -> str:
    """The address to dial: query sorted by name, and quoted as signatures want it (a blank is ``%20``).

    Args:
        cluster: as configured, name or ARN.
        docker_version: the engine's version, without prefix.
        send_credentials: until the process has been connected once.

    Raises:
        UnusableEndpoint
    """
    try:
        parts = urlsplit(endpoint)
        is_complete = bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise UnusableEndpoint(f"the ACS endpoint that ECS named is not an address: {error}") from error
    scheme = SCHEMES.get(parts.scheme)
    if scheme is None or not is_complete:
        raise UnusableEndpoint(
            f"the ACS endpoint that ECS named must begin with http:// or https://, and is {endpoint[:200]!r}"
        )
    query = {
        "agentHash": agent_hash,
        "agentVersion": agent_version,
        "clusterArn": cluster,
        "containerInstanceArn": container_instance_arn,
        "dockerVersion": f"DockerVersion: {docker_version}",
        "protocolVersion": "2",
        "sendCredentials": "true" if send_credentials else "false",
        "seqNum": "1",
    }
    text = "&".join(f"{name}={quote(query[name], safe='')}" for name in sorted(query))
    return f"{scheme}://{parts.netloc}{parts.path.removesuffix('/')}/ws?{text}"


def inactive_instance(body: str) -> str | None:
    """ECS's words, where the body of a refused upgrade says that the instance is not registered; else ``None``.

    Two forms: a frame, or ``{"InactiveInstanceException": "…"}``. Never raises.
    """
    message = decode_from_server(body)
    if isinstance(message, InactiveInstanceException):
        return message.message or ""
    if isinstance(message, Refusal):
        try:
            return msgspec.json.decode(body, type=_Unframed).words
        except (ValueError, RecursionError):
            return None
    return None


class _Unframed(msgspec.Struct):
    words: str = msgspec.field(name="InactiveInstanceException")


class ReconnectTimes(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds, but for factor and jitter."""

    first_s: float = 0.25
    cap_s: float = 120.0
    factor: float = 1.5
    jitter: float = 0.2
    """Each wait grows by a random part of itself, at most this part."""
    proven_s: float = 60.0
    proven_spread_s: float = 60.0
    """A connection that lasted ``proven_s`` and a random part of this resets the back-off."""
    hasty_s: float = 1.0
    """A clean end sooner than this is suspicious …"""
    hasty_ends: int = 3
    """… after so many in a row."""


class Reconnect:
    """How long to wait before the next dial. One object for all connections of a process."""

    def __init__(self, *, chance: Callable[[], float], times: ReconnectTimes | None = None) -> None:
        """``chance``: 0 to 1, drawn for each call."""
        self._chance = chance
        self._times = times or ReconnectTimes()
        self._wait_s = self._times.first_s
        self._hasty = 0

    def after_end(self, *, lived_s: float, is_clean: bool) -> float:
        """Seconds to wait after a connection that was there for ``lived_s``."""
        times = self._times
        if is_clean and lived_s < times.hasty_s:
            self._hasty += 1
            if self._hasty > times.hasty_ends:
                return self._next_wait()
            return 0.0
        self._hasty = 0
        if is_clean or lived_s >= times.proven_s + times.proven_spread_s * self._chance():
            self._wait_s = times.first_s
        return 0.0 if is_clean else self._next_wait()

    def after_failure(self) -> float:
        """Seconds to wait after a dial that gave no connection."""
        return self._next_wait()

    def after_refusal_for_good(self) -> float:
        """Seconds to wait after ECS said that the instance is not registered."""
        self._wait_s = self._times.first_s
        self._hasty = 0
        return FORGOTTEN_WAIT_S

    def _next_wait(self) -> float:
        wait_s = self._wait_s
        self._wait_s = min(wait_s * self._times.factor, self._times.cap_s)
        return wait_s * (1.0 + self._times.jitter * self._chance())
