"""``DockerRuntime``: the runtime contract, spoken to a Docker Engine.

Source: engine.md §3, §4, §6, §12.
"""

from __future__ import annotations

import asyncio
import logging
import time
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

import msgspec

from ecscope.agent.core.container_config import ContainerConfig
from ecscope.agent.runtime.docker import errors
from ecscope.agent.runtime.docker.api_version import NEWEST_TESTED, ApiVersion, is_tested, text_of
from ecscope.agent.runtime.docker.auth import registry_auth_header
from ecscope.agent.runtime.docker.create_body import create_body
from ecscope.agent.runtime.docker.endpoint import DEFAULT_ENDPOINT, parse_endpoint
from ecscope.agent.runtime.docker.errors import Operation
from ecscope.agent.runtime.docker.events import NoticeReader, event_filters
from ecscope.agent.runtime.docker.images import (
    MANIFEST_TRIES,
    PULL_TRIES,
    TAG_TRIES,
    PullReader,
    distribution_digest,
)
from ecscope.agent.runtime.docker.inspect import container_inspection, image_inspection
from ecscope.agent.runtime.docker.stats import StatsReader
from ecscope.agent.runtime.docker.timeouts import Timeouts
from ecscope.agent.runtime.interface import NetworkSpec, RegistryAuth, RuntimeFailure, VolumeSpec
from ecscope.backoff import Backoff, Retry
from ecscope.model.arn import DockerId
from ecscope.model.container import ContainerInspection, ImageInspection
from ecscope.model.image_reference import ImageReference, InvalidImageReference, parse_image_reference
from ecscope.model.names import TASK_ARN_LABEL
from ecscope.model.runtime import EngineInfo, PullProgress, RuntimeNotice
from ecscope.model.stats import StatsSample

if TYPE_CHECKING:
    from ecscope.agent.runtime.docker.client import Answer, DockerClient

T = TypeVar("T")

_log = logging.getLogger("ecscope.docker")

STOP_TRIES = Backoff(tries=5, first_s=1.0, cap_s=5.0, factor=1.3, jitter=0.2)

REMOVE_TRIES = Backoff(tries=5, first_s=0.1, cap_s=2.0, factor=3.0)

DIGEST_API = (1, 35)
"""The first API version whose digests the agent asks for. Source: engine.md §4.2."""

ONE_SHOT_API = (1, 41)
"""The first API version that answers a poll for stats at once, without two measurements first."""

STATS_BEAT_S = 2.0
"""The engine measures about once a second, and a sample, which carries its own moment, may wait for the others.

Longer than the engine's second, so that at the beat there is something to read from each stream.
"""

PROGRESS_INTERVAL_S = 1.0


_POLL_SPREAD = 0.8
"""Part of the poll interval by which a container's second poll may be late. Source: agent-protocol.md §5.3."""


class _Pool(msgspec.Struct, rename="pascal"):
    subnet: str = ""


class _AddressPlan(msgspec.Struct, rename="pascal"):
    config: list[_Pool] | None = None


class _Network(msgspec.Struct, rename="pascal"):
    name: str
    address_plan: _AddressPlan = msgspec.field(name="IPAM", default_factory=_AddressPlan)

    @property
    def subnets(self) -> tuple[str, ...]:
        return tuple(pool.subnet for pool in self.address_plan.config or () if pool.subnet and ":" not in pool.subnet)


class _Plugins(msgspec.Struct):
    volume: list[str] | None = msgspec.field(name="Volume", default=None)


class _ManagedPlugin(msgspec.Struct, rename="pascal"):
    name: str


class _Info(msgspec.Struct):
    version: str = msgspec.field(name="ServerVersion", default="")
    cpus: int = msgspec.field(name="NCPU", default=0)
    memory_bytes: int = msgspec.field(name="MemTotal", default=0)
    cgroup_version: str = msgspec.field(name="CgroupVersion", default="1")
    cgroup_driver: str = msgspec.field(name="CgroupDriver", default="")
    storage_root: str = msgspec.field(name="DockerRootDir", default="")
    architecture: str = msgspec.field(name="Architecture", default="")
    storage_driver: str = msgspec.field(name="Driver", default="")
    driver_status: list[list[str]] | None = msgspec.field(name="DriverStatus", default=None)

    @property
    def has_containerd_store(self) -> bool:
        """Whether images are kept by containerd, the default since Docker 29."""
        return any(
            pair[:1] == ["driver-type"] and pair[-1].startswith("io.containerd.") for pair in self.driver_status or ()
        )

    plugins: _Plugins | None = msgspec.field(name="Plugins", default=None)


class _Created(msgspec.Struct, rename="pascal"):
    id: str


class _Listed(msgspec.Struct, rename="pascal"):
    id: str
    names: list[str] | None = None
    labels: dict[str, str] | None = None


class DockerRuntime:
    """A Docker Engine behind ``unix:///path`` or ``tcp://host:port``. Holds to ``Runtime``.

    Making one does no I/O and does not load the HTTP library: the first call does, beside the
    event loop. Digest look-ups, pulls, tags and stops are tried several times here; an engine
    that cannot be reached is reported at once.

    Raises:
        InvalidEndpoint: ``endpoint`` has another form.
    """

    def __init__(
        self, endpoint: str = DEFAULT_ENDPOINT, *, timeouts: Timeouts | None = None, retry: Retry | None = None
    ) -> None:
        self._endpoint = parse_endpoint(endpoint)
        self._timeouts = timeouts or Timeouts()
        self._retry = retry or Retry()
        self._opened: DockerClient | None = None
        self._pulls_in_silence = False
        """The containerd image store reports a layer only once per MiB: silence is not inactivity then."""
        self._said_untested = ""
        """Version of the engine."""

    # --- the engine as a whole ------------------------------------------------------------------

    async def connect(self) -> EngineInfo:
        """Ask for the engine's version, and negotiate the API version again: the engine may have been upgraded."""
        client = await self._client()
        version = await client.negotiate(errors.CONNECT)
        self._say_if_untested(client.api_version, version.version)
        answer = await client.request(errors.CONNECT, "GET", "/info", timeout_s=self._timeouts.version_s)
        info = self._decoded(errors.CONNECT, answer.body, msgspec.json.Decoder(_Info).decode)
        self._pulls_in_silence = info.has_containerd_store
        return EngineInfo(
            version=info.version or version.version,
            api_version=version.api_version,
            cpus=info.cpus,
            memory_bytes=info.memory_bytes,
            cgroup_version=info.cgroup_version or "1",
            cgroup_driver=info.cgroup_driver,
            storage_root=info.storage_root,
            storage_driver=info.storage_driver,
            architecture=info.architecture,
        )

    def _say_if_untested(self, version: ApiVersion | None, engine_version: str) -> None:
        """Once for each version of the engine."""
        if version is None or is_tested(version) or engine_version == self._said_untested:
            return
        self._said_untested = engine_version
        _log.warning(
            "Docker %s supports no API version that ecscope was tested with (%s and older): using %s, its oldest. If"
            " something misbehaves, look for a newer ecscope, or have the engine offer an older API.",
            engine_version,
            text_of(NEWEST_TESTED),
            text_of(version),
        )

    async def ping(self) -> None:
        """Return if the engine answers at all."""
        await self._request(errors.PING, "GET", "/_ping", timeout_s=self._timeouts.ping_s)

    async def volume_plugins(self) -> tuple[str, ...]:
        """Drivers that the engine has loaded, then enabled managed plugins, which it may load when one is asked for.

        Unlike the official agent this does not look for the sockets of legacy plugins on the host: where the agent
        runs in a container they are not there. The engine lists such a plugin once it was used.
        """
        loaded = await self._request(errors.CONNECT, "GET", "/info", timeout_s=self._timeouts.version_s)
        info = self._decoded(errors.CONNECT, loaded.body, msgspec.json.Decoder(_Info).decode)
        answer = await self._request(
            errors.LIST_PLUGINS,
            "GET",
            "/plugins",
            query={"filters": _json({"capability": ["volumedriver"], "enabled": ["true"]})},
            timeout_s=self._timeouts.list_plugins_s,
        )
        managed = self._decoded(errors.LIST_PLUGINS, answer.body, msgspec.json.Decoder(list[_ManagedPlugin]).decode)
        names = [
            "local",
            *sorted((info.plugins and info.plugins.volume) or ()),
            *sorted(plugin.name for plugin in managed),
        ]
        return tuple(dict.fromkeys(names))

    @asynccontextmanager
    async def notices(self) -> AsyncIterator[AsyncIterator[RuntimeNotice]]:
        """The event stream. Events from the moment of the request on are replayed, so none is missed while it opens."""
        client = await self._negotiated(errors.EVENTS)
        query = {"filters": _json(event_filters(is_podman=client.is_podman)), "since": f"{time.time():.9f}"}
        async with client.stream(
            errors.EVENTS, "GET", "/events", query=query, open_timeout_s=self._timeouts.events_s
        ) as chunks:
            yield self._read_notices(chunks)

    async def _read_notices(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[RuntimeNotice]:
        reader = NoticeReader()
        async for chunk in chunks:
            for notice in reader.feed(chunk):
                yield notice
        raise errors.unreachable(errors.EVENTS, f"the event stream of {self._endpoint.text} ended")

    async def close(self) -> None:
        """Release sockets."""
        client, self._opened = self._opened, None
        if client is not None:
            await client.close()

    # --- images ---------------------------------------------------------------------------------

    async def inspect_image(self, reference: str) -> ImageInspection | None:
        """The local image, ``None`` when there is none."""
        path = f"/images/{_path(errors.INSPECT_IMAGE, reference)}/json"
        answer = await self._request(
            errors.INSPECT_IMAGE, "GET", path, timeout_s=self._timeouts.inspect_s, accept=(200, 404)
        )
        if answer.status == 404:
            return None
        return self._decoded(errors.INSPECT_IMAGE, answer.body, image_inspection)

    async def resolve_digest(self, reference: str, auth: RegistryAuth | None) -> str:
        """Digest from the registry: up to 9 tries within one limit. Source: engine.md §4.2."""
        path = f"/distribution/{_path(errors.MANIFEST, reference)}/json"
        client = await self._negotiated(errors.MANIFEST)
        limit_s = self._timeouts.manifest_s
        if client.api_version is not None and client.api_version < DIGEST_API:
            return ""

        async def attempt() -> str:
            answer = await client.request(errors.MANIFEST, "GET", path, timeout_s=limit_s, headers=_auth_headers(auth))
            return self._decoded(errors.MANIFEST, answer.body, distribution_digest)

        try:
            async with asyncio.timeout(limit_s):
                return await self._retry.run(MANIFEST_TRIES, attempt, is_worth_retrying=_is_worth_retrying)
        except TimeoutError as error:
            raise errors.timed_out(errors.MANIFEST, limit_s) from error
        except RuntimeFailure as failure:
            raise errors.without_storage_urls(failure, reference) from failure

    async def pull_image(
        self, reference: str, auth: RegistryAuth | None, progress: Callable[[PullProgress], None]
    ) -> None:
        """Pull: up to 5 tries within one limit. Cancelling ends the pull in the engine too. Source: engine.md §4.3."""
        image = _parsed(errors.PULL, reference)
        limit_s = self._timeouts.pull_s
        try:
            async with asyncio.timeout(limit_s):
                await self._retry.run(
                    PULL_TRIES, lambda: self._pull_once(image, auth, progress), is_worth_retrying=_is_worth_retrying
                )
        except TimeoutError as error:
            raise errors.timed_out(errors.PULL, limit_s) from error
        except RuntimeFailure as failure:
            raise errors.with_pull_hint(failure, reference) from failure

    async def _pull_once(
        self, image: ImageReference, auth: RegistryAuth | None, progress: Callable[[PullProgress], None]
    ) -> None:
        client, reader, clock = await self._client(), PullReader(), asyncio.get_running_loop().time
        query = {"fromImage": image.name, "tag": image.tag_or_digest}
        has_output = False
        reported_at = clock()
        try:
            async with (
                asyncio.timeout(self._timeouts.pull_begin_s) as limit,
                client.stream(
                    errors.PULL,
                    "POST",
                    "/images/create",
                    query=query,
                    headers=_auth_headers(auth),
                    open_timeout_s=None,
                ) as chunks,
            ):
                async for chunk in chunks:
                    has_output = True
                    limit.reschedule(None if self._pulls_in_silence else clock() + self._timeouts.pull_inactivity_s)
                    reader.feed(chunk)
                    if clock() - reported_at >= PROGRESS_INTERVAL_S:
                        reported_at = clock()
                        progress(reader.progress)
        except TimeoutError as error:
            if has_output:
                raise errors.unusable(errors.PULL, "inactivity time exceeded timeout") from error
            raise errors.timed_out(errors.PULL_BEGIN, self._timeouts.pull_begin_s) from error
        reader.close()
        if reader.error:
            raise errors.reported(errors.PULL, reader.error)

    async def tag_image(self, source: str, target: str) -> None:
        """Give ``source`` the further name ``target``: up to 5 tries."""
        path = f"/images/{_path(errors.TAG, source)}/tag"
        image = _parsed(errors.TAG, target)
        query = {"repo": image.name, "tag": image.tag}

        async def attempt() -> None:
            await self._request(
                errors.TAG, "POST", path, query=query, timeout_s=self._timeouts.tag_s, accept=(200, 201)
            )

        await self._retry.run(TAG_TRIES, attempt, is_worth_retrying=_is_worth_retrying)

    async def load_image(self, archive: bytes) -> None:
        """Take in the images of a tar archive."""
        answer = await self._request(
            errors.LOAD_IMAGE,
            "POST",
            "/images/load",
            query={"quiet": "1"},
            body=archive,
            headers={"Content-Type": "application/x-tar"},
            timeout_s=self._timeouts.load_image_s,
        )
        reader = PullReader()
        reader.feed(answer.body)
        reader.close()
        if reader.error:
            raise errors.reported(errors.LOAD_IMAGE, reader.error)

    async def remove_image(self, reference: str) -> None:
        """Remove a name; "no such image" counts as done."""
        path = f"/images/{_path(errors.REMOVE_IMAGE, reference)}"
        await self._request(
            errors.REMOVE_IMAGE, "DELETE", path, timeout_s=self._timeouts.remove_image_s, accept=(200, 404)
        )

    # --- containers -----------------------------------------------------------------------------

    async def create_container(self, config: ContainerConfig, *, timeout_s: float) -> DockerId:
        """Create under ``config.docker_name``; one of that name with this task's labels is adopted."""
        if config.links and (await self._negotiated(errors.CREATE)).is_podman:
            raise errors.unusable(
                errors.CREATE,
                f"links of container {config.container_name} ({', '.join(link.alias for link in config.links)}) are not"
                " supported by Podman. Remove them, or run the task on Docker",
            )
        body = msgspec.json.encode(create_body(config))
        name = config.docker_name
        try:
            answer = await self._request(
                errors.CREATE,
                "POST",
                "/containers/create",
                query={"name": name},
                body=body,
                timeout_s=timeout_s,
                accept=(201,),
            )
        except RuntimeFailure as failure:
            if not failure.is_conflict:
                raise
            adopted = await self._own_container(config)
            if adopted is None:
                raise
            return adopted
        return DockerId(self._decoded(errors.CREATE, answer.body, msgspec.json.Decoder(_Created).decode).id)

    async def _own_container(self, config: ContainerConfig) -> DockerId | None:
        try:
            found = await self.inspect_container(config.docker_name)
        except RuntimeFailure as failure:
            if failure.is_not_found:
                return None
            raise
        is_ours = found.task_arn == config.task_arn and found.container_name == config.container_name
        return found.docker_id if is_ours else None

    async def start_container(self, docker_id: DockerId, *, timeout_s: float) -> None:
        """Start; already running counts as done."""
        path = f"/containers/{_quoted(docker_id)}/start"
        await self._request(errors.START, "POST", path, timeout_s=timeout_s, accept=(204, 304))

    async def stop_container(self, docker_id: DockerId, *, grace_s: int) -> None:
        """SIGTERM, then SIGKILL after ``grace_s``: up to 5 tries. Source: engine.md §3.1."""
        path = f"/containers/{_quoted(docker_id)}/stop"
        timeout_s = grace_s + self._timeouts.stop_extra_s

        async def attempt() -> None:
            answer = await self._request(
                errors.STOP, "POST", path, query={"t": str(grace_s)}, timeout_s=timeout_s, accept=(204, 304, 404)
            )
            if answer.status == 404:
                raise errors.no_such_container(docker_id)

        await self._retry.run(
            STOP_TRIES, attempt, is_worth_retrying=lambda error: _is_worth_retrying(error) and not _is_not_found(error)
        )

    async def inspect_container(self, id_or_name: str) -> ContainerInspection:
        """What is known about it."""
        path = f"/containers/{_quoted(id_or_name)}/json"
        answer = await self._request(errors.INSPECT, "GET", path, timeout_s=self._timeouts.inspect_s)
        return self._decoded(errors.INSPECT, answer.body, container_inspection)

    async def remove_container(self, docker_id: DockerId, *, force: bool) -> None:
        """Remove with its anonymous volumes; "no such container" counts as done.

        If another client is removing it already, wait a little for that to end.
        """
        query = {"v": "1", "force": "1" if force else "0"}

        async def attempt() -> None:
            await self._request(
                errors.REMOVE,
                "DELETE",
                f"/containers/{_quoted(docker_id)}",
                query=query,
                timeout_s=self._timeouts.remove_container_s,
                accept=(204, 404),
            )

        await self._retry.run(REMOVE_TRIES, attempt, is_worth_retrying=_is_being_removed)

    async def list_task_containers(self) -> list[tuple[DockerId, str, str]]:
        """(Docker ID, Docker name, task ARN) of every container with a task ARN label, stopped ones too."""
        query = {"all": "1", "filters": _json({"label": [TASK_ARN_LABEL]})}
        answer = await self._request(
            errors.LIST, "GET", "/containers/json", query=query, timeout_s=self._timeouts.list_s
        )
        listed = self._decoded(errors.LIST, answer.body, msgspec.json.Decoder(list[_Listed]).decode)
        return [
            (DockerId(entry.id), _own_name(entry.names or []), (entry.labels or {}).get(TASK_ARN_LABEL, ""))
            for entry in listed
        ]

    # --- stats ----------------------------------------------------------------------------------

    @asynccontextmanager
    async def stats(
        self, docker_id: DockerId, *, poll_every_s: float | None = None
    ) -> AsyncIterator[AsyncIterator[StatsSample]]:
        """What the container uses: a sample a second, or one each ``poll_every_s``."""
        path = f"/containers/{_quoted(docker_id)}/stats"
        if poll_every_s is not None:
            yield self._poll_stats(docker_id, path, poll_every_s)
            return
        client = await self._client()
        async with client.stream(
            errors.STATS,
            "GET",
            path,
            query={"stream": "1"},
            open_timeout_s=self._timeouts.stats_s,
            silence_s=self._timeouts.stats_s,
            beat_s=STATS_BEAT_S,
        ) as chunks:
            yield self._read_stats(docker_id, chunks)

    async def _read_stats(self, docker_id: DockerId, chunks: AsyncIterator[bytes]) -> AsyncIterator[StatsSample]:
        reader = StatsReader(docker_id)
        async for chunk in chunks:
            for sample in reader.feed(chunk):
                yield sample

    async def _poll_stats(self, docker_id: DockerId, path: str, every_s: float) -> AsyncIterator[StatsSample]:
        reader, query = StatsReader(docker_id), {"stream": "0"}
        wait_s = every_s + _spread(docker_id) * _POLL_SPREAD * every_s
        while True:
            client = await self._negotiated(errors.STATS)
            if client.api_version is not None and client.api_version >= ONE_SHOT_API:
                query["one-shot"] = "1"
            answer = await client.request(errors.STATS, "GET", path, query=query, timeout_s=self._timeouts.stats_s)
            sample = reader.sample(answer.body)
            if sample is not None:
                yield sample
            await asyncio.sleep(wait_s)
            wait_s = every_s

    # --- volumes --------------------------------------------------------------------------------

    async def create_volume(self, spec: VolumeSpec) -> None:
        """Create; an existing one of that name counts as done."""
        body = {
            "Name": spec.name,
            "Driver": spec.driver,
            "DriverOpts": dict(spec.driver_options),
            "Labels": dict(spec.labels),
        }
        await self._request(
            errors.CREATE_VOLUME,
            "POST",
            "/volumes/create",
            body=msgspec.json.encode(body),
            timeout_s=self._timeouts.volume_s,
            accept=(200, 201, 409),
        )

    async def volume_exists(self, name: str) -> bool:
        """Whether a volume of that name exists."""
        answer = await self._request(
            errors.INSPECT_VOLUME,
            "GET",
            f"/volumes/{_quoted(name)}",
            timeout_s=self._timeouts.volume_s,
            accept=(200, 404),
        )
        return answer.status == 200

    async def remove_volume(self, name: str) -> None:
        """Remove; "no such volume" counts as done."""
        await self._request(
            errors.REMOVE_VOLUME,
            "DELETE",
            f"/volumes/{_quoted(name)}",
            timeout_s=self._timeouts.volume_s,
            accept=(204, 404),
        )

    # --- networks -------------------------------------------------------------------------------

    async def create_network(self, spec: NetworkSpec) -> bool:
        """Create; ``False``: one of that name exists, with that subnet."""
        path = f"/networks/{_quoted(spec.name)}"
        limit_s = self._timeouts.network_s
        found = await self._request(errors.INSPECT_NETWORK, "GET", path, timeout_s=limit_s, accept=(200, 404))
        if found.status == 200:
            network = self._decoded(errors.INSPECT_NETWORK, found.body, msgspec.json.Decoder(_Network).decode)
            if spec.subnet not in network.subnets:
                raise errors.unusable(
                    errors.CREATE_NETWORK,
                    f"the Docker network {spec.name} exists, with the subnet {', '.join(network.subnets)} and not"
                    f" {spec.subnet}; remove it (docker network rm {spec.name})",
                )
            return False
        body = {
            "Name": spec.name,
            "CheckDuplicate": True,
            "Driver": "bridge",
            "IPAM": {"Config": [{"Subnet": spec.subnet, "Gateway": spec.gateway}]},
            "Options": {"com.docker.network.bridge.name": spec.bridge},
            "Labels": dict(spec.labels),
        }
        await self._request(
            errors.CREATE_NETWORK,
            "POST",
            "/networks/create",
            body=msgspec.json.encode(body),
            timeout_s=limit_s,
            accept=(201, 409),  # another call has just made it
        )
        return True

    async def remove_network(self, name: str) -> None:
        """Remove; "no such network" counts as done."""
        path = f"/networks/{_quoted(name)}"
        await self._request(
            errors.REMOVE_NETWORK, "DELETE", path, timeout_s=self._timeouts.network_s, accept=(204, 404)
        )

    async def subnets(self) -> Mapping[str, tuple[str, ...]]:
        """Those of every network, by its name."""
        answer = await self._request(errors.INSPECT_NETWORK, "GET", "/networks", timeout_s=self._timeouts.network_s)
        networks = self._decoded(errors.INSPECT_NETWORK, answer.body, msgspec.json.Decoder(list[_Network]).decode)
        return {network.name: network.subnets for network in networks}

    # --- plumbing -------------------------------------------------------------------------------

    async def _client(self) -> DockerClient:
        if self._opened is None:
            # Loading takes longer than a client of the agent's servers should have to wait.
            await asyncio.to_thread(import_module, f"{__package__}.client")
            from ecscope.agent.runtime.docker.client import DockerClient  # noqa: PLC0415 - see above

            if self._opened is None:  # another call may have come first
                self._opened = DockerClient(self._endpoint, version_timeout_s=self._timeouts.version_s)
        return self._opened

    async def _negotiated(self, operation: Operation) -> DockerClient:
        """The client, once the API version is negotiated."""
        client = await self._client()
        if client.api_version is None:
            await client.negotiate(operation)
        return client

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
        accept: tuple[int, ...] = (200,),
    ) -> Answer:
        client = self._opened or await self._client()
        return await client.request(
            operation,
            method,
            path,
            timeout_s=timeout_s,
            query=query,
            body=body,
            headers=headers,
            accept=accept,
        )

    def _decoded(self, operation: Operation, body: bytes, decode: Callable[[bytes], T]) -> T:
        try:
            return decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise errors.unusable(
                operation, f"{self._endpoint.text} gave an answer that is not the Docker Engine's: {error}"
            ) from error


def _spread(docker_id: str) -> float:
    """From 0 to 1, and the same each time: containers that were started together are not polled together."""
    return zlib.crc32(docker_id.encode()) / 2**32


def _parsed(operation: Operation, reference: str) -> ImageReference:
    try:
        return parse_image_reference(reference)
    except InvalidImageReference as error:
        raise errors.unusable(operation, str(error)) from error


def _path(operation: Operation, reference: str) -> str:
    """``reference`` as part of a path: checked first, so that it cannot lead anywhere else."""
    return quote(str(_parsed(operation, reference)), safe="/:@")


def _quoted(name: str) -> str:
    return quote(name, safe="")


def _json(document: object) -> str:
    return msgspec.json.encode(document).decode()


def _auth_headers(auth: RegistryAuth | None) -> Mapping[str, str]:
    return {} if auth is None else {"X-Registry-Auth": registry_auth_header(auth)}


def _is_worth_retrying(error: Exception) -> bool:
    return isinstance(error, RuntimeFailure) and not error.is_unreachable


def _is_not_found(error: Exception) -> bool:
    return isinstance(error, RuntimeFailure) and error.is_not_found


def _is_being_removed(error: Exception) -> bool:
    return isinstance(error, RuntimeFailure) and error.is_conflict and "already in progress" in error.error.message


def _own_name(names: list[str]) -> str:
    """The container's own name; the others are its aliases in linked containers (``/other/alias``)."""
    return next((name[1:] for name in names if name.count("/") == 1), "")
