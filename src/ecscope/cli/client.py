"""Asks an agent on port 51678, ecscope's or the official one, over plain HTTP.

Objects are kept as they came (``raw``), for programs; the fields beside are those that people
are shown. What is not an agent's answer becomes an ``AgentProblem`` with one sentence. Where nothing listens on
51678, an ecscope agent on this host says on 51680 why.

Source: introspection-api.md §5, §6.
"""

from __future__ import annotations

import http.client
import os
import re
from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import quote

import msgspec

DEFAULT_ENDPOINT = "http://localhost:51678"
ENDPOINT_VARIABLE = "ECSCOPE_ENDPOINT"

_PORT = 51678
_DIAGNOSTICS_PORT = 51680
_TIMEOUT_S = 10.0
_LONGEST_ANSWER = 256 * 1024 * 1024
_ENDPOINT = re.compile(r"(?:http://)?(\[[0-9A-Fa-f:.%a-z]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?/?", re.ASCII)
T = TypeVar("T")


class AgentProblem(Exception):
    """The agent cannot be asked or does not answer as one; the message says what to do."""

    def __init__(self, message: str, *, is_absence: bool = False) -> None:
        super().__init__(message)
        self.is_absence = is_absence
        """Nobody listens there."""


class BadEndpoint(ValueError):
    """The endpoint is not the URL of an agent; the message says what to write."""


class Port(msgspec.Struct, frozen=True, rename="pascal"):
    """One element of ``Ports``."""

    container_port: int = 0
    protocol: str = ""
    host_port: int = 0
    host_ip: str = ""
    """``""``: any of the host's addresses. The agent leaves it out on port 51678."""


class Network(msgspec.Struct, frozen=True, rename="pascal"):
    """One element of ``Networks``."""

    network_mode: str = ""
    ipv4_addresses: tuple[str, ...] = msgspec.field(name="IPv4Addresses", default=())
    ipv6_addresses: tuple[str, ...] = msgspec.field(name="IPv6Addresses", default=())


class Volume(msgspec.Struct, frozen=True, rename="pascal"):
    """One element of ``Volumes``."""

    docker_name: str = ""
    source: str = ""
    destination: str = ""


class Container(msgspec.Struct, frozen=True, rename="pascal"):
    """One element of ``Containers``; ``""``: left out by the agent."""

    docker_id: str
    docker_name: str
    name: str
    image: str = ""
    image_id: str = msgspec.field(name="ImageID", default="")
    created_at: str = ""
    started_at: str = ""
    ports: tuple[Port, ...] = ()
    networks: tuple[Network, ...] = ()
    volumes: tuple[Volume, ...] = ()
    restart_count: int | None = None
    """``None``: no restart policy."""


class _Task(msgspec.Struct, frozen=True, rename="pascal"):
    arn: str
    known_status: str
    family: str
    version: str
    containers: tuple[Container, ...]
    desired_status: str = ""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One task as the agent shows it."""

    arn: str
    desired: str
    """``""``: the known status is past it, so the agent leaves it out."""
    known: str
    family: str
    version: str
    containers: tuple[Container, ...]
    raw: msgspec.Raw
    """The whole object, as it came."""

    @property
    def id(self) -> str:
        """The last part of the ARN."""
        return self.arn.rsplit("/", 1)[-1]


def _shown(task: _Task, raw: msgspec.Raw) -> Task:
    return Task(
        arn=task.arn,
        desired=task.desired_status,
        known=task.known_status,
        family=task.family,
        version=task.version,
        containers=task.containers,
        raw=raw.copy(),
    )


class Metadata(msgspec.Struct, frozen=True, rename="pascal"):
    """``/v1/metadata``."""

    cluster: str
    container_instance_arn: str | None
    version: str = ""
    """``""``: the agent hides it."""


class Instance(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """What an ecscope agent shows on 51680."""

    status: str = ""
    """``""``: not registered."""
    reason: str = ""
    """Why not; ``""``: it is registered, or joins no cluster."""
    message: str = ""
    since: str = ""


class _NotRegistered(msgspec.Struct, frozen=True, rename="pascal"):
    """What an ecscope agent says on 51680 while its instance is not registered."""

    error: str
    reason: str
    message: str
    since: str


class _Registered(msgspec.Struct, frozen=True, rename="pascal"):
    """What it says there otherwise."""

    status: str
    container_instance_arn: str


class _Tasks(msgspec.Struct, frozen=True, rename="pascal"):
    tasks: tuple[msgspec.Raw, ...]


class Client:
    """One agent. Every method raises ``AgentProblem``."""

    def __init__(self, endpoint: str, *, timeout_s: float = _TIMEOUT_S) -> None:
        """``endpoint``: ``http://host:port``, ``host:port`` or ``host``. Raises ``BadEndpoint``."""
        found = _ENDPOINT.fullmatch(endpoint.strip())
        port = int(found[2] or _PORT) if found is not None else 0
        if found is None or not 0 < port <= 65535:
            raise BadEndpoint(
                f"{endpoint!r} is not the endpoint of an agent: write http://host:port, such as {DEFAULT_ENDPOINT}"
            )
        self.host = found[1].strip("[]")
        self.endpoint = f"http://{found[1]}:{port}"
        self._port = port
        self._timeout_s = timeout_s

    @property
    def port(self) -> int:
        """On which it is asked."""
        return self._port

    @property
    def is_local(self) -> bool:
        """The agent runs on this host, judging by its address."""
        return self.host in {"localhost", "::1"} or self.host.startswith("127.")

    def metadata(self) -> tuple[Metadata, bytes]:
        """What the agent says of itself, and the body as it came."""
        status, body = self._get("/v1/metadata")
        if status != http.client.OK:
            raise self._unexpected(status)
        return self._decode(body, Metadata), body

    def tasks(self) -> list[Task]:
        """All tasks the agent lists."""
        status, body = self._get("/v1/tasks")
        if status != http.client.OK:
            raise self._unexpected(status)
        return [self._task(raw) for raw in self._decode(body, _Tasks).tasks]

    def find(self, parameter: str, value: str) -> Task | None:
        """The one task that ``taskarn`` or ``dockerid`` leads to, also one that is not listed."""
        status, body = self._get(f"/v1/tasks?{parameter}={quote(value, safe='')}")
        if status in {http.client.BAD_REQUEST, http.client.NOT_FOUND}:
            return None
        if status != http.client.OK:
            raise self._unexpected(status)
        return self._task(msgspec.Raw(body))

    def instance(self) -> Instance | None:
        """What an ecscope agent on this host shows on 51680; ``None``: nobody answers there. Raises nothing."""
        try:
            _, body = self._ask(_DIAGNOSTICS_PORT, "/")
        except (OSError, http.client.HTTPException, AgentProblem):
            return None
        return _decoded(body, Instance)

    def _task(self, raw: msgspec.Raw) -> Task:
        return _shown(self._decode(bytes(raw), _Task), raw)

    @staticmethod
    def task_of(document: bytes) -> Task:
        """A task out of one object of ``/v1/tasks``. Raises ``msgspec.DecodeError``."""
        return _shown(msgspec.json.decode(document, type=_Task), msgspec.Raw(document))

    def _get(self, target: str) -> tuple[int, bytes]:
        try:
            return self._ask(self._port, target)
        except TimeoutError as error:
            raise AgentProblem(
                f"no answer from {self.endpoint} within {self._timeout_s:g} s: the agent or its host is overloaded, or "
                "a firewall drops the packets"
            ) from error
        except http.client.HTTPException as error:
            raise self._no_agent() from error
        except OSError as error:
            why_closed = self._why_closed()
            raise AgentProblem(why_closed or self._no_answer(error), is_absence=not why_closed) from error

    def _ask(self, port: int, target: str) -> tuple[int, bytes]:
        """Raises ``OSError``, ``http.client.HTTPException`` and ``AgentProblem``."""
        connection = http.client.HTTPConnection(self.host, port, timeout=self._timeout_s)
        try:
            connection.request("GET", target, headers={"Accept": "application/json", "Connection": "close"})
            answer = connection.getresponse()
            body = answer.read(_LONGEST_ANSWER + 1)
            if answer.length or len(body) > _LONGEST_ANSWER:
                raise AgentProblem(f"the answer of {self.endpoint} is cut off or far too long; try again")
            return answer.status, body
        finally:
            connection.close()

    def _no_answer(self, error: OSError) -> str:
        return (
            f"no agent answers on {self.endpoint} ({error.strerror or error}): start one with `ecscope up` "
            f"or `ecscope agent --tasks PATH`, or choose another with --endpoint URL or {ENDPOINT_VARIABLE}"
        )

    def _why_closed(self) -> str:
        """What an ecscope agent on this host says of its closed port; ``""``: nothing, or there is none."""
        if not self.is_local or self._port != _PORT:
            return ""
        try:
            _, body = self._ask(_DIAGNOSTICS_PORT, "/")
        except (OSError, http.client.HTTPException, AgentProblem):
            return ""
        if (
            missing := _decoded(body, _NotRegistered)
        ) is not None and missing.error == "ContainerInstanceNotRegistered":
            return (
                f"the agent on this host has not registered its container instance ({missing.reason}, since "
                f"{missing.since}): {missing.message}"
            )
        if (instance := _decoded(body, _Registered)) is not None and instance.container_instance_arn:
            return (
                f"the agent on this host runs ({instance.status}), but does not listen on {self.endpoint}: another"
                " program may hold the port, or ECSCOPE_INTROSPECTION_ADDRESS excludes this address; see the"
                " agent's log"
            )
        return ""

    def _decode(self, body: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._no_agent() from error

    def _unexpected(self, status: int) -> AgentProblem:
        if status >= http.client.INTERNAL_SERVER_ERROR:
            return AgentProblem(f"{self.endpoint} answers with status {status}: the agent's own log says why")
        return AgentProblem(
            f"{self.endpoint} answers with status {status}, which no ECS agent returns: is it the port of an agent?"
        )

    def _no_agent(self) -> AgentProblem:
        return AgentProblem(
            f"what answers on {self.endpoint} is not an ECS agent: check --endpoint and {ENDPOINT_VARIABLE}"
        )


def _decoded(body: bytes, kind: type[T]) -> T | None:
    """``None``: it is something else."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def client_for(endpoint: str | None, environ: Mapping[str, str] = os.environ) -> Client:
    """The agent of ``--endpoint``, of the environment, or the one on this host. Raises ``BadEndpoint``."""
    return Client(endpoint or environ.get(ENDPOINT_VARIABLE) or DEFAULT_ENDPOINT)
