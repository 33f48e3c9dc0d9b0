"""``FakeRuntime``: a whole container runtime in memory, with knobs.

For tests and for simulation. It behaves like a Docker Engine wherever the conformance
suite looks; what a container does is told by a ``Program``. All waiting is on the running
loop's clock (``loop.time``, ``call_later``), so a test that owns the clock owns this too.

The engine's state outlives the agent: ``close`` ends the calls and streams of one client,
and the next agent on the same loop goes on with the same object. Nothing here is shared with
any real engine.

Source: engine.md §3, §10.4, §12, Seen running.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec

from ecscope.agent.core.container_config import ContainerConfig
from ecscope.agent.runtime.docker import errors
from ecscope.agent.runtime.docker.errors import Operation
from ecscope.agent.runtime.docker.timeouts import Timeouts
from ecscope.agent.runtime.interface import RegistryAuth, RuntimeFailure, VolumeSpec
from ecscope.model.arn import DockerId
from ecscope.model.container import ContainerInspection, Health, ImageInspection, Mount, NamedError, PortBinding
from ecscope.model.image_reference import InvalidImageReference, parse_image_reference
from ecscope.model.names import CONTAINER_NAME_LABEL, TASK_ARN_LABEL
from ecscope.model.runtime import EngineInfo, PullProgress, RuntimeAction, RuntimeNotice
from ecscope.model.stats import NetworkCounters, StatsSample
from ecscope.model.status import ContainerStatus, HealthStatus

SIGTERM, SIGKILL = 15, 9
EXIT_BY_SIGTERM, EXIT_BY_SIGKILL = 143, 137

_NS = 1_000_000_000

_LOCAL_DRIVER_OPTIONS = frozenset({"type", "o", "device", "size"})

_CALLS: dict[str, tuple[Operation, str]] = {
    "connect": (errors.CONNECT, "version_s"),
    "ping": (errors.PING, "ping_s"),
    "volume_plugins": (errors.LIST_PLUGINS, "list_plugins_s"),
    "notices": (errors.EVENTS, "events_s"),
    "inspect_image": (errors.INSPECT_IMAGE, "inspect_s"),
    "resolve_digest": (errors.MANIFEST, "manifest_s"),
    "pull_image": (errors.PULL, "pull_s"),
    "tag_image": (errors.TAG, "tag_s"),
    "remove_image": (errors.REMOVE_IMAGE, "remove_image_s"),
    "create_container": (errors.CREATE, ""),
    "start_container": (errors.START, ""),
    "stop_container": (errors.STOP, "stop_extra_s"),
    "inspect_container": (errors.INSPECT, "inspect_s"),
    "remove_container": (errors.REMOVE, "remove_container_s"),
    "list_task_containers": (errors.LIST, "list_s"),
    "stats": (errors.STATS, "stats_s"),
    "create_volume": (errors.CREATE_VOLUME, "volume_s"),
    "volume_exists": (errors.INSPECT_VOLUME, "volume_s"),
    "remove_volume": (errors.REMOVE_VOLUME, "volume_s"),
}
"""Call → what its failures are called, and which limit it has where none comes with it."""


class HealthStep(msgspec.Struct, frozen=True, kw_only=True):
    """One verdict of a container's health check."""

    after_s: float
    """Since the start."""
    status: HealthStatus
    output: str = ""
    exit_code: int = 0


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """What a running container takes of its host, always at the same rate."""

    cpus: float = 0.0
    """CPUs kept busy."""
    memory_bytes: int = 0
    rx_bytes_per_s: float = 0.0
    tx_bytes_per_s: float = 0.0
    storage_read_bytes_per_s: float = 0.0
    storage_write_bytes_per_s: float = 0.0


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """What a container does."""

    run_for_s: float | None = None
    """``None``: until it is stopped."""
    exit_code: int = 0
    """Of an end by itself."""
    out_of_memory: bool = False
    """The end by itself is the kernel's doing: exit code 137."""
    heeds_sigterm: bool = True
    """``False``: only SIGKILL ends it."""
    stop_takes_s: float = 0.0
    """From SIGTERM to the end."""
    stop_exit_code: int = EXIT_BY_SIGTERM
    """After SIGTERM."""
    create_error: str = ""
    """The engine refuses to create the container, in these words; ``""``: it does not."""
    start_error: str = ""
    """The engine refuses to start the container, in these words; ``""``: it does not."""
    health: tuple[HealthStep, ...] = ()
    use: Use = Use()


class FakeImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image, in the registry or local."""

    image_id: str
    digest: str
    """``""``: the registry knows none."""
    environment_names: frozenset[str] = frozenset()
    size_bytes: int = 1_000_000
    layers: int = 3
    pull_s: float = 0.0
    username: str = ""
    """Who may pull it; ``""``: everybody."""
    password: str = ""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A call that was made."""

    name: str
    """Name of the method."""
    subject: str
    """Image, container name (of a create), Docker ID or volume; ``""``: none."""
    at_s: float
    """On the loop's clock."""


class _Trouble(msgspec.Struct):
    failure: RuntimeFailure | None
    """``None``: the call hangs until its limit."""
    takes_effect: bool


class _Container:
    """One container in the fake engine."""

    def __init__(self, *, docker_id: DockerId, config: ContainerConfig, image_id: str) -> None:
        self.docker_id = docker_id
        self.config = config
        self.name = config.docker_name
        self.image_id = image_id
        self.labels = config.labels
        host = _members(config.docker_host_config)
        self.binds: list[str] = host.get("binds") or [f"{bind.source}:{bind.container_path}" for bind in config.binds]
        self.has_network = host.get("networkmode") not in ("host", "none")
        self.running_since_s = 0.0
        self.ports: dict[str, int] = {}
        if self.has_network:
            self.ports = {port: to for port, to in config.published_ports.items() if port in config.exposed_ports}
        self.created_at = ""
        self.started_at = ""
        self.finished_at = ""
        self.running = False
        self.exit_code: int | None = None
        self.out_of_memory = False
        self.error = ""
        self.health = Health()
        self.starts = 0
        self.program = Program()
        self.last_signal: int | None = None
        self.timers: list[asyncio.TimerHandle] = []
        self.ended: asyncio.Future[None] | None = None

    @property
    def volumes(self) -> set[str]:
        return {source for source in (bind.split(":")[0] for bind in self.binds) if not source.startswith("/")}

    @property
    def host_ports(self) -> set[tuple[str, int]]:
        return {(port.partition("/")[2], host_port) for port, host_port in self.ports.items()}


class FakeRuntime:
    """A container runtime in memory. Holds to ``Runtime``; see the module docstring.

    Args:
        images: references of images that are local and can be pulled as well.
        info: what ``connect`` tells.
        timeouts: limits of calls that hang.
        epoch_ns: wall-clock time at the first call; ``None``: that of the machine.
        seed: makes Docker IDs of two fakes different.
        program: what a container does for which ``behave`` said nothing; ``None``: it runs until it is stopped.
        has_any_image: every image can be pulled, also one that nobody added.
        keeps_calls: ``False``: ``calls`` stays empty, as it must where the fake lives for long.
    """

    def __init__(
        self,
        *,
        images: Iterable[str] = (),
        info: EngineInfo | None = None,
        timeouts: Timeouts | None = None,
        epoch_ns: int | None = None,
        seed: str = "",
        program: Callable[[ContainerConfig], Program] | None = None,
        has_any_image: bool = False,
        keeps_calls: bool = True,
    ) -> None:
        self.info = info or EngineInfo(
            version="20.10.24-fake",
            api_version="1.41",
            cpus=4,
            memory_bytes=8 * 1024**3,
            cgroup_driver="cgroupfs",
            architecture="x86_64",
        )
        self.plugins: tuple[str, ...] = ("local",)
        """What ``volume_plugins`` tells."""
        self.timeouts = timeouts or Timeouts()
        self.latency_s: dict[str, float] = {}
        """Call → how long the engine takes for it."""
        self.calls: list[Call] = []
        """Every call since the fake was made, in order."""
        self._keeps_calls = keeps_calls
        self._has_any_image = has_any_image
        self._default_program = program
        self._seed = seed
        self._epoch_ns = epoch_ns if epoch_ns is not None else time.time_ns()
        self._loop_started_s: float | None = None
        self._made = 0
        self._away = False
        self._containers: dict[DockerId, _Container] = {}
        self._volumes: dict[str, VolumeSpec] = {}
        self._registry: dict[str, FakeImage] = {}
        self._local: dict[str, FakeImage] = {}
        self._programs: dict[tuple[str, str], Sequence[Program]] = {}
        self._troubles: dict[str, deque[_Trouble]] = {}
        self._waiting: set[asyncio.Future[None]] = set()
        self._streams: set[asyncio.Queue[RuntimeNotice | RuntimeFailure]] = set()
        self._measuring: set[asyncio.Future[None]] = set()
        for reference in images:
            self._local[_tagged(reference)] = self.add_pullable(reference)

    # --- knobs ----------------------------------------------------------------------------------

    def add_pullable(self, reference: str, **fields: Any) -> FakeImage:
        """Put an image into the registry; takes the fields of ``FakeImage``."""
        tagged = _tagged(reference)
        fields.setdefault("image_id", f"sha256:{_hex('image', tagged)}")
        fields.setdefault("digest", f"sha256:{_hex('digest', tagged)}")
        image = FakeImage(**fields)
        self._registry[tagged] = image
        return image

    def add_local(self, reference: str, **fields: Any) -> FakeImage:
        """Put an image into the local store only: it cannot be pulled."""
        tagged = _tagged(reference)
        fields.setdefault("image_id", f"sha256:{_hex('image', tagged)}")
        fields.setdefault("digest", "")
        image = FakeImage(**fields)
        self._local[tagged] = image
        return image

    def behave(self, *programs: Program, image: str = "", command: Sequence[str] = (), container: str = "") -> None:
        """What containers do: the first start runs the first program, and so on, the last one for all later ones.

        Exactly one of ``container`` (name in the task definition), ``command`` and ``image`` says
        which containers; where several fit, they count in this order. Others run until stopped.
        """
        keys = [("container", container), ("command", "\0".join(command)), ("image", image and _tagged(image))]
        given = [key for key in keys if key[1]]
        if len(given) != 1 or not programs:
            raise ValueError("say programs, and exactly one of container, command and image")
        self._programs[given[0]] = programs

    def fail_next(self, call: str, error: str | RuntimeFailure, *, times: int = 1, takes_effect: bool = False) -> None:
        """The next ``times`` calls of that name fail; a text becomes an answer of the engine, named as the call asks.

        ``takes_effect``: the engine did what was asked; only the answer is bad.
        """
        failure = errors.reported(_operation(call), error) if isinstance(error, str) else error
        self._trouble(call, _Trouble(failure, takes_effect), times)

    def drop_next(self, call: str, *, times: int = 1, takes_effect: bool = False) -> None:
        """The next ``times`` calls of that name lose their connection."""
        self._trouble(call, _Trouble(errors.connection_lost(_operation(call), call), takes_effect), times)

    def hang_next(self, call: str, *, times: int = 1, takes_effect: bool = False) -> None:
        """The next ``times`` calls of that name get no answer and run into their limit."""
        _operation(call)
        self._trouble(call, _Trouble(None, takes_effect), times)

    def go_away(self, *, with_containers: bool = False) -> None:
        """The engine is gone: calls under way and streams break, new calls find nobody.

        Containers go on (as with Docker's live restore), unless ``with_containers``.
        """
        self._away = True
        self._break_off("the engine went away")
        if with_containers:
            for container in self._containers.values():
                if container.running:
                    self._end(container, EXIT_BY_SIGKILL)

    def come_back(self) -> None:
        """The engine answers again. What happened meanwhile is not told by any stream."""
        self._away = False

    def kill(self, container: str, *, signal: int = SIGKILL, exit_code: int = EXIT_BY_SIGKILL) -> None:
        """End a container from outside; ``container`` is its Docker ID, Docker name or name in the definition."""
        found = self.find(container)
        if found is not None:
            entry = self._containers[found]
            if entry.running:
                entry.last_signal = signal
                self._end(entry, exit_code)

    def start_by_hand(self, container: str) -> None:
        """Start a container from outside, as ``docker start`` does."""
        found = self.find(container)
        if found is not None and not self._containers[found].running:
            self._start(self._containers[found])

    def remove_by_hand(self, container: str) -> None:
        """Remove a container from outside, as ``docker rm -f`` does."""
        found = self.find(container)
        if found is not None:
            self._remove(self._containers[found])

    def find(self, container: str) -> DockerId | None:
        """Docker ID of the newest container of that Docker ID, Docker name or name in the definition."""
        for entry in reversed(self._containers.values()):
            if container in (entry.docker_id, entry.name, entry.config.container_name):
                return entry.docker_id
        return None

    def calls_of(self, name: str) -> list[Call]:
        """The calls of one method, in order."""
        return [call for call in self.calls if call.name == name]

    @property
    def containers(self) -> tuple[ContainerInspection, ...]:
        """All containers that exist, as inspections."""
        return tuple(self._inspection(container) for container in self._containers.values())

    @property
    def configs(self) -> Mapping[DockerId, ContainerConfig]:
        """What each container that exists was created from."""
        return {container.docker_id: container.config for container in self._containers.values()}

    @property
    def volumes(self) -> Mapping[str, VolumeSpec]:
        """All volumes that exist, by name."""
        return dict(self._volumes)

    @property
    def images(self) -> frozenset[str]:
        """All local names, with tag or digest."""
        return frozenset(self._local)

    @property
    def is_idle(self) -> bool:
        """No call is under way."""
        return not self._waiting

    # --- the engine as a whole ------------------------------------------------------------------

    async def connect(self) -> EngineInfo:
        """Tell ``info``."""
        async with self._call("connect"):
            return self.info

    async def volume_plugins(self) -> tuple[str, ...]:
        """Tell ``plugins``."""
        async with self._call("volume_plugins"):
            return self.plugins

    async def ping(self) -> None:
        """Return if the engine is there."""
        async with self._call("ping"):
            return

    @asynccontextmanager
    async def notices(self) -> AsyncIterator[AsyncIterator[RuntimeNotice]]:
        """The event stream, open while the context lasts."""
        queue: asyncio.Queue[RuntimeNotice | RuntimeFailure] = asyncio.Queue()
        async with self._call("notices"):
            self._streams.add(queue)
        try:
            yield _told(queue)
        finally:
            self._streams.discard(queue)

    async def close(self) -> None:
        """End the calls and streams of this client; the engine and its containers go on."""
        self._break_off("the client was closed")

    # --- images ---------------------------------------------------------------------------------

    async def inspect_image(self, reference: str) -> ImageInspection | None:
        """The local image, ``None`` when there is none."""
        async with self._call("inspect_image", reference):
            image = self._local_image(errors.INSPECT_IMAGE, reference)
            if image is None:
                return None
            names = [name for name, other in self._local.items() if other.image_id == image.image_id]
            return ImageInspection(
                image_id=image.image_id,
                repo_tags=tuple(name for name in names if "@" not in name and name != image.image_id),
                repo_digests=tuple(name for name in names if "@" in name),
                environment_names=image.environment_names,
                size_bytes=image.size_bytes,
            )

    async def resolve_digest(self, reference: str, auth: RegistryAuth | None) -> str:
        """Digest from the registry."""
        async with self._call("resolve_digest", reference):
            return self._registry_image(errors.MANIFEST, reference, auth).digest

    async def pull_image(
        self, reference: str, auth: RegistryAuth | None, progress: Callable[[PullProgress], None]
    ) -> None:
        """Bring an image from the registry; takes its ``pull_s``, with progress every second."""
        async with self._call("pull_image", reference):
            image = self._registry_image(errors.PULL, reference, auth)
            left_s = image.pull_s
            while left_s > 0:
                await self._wait(min(1.0, left_s), errors.PULL)
                left_s -= 1.0
                share = 1.0 - max(left_s, 0.0) / image.pull_s
                progress(
                    PullProgress(
                        layers_total=image.layers,
                        layers_done=int(image.layers * share),
                        bytes_total=image.size_bytes,
                        bytes_done=int(image.size_bytes * share),
                    )
                )
            self._name(_tagged(reference), image)
            if image.digest:
                self._local[parse_image_reference(reference).with_digest(image.digest)] = image

    async def tag_image(self, source: str, target: str) -> None:
        """Give ``source`` the further name ``target``."""
        async with self._call("tag_image", target):
            image = self._local_image(errors.TAG, source)
            if image is None:
                raise _refused(errors.TAG, 404, f"No such image: {_tagged(source)}")
            self._check_reference(errors.TAG, target)
            self._name(_tagged(target), image)

    async def remove_image(self, reference: str) -> None:
        """Remove a name; "no such image" counts as done."""
        async with self._call("remove_image", reference):
            image = self._local_image(errors.REMOVE_IMAGE, reference)
            if image is None:
                return
            tags = [name for name, other in self._local.items() if other.image_id == image.image_id and "@" not in name]
            users = [found for found in self._containers.values() if found.image_id == image.image_id]
            if users and len(tags) <= 1:
                raise _refused(
                    errors.REMOVE_IMAGE,
                    409,
                    f'conflict: unable to remove repository reference "{reference}" (must force) - '
                    f"container {users[0].docker_id[:12]} is using its referenced image {image.image_id[7:19]}",
                )
            name_of = reference if reference == image.image_id else _tagged(reference)
            self._local.pop(name_of, None)
            if not any(name != name_of for name in tags):
                self._local = {name: other for name, other in self._local.items() if other.image_id != image.image_id}

    # --- containers -----------------------------------------------------------------------------

    async def create_container(self, config: ContainerConfig, *, timeout_s: float) -> DockerId:
        """Create; a container of that name that carries this task's labels is adopted."""
        _check_settings(config)
        name = config.docker_name
        async with self._call("create_container", name, limit_s=timeout_s):
            image = self._local_image(errors.CREATE, config.image)
            if image is None:
                raise _refused(errors.CREATE, 404, f"No such image: {_tagged(config.image)}")
            program = self._program(config, start=0)
            if program.create_error:
                raise _refused(errors.CREATE, 400, program.create_error)
            for other in self._containers.values():
                if other.name == name:
                    if other.labels[TASK_ARN_LABEL] == config.task_arn and (
                        other.labels[CONTAINER_NAME_LABEL] == config.container_name
                    ):
                        return other.docker_id
                    raise _refused(
                        errors.CREATE,
                        409,
                        f'Conflict. The container name "/{name}" is already in use by container "{other.docker_id}". '
                        "You have to remove (or rename) that container to be able to reuse that name.",
                    )
            self._made += 1
            docker_id = DockerId(_hex("container", self._seed, str(self._made)))
            container = _Container(docker_id=docker_id, config=config, image_id=image.image_id)
            container.created_at = self._now_text()
            self._containers[docker_id] = container
            for volume in sorted(container.volumes):
                self._volumes.setdefault(volume, VolumeSpec(name=volume, driver="local", driver_options={}, labels={}))
            self._tell(container, RuntimeAction.CREATE)
            return docker_id

    async def start_container(self, docker_id: DockerId, *, timeout_s: float) -> None:
        """Start; already running counts as done."""
        async with self._call("start_container", docker_id, limit_s=timeout_s):
            container = self._container(errors.START, docker_id)
            if not container.running:
                self._start(container)

    async def stop_container(self, docker_id: DockerId, *, grace_s: int) -> None:
        """SIGTERM, SIGKILL after ``grace_s``; not running counts as done."""
        async with self._call("stop_container", docker_id, limit_s=grace_s + self.timeouts.stop_extra_s):
            container = self._containers.get(docker_id)
            if container is None:
                raise errors.no_such_container(docker_id)
            if container.ended is None:
                return
            self._signal_stop(container, grace_s)
            await self._until(container.ended, errors.STOP)
            if docker_id in self._containers:
                self._tell(container, RuntimeAction.STOP)

    async def inspect_container(self, id_or_name: str) -> ContainerInspection:
        """What is known about it."""
        async with self._call("inspect_container", id_or_name):
            return self._inspection(self._container(errors.INSPECT, id_or_name))

    async def remove_container(self, docker_id: DockerId, *, force: bool) -> None:
        """Remove; "no such container" counts as done."""
        async with self._call("remove_container", docker_id):
            container = self._containers.get(docker_id)
            if container is None:
                return
            if container.running and not force:
                raise _refused(
                    errors.REMOVE,
                    409,
                    f"You cannot remove a running container {docker_id}. "
                    "Stop the container before attempting removal or force remove",
                )
            self._remove(container)

    async def list_task_containers(self) -> list[tuple[DockerId, str, str]]:
        """(Docker ID, Docker name, task ARN) of every container, stopped ones too."""
        async with self._call("list_task_containers"):
            return [
                (container.docker_id, container.name, container.labels[TASK_ARN_LABEL])
                for container in reversed(self._containers.values())
            ]

    # --- stats ----------------------------------------------------------------------------------

    @asynccontextmanager
    async def stats(
        self, docker_id: DockerId, *, poll_every_s: float | None = None
    ) -> AsyncIterator[AsyncIterator[StatsSample]]:
        """Samples as the program's ``use`` says: one a second, or one each ``poll_every_s``."""
        if poll_every_s is None:
            async with self._call("stats", docker_id):
                self._container(errors.STATS, docker_id)
            yield self._measure(docker_id, 1.0, asks_again=False)
        else:
            yield self._measure(docker_id, poll_every_s, asks_again=True)

    async def _measure(self, docker_id: DockerId, every_s: float, *, asks_again: bool) -> AsyncIterator[StatsSample]:
        while True:
            if asks_again:
                async with self._call("stats", docker_id):
                    self._container(errors.STATS, docker_id)
            found = self._containers.get(docker_id)
            if found is None:
                return
            if found.running:
                yield self._sample(found)
            await self._pause(every_s)

    def _sample(self, container: _Container) -> StatsSample:
        use = container.program.use
        ran_s = asyncio.get_running_loop().time() - container.running_since_s
        network = NetworkCounters(rx_bytes=int(use.rx_bytes_per_s * ran_s), tx_bytes=int(use.tx_bytes_per_s * ran_s))
        return StatsSample(
            read_ns=self._now_ns(),
            cpu_total_ns=int(use.cpus * ran_s * _NS),
            online_cpus=self.info.cpus,
            memory_bytes=use.memory_bytes,
            network=network if container.has_network else None,
            storage_read_bytes=int(use.storage_read_bytes_per_s * ran_s),
            storage_write_bytes=int(use.storage_write_bytes_per_s * ran_s),
        )

    async def _pause(self, seconds: float) -> None:
        """Between two samples. No call is under way meanwhile, so ``is_idle`` stays as it is."""
        pause: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = asyncio.get_running_loop().call_later(seconds, _set_done, pause)
        self._measuring.add(pause)
        try:
            await pause
        except _Gone:
            raise errors.connection_lost(errors.STATS, "stats") from None
        finally:
            timer.cancel()
            self._measuring.discard(pause)

    # --- volumes --------------------------------------------------------------------------------

    async def create_volume(self, spec: VolumeSpec) -> None:
        """Create; an existing one of that name counts as done."""
        async with self._call("create_volume", spec.name):
            if spec.driver != "local":
                raise _refused(
                    errors.CREATE_VOLUME,
                    404,
                    f"create {spec.name}: error looking up volume plugin {spec.driver}: "
                    f'plugin "{spec.driver}" not found',
                )
            unknown = sorted(set(spec.driver_options) - _LOCAL_DRIVER_OPTIONS)
            if unknown:
                raise _refused(errors.CREATE_VOLUME, 400, f'create {spec.name}: invalid option: "{unknown[0]}"')
            self._volumes.setdefault(spec.name, spec)

    async def volume_exists(self, name: str) -> bool:
        """Whether a volume of that name exists."""
        async with self._call("volume_exists", name):
            return name in self._volumes

    async def remove_volume(self, name: str) -> None:
        """Remove; "no such volume" counts as done."""
        async with self._call("remove_volume", name):
            users = [found.docker_id for found in self._containers.values() if name in found.volumes]
            if users:
                raise _refused(errors.REMOVE_VOLUME, 409, f"remove {name}: volume is in use - [{', '.join(users)}]")
            self._volumes.pop(name, None)

    # --- inside the engine ----------------------------------------------------------------------

    def _start(self, container: _Container) -> None:
        program = self._program(container.config, start=container.starts)
        taken = {port for other in self._containers.values() if other.running for port in other.host_ports}
        clash = sorted(container.host_ports & taken)
        refusal = program.start_error
        if clash:
            refusal = (
                f"driver failed programming external connectivity on endpoint {container.name} "
                f"({_hex('endpoint', container.docker_id)}): Bind for 0.0.0.0:{clash[0][1]} failed: "
                "port is already allocated"
            )
        if refusal:
            container.error = refusal
            raise _refused(errors.START, 400, refusal)
        loop = asyncio.get_running_loop()
        container.program = program
        container.starts += 1
        container.running, container.error, container.out_of_memory = True, "", False
        container.exit_code, container.last_signal = None, None
        container.started_at = self._now_text()
        container.running_since_s = loop.time()
        container.health = Health()
        container.ended = loop.create_future()
        self._tell(container, RuntimeAction.START)
        for step in program.health:
            container.timers.append(loop.call_later(step.after_s, self._check_health, container, step))
        if program.run_for_s is not None:
            container.timers.append(loop.call_later(program.run_for_s, self._end_by_itself, container))

    def _end_by_itself(self, container: _Container) -> None:
        if container.program.out_of_memory:
            container.out_of_memory = True
            self._tell(container, RuntimeAction.OOM)
            self._end(container, EXIT_BY_SIGKILL)
        else:
            self._end(container, container.program.exit_code)

    def _signal_stop(self, container: _Container, grace_s: float) -> None:
        loop, program = asyncio.get_running_loop(), container.program
        container.last_signal = SIGTERM
        if program.heeds_sigterm and program.stop_takes_s <= grace_s:
            container.timers.append(loop.call_later(program.stop_takes_s, self._end, container, program.stop_exit_code))
        else:
            container.timers.append(loop.call_later(grace_s, self._kill, container))

    def _kill(self, container: _Container) -> None:
        container.last_signal = SIGKILL
        self._end(container, EXIT_BY_SIGKILL)

    def _end(self, container: _Container, exit_code: int) -> None:
        for timer in container.timers:
            timer.cancel()
        container.timers.clear()
        container.running = False
        container.exit_code = exit_code
        container.finished_at = self._now_text()
        self._tell(container, RuntimeAction.DIE, exit_code=exit_code, signal=container.last_signal)
        if container.ended is not None and not container.ended.done():
            container.ended.set_result(None)
        container.ended = None

    def _remove(self, container: _Container) -> None:
        if container.running:
            self._kill(container)
        del self._containers[container.docker_id]
        self._tell(container, RuntimeAction.DESTROY)

    def _check_health(self, container: _Container, step: HealthStep) -> None:
        changed = container.health.status is not step.status
        container.health = Health(
            status=step.status, since=self._now_text(), output=step.output[:1024], exit_code=step.exit_code
        )
        if changed and step.status is not HealthStatus.UNKNOWN:
            self._tell(container, RuntimeAction.HEALTH)

    def _inspection(self, container: _Container) -> ContainerInspection:
        if container.running:
            status = ContainerStatus.RUNNING
        elif container.started_at or container.error:
            status = ContainerStatus.STOPPED
        else:
            status = ContainerStatus.CREATED
        error = None
        if container.out_of_memory:
            error = NamedError(name="OutOfMemoryError", message="Container killed due to memory usage")
        elif container.error:
            error = NamedError(name="DockerStateError", message=container.error)
        return ContainerInspection(
            docker_id=container.docker_id,
            docker_name=container.name,
            image_id=container.image_id,
            status=status,
            created_at=container.created_at,
            started_at=container.started_at,
            finished_at=container.finished_at,
            exit_code=None if container.running or not container.finished_at else container.exit_code,
            oom_killed=container.out_of_memory,
            error=error,
            bindings=_bindings(container.ports) if container.running else (),
            mounts=tuple(_mount(bind) for bind in container.binds),
            health=container.health,
            task_arn=container.labels[TASK_ARN_LABEL],
            container_name=container.labels[CONTAINER_NAME_LABEL],
        )

    def _container(self, operation: Operation, id_or_name: str) -> _Container:
        for container in self._containers.values():
            if id_or_name in (container.docker_id, container.name):
                return container
        raise _refused(operation, 404, f"No such container: {id_or_name}")

    def _program(self, config: ContainerConfig, *, start: int) -> Program:
        for key in (
            ("container", config.container_name),
            ("command", "\0".join(config.command or ())),
            ("image", _tagged(config.image)),
        ):
            programs = self._programs.get(key)
            if programs is not None:
                return programs[min(start, len(programs) - 1)]
        return Program() if self._default_program is None else self._default_program(config)

    def _local_image(self, operation: Operation, reference: str) -> FakeImage | None:
        self._check_reference(operation, reference)
        if reference.startswith("sha256:"):
            return next((image for image in self._local.values() if image.image_id == reference), None)
        return self._local.get(_tagged(reference))

    def _name(self, tagged: str, image: FakeImage) -> None:
        """``tagged`` leads to ``image`` from now on. An image that had only this name stays under its ID."""
        before = self._local.get(tagged)
        self._local[tagged] = image
        self._local.pop(image.image_id, None)
        if before is not None and all(other.image_id != before.image_id for other in self._local.values()):
            self._local[before.image_id] = before

    def _registry_image(self, operation: Operation, reference: str, auth: RegistryAuth | None) -> FakeImage:
        self._check_reference(operation, reference)
        parsed = parse_image_reference(reference)
        image = self._registry.get(parsed.tagged)
        if parsed.digest:
            same_name = (
                candidate
                for name, candidate in self._registry.items()
                if parse_image_reference(name).name == parsed.name
            )
            image = next((candidate for candidate in same_name if candidate.digest == parsed.digest), None)
        if image is None and self._has_any_image:
            return self.add_pullable(reference, **({"digest": parsed.digest} if parsed.digest else {}))
        if image is None:
            raise _refused(
                operation, 404, f"manifest for {parsed.tagged} not found: manifest unknown: manifest unknown"
            )
        if image.username and (auth is None or (auth.username, auth.password) != (image.username, image.password)):
            raise _refused(operation, 500, f"Head {parsed.name}: no basic auth credentials")
        return image

    def _check_reference(self, operation: Operation, reference: str) -> None:
        try:
            parse_image_reference(reference)
        except InvalidImageReference as error:
            raise errors.unusable(operation, str(error)) from error

    def _tell(
        self, container: _Container, action: RuntimeAction, *, exit_code: int | None = None, signal: int | None = None
    ) -> None:
        notice = RuntimeNotice(
            docker_id=container.docker_id, action=action, time_ns=self._now_ns(), exit_code=exit_code, signal=signal
        )
        if not self._away:
            for stream in self._streams:
                stream.put_nowait(notice)

    def _now_ns(self) -> int:
        now_s = asyncio.get_running_loop().time()
        if self._loop_started_s is None:
            self._loop_started_s = now_s
        return self._epoch_ns + round((now_s - self._loop_started_s) * _NS)

    def _now_text(self) -> str:
        seconds, rest_ns = divmod(self._now_ns(), _NS)
        fraction = f".{rest_ns:09d}".rstrip("0").rstrip(".")
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"

    # --- calls ----------------------------------------------------------------------------------

    @asynccontextmanager
    async def _call(self, name: str, subject: str = "", *, limit_s: float = 0.0) -> AsyncIterator[None]:
        operation, limit_name = _CALLS[name]
        limit_s = limit_s or float(getattr(self.timeouts, limit_name))
        self._now_ns()
        if self._keeps_calls:
            self.calls.append(Call(name=name, subject=subject, at_s=asyncio.get_running_loop().time()))
        if self._away:
            raise self._gone(operation)
        queue = self._troubles.get(name)
        trouble = queue.popleft() if queue else None
        try:
            async with asyncio.timeout(limit_s):
                await self._wait(self.latency_s.get(name, 0.0), operation)
                if trouble is not None and not trouble.takes_effect:
                    await self._suffer(trouble, operation)
                yield
                if trouble is not None:
                    await self._suffer(trouble, operation)
        except TimeoutError as error:
            raise errors.timed_out(operation, limit_s) from error

    async def _suffer(self, trouble: _Trouble, operation: Operation) -> None:
        if trouble.failure is not None:
            raise trouble.failure
        await self._until(asyncio.get_running_loop().create_future(), operation)

    async def _wait(self, seconds: float, operation: Operation) -> None:
        """Let time pass; even no time lets others run, as a real call does."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = asyncio.get_running_loop().call_later(seconds, _set_done, done)
        try:
            await self._until(done, operation)
        finally:
            timer.cancel()

    async def _until(self, done: asyncio.Future[None], operation: Operation) -> None:
        """Wait for ``done``, or for the engine to go away."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.add_done_callback(lambda _: _set_done(waiter))
        self._waiting.add(waiter)
        try:
            await waiter
        except _Gone:
            raise self._gone(operation) from None
        finally:
            self._waiting.discard(waiter)

    def _break_off(self, why: str) -> None:
        for waiter in list(self._waiting):
            if not waiter.done():
                waiter.set_exception(_Gone(why))
        for stream in self._streams:
            stream.put_nowait(errors.unreachable(errors.EVENTS, f"the event stream ended: {why}"))
        for pause in list(self._measuring):
            if not pause.done():
                pause.set_exception(_Gone(why))

    def _gone(self, operation: Operation) -> RuntimeFailure:
        return errors.cannot_connect(operation, "fake://")

    def _trouble(self, call: str, trouble: _Trouble, times: int) -> None:
        self._troubles.setdefault(call, deque()).extend([trouble] * times)


def _operation(call: str) -> Operation:
    if call not in _CALLS:
        raise ValueError(f"there is no call {call!r}; there are {', '.join(_CALLS)}")
    return _CALLS[call][0]


class _Gone(Exception):
    """The engine went away while a call was under way."""


async def _told(queue: asyncio.Queue[RuntimeNotice | RuntimeFailure]) -> AsyncIterator[RuntimeNotice]:
    while True:
        notice = await queue.get()
        if isinstance(notice, RuntimeFailure):
            raise notice
        yield notice


def _set_done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _refused(operation: Operation, status: int, message: str) -> RuntimeFailure:
    return errors.refused(operation, status, msgspec.json.encode({"message": message}))


def _tagged(reference: str) -> str:
    try:
        return parse_image_reference(reference).tagged
    except InvalidImageReference:
        return reference


def _hex(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _members(text: str) -> dict[str, Any]:
    """Of JSON that ECS sent for Docker, by their names in lower case. Raises ``ValueError``."""
    members = msgspec.json.decode(text, type=dict[str, Any] | None) or {}
    return {name.lower(): value for name, value in members.items()}


def _check_settings(config: ContainerConfig) -> None:
    """What can be seen of the settings for Docker without Docker. Raises ``RuntimeFailure``."""
    try:
        given = _members(config.docker_config)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _misconfigured("DockerClientConfigError", f"Unable decode given docker config: {error}") from error
    if config.needs_health_check and given.get("healthcheck") is None:
        raise _misconfigured(
            "DockerClientConfigError", "docker health check is nil while container health check type is DOCKER"
        )
    try:
        _members(config.docker_host_config)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _misconfigured("HostConfigError", f"Unable to decode given host config: {error}") from error


def _misconfigured(name: str, message: str) -> RuntimeFailure:
    return RuntimeFailure(NamedError(name=name, message=message))


def _bindings(ports: Mapping[str, int]) -> tuple[PortBinding, ...]:
    return tuple(
        PortBinding(
            container_port=int(key.partition("/")[0]),
            host_port=host_port,
            protocol=key.partition("/")[2],
            host_ip=host_ip,
        )
        for key, host_port in ports.items()
        for host_ip in ("0.0.0.0", "::")  # noqa: S104 - what Docker shows; nothing is bound
    )


def _mount(bind: str) -> Mount:
    source, destination = bind.split(":")[:2]
    if source.startswith("/"):
        return Mount(source=source, destination=destination)
    return Mount(name=source, source=f"/var/lib/docker/volumes/{source}/_data", destination=destination)
