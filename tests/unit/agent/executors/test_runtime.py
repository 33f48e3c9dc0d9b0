"""Every action ends in exactly one event, whatever the runtime does."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ecscope.agent.core import actions as act
from ecscope.agent.core import events as ev
from ecscope.agent.core import pauses
from ecscope.agent.core.host_ports import HostPortChooser
from ecscope.agent.core.restore import restored_state
from ecscope.agent.core.state import AgentState, Settings
from ecscope.agent.executors.metadata_file import MetadataFiles
from ecscope.agent.executors.registry_login import RegistryLogins
from ecscope.agent.executors.resources.providers import Tools, providers
from ecscope.agent.executors.runtime import Executor, ExecutorSettings, _is_port_free, _without_tag
from ecscope.agent.inbox import Inbox
from ecscope.agent.runtime.interface import RuntimeFailure, VolumeSpec
from ecscope.agent.runtime.simulated.programs import Program
from ecscope.model.arn import DockerId
from ecscope.model.container import MountPoint, NamedError, PortMapping, RegistryLogin
from ecscope.model.names import NETWORK_PAUSE, PAUSE_IMAGE, container_docker_name
from ecscope.model.network import NetworkMode, TaskNetwork
from ecscope.model.runtime import RuntimeAction
from ecscope.model.status import ContainerStatus
from ecscope.model.task import Task, Volume, VolumeKind
from ecscope.model.task_resource import CGROUP, VOLUME, ResourceKind
from tests.builders import AT, SAMPLE_IMAGE, a_container, a_resource, a_task, a_volume, an_arn, an_interface
from tests.simulated_knobs import FakeRuntime
from tests.world import INSTANCE

replace = msgspec.structs.replace

ARN = an_arn()
PLACE = {"task_arn": ARN, "container_name": "app"}
DATA = {"task_arn": ARN, "kind": VOLUME, "name": "data"}


class Rig:
    """An executor over a simulated runtime and a state of one task."""

    def __init__(
        self, task: Task, *, region: str = "us-west-2", metadata_files: MetadataFiles | None = None, **settings: Any
    ) -> None:
        self.runtime = FakeRuntime(images=[SAMPLE_IMAGE])
        self.state: AgentState = restored_state(instance=INSTANCE, settings=Settings(), tasks=[task])
        self.events: asyncio.Queue[ev.AnyEvent] = asyncio.Queue()
        self.reconnects = 0
        self.executor = Executor(
            runtime=self.runtime,
            state=lambda: self.state,
            inbox=Inbox(self.events.put_nowait, new_id=lambda: "id", now=lambda: AT),
            settings=ExecutorSettings(cluster="default", region=region, **settings),
            ports=HostPortChooser(40000, 40010),
            logins=RegistryLogins(own=lambda image: None),
            reconnect=self._reconnect,
            resources=providers(Tools(runtime=self.runtime)),
            metadata_files=metadata_files,
            is_port_free=lambda port, protocol: True,
            jitter=random.Random(1),
        )

    def _reconnect(self) -> None:
        self.reconnects += 1

    async def do(self, action: act.AnyAction) -> ev.AnyEvent:
        self.executor.start(action)
        return await self.next()

    async def next(self) -> ev.AnyEvent:
        return await asyncio.wait_for(self.events.get(), 5)

    async def create(self) -> DockerId:
        event = await self.do(act.CreateContainer(**PLACE))
        assert isinstance(event, ev.ContainerCreated), event
        return event.docker_id


def named(**fields: object):
    name = container_docker_name(family="sample", version="1", container_name="app", suffix="0" * 20)
    return a_container(docker_name=name, name_suffix="0" * 20, **fields)


@asynccontextmanager
async def a_rig(task: Task | None = None, *, region: str = "us-west-2", **settings: Any) -> AsyncIterator[Rig]:
    rig = Rig(task or a_task(named()), region=region, **settings)
    try:
        yield rig
    finally:
        await rig.executor.close()
        await rig.runtime.close()
        assert rig.events.empty(), "an action gave more than one event"


async def test_inspect_image_tells_what_is_there_and_what_is_not() -> None:
    async with a_rig() as rig:
        event = await rig.do(act.InspectImage(**PLACE, image=SAMPLE_IMAGE))
        assert isinstance(event, ev.ImageInspected)
        assert event.image is not None
        event = await rig.do(act.InspectImage(**PLACE, image="absent:latest"))
        assert isinstance(event, ev.ImageInspected)
        assert event.image is None


async def test_one_look_at_an_image_serves_all_that_ask_at_once() -> None:
    task = a_task(named(), *(a_container(f"c{i}") for i in range(5)))
    async with a_rig(task) as rig:
        for i in range(5):
            rig.executor.start(act.InspectImage(task_arn=ARN, container_name=f"c{i}", image=SAMPLE_IMAGE))
        for _ in range(5):
            await rig.next()
        assert len(rig.runtime.calls_of("inspect_image")) == 1


async def test_a_pull_by_digest_is_tagged_with_its_name() -> None:
    async with a_rig() as rig:
        image = rig.runtime.add_pullable("web:1")
        event = await rig.do(act.PullImage(**PLACE, image="web:1", digest=image.digest))
        assert isinstance(event, ev.ImagePulled)
        assert event.image.image_id == image.image_id
        assert [call.subject for call in rig.runtime.calls_of("pull_image")] == [f"web@{image.digest}"]
        assert rig.runtime.calls_of("tag_image")


async def test_a_pull_without_digest_goes_by_name() -> None:
    async with a_rig() as rig:
        rig.runtime.add_pullable("web:1")
        event = await rig.do(act.PullImage(**PLACE, image="web:1", digest=""))
        assert isinstance(event, ev.ImagePulled)
        assert [call.subject for call in rig.runtime.calls_of("pull_image")] == ["web:1"]


async def test_a_digest_is_resolved_or_its_failure_told() -> None:
    async with a_rig() as rig:
        image = rig.runtime.add_pullable("web:1")
        event = await rig.do(act.ResolveManifest(**PLACE, image="web:1"))
        assert event == ev.ManifestResolved(id="id", at=AT, **PLACE, digest=image.digest)
        event = await rig.do(act.ResolveManifest(**PLACE, image="absent:1"))
        assert isinstance(event, ev.ManifestFailed)
        assert event.error.name == "CannotPullImageManifestError"


async def test_a_pull_whose_login_fails_says_so_and_asks_no_registry() -> None:
    login = RegistryLogin(kind="ecr", use_execution_role=True)
    async with a_rig(a_task(named(registry_login=login))) as rig:
        rig.runtime.add_pullable("web:1")
        event = await rig.do(act.ResolveManifest(**PLACE, image="web:1"))
        assert isinstance(event, ev.ManifestFailed)
        assert (event.error.name, event.is_unreachable) == ("CannotPullECRContainerError", False)
        event = await rig.do(act.PullImage(**PLACE, image="web:1", digest=""))
        assert isinstance(event, ev.ImagePullFailed)
        assert event.error.name == "CannotPullECRContainerError"
        assert not rig.runtime.calls_of("pull_image")


async def test_create_start_stop_and_remove() -> None:
    async with a_rig() as rig:
        docker_id = await rig.create()
        event = await rig.do(act.StartContainer(**PLACE, docker_id=docker_id))
        assert isinstance(event, ev.ContainerStarted)
        assert event.inspection.status is ContainerStatus.RUNNING
        event = await rig.do(act.InspectContainer(docker_id=docker_id, seen=RuntimeAction.HEALTH))
        assert isinstance(event, ev.ContainerInspected)
        assert event.inspection is not None
        event = await rig.do(act.StopContainer(**PLACE, docker_id=docker_id, grace_s=1))
        assert isinstance(event, ev.ContainerStopDone)
        assert event.inspection is not None
        assert event.inspection.status is ContainerStatus.STOPPED
        event = await rig.do(act.RemoveContainer(**PLACE, docker_id=docker_id))
        assert event == ev.ContainerRemoved(id="id", at=AT, **PLACE)
        assert rig.runtime.containers == ()


async def test_a_container_has_a_metadata_file_from_its_creation_to_its_removal(tmp_path: Path) -> None:
    async with a_rig(metadata_files=MetadataFiles(tmp_path)) as rig:
        docker_id = await rig.create()
        (path,) = tmp_path.rglob("ecs-container-metadata.json")
        assert "MetadataFileStatus" not in path.read_text()
        binds = rig.runtime.configs[docker_id].binds
        assert [bind.source for bind in binds] == [str(path.parent)]
        await rig.do(act.StartContainer(**PLACE, docker_id=docker_id))
        assert f'"ContainerID": "{docker_id}"' in path.read_text()
        await rig.do(act.StopContainer(**PLACE, docker_id=docker_id, grace_s=0))
        await rig.do(act.RemoveContainer(**PLACE, docker_id=docker_id))
        assert list(tmp_path.iterdir()) == []


async def test_dynamic_ports_are_chosen_by_the_agent_and_are_those_of_the_container_in_host_mode() -> None:
    ports = (PortMapping(container_port=80), PortMapping(container_port=443, host_port=8443))
    async with a_rig(a_task(named(port_mappings=ports))) as rig:
        docker_id = await rig.create()
        assert rig.runtime.configs[docker_id].published_ports == {"80/tcp": 40000, "443/tcp": 8443}
    async with a_rig(a_task(named(port_mappings=ports), network_mode=NetworkMode.HOST)) as rig:
        docker_id = await rig.create()
        assert rig.runtime.configs[docker_id].published_ports == {"80/tcp": 80, "443/tcp": 8443}


def an_awsvpc_task(number: int = 1) -> Task:
    app = a_container(port_mappings=(PortMapping(container_port=80), PortMapping(container_port=9, protocol="udp")))
    task = pauses.with_pauses(a_task(app, number=number, network_mode=NetworkMode.AWSVPC, interface=an_interface()))
    return replace(task, containers=tuple(replace(c, docker_name=f"{number}-{c.name_suffix}") for c in task.containers))


async def test_the_pause_image_is_loaded_when_it_is_not_there_or_no_more() -> None:
    async with a_rig(an_awsvpc_task(), task_network=TaskNetwork(bridge="ecs-1", subnet="10.213.0.0/20")) as rig:
        create = act.CreateContainer(task_arn=ARN, container_name=NETWORK_PAUSE)
        for _ in range(2):
            event = await rig.do(create)
            assert isinstance(event, ev.ContainerCreated), event
            await rig.runtime.remove_container(event.docker_id, force=True)
            await rig.runtime.remove_image(PAUSE_IMAGE)
        assert len(rig.runtime.calls_of("load_image")) == 2
        rig.runtime.info = replace(rig.runtime.info, architecture="riscv64")
        event = await rig.do(create)
        assert isinstance(event, ev.ContainerCreateFailed)
        assert "there is no pause program for riscv64" in str(event.error)


async def test_two_awsvpc_tasks_publish_the_same_port_under_numbers_of_their_own() -> None:
    """Before Docker takes the first one, which it does at the start."""
    first, second = an_awsvpc_task(), an_awsvpc_task(number=2)
    async with a_rig(first, task_network=TaskNetwork(bridge="ecs-1", subnet="10.213.0.0/20")) as rig:
        rig.state = replace(rig.state, tasks={first.arn: first, second.arn: second})
        ports = []
        for task in (first, second):
            event = await rig.do(act.CreateContainer(task_arn=task.arn, container_name=NETWORK_PAUSE))
            assert isinstance(event, ev.ContainerCreated), event
            ports.append(rig.runtime.configs[event.docker_id].published_ports)
        assert ports == [{"80/tcp": 80, "9/udp": 9}, {"80/tcp": 40000, "9/udp": 40001}]


async def test_host_paths_that_are_missing_are_named_where_they_can_be_seen(tmp_path: Path) -> None:
    mounts = tuple(MountPoint(source_volume=name, container_path=f"/{name}") for name in ("there", "missing"))
    volumes = (
        a_volume("there", kind=VolumeKind.BIND, source_path=str(tmp_path)),
        a_volume("missing", kind=VolumeKind.BIND, source_path=str(tmp_path / "no")),
    )
    for sees, missing in ((True, (str(tmp_path / "no"),)), (False, ())):
        async with a_rig(a_task(named(mount_points=mounts), volumes=volumes), sees_host_paths=sees) as rig:
            event = await rig.do(act.CreateContainer(**PLACE))
            assert isinstance(event, ev.ContainerCreated)
            assert event.missing_host_paths == missing


@pytest.mark.parametrize(
    "action", [act.PullImage(**PLACE, image=SAMPLE_IMAGE, digest=""), act.ResolveManifest(**PLACE, image=SAMPLE_IMAGE)]
)
async def test_an_image_that_takes_long_is_told_of(action: act.PullImage | act.ResolveManifest) -> None:
    async with a_rig(a_task(named()), slow_image_s=0.01, slow_image_again_s=0.01) as rig:
        for call in ("pull_image", "resolve_digest"):
            rig.runtime.hang_next(call)
        rig.executor.start(action)
        for _ in range(2):
            event = await rig.next()
            assert isinstance(event, ev.ImageCallSlow)
            assert (event.image, event.progress) == (SAMPLE_IMAGE, None)
        rig.executor.start(act.CancelCall(**PLACE))
        while isinstance(event, ev.ImageCallSlow):
            event = await rig.next()
        assert isinstance(event, ev.CallCancelled)


async def test_no_free_port_fails_the_create() -> None:
    async with a_rig(a_task(named(port_mappings=(PortMapping(container_port=80),)))) as rig:
        rig.executor._is_port_free = lambda port, protocol: False
        event = await rig.do(act.CreateContainer(**PLACE))
        assert isinstance(event, ev.ContainerCreateFailed)
        assert str(event.error) == "HostConfigError: error retrieving docker port map: a host port is unavailable"
        assert not event.was_asked


async def test_the_image_is_asked_for_its_environment_only_where_a_region_is_known() -> None:
    async with a_rig(region="") as rig:
        await rig.create()
        assert rig.runtime.calls_of("inspect_image") == []
    async with a_rig() as rig:
        await rig.create()
        assert len(rig.runtime.calls_of("inspect_image")) == 1


@pytest.mark.parametrize(
    ("call", "action", "kind"),
    [
        ("inspect_image", act.InspectImage(**PLACE, image=SAMPLE_IMAGE), ev.ImageInspected),
        ("resolve_digest", act.ResolveManifest(**PLACE, image=SAMPLE_IMAGE), ev.ManifestFailed),
        ("pull_image", act.PullImage(**PLACE, image=SAMPLE_IMAGE, digest=""), ev.ImagePullFailed),
        ("create_container", act.CreateContainer(**PLACE), ev.ContainerCreateFailed),
        ("start_container", act.StartContainer(**PLACE, docker_id=DockerId("a" * 64)), ev.ContainerStartFailed),
        (
            "stop_container",
            act.StopContainer(**PLACE, docker_id=DockerId("a" * 64), grace_s=1),
            ev.ContainerStopFailed,
        ),
        ("remove_container", act.RemoveContainer(**PLACE, docker_id=DockerId("a" * 64)), ev.ContainerRemoved),
    ],
)
async def test_an_absent_runtime_is_told_as_such(call: str, action: act.AnyAction, kind: type) -> None:
    async with a_rig() as rig:
        rig.runtime.go_away()
        event = await rig.do(action)
        assert isinstance(event, kind)
        assert event.is_unreachable  # type: ignore[attr-defined]


async def test_a_failed_start_brings_the_inspection_along() -> None:
    async with a_rig() as rig:
        rig.runtime.behave(Program(start_error="no such file"), image=SAMPLE_IMAGE)
        docker_id = await rig.create()
        event = await rig.do(act.StartContainer(**PLACE, docker_id=docker_id))
        assert isinstance(event, ev.ContainerStartFailed)
        assert event.error.name == "CannotStartContainerError"
        assert event.inspection is not None
        assert event.inspection.created_at


async def test_a_failed_stop_says_whether_the_runtime_answers() -> None:
    async with a_rig() as rig:
        event = await rig.do(act.StopContainer(**PLACE, docker_id=DockerId("a" * 64), grace_s=1))
        assert isinstance(event, ev.ContainerStopFailed)
        assert event.runtime_answers


async def test_a_stop_that_worked_is_no_vanished_container_when_docker_then_goes_away() -> None:
    async with a_rig() as rig:
        docker_id = await rig.create()
        await rig.do(act.StartContainer(**PLACE, docker_id=docker_id))
        rig.runtime.drop_next("inspect_container")
        event = await rig.do(act.StopContainer(**PLACE, docker_id=docker_id, grace_s=0))
        assert isinstance(event, ev.ContainerStopFailed)
        assert event.is_unreachable


async def test_a_container_that_is_gone_after_its_stop_is_told_as_gone() -> None:
    async with a_rig() as rig:
        docker_id = await rig.create()
        await rig.do(act.StartContainer(**PLACE, docker_id=docker_id))
        gone = RuntimeFailure(NamedError(name="CannotInspectContainerError", message="gone"), is_not_found=True)
        rig.runtime.fail_next("inspect_container", gone)
        event = await rig.do(act.StopContainer(**PLACE, docker_id=docker_id, grace_s=0))
        assert event == ev.ContainerStopDone(id="id", at=AT, **PLACE, inspection=None)


async def test_an_unknown_container_is_not_found() -> None:
    async with a_rig() as rig:
        event = await rig.do(act.InspectContainer(docker_id=DockerId("a" * 64), seen=None))
        assert isinstance(event, ev.ContainerInspected)
        assert event.is_not_found


async def test_a_cancelled_call_says_so_and_the_next_one_may_begin() -> None:
    async with a_rig() as rig:
        rig.runtime.add_pullable("big:1", pull_s=3600.0)
        rig.executor.start(act.PullImage(**PLACE, image="big:1", digest=""))
        await asyncio.sleep(0)
        event = await rig.do(act.CancelCall(**PLACE))
        while isinstance(event, ev.ImagePullProgressed):
            event = await rig.next()
        assert event == ev.CallCancelled(id="id", at=AT, **PLACE)
        event = await rig.do(act.InspectImage(**PLACE, image=SAMPLE_IMAGE))
        assert isinstance(event, ev.ImageInspected)


async def test_a_call_cancelled_before_it_began_says_so_too() -> None:
    """Both are decided in one batch, so the call has had no turn yet."""
    async with a_rig() as rig:
        rig.executor.start(act.PullImage(**PLACE, image=SAMPLE_IMAGE, digest=""))
        event = await rig.do(act.CancelCall(**PLACE))
        assert event == ev.CallCancelled(id="id", at=AT, **PLACE)
        assert rig.runtime.calls_of("pull_image") == []


async def test_cancelling_what_is_over_is_harmless() -> None:
    async with a_rig() as rig:
        rig.executor.start(act.CancelCall(**PLACE))


async def test_closing_ends_calls_without_an_event() -> None:
    async with a_rig() as rig:
        rig.runtime.add_pullable("big:1", pull_s=3600.0)
        rig.executor.start(act.PullImage(**PLACE, image="big:1", digest=""))
        await asyncio.sleep(0)


async def test_a_bug_becomes_a_failure_with_its_name(caplog: pytest.LogCaptureFixture) -> None:
    async with a_rig() as rig:
        rig.state = msgspec.structs.replace(rig.state, tasks={})
        event = await rig.do(act.CreateContainer(**PLACE))
        assert isinstance(event, ev.ContainerCreateFailed)
        assert event.error == NamedError(
            name="UnknownError", message=f"LookupError: app of {ARN} went away under a call"
        )
        assert not event.is_unreachable
    assert "bug in carrying out CreateContainer" in caplog.text


async def test_the_listing_holds_every_container_of_a_task() -> None:
    async with a_rig() as rig:
        docker_id = await rig.create()
        event = await rig.do(act.ListContainers())
        assert isinstance(event, ev.RuntimeListed)
        [row] = event.containers
        assert (row.docker_id, row.task_arn) == (docker_id, ARN)
        assert row.inspection is not None


async def test_a_listing_that_fails_is_an_event_and_what_follows_is_not_decided_here() -> None:
    async with a_rig() as rig:
        rig.runtime.go_away()
        event = await rig.do(act.ListContainers())
        assert isinstance(event, ev.RuntimeListFailed)
        assert event.error.name == "CannotListContainersError"
        assert rig.reconnects == 0
        rig.executor.start(act.ReconnectRuntime())
        assert rig.reconnects == 1


async def test_an_action_for_somebody_else_is_a_bug_that_is_not_hidden() -> None:
    async with a_rig() as rig:
        with pytest.raises(TypeError, match="not carried out here: ConnectToCluster"):
            rig.executor.start(act.ConnectToCluster())


def shared(**fields: object) -> Volume:
    return a_volume("data", kind=VolumeKind.SHARED, docker_name="shared-data", **fields)


@pytest.mark.parametrize(
    ("volume", "exists", "reason"),
    [
        (a_volume("data", docker_name="ecs-sample-1-data-0"), False, ""),
        (shared(autoprovision=True), False, ""),
        (shared(), True, ""),
        (
            shared(),
            False,
            f"resource cannot be initialized for task {a_task().arn}: initialize volume: volume detection failed,"
            " volume 'shared-data' does not exist and autoprovision is set to false",
        ),
    ],
    ids=["task scope", "shared, made", "shared, there", "shared, missing"],
)
async def test_volumes(volume: Volume, exists: bool, reason: str) -> None:
    resource = a_resource(is_condition=volume.kind is VolumeKind.SHARED and not volume.autoprovision)
    async with a_rig(a_task(named(), volumes=(volume,), resources=(resource,))) as rig:
        if exists:
            await rig.runtime.create_volume(
                VolumeSpec(name=volume.docker_name, driver="local", driver_options={}, labels={})
            )
        event = await rig.do(act.CreateResource(**DATA))
        if reason:
            assert isinstance(event, ev.ResourceCreateFailed)
            assert event.error.message == reason
            return
        assert event == ev.ResourceCreated(id="id", at=AT, **DATA)
        event = await rig.do(act.RemoveResource(**DATA))
        assert event == ev.ResourceRemoved(id="id", at=AT, **DATA)
        assert not rig.runtime.volumes


async def test_a_volume_that_docker_refuses_carries_dockers_words() -> None:
    volume = a_volume("data", docker_name="ecs-sample-1-data-0", driver="no-such-driver")
    async with a_rig(a_task(named(), volumes=(volume,), resources=(a_resource(),))) as rig:
        event = await rig.do(act.CreateResource(**DATA))
        assert isinstance(event, ev.ResourceCreateFailed)
        assert event.error.message.startswith("Error response from daemon: create ecs-sample-1-data-0")
        assert not event.is_unreachable
        rig.runtime.go_away()
        event = await rig.do(act.RemoveResource(**DATA))
        assert isinstance(event, ev.ResourceRemoved)
        assert event.is_unreachable


@pytest.mark.parametrize("action", [act.CreateResource, act.RemoveResource])
async def test_a_resource_that_nobody_can_make_fails_by_name(
    action: type[act.CreateResource | act.RemoveResource],
) -> None:
    """After a downgrade the saved task may have a resource of a kind that this agent does not know."""
    task = a_task(named(), resources=(a_resource("x", kind=ResourceKind("moon")), a_resource("/ecs/1", kind=CGROUP)))
    async with a_rig(task) as rig:
        event = await rig.do(action(task_arn=ARN, kind=ResourceKind("moon"), name="x"))
        assert isinstance(event, ev.ResourceCreateFailed | ev.ResourceRemoved)
        assert event.error is not None
        assert event.error.message == "this agent knows no moon resources; a newer one has accepted the task"
        event = await rig.do(action(task_arn=ARN, kind=CGROUP, name="/ecs/1"))
        assert isinstance(event, ev.ResourceCreateFailed | ev.ResourceRemoved)
        assert event.error is not None
        assert "task-level limits are off now" in event.error.message


async def test_a_resource_that_went_away_under_a_call_gives_an_event_too() -> None:
    async with a_rig() as rig:
        event = await rig.do(act.CreateResource(**DATA))
        assert isinstance(event, ev.ResourceCreateFailed)
        assert event.error.name == "UnknownError"


async def test_images_and_orphans_are_removed_or_their_error_told() -> None:
    async with a_rig() as rig:
        rig.runtime.add_local("old:1")
        event = await rig.do(act.RemoveImage(image="old:1"))
        assert event == ev.ImageRemoved(id="id", at=AT, image="old:1")
        docker_id = await rig.create()
        event = await rig.do(act.RemoveImage(image=SAMPLE_IMAGE))
        assert isinstance(event, ev.ImageRemoved)
        assert event.error is not None
        event = await rig.do(act.RemoveOrphan(docker_id=docker_id))
        assert event == ev.OrphanRemoved(id="id", at=AT, docker_id=docker_id)


async def test_a_timer_fires_once_is_replaced_and_can_be_cancelled() -> None:
    async with a_rig() as rig:
        timer = act.Timer(kind=act.TimerKind.CLEANUP, task_arn=ARN)
        rig.executor.start(act.SetTimer(timer=timer, delay_s=3600.0))
        event = await rig.do(act.SetTimer(timer=timer, delay_s=0.0, jitter_s=0.001))
        assert event == ev.TimerFired(id="id", at=AT, timer=timer)
        rig.executor.start(act.SetTimer(timer=timer, delay_s=3600.0))
        rig.executor.start(act.CancelTimer(timer=timer))
        rig.executor.start(act.CancelTimer(timer=timer))
        assert not rig.executor._timers


@pytest.mark.parametrize(
    ("image", "without"),
    [("web", "web"), ("web:1", "web"), ("host:5000/web:1", "host:5000/web"), ("host:5000/ns/web", "host:5000/ns/web")],
)
def test_the_tag_is_taken_off(image: str, without: str) -> None:
    assert _without_tag(image) == without


def test_a_port_is_free_when_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not _is_port_free(port, "tcp")
    assert _is_port_free(port, "tcp")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("0.0.0.0", 0))
        assert not _is_port_free(taken.getsockname()[1], "udp")


def test_failures_are_what_they_say() -> None:
    failure = RuntimeFailure(NamedError(name="A", message="b"), is_not_found=True)
    assert str(failure) == "A: b"


# --- the end of the agent ---


async def test_a_start_under_way_is_given_the_time_to_end_and_nothing_more_is_begun() -> None:
    async with a_rig() as rig:
        docker_id = await rig.create()
        rig.runtime.latency_s["start_container"] = 0.05
        rig.executor.start(act.StartContainer(**PLACE, docker_id=docker_id))
        ending = asyncio.create_task(rig.executor.finish(within_s=5))
        await asyncio.sleep(0)
        rig.executor.start(act.ListContainers())
        rig.executor.start(act.StopContainer(**PLACE, docker_id=docker_id, grace_s=1))
        assert await ending == 0
        event = await rig.next()
        assert isinstance(event, ev.ContainerStarted)
        assert [call.name for call in rig.runtime.calls][-2:] == ["start_container", "inspect_container"]


async def test_a_call_that_does_not_end_keeps_the_agent_for_a_moment_only() -> None:
    async with a_rig() as rig:
        docker_id = await rig.create()
        rig.runtime.hang_next("start_container")
        rig.executor.start(act.StartContainer(**PLACE, docker_id=docker_id))
        assert await rig.executor.finish(within_s=0.02) == 1


async def test_a_pull_and_a_stop_are_not_waited_for() -> None:
    """The one begins again where it was; the other is carried through by the engine."""
    async with a_rig(a_task(named(), a_container("other"))) as rig:
        docker_id = await rig.create()
        rig.runtime.latency_s |= {"pull_image": 60.0, "stop_container": 60.0}
        rig.executor.start(act.StopContainer(**PLACE, docker_id=docker_id, grace_s=30))
        rig.executor.start(act.PullImage(task_arn=ARN, container_name="other", image="web:1", digest=""))
        async with asyncio.timeout(5):
            assert await rig.executor.finish(within_s=60) == 0
