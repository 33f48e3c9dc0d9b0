"""One suite for both runtimes: what it says is true of a real Docker Engine and of ``FakeRuntime``."""

from __future__ import annotations

import asyncio
import io
import json
import re
import tarfile
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from uuid import uuid4

import msgspec
import pytest

import dockerengine
import sampleimage
from ecscope.agent.core.container_config import ContainerConfig, Endpoint, Link, container_config
from ecscope.agent.pause.image import image_archive
from ecscope.agent.runtime.docker.runtime import DockerRuntime
from ecscope.agent.runtime.interface import NetworkSpec, Runtime, RuntimeFailure, VolumeSpec
from ecscope.agent.runtime.simulated.programs import HealthStep, Program, Use
from ecscope.backoff import Retry
from ecscope.model.arn import DockerId, TaskArn
from ecscope.model.container import Container, ContainerInspection, MountPoint, NamedError, PortBinding, PortMapping
from ecscope.model.names import CONTAINER_NAME_LABEL, PAUSE_IMAGE
from ecscope.model.runtime import RuntimeAction, RuntimeNotice
from ecscope.model.stats import StatsSample
from ecscope.model.status import ContainerStatus, HealthStatus
from ecscope.model.task import Task
from tests.builders import SAMPLE_IMAGE, a_container, a_task, a_volume
from tests.session import TEST_PREFIX
from tests.simulated_knobs import FakeRuntime

replace = msgspec.structs.replace

IDLE = ("sh", "-c", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done")
STUBBORN = ("sleep", "1000")
BUSY = ("sh", "-c", "while :; do :; done")
EXITS_3 = ("sh", "-c", "exit 3")
HUNGRY = ("tail", "/dev/zero")
NO_PROGRAM = ("/no/such/program",)
NO_PROGRAM_ERROR = (
    "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: "
    'exec: "/no/such/program": stat /no/such/program: no such file or directory: unknown'
)
NO_PROGRAM_ERRORS = re.compile(  # of Docker 20.10, of 26.1 with its containerd, and of 28.5 with a runc of its own
    "(failed to create task for container: )?failed to create shim task: OCI runtime create failed: "
    "runc create failed: unable to start container process: (error during container init: )?"
    'exec: "/no/such/program": stat /no/such/program: no such file or directory(: unknown)?'
)
HEALTH_CHECK = json.dumps(
    {"Healthcheck": {"Test": ["CMD-SHELL", "echo fine"], "Interval": 10**8, "Timeout": 10**9, "Retries": 1}}
)
LIMIT_S = 60.0


class Lab(ABC):
    """A runtime, and what the tests need around it."""

    runtime: Runtime

    def __init__(self) -> None:
        self.run = uuid4().hex[:8]
        self.made: list[DockerId] = []
        self.number = 0

    @abstractmethod
    async def image_of_its_own(self) -> str:
        """A local image that nothing else uses, with one name."""

    @abstractmethod
    async def ready(self, docker_id: DockerId) -> None:
        """Return when a container that runs ``IDLE`` heeds SIGTERM, which no process 1 does by itself."""

    def task(self, *containers: Container, **fields: object) -> Task:
        self.number += 1
        arn = TaskArn(f"arn:aws:ecs:us-west-2:012345678910:task/{TEST_PREFIX}{self.run}/{self.number:032x}")
        named = tuple(
            container
            if container.docker_name
            else a_container(container.name, docker_name=f"{TEST_PREFIX}{self.run}-{self.number}-{container.name}")
            for container in containers
        )
        return a_task(*named, arn=arn, **fields)

    def spec(
        self,
        *,
        command: Sequence[str] = IDLE,
        image: str = SAMPLE_IMAGE,
        ports: dict[str, int] | None = None,
        volume: str = "",
        **definition: object,
    ) -> ContainerConfig:
        self.number += 1
        extra: dict[str, object] = {}
        if volume:
            extra["mount_points"] = (MountPoint(source_volume="data", container_path="/data"),)
        if ports:
            extra["port_mappings"] = tuple(
                PortMapping(container_port=int(port.partition("/")[0]), protocol=port.partition("/")[2])
                for port in ports
            )
        container = a_container(
            docker_name=f"{TEST_PREFIX}{self.run}-{self.number}",
            image=image,
            command=tuple(command),
            **extra,
            **definition,
        )
        volumes = (a_volume(docker_name=volume),) if volume else ()
        return container_config(
            task=self.task(container, volumes=volumes),
            container=container,
            host_ports=ports or {},
            cluster=f"{TEST_PREFIX}{self.run}",
            region="us-west-2",
            image_environment_names=frozenset(),
        )

    async def created(self, **asked: object) -> DockerId:
        return await self.create(self.spec(**asked))  # type: ignore[arg-type]

    async def create(self, spec: ContainerConfig) -> DockerId:
        docker_id = await self.runtime.create_container(spec, timeout_s=LIMIT_S)
        if docker_id not in self.made:
            self.made.append(docker_id)
        return docker_id

    async def started(self, **asked: object) -> DockerId:
        docker_id = await self.created(**asked)
        await self.runtime.start_container(docker_id, timeout_s=LIMIT_S)
        if asked.get("command", IDLE) == IDLE:
            await self.ready(docker_id)
        return docker_id

    async def until(self, docker_id: DockerId, status: ContainerStatus) -> ContainerInspection:
        async with asyncio.timeout(20):
            while (found := await self.runtime.inspect_container(docker_id)).status is not status:
                await asyncio.sleep(0.02)
        return found

    async def clean_up(self) -> None:
        for docker_id in self.made:
            await self.runtime.remove_container(docker_id, force=True)
        await self.runtime.close()


class FakeLab(Lab):
    def __init__(self) -> None:
        super().__init__()
        self.runtime = self.fake = FakeRuntime(images=[SAMPLE_IMAGE])
        self.fake.behave(Program(stop_exit_code=0, stop_takes_s=0.01), command=IDLE)
        self.fake.behave(Program(heeds_sigterm=False), command=STUBBORN)
        self.fake.behave(Program(use=Use(cpus=0.5, memory_bytes=700_000, rx_bytes_per_s=80)), command=BUSY)
        self.fake.behave(Program(run_for_s=0.01, exit_code=3), command=EXITS_3)
        self.fake.behave(Program(run_for_s=0.01, out_of_memory=True), command=HUNGRY)
        self.fake.behave(Program(start_error=NO_PROGRAM_ERROR), command=NO_PROGRAM)
        healthy = HealthStep(after_s=0.01, status=HealthStatus.HEALTHY, output="fine\n")
        self.fake.behave(Program(health=(healthy,)), container="checked")

    async def ready(self, docker_id: DockerId) -> None:
        assert self.fake.find(docker_id)

    async def image_of_its_own(self) -> str:
        self.number += 1
        name = f"{TEST_PREFIX}{self.run}:{self.number}"
        self.fake.add_local(name)
        return name


class DockerLab(Lab):
    def __init__(self, endpoint: str) -> None:
        super().__init__()
        self.runtime = DockerRuntime(endpoint, retry=Retry(sleep=_no_sleep))
        self.engine = dockerengine.Engine(endpoint.removeprefix("unix://"))
        self.images: list[str] = []

    async def ready(self, docker_id: DockerId) -> None:
        async with asyncio.timeout(20):
            while b"ready" not in self.engine.request("GET", f"/containers/{docker_id}/logs", stdout="1"):
                await asyncio.sleep(0.02)

    async def image_of_its_own(self) -> str:
        self.number += 1
        name, tag, content = f"{TEST_PREFIX}{self.run}", str(self.number), sampleimage.busybox()
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            member = tarfile.TarInfo("bin/busybox")
            member.size, member.mode = len(content), 0o755
            tar.addfile(member, io.BytesIO(content))
        self.engine.request(
            "POST",
            "/images/create",
            body=archive.getvalue(),
            content_type="application/x-tar",
            fromSrc="-",
            repo=name,
            tag=tag,
        )
        self.images.append(f"{name}:{tag}")
        return f"{name}:{tag}"

    async def clean_up(self) -> None:
        await super().clean_up()
        for image in self.images:
            with suppress(dockerengine.EngineError):
                self.engine.request("DELETE", f"/images/{image}", force="1")


@pytest.fixture(params=["fake", "docker"])
async def lab(request: pytest.FixtureRequest) -> AsyncIterator[Lab]:
    made: Lab
    if request.param == "fake":
        made = FakeLab()
    else:
        request.getfixturevalue("sample_image")
        made = DockerLab(request.getfixturevalue("docker_endpoint"))
    yield made
    await made.clean_up()


async def _no_sleep(_: float) -> None:
    await asyncio.sleep(0)


class Listener:
    """Collects the notices of one runtime while the context is open."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.notices: list[RuntimeNotice] = []
        self._changed = asyncio.Event()
        self._open = asyncio.Event()

    async def __aenter__(self) -> Listener:
        self._task = asyncio.create_task(self._listen(), name="listener")
        await self._open.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _listen(self) -> None:
        async with self._runtime.notices() as notices:
            self._open.set()
            async for notice in notices:
                self.notices.append(notice)
                self._changed.set()

    async def until(self, docker_id: DockerId, action: RuntimeAction) -> list[RuntimeNotice]:
        async with asyncio.timeout(20):
            while True:
                mine = [notice for notice in self.notices if notice.docker_id == docker_id]
                if any(notice.action is action for notice in mine):
                    return mine
                self._changed.clear()
                await self._changed.wait()


def actions(notices: list[RuntimeNotice]) -> list[RuntimeAction]:
    return [notice.action for notice in notices]


async def failure_of(call: object) -> RuntimeFailure:
    with pytest.raises(RuntimeFailure) as caught:
        await call  # type: ignore[misc]
    return caught.value


async def test_it_says_who_it_is(lab: Lab) -> None:
    info = await lab.runtime.connect()
    await lab.runtime.ping()
    assert info.version
    assert info.cpus > 0
    assert info.memory_bytes > 2**20
    assert info.cgroup_version in {"1", "2"}
    assert info.architecture


async def test_the_local_volume_driver_is_always_there(lab: Lab) -> None:
    plugins = await lab.runtime.volume_plugins()
    assert plugins[0] == "local"
    assert len(set(plugins)) == len(plugins)


async def test_an_image_is_there_or_not(lab: Lab) -> None:
    found = await lab.runtime.inspect_image(SAMPLE_IMAGE)
    assert found is not None
    assert found.image_id.startswith("sha256:")
    assert SAMPLE_IMAGE in found.repo_tags
    assert found.size_bytes > 0
    assert await lab.runtime.inspect_image(SAMPLE_IMAGE.partition(":")[0]) == found
    assert await lab.runtime.inspect_image("ecscope-test-none:1") is None


async def test_a_life_from_create_to_removal(lab: Lab) -> None:
    spec = lab.spec()
    docker_id = await lab.create(spec)
    created = await lab.runtime.inspect_container(docker_id)
    assert created.status is ContainerStatus.CREATED
    assert created.docker_id == docker_id
    assert len(docker_id) == 64
    assert created.docker_name == spec.docker_name
    assert (created.task_arn, created.container_name) == (spec.task_arn, "app")
    assert created.created_at.endswith("Z")
    assert (created.started_at, created.finished_at, created.exit_code) == ("", "", None)

    await lab.runtime.start_container(docker_id, timeout_s=LIMIT_S)
    running = await lab.runtime.inspect_container(docker_id)
    assert running.status is ContainerStatus.RUNNING
    assert running.started_at > running.created_at
    assert (running.finished_at, running.exit_code, running.error) == ("", None, None)

    await lab.ready(docker_id)
    await lab.runtime.stop_container(docker_id, grace_s=10)
    stopped = await lab.runtime.inspect_container(spec.docker_name)
    assert stopped.status is ContainerStatus.STOPPED
    assert stopped.started_at == running.started_at
    assert stopped.finished_at > running.started_at
    assert (stopped.exit_code, stopped.error, stopped.oom_killed) == (0, None, False)

    await lab.runtime.remove_container(docker_id, force=False)
    failure = await failure_of(lab.runtime.inspect_container(docker_id))
    assert failure.is_not_found
    assert str(failure) == (f"CannotInspectContainerError: Error response from daemon: No such container: {docker_id}")
    await lab.runtime.remove_container(docker_id, force=False)


async def test_a_create_that_is_repeated_finds_its_container(lab: Lab) -> None:
    spec = lab.spec()
    assert await lab.create(spec) == await lab.create(spec)


async def test_a_name_that_somebody_else_has_is_a_conflict(lab: Lab) -> None:
    spec, other = lab.spec(), lab.spec()
    await lab.create(other)
    failure = await failure_of(lab.create(replace(spec, docker_name=other.docker_name)))
    assert failure.is_conflict
    assert str(failure).startswith(
        f"CannotCreateContainerError: Error response from daemon: Conflict. "
        f'The container name "/{other.docker_name}" is already in use by container "'
    )


@pytest.mark.parametrize(
    "asked",
    [
        {"docker_config": "[]"},
        {"docker_config": "{"},
        {"health_check_is_docker": True},
        {"docker_host_config": "[]"},
        {"docker_host_config": "{"},
    ],
    ids=lambda asked: next(iter(asked.items())),
)
async def test_settings_that_cannot_be_laid_over_are_refused_by_name(lab: Lab, asked: dict[str, object]) -> None:
    name = "HostConfigError" if "docker_host_config" in asked else "DockerClientConfigError"
    failure = await failure_of(lab.created(**asked))
    assert failure.error.name == name
    assert not failure.is_unreachable


async def test_settings_laid_over_win(lab: Lab) -> None:
    over = json.dumps({"BINDS": ["/tmp:/over"], "networkMode": "none"})
    docker_id = await lab.started(docker_host_config=over, ports={"80/tcp": 0})
    found = await lab.runtime.inspect_container(docker_id)
    assert [(mount.source, mount.destination) for mount in found.mounts] == [("/tmp", "/over")]
    assert found.bindings == ()


async def test_no_container_without_an_image(lab: Lab) -> None:
    failure = await failure_of(lab.created(image="ecscope-test-none"))
    assert str(failure) == (
        "CannotCreateContainerError: Error response from daemon: No such image: ecscope-test-none:latest"
    )
    assert failure.is_not_found


async def test_settings_that_cannot_be_decoded_fail_at_create(lab: Lab) -> None:
    failure = await failure_of(lab.created(docker_host_config="{"))
    assert str(failure).startswith("HostConfigError: Unable to decode given host config: ")


async def test_start_twice_is_one_start(lab: Lab) -> None:
    docker_id = await lab.started()
    first = await lab.runtime.inspect_container(docker_id)
    await lab.runtime.start_container(docker_id, timeout_s=LIMIT_S)
    assert (await lab.runtime.inspect_container(docker_id)).started_at == first.started_at


async def test_start_of_what_is_not_there(lab: Lab) -> None:
    failure = await failure_of(lab.runtime.start_container(DockerId("0" * 64), timeout_s=LIMIT_S))
    assert failure.is_not_found
    assert str(failure) == f"CannotStartContainerError: Error response from daemon: No such container: {'0' * 64}"


async def test_a_start_that_is_refused_leaves_its_error_in_the_state(lab: Lab) -> None:
    docker_id = await lab.created(command=NO_PROGRAM)
    failure = await failure_of(lab.runtime.start_container(docker_id, timeout_s=LIMIT_S))
    name, _, message = str(failure).partition(": Error response from daemon: ")
    assert name == "CannotStartContainerError"
    assert NO_PROGRAM_ERRORS.fullmatch(message)
    found = await lab.runtime.inspect_container(docker_id)
    assert found.status is ContainerStatus.STOPPED
    assert found.error == NamedError(name="DockerStateError", message=message)
    assert (found.exit_code, found.started_at, found.finished_at) == (None, "", "")


async def test_stop_of_what_does_not_run_is_done(lab: Lab) -> None:
    never_started = await lab.created()
    await lab.runtime.stop_container(never_started, grace_s=1)
    assert (await lab.runtime.inspect_container(never_started)).status is ContainerStatus.CREATED
    ended = await lab.started(command=EXITS_3)
    await lab.until(ended, ContainerStatus.STOPPED)
    await lab.runtime.stop_container(ended, grace_s=1)
    assert (await lab.runtime.inspect_container(ended)).exit_code == 3


async def test_stop_of_what_is_not_there(lab: Lab) -> None:
    failure = await failure_of(lab.runtime.stop_container(DockerId("0" * 64), grace_s=1))
    assert failure.is_not_found
    assert str(failure) == f"NoSuchContainerError: Container not found: {'0' * 64}"


async def test_what_ignores_sigterm_is_killed_after_the_grace(lab: Lab) -> None:
    async with Listener(lab.runtime) as listener:
        docker_id = await lab.started(command=STUBBORN)
        await lab.runtime.stop_container(docker_id, grace_s=1)
        assert (await lab.runtime.inspect_container(docker_id)).exit_code == 137
        seen = await listener.until(docker_id, RuntimeAction.STOP)
        if RuntimeAction.DIE not in actions(seen):  # Docker 26.1 and later tell of the stop first
            seen = await listener.until(docker_id, RuntimeAction.DIE)
    assert actions(seen)[:2] == [RuntimeAction.CREATE, RuntimeAction.START]
    assert sorted(actions(seen)[2:], key=str) == [RuntimeAction.DIE, RuntimeAction.STOP]
    died = next(notice for notice in seen if notice.action is RuntimeAction.DIE)
    assert (died.exit_code, died.signal) == (137, 9)


async def test_a_stop_that_nobody_waits_for_still_happens(lab: Lab) -> None:
    docker_id = await lab.started(command=STUBBORN)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await lab.runtime.stop_container(docker_id, grace_s=1)
    assert (await lab.until(docker_id, ContainerStatus.STOPPED)).exit_code == 137


async def test_the_events_of_a_container_that_ends_by_itself(lab: Lab) -> None:
    async with Listener(lab.runtime) as listener:
        docker_id = await lab.started(command=EXITS_3)
        await listener.until(docker_id, RuntimeAction.DIE)
        await lab.runtime.remove_container(docker_id, force=False)
        seen = await listener.until(docker_id, RuntimeAction.DESTROY)
    assert actions(seen) == [RuntimeAction.CREATE, RuntimeAction.START, RuntimeAction.DIE, RuntimeAction.DESTROY]
    assert [notice.exit_code for notice in seen] == [None, None, 3, None]
    times = [notice.time_ns for notice in seen]
    assert times == sorted(times)
    assert times[0] > 1_600_000_000 * 10**9


async def test_a_container_that_ended_can_be_started_again(lab: Lab) -> None:
    docker_id = await lab.started()
    first = await lab.runtime.inspect_container(docker_id)
    await lab.runtime.stop_container(docker_id, grace_s=10)
    await lab.runtime.start_container(docker_id, timeout_s=LIMIT_S)
    again = await lab.runtime.inspect_container(docker_id)
    assert again.status is ContainerStatus.RUNNING
    assert again.started_at > first.started_at
    assert first.started_at < again.finished_at < again.started_at, "of the run before"
    assert again.exit_code is None


async def test_what_runs_is_removed_only_by_force(lab: Lab) -> None:
    docker_id = await lab.started(command=STUBBORN)
    failure = await failure_of(lab.runtime.remove_container(docker_id, force=False))
    assert failure.is_conflict
    told = str(failure).removeprefix("CannotRemoveContainerError: Error response from daemon: ")
    assert told.startswith(f"You cannot remove a running container {docker_id}.") or re.fullmatch(
        r'cannot remove container "\S+": container is running: stop the container before removing or force remove', told
    )
    async with Listener(lab.runtime) as listener:
        await lab.runtime.remove_container(docker_id, force=True)
        seen = await listener.until(docker_id, RuntimeAction.DESTROY)
    assert actions(seen) == [RuntimeAction.DIE, RuntimeAction.DESTROY]
    assert seen[0].exit_code == 137


async def test_what_takes_too_much_memory_is_said_so(lab: Lab) -> None:
    async with Listener(lab.runtime) as listener:
        # a runc of 2026 needs 9 MiB for itself while it starts a container
        docker_id = await lab.started(command=HUNGRY, memory_mib=20)
        seen = await listener.until(docker_id, RuntimeAction.DIE)
    assert RuntimeAction.OOM in actions(seen)
    found = await lab.until(docker_id, ContainerStatus.STOPPED)
    assert (found.oom_killed, found.exit_code) == (True, 137)
    assert str(found.error) == "OutOfMemoryError: Container killed due to memory usage"


async def test_a_health_check_that_passes(lab: Lab) -> None:
    spec = lab.spec(docker_config=HEALTH_CHECK, health_check_is_docker=True)
    labels = {**spec.labels, CONTAINER_NAME_LABEL: "checked"}
    checked = replace(spec, container_name="checked", labels=labels)
    async with Listener(lab.runtime) as listener:
        docker_id = await lab.create(checked)
        await lab.runtime.start_container(docker_id, timeout_s=LIMIT_S)
        assert (await lab.runtime.inspect_container(docker_id)).health.status is HealthStatus.UNKNOWN
        await listener.until(docker_id, RuntimeAction.HEALTH)
    health = (await lab.runtime.inspect_container(docker_id)).health
    assert (health.status, health.output, health.exit_code) == (HealthStatus.HEALTHY, "fine\n", 0)
    assert health.since


async def test_the_listing_has_stopped_ones_too(lab: Lab) -> None:
    specs = [lab.spec(command=EXITS_3), lab.spec()]
    ids = [await lab.create(spec) for spec in specs]
    await lab.runtime.start_container(ids[0], timeout_s=LIMIT_S)
    await lab.until(ids[0], ContainerStatus.STOPPED)
    listed = await lab.runtime.list_task_containers()
    mine = {entry for entry in listed if entry[0] in ids}
    assert mine == {(docker_id, spec.docker_name, spec.task_arn) for docker_id, spec in zip(ids, specs, strict=True)}


async def test_a_linked_container_is_listed_under_its_own_name(lab: Lab) -> None:
    target = lab.spec()
    target_id = await lab.create(target)
    await lab.runtime.start_container(target_id, timeout_s=LIMIT_S)
    spec = lab.spec()
    await lab.create(replace(spec, links=(Link(docker_name=target.docker_name, alias="db"),)))
    names = {docker_id: name for docker_id, name, _ in await lab.runtime.list_task_containers()}
    assert names[target_id] == target.docker_name


async def samples_of(lab: Lab, docker_id: DockerId, count: int, **asked: float) -> list[StatsSample]:
    async with asyncio.timeout(20), lab.runtime.stats(docker_id, **asked) as stats:
        return [await anext(stats) for _ in range(count)]


@pytest.mark.parametrize("asked", [{}, {"poll_every_s": 0.5}], ids=["streamed", "polled"])
async def test_what_a_container_uses(lab: Lab, asked: dict[str, float]) -> None:
    docker_id = await lab.started(command=BUSY)
    first, second = await samples_of(lab, docker_id, 2, **asked)
    apart_ns = second.read_ns - first.read_ns
    assert 0.3e9 < apart_ns < 5e9
    assert first.online_cpus == second.online_cpus >= 1
    assert first.cpu_total_ns < second.cpu_total_ns <= first.cpu_total_ns + apart_ns * first.online_cpus
    assert second.memory_bytes > 0
    assert second.network is not None
    assert second.network.rx_bytes >= first.network.rx_bytes >= 0  # type: ignore[union-attr]  # both have one
    assert abs(first.read_ns / 1e9 - time.time()) < 3600


async def test_who_shares_the_network_of_the_host_has_no_network_counters(lab: Lab) -> None:
    spec = lab.spec(command=STUBBORN, docker_host_config='{"NetworkMode": "host"}')
    docker_id = await lab.create(spec)
    await lab.runtime.start_container(docker_id, timeout_s=LIMIT_S)
    assert (await samples_of(lab, docker_id, 1))[0].network is None


async def test_what_does_not_run_has_no_stats_and_its_stream_ends_with_its_removal(lab: Lab) -> None:
    docker_id = await lab.started(command=STUBBORN)
    await samples_of(lab, docker_id, 1)
    await lab.runtime.stop_container(docker_id, grace_s=0)

    async def remove_soon() -> None:
        await asyncio.sleep(1)  # Docker ends the streams that it knows of: one that is asked for meanwhile stays open
        await lab.runtime.remove_container(docker_id, force=True)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2), lab.runtime.stats(docker_id) as stats:
            await anext(stats)
    async with asyncio.timeout(20), lab.runtime.stats(docker_id) as stats:
        removing = asyncio.create_task(remove_soon())
        assert [sample async for sample in stats] == []
        await removing


@pytest.mark.parametrize("asked", [{}, {"poll_every_s": 0.5}], ids=["streamed", "polled"])
async def test_what_is_not_there_has_no_stats(lab: Lab, asked: dict[str, float]) -> None:
    failure = await failure_of(samples_of(lab, DockerId("0" * 64), 1, **asked))
    assert failure.is_not_found
    assert str(failure) == f"CannotReadStatsError: Error response from daemon: No such container: {'0' * 64}"


async def test_a_volume_from_create_to_removal(lab: Lab) -> None:
    name = f"{TEST_PREFIX}{lab.run}"
    volume = VolumeSpec(name=name, driver="local", driver_options={}, labels={"a": "b"})
    assert not await lab.runtime.volume_exists(name)
    await lab.runtime.create_volume(volume)
    await lab.runtime.create_volume(volume)
    assert await lab.runtime.volume_exists(name)

    docker_id = await lab.started(volume=name)
    found = await lab.runtime.inspect_container(docker_id)
    assert [(mount.name, mount.destination) for mount in found.mounts] == [(name, "/data")]
    assert found.mounts[0].source.endswith(f"/volumes/{name}/_data")
    failure = await failure_of(lab.runtime.remove_volume(name))
    assert failure.is_conflict
    assert str(failure) == (
        f"CannotRemoveVolumeError: Error response from daemon: remove {name}: volume is in use - [{docker_id}]"
    )

    await lab.runtime.remove_container(docker_id, force=True)
    await lab.runtime.remove_volume(name)
    await lab.runtime.remove_volume(name)
    assert not await lab.runtime.volume_exists(name)


async def test_a_volume_that_its_driver_refuses(lab: Lab) -> None:
    name = f"{TEST_PREFIX}{lab.run}"
    spec = VolumeSpec(name=name, driver="local", driver_options={"nonsense": "1"}, labels={})
    failure = await failure_of(lab.runtime.create_volume(spec))
    assert str(failure) == (
        f'CannotCreateVolumeError: Error response from daemon: create {name}: invalid option: "nonsense"'
    )
    assert not await lab.runtime.volume_exists(name)


async def test_an_image_is_loaded_without_a_registry(lab: Lab) -> None:
    archive = image_archive("x86_64")
    await lab.runtime.load_image(archive)
    loaded = await lab.runtime.inspect_image(PAUSE_IMAGE)
    assert loaded is not None
    await lab.runtime.load_image(archive)
    assert await lab.runtime.inspect_image(PAUSE_IMAGE) == loaded
    failure = await failure_of(lab.runtime.load_image(b"nonsense"))
    assert str(failure).startswith("CannotLoadImageError: Error response from daemon: ")


async def test_a_network_from_create_to_removal(lab: Lab) -> None:
    number = int(lab.run, 16) % 200
    name, subnet = f"ecstest-{number}", f"10.251.{number}.0/24"
    spec = NetworkSpec(name=name, bridge=name, subnet=subnet, gateway=f"10.251.{number}.1", labels={"a": "b"})
    assert await lab.runtime.create_network(spec)
    try:
        assert not await lab.runtime.create_network(spec)
        assert (await lab.runtime.subnets())[name] == (subnet,)
        failure = await failure_of(lab.runtime.create_network(replace(spec, subnet="10.250.0.0/24")))
        assert subnet in str(failure)
        failure = await failure_of(lab.runtime.create_network(replace(spec, name="ecstest", bridge="ecstest")))
        assert not failure.is_conflict
        assert "verlaps" in str(failure)  # "Pool overlaps …", in the words of 28.5 "… overlaps with …"

        endpoint = Endpoint(network=name, ipv4=f"10.251.{number}.7", mac="02:42:0a:fb:00:07")
        docker_id = await lab.runtime.create_container(replace(lab.spec(), endpoint=endpoint), timeout_s=LIMIT_S)
        lab.made.append(docker_id)
        await lab.runtime.start_container(docker_id, timeout_s=LIMIT_S)
        failure = await failure_of(lab.runtime.remove_network(name))
        assert "has active endpoints" in str(failure)
        await lab.runtime.remove_container(docker_id, force=True)
    finally:
        await lab.runtime.remove_network(name)
    await lab.runtime.remove_network(name)
    assert name not in await lab.runtime.subnets()


async def test_ports_can_be_published_at_one_address(lab: Lab, unused_tcp_port: int) -> None:
    config = replace(lab.spec(ports={"80/tcp": unused_tcp_port}), publish_address="127.0.0.1")
    docker_id = await lab.runtime.create_container(config, timeout_s=LIMIT_S)
    lab.made.append(docker_id)
    await lab.runtime.start_container(docker_id, timeout_s=LIMIT_S)
    found = await lab.runtime.inspect_container(docker_id)
    assert found.bindings == (PortBinding(container_port=80, host_port=unused_tcp_port, host_ip="127.0.0.1"),)


async def test_published_ports_show_while_it_runs(lab: Lab, unused_tcp_port: int) -> None:
    docker_id = await lab.started(ports={"80/tcp": unused_tcp_port})
    found = await lab.runtime.inspect_container(docker_id)
    assert {(b.container_port, b.host_port, b.protocol, b.host_ip) for b in found.bindings} == {
        (80, unused_tcp_port, "tcp", "0.0.0.0"),
        (80, unused_tcp_port, "tcp", "::"),
    }
    other = await lab.created(ports={"80/tcp": unused_tcp_port})
    failure = await failure_of(lab.runtime.start_container(other, timeout_s=LIMIT_S))
    assert re.fullmatch(
        "CannotStartContainerError: Error response from daemon: (failed to set up container networking: )?"
        "driver failed programming external connectivity on endpoint .*: "
        rf"Bind for (0\.0\.0\.0|::):{unused_tcp_port} failed: port is already allocated",
        str(failure),
    )
    await lab.runtime.stop_container(docker_id, grace_s=10)
    assert (await lab.runtime.inspect_container(docker_id)).bindings == ()


async def test_names_of_an_image_come_and_go(lab: Lab) -> None:
    image = await lab.image_of_its_own()
    further = f"{image}b"
    await lab.runtime.tag_image(image, further)
    found = await lab.runtime.inspect_image(further)
    assert found is not None
    assert set(found.repo_tags) == {image, further}

    docker_id = await lab.created(image=image)
    await lab.runtime.remove_image(further)
    assert await lab.runtime.inspect_image(further) is None
    failure = await failure_of(lab.runtime.remove_image(image))
    assert failure.is_conflict
    told = str(failure).removeprefix("CannotRemoveImageError: Error response from daemon: conflict: ")
    in_use = f"container {docker_id[:12]} is using its referenced image "
    assert told.startswith(
        (
            f'unable to remove repository reference "{image}" (must force) - {in_use}',
            f"unable to delete {image} (must be forced) - {in_use}",  # of the containerd image store
        )
    )
    await lab.runtime.remove_container(docker_id, force=False)
    await lab.runtime.remove_image(image)
    assert await lab.runtime.inspect_image(image) is None
    await lab.runtime.remove_image(image)


async def test_an_image_without_a_name_is_removed_by_its_id(lab: Lab) -> None:
    first, second = await lab.image_of_its_own(), await lab.image_of_its_own()
    found = await lab.runtime.inspect_image(first)
    assert found is not None
    await lab.runtime.tag_image(second, first)
    without_name = await lab.runtime.inspect_image(found.image_id)
    assert without_name is not None
    assert without_name.repo_tags == ()
    await lab.runtime.remove_image(found.image_id)
    assert await lab.runtime.inspect_image(found.image_id) is None
    assert await lab.runtime.inspect_image(first) is not None
    await lab.runtime.remove_image(first)


async def test_a_tag_for_what_is_not_there(lab: Lab) -> None:
    failure = await failure_of(lab.runtime.tag_image("ecscope-test-none:1", "ecscope-test-none:2"))
    assert failure.is_not_found
    assert str(failure) == "CannotTagImageError: Error response from daemon: No such image: ecscope-test-none:1"


@pytest.mark.parametrize("reference", ["../containers/json", "UPPER", "a b", ""])
async def test_what_is_no_reference_is_refused(lab: Lab, reference: str) -> None:
    for call in (
        lab.runtime.inspect_image(reference),
        lab.runtime.resolve_digest(reference, None),
        lab.runtime.pull_image(reference, None, lambda _: None),
        lab.runtime.remove_image(reference),
    ):
        assert "invalid reference format" in str(await failure_of(call))


async def test_an_image_that_no_registry_has(lab: Lab) -> None:
    reference = "127.0.0.1:1/ecscope-test-none:1"
    manifest = await failure_of(lab.runtime.resolve_digest(reference, None))
    assert str(manifest).startswith("CannotPullImageManifestError: Error response from daemon: ")
    pull = await failure_of(lab.runtime.pull_image(reference, None, lambda _: None))
    assert str(pull).startswith("CannotPullContainerError: Error response from daemon: ")
    assert not manifest.is_unreachable
    assert not pull.is_unreachable
