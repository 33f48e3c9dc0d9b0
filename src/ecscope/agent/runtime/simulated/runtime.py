"""``SimulatedRuntime``: every call of ``Runtime``, over the parts of a simulated engine.

The engine's state outlives the agent: ``close`` ends the calls and streams of one client,
and the next agent on the same loop continues with the same object. Nothing here is shared with
any real engine.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from ecscope.agent.core.container_config import ContainerConfig
from ecscope.agent.runtime.docker import errors
from ecscope.agent.runtime.interface import NetworkSpec, RegistryAuth, VolumeSpec
from ecscope.agent.runtime.simulated.containers import Containers, ProgramOf, check_settings
from ecscope.agent.runtime.simulated.engine import SimulatedEngine, refused
from ecscope.agent.runtime.simulated.images import Images
from ecscope.agent.runtime.simulated.names import tagged
from ecscope.agent.runtime.simulated.networks import Networks
from ecscope.agent.runtime.simulated.stats import sample
from ecscope.agent.runtime.simulated.volumes import Volumes
from ecscope.model.arn import DockerId
from ecscope.model.container import ContainerInspection, ImageInspection
from ecscope.model.names import TASK_ARN_LABEL
from ecscope.model.runtime import EngineInfo, PullProgress, RuntimeNotice
from ecscope.model.stats import StatsSample


class SimulatedRuntime:
    """A container runtime in memory. Holds to ``Runtime``; see the module docstring."""

    def __init__(
        self,
        *,
        info: EngineInfo,
        images: Images,
        program: ProgramOf | None = None,
        seed: str = "",
        engine: SimulatedEngine | None = None,
    ) -> None:
        """
        Args:
            info: what ``connect`` answers.
            program: what containers do; ``None``: they run until they are stopped.
            seed: makes Docker IDs of two runtimes different.
        """
        self.info = info
        self._engine = engine if engine is not None else SimulatedEngine()
        self._images = images
        self._containers = Containers(self._engine, program=program, seed=seed)
        self._volumes = Volumes()
        self._networks = Networks()

    # --- the engine as a whole ------------------------------------------------------------------

    async def connect(self) -> EngineInfo:
        """Answer ``info``."""
        async with self._engine.call("connect"):
            return self.info

    async def volume_plugins(self) -> tuple[str, ...]:
        """The driver that each engine has."""
        async with self._engine.call("volume_plugins"):
            return ("local",)

    async def ping(self) -> None:
        """Return if the engine is there."""
        async with self._engine.call("ping"):
            return

    def notices(self) -> AbstractAsyncContextManager[AsyncIterator[RuntimeNotice]]:
        """The event stream, open while the context lasts."""
        return self._engine.notices()

    async def close(self) -> None:
        """End the calls and streams of this client; the engine and its containers go on."""
        self._engine.break_off("the client was closed")

    # --- images ---------------------------------------------------------------------------------

    async def inspect_image(self, reference: str) -> ImageInspection | None:
        """The local image, ``None`` when there is none."""
        async with self._engine.call("inspect_image", reference):
            return self._images.inspect(errors.INSPECT_IMAGE, reference)

    async def resolve_digest(self, reference: str, auth: RegistryAuth | None) -> str:
        """Digest from the registry."""
        async with self._engine.call("resolve_digest", reference):
            return self._images.in_registry(errors.MANIFEST, reference, auth).digest

    async def pull_image(
        self, reference: str, auth: RegistryAuth | None, progress: Callable[[PullProgress], None]
    ) -> None:
        """Bring an image from the registry; takes its ``pull_s``, with progress every second."""
        async with self._engine.call("pull_image", reference):
            image = self._images.in_registry(errors.PULL, reference, auth)
            left_s = image.pull_s
            while left_s > 0:
                await self._engine.wait(min(1.0, left_s), errors.PULL)
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
            self._images.pulled(reference, image)

    async def tag_image(self, source: str, target: str) -> None:
        """Give ``source`` the further name ``target``."""
        async with self._engine.call("tag_image", target):
            self._images.tag(source, target)

    async def load_image(self, archive: bytes) -> None:
        """Take in the images of a tar archive."""
        async with self._engine.call("load_image"):
            self._images.load(archive)

    async def remove_image(self, reference: str) -> None:
        """Remove a name; "no such image" counts as done."""
        async with self._engine.call("remove_image", reference):
            image = self._images.local(errors.REMOVE_IMAGE, reference)
            if image is None:
                return
            users = [found for found in self._containers if found.image_id == image.image_id]
            if users and len(self._images.tags_of(image.image_id)) <= 1:
                raise refused(
                    errors.REMOVE_IMAGE,
                    409,
                    f'conflict: unable to remove repository reference "{reference}" (must force) - '
                    f"container {users[0].docker_id[:12]} is using its referenced image {image.image_id[7:19]}",
                )
            self._images.remove(reference, image)

    # --- containers -----------------------------------------------------------------------------

    async def create_container(self, config: ContainerConfig, *, timeout_s: float) -> DockerId:
        """Create; a container of that name that carries this task's labels is adopted."""
        check_settings(config)
        async with self._engine.call("create_container", config.docker_name, limit_s=timeout_s):
            image = self._images.local(errors.CREATE, config.image)
            if image is None:
                raise refused(errors.CREATE, 404, f"No such image: {tagged(config.image)}")
            container = self._containers.create(config, image_id=image.image_id)
            for volume in sorted(container.volumes):
                self._volumes.create_unasked(volume)
            return container.docker_id

    async def start_container(self, docker_id: DockerId, *, timeout_s: float) -> None:
        """Start; already running counts as done."""
        async with self._engine.call("start_container", docker_id, limit_s=timeout_s):
            container = self._containers.named(errors.START, docker_id)
            if not container.running:
                self._containers.start(container)

    async def stop_container(self, docker_id: DockerId, *, grace_s: int) -> None:
        """SIGTERM, SIGKILL after ``grace_s``; not running counts as done."""
        limit_s = grace_s + self._engine.limit_s("stop_container")
        async with self._engine.call("stop_container", docker_id, limit_s=limit_s):
            container = self._containers.get(docker_id)
            if container is None:
                raise errors.no_such_container(docker_id)
            if container.ended is None:
                return
            self._containers.stop(container, grace_s)
            await self._engine.until(container.ended, errors.STOP)
            self._containers.stopped(container)

    async def inspect_container(self, id_or_name: str) -> ContainerInspection:
        """What is known about it."""
        async with self._engine.call("inspect_container", id_or_name):
            return self._containers.inspection(self._containers.named(errors.INSPECT, id_or_name))

    async def remove_container(self, docker_id: DockerId, *, force: bool) -> None:
        """Remove; "no such container" counts as done."""
        async with self._engine.call("remove_container", docker_id):
            container = self._containers.get(docker_id)
            if container is None:
                return
            if container.running and not force:
                raise refused(
                    errors.REMOVE,
                    409,
                    f"You cannot remove a running container {docker_id}. "
                    "Stop the container before attempting removal or force remove",
                )
            self._containers.remove(container)

    async def list_task_containers(self) -> list[tuple[DockerId, str, str]]:
        """(Docker ID, Docker name, task ARN) of every container, stopped ones too."""
        async with self._engine.call("list_task_containers"):
            return [
                (container.docker_id, container.name, container.labels[TASK_ARN_LABEL])
                for container in self._containers.newest_first()
            ]

    # --- stats ----------------------------------------------------------------------------------

    @asynccontextmanager
    async def stats(
        self, docker_id: DockerId, *, poll_every_s: float | None = None
    ) -> AsyncIterator[AsyncIterator[StatsSample]]:
        """Samples as the program's ``use`` says: one a second, or one each ``poll_every_s``."""
        if poll_every_s is None:
            async with self._engine.call("stats", docker_id):
                self._containers.named(errors.STATS, docker_id)
            yield self._measure(docker_id, 1.0, asks_again=False)
        else:
            yield self._measure(docker_id, poll_every_s, asks_again=True)

    async def _measure(self, docker_id: DockerId, every_s: float, *, asks_again: bool) -> AsyncIterator[StatsSample]:
        while True:
            if asks_again:
                async with self._engine.call("stats", docker_id):
                    self._containers.named(errors.STATS, docker_id)
            found = self._containers.get(docker_id)
            if found is None:
                return
            if found.running:
                yield sample(found, read_ns=self._engine.now_ns(), cpus=self.info.cpus, by_itself=asks_again)
            await self._engine.pause(every_s)

    # --- volumes --------------------------------------------------------------------------------

    async def create_volume(self, spec: VolumeSpec) -> None:
        """Create; an existing one of that name counts as done."""
        async with self._engine.call("create_volume", spec.name):
            self._volumes.create(spec)

    async def volume_exists(self, name: str) -> bool:
        """Whether a volume of that name exists."""
        async with self._engine.call("volume_exists", name):
            return name in self._volumes

    async def remove_volume(self, name: str) -> None:
        """Remove; "no such volume" counts as done."""
        async with self._engine.call("remove_volume", name):
            self._volumes.remove(name, users=[found.docker_id for found in self._containers if name in found.volumes])

    # --- networks -------------------------------------------------------------------------------

    async def create_network(self, spec: NetworkSpec) -> bool:
        """Create; ``False``: one of that name exists, with that subnet."""
        async with self._engine.call("create_network", spec.name):
            return self._networks.create(spec)

    async def remove_network(self, name: str) -> None:
        """Remove; "no such network" counts as done."""
        async with self._engine.call("remove_network", name):
            users = [found for found in self._containers if found.running and found.network == name]
            self._networks.remove(name, users=[found.docker_id for found in users])

    async def subnets(self) -> Mapping[str, tuple[str, ...]]:
        """Those of every network, by its name."""
        async with self._engine.call("subnets"):
            return self._networks.subnets
