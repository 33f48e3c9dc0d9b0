"""The contract between the agent and the container runtime.

Every call may be repeated after a crash, so every call is idempotent or fails with an
error that says so (``is_conflict``, ``is_not_found``). Rules about *when* to call stay in
``agent/core``; an implementation translates, calls, and translates back.

Held to this: ``runtime/docker`` (a real Docker Engine) and ``runtime/simulated`` (one in memory).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from ecscope.agent.core.container_config import ContainerConfig
from ecscope.model.arn import DockerId
from ecscope.model.container import ContainerInspection, ImageInspection, NamedError
from ecscope.model.runtime import EngineInfo, PullProgress, RuntimeNotice
from ecscope.model.stats import StatsSample


class RuntimeFailure(Exception):
    """A call to the runtime failed.

    Attributes:
        error: the error as ECS names it, e.g. ``CannotStartContainerError: Error response from daemon: …``.
        is_unreachable: the runtime could not be talked to at all; nothing is known about the outcome.
        is_timeout: no answer within the call's limit (``DockerTimeoutError``).
        is_not_found: the object does not exist.
        is_conflict: the object exists already, or is in use.
    """

    def __init__(
        self,
        error: NamedError,
        *,
        is_unreachable: bool = False,
        is_timeout: bool = False,
        is_not_found: bool = False,
        is_conflict: bool = False,
    ) -> None:
        super().__init__(error)
        self.error = error
        self.is_unreachable = is_unreachable
        self.is_timeout = is_timeout
        self.is_not_found = is_not_found
        self.is_conflict = is_conflict

    def __str__(self) -> str:
        return str(self.error)


class RegistryAuth(msgspec.Struct, frozen=True, kw_only=True):
    """Credentials for one registry. Never printed: ``repr`` hides them."""

    username: str = ""
    password: str = ""
    email: str = ""
    server_address: str = ""
    identity_token: str = ""
    """Instead of user and password."""

    def __repr__(self) -> str:
        return f"RegistryAuth(server_address={self.server_address!r}, …)"


class VolumeSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A volume to create."""

    name: str
    driver: str
    driver_options: Mapping[str, str]
    labels: Mapping[str, str]


class NetworkSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A network over a bridge of this host to create."""

    name: str
    bridge: str
    subnet: str
    """In CIDR notation."""
    gateway: str
    labels: Mapping[str, str]


class Runtime(Protocol):
    """See the module docstring. Every call raises ``RuntimeFailure`` and may be cancelled."""

    async def connect(self) -> EngineInfo:
        """Ask for the engine's version and properties. Called again after every disconnect."""

    async def ping(self) -> None:
        """Return if the runtime answers at all (5 s limit)."""

    async def volume_plugins(self) -> tuple[str, ...]:
        """Names of the volume drivers that can be used now, ``local`` first; managed plugins with their tag."""

    def notices(self) -> AbstractAsyncContextManager[AsyncIterator[RuntimeNotice]]:
        """The event stream, open while the context lasts; raises ``RuntimeFailure`` when it breaks.

        Once entered, nothing that happens later is missed. ``connect`` precedes and a listing
        follows each opening, so a gap is never trusted.
        """

    async def inspect_image(self, reference: str) -> ImageInspection | None:
        """The local image, ``None`` when there is none."""

    async def resolve_digest(self, reference: str, auth: RegistryAuth | None) -> str:
        """Digest from the registry; ``""`` where the runtime or a schema-1 manifest offers none."""

    async def pull_image(
        self, reference: str, auth: RegistryAuth | None, progress: Callable[[PullProgress], None]
    ) -> None:
        """Pull, trying again where that can help. ``progress`` is called at most once a second."""

    async def tag_image(self, source: str, target: str) -> None:
        """Give ``source`` the further name ``target``."""

    async def load_image(self, archive: bytes) -> None:
        """Take in the images of a tar archive, under the names in it; those that are there already are kept."""

    async def remove_image(self, reference: str) -> None:
        """Remove a name; "no such image" counts as done, in use is ``is_conflict``."""

    async def create_container(self, config: ContainerConfig, *, timeout_s: float) -> DockerId:
        """Create; a container of that name that carries this task's labels is adopted."""

    async def start_container(self, docker_id: DockerId, *, timeout_s: float) -> None:
        """Start; already running counts as done."""

    async def stop_container(self, docker_id: DockerId, *, grace_s: int) -> None:
        """SIGTERM (or the image's stop signal), SIGKILL after ``grace_s``; not running counts as done."""

    async def inspect_container(self, id_or_name: str) -> ContainerInspection:
        """What is known about it."""

    async def remove_container(self, docker_id: DockerId, *, force: bool) -> None:
        """Remove with its anonymous volumes; "no such container" counts as done."""

    async def list_task_containers(self) -> list[tuple[DockerId, str, str]]:
        """(Docker ID, Docker name, task ARN) of every container with a task ARN label, stopped ones too."""

    def stats(
        self, docker_id: DockerId, *, poll_every_s: float | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[StatsSample]]:
        """What the container uses: a sample a second, or (by one request each) one every ``poll_every_s``.

        No sample comes while it does not run. Ends when the container is removed or the runtime ends
        the stream; raises ``RuntimeFailure`` when the container does not exist, when the stream breaks,
        and when the runtime has been silent for 18 s.
        """

    async def create_volume(self, spec: VolumeSpec) -> None:
        """Create; an existing one of that name counts as done."""

    async def volume_exists(self, name: str) -> bool:
        """Whether a volume of that name exists."""

    async def remove_volume(self, name: str) -> None:
        """Remove; "no such volume" counts as done."""

    async def create_network(self, spec: NetworkSpec) -> bool:
        """Create; ``False``: one of that name exists, with that subnet. Where it has another, this fails."""

    async def remove_network(self, name: str) -> None:
        """Remove; "no such network" counts as done, in use is ``is_conflict``."""

    async def subnets(self) -> Mapping[str, tuple[str, ...]]:
        """The IPv4 subnets, in CIDR notation, of every network, by its name."""

    async def close(self) -> None:
        """Release sockets. The object is not used afterwards."""
