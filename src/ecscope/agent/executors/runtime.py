"""Carries out actions: each becomes one named task with one event as its end.

Translates between actions, runtime calls and events; every rule about what to do next is in
``core``. A call that fails gives the event that says so; a call that was asked to end early
gives ``CallCancelled``; a bug gives a failure event named ``UnknownError`` and a traceback in
the log, never silence.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import assert_never

import msgspec

from ecscope.agent.core import actions as act
from ecscope.agent.core import events as ev
from ecscope.agent.core.container_config import ContainerConfig, ContainerConfigError, container_config, task_endpoint
from ecscope.agent.core.host_ports import HostPortChooser, NoPortError
from ecscope.agent.core.images import local_name
from ecscope.agent.core.state import AgentState
from ecscope.agent.executors.metadata_file import MetadataFiles
from ecscope.agent.executors.registry_login import RegistryLogins
from ecscope.agent.executors.resources.interface import ResourceFailure, ResourceProvider
from ecscope.agent.executors.secret_values import SecretValues
from ecscope.agent.inbox import Inbox, Stamp
from ecscope.agent.runtime.interface import RegistryAuth, Runtime, RuntimeFailure
from ecscope.log import TASK_ARN
from ecscope.model.arn import DockerId, TaskArn
from ecscope.model.container import Container, ContainerInspection, ContainerKind, ImageInspection, NamedError
from ecscope.model.network import TaskNetwork
from ecscope.model.runtime import PullProgress
from ecscope.model.status import TaskStatus
from ecscope.model.task import Task
from ecscope.model.task_resource import ResourceKind, TaskResource

_log = logging.getLogger("ecscope.executor")

_INSPECTIONS_AT_ONCE = 16
_IMAGES_REMEMBERED = 256

Key = tuple[TaskArn, str]
_Progressed = Callable[[PullProgress], None]

OtherCall = (
    act.InspectContainer
    | act.ListContainers
    | act.CreateResource
    | act.RemoveResource
    | act.RemoveImage
    | act.RemoveOrphan
)
"""Calls that are not for one container of one task."""

_WORTH_WAITING_FOR = (
    act.CreateContainer,
    act.StartContainer,
    act.RemoveContainer,
    act.CreateResource,
    act.RemoveResource,
    act.RemoveImage,
    act.RemoveOrphan,
)
"""What changes something, soon, and may be dropped or left half done by an engine whose client goes.

Not a stop, which every engine tried carries through (20.10, 26.1, 28.5) and which takes as long as the container
likes; not a pull, which begins again where it was.
"""


class _Place(Stamp):
    """What every event about one container carries."""

    task_arn: TaskArn
    container_name: str


class _ResourcePlace(Stamp):
    """What every event about one task resource carries."""

    task_arn: TaskArn
    kind: ResourceKind
    name: str


class ExecutorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What calls need beyond the state. Seconds."""

    cluster: str
    region: str = ""
    """``""``: unknown; containers then get no ``AWS_REGION``."""
    task_endpoint_port: int = 0
    """Of this host, at which containers find AWS; 0: they get no address."""
    log_endpoint: str = ""
    """Of CloudWatch Logs, as Docker reaches it; ``""``: the region's own."""
    log_credentials_id: str = ""
    """What the log driver ``awslogs`` asks for where a task has no execution role; ``""``: Docker has its own."""
    sees_host_paths: bool = False
    """The agent sees the engine's file system, so it can check whether a host path exists."""
    slow_image_s: float = 5.0
    """A digest or an image that takes longer is reported,"""
    slow_image_again_s: float = 30.0
    """and again as often as this."""
    task_network: TaskNetwork | None = None
    """On which awsvpc tasks have their addresses; ``None``: there are none here."""
    create_timeout_s: float = 240.0
    start_timeout_s: float = 180.0


class Executor:
    """See the module docstring. All methods belong to one event loop."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        state: Callable[[], AgentState],
        inbox: Inbox,
        settings: ExecutorSettings,
        ports: HostPortChooser,
        logins: RegistryLogins,
        reconnect: Callable[[], None],
        resources: Mapping[ResourceKind, ResourceProvider],
        metadata_files: MetadataFiles | None = None,
        secret_values: SecretValues | None = None,
        is_port_free: Callable[[int, str], bool] | None = None,
        bridge_address: Callable[[], str] = lambda: "",
        jitter: random.Random | None = None,
    ) -> None:
        """``reconnect`` requests a new connection to the runtime; ``resources`` are the providers.

        ``bridge_address``: this host's on Docker's default bridge; ``""``: there is none here.
        """
        self._runtime = runtime
        self._state = state
        self._inbox = inbox
        self._settings = settings
        self._ports = ports
        self._logins = logins
        self._reconnect = reconnect
        self._resources = resources
        self._metadata_files = metadata_files
        self._secret_values = secret_values or SecretValues()
        self._is_port_free = is_port_free or _is_port_free
        self._bridge_address = bridge_address
        self._random = jitter or random.Random()  # noqa: S311  # spreads timers, guards nothing
        self._calls: dict[Key, asyncio.Task[None]] = {}
        self._others: set[asyncio.Task[None]] = set()
        self._timers: dict[act.Timer, asyncio.TimerHandle] = {}
        self._short: set[asyncio.Task[None]] = set()
        self._is_ending = False
        self._inspecting_images: dict[str, asyncio.Task[ImageInspection | None]] = {}
        self._images_by_id: dict[str, ImageInspection] = {}
        self._ports_of_pauses: dict[tuple[int, str], TaskArn] = {}
        """Host ports that were chosen for awsvpc tasks, and which Docker only takes at the start."""

    # --- starting and stopping -----------------------------------------------------------------

    def start(self, action: act.AnyAction) -> None:
        """Begin an action and return at once."""
        match action:
            case act.SetTimer():
                self._set_timer(action)
            case act.CancelTimer():
                if (handle := self._timers.pop(action.timer, None)) is not None:
                    handle.cancel()
            case act.CancelCall():
                if (call := self._calls.get((action.task_arn, action.container_name))) is not None:
                    call.cancel()
            case act.ReconnectRuntime():
                self._reconnect()
            case _ if self._is_ending:
                return
            case (
                act.InspectImage()
                | act.ResolveManifest()
                | act.PullImage()
                | act.CreateContainer()
                | act.StartContainer()
                | act.StopContainer()
                | act.RemoveContainer()
            ):
                self._begin_call(action)
            case (
                act.InspectContainer()
                | act.ListContainers()
                | act.CreateResource()
                | act.RemoveResource()
                | act.RemoveImage()
                | act.RemoveOrphan()
            ):
                self._begin_other(action)
            case _:
                raise TypeError(f"not carried out here: {action!r}")

    async def finish(self, *, within_s: float) -> int:
        """Begin no more calls, and let those that change something end: how many of them did not.

        What was not started, or did not end, is in the saved state, and is taken up at the next start.
        """
        self._is_ending = True
        if not self._short:
            return 0
        _, pending = await asyncio.wait(self._short, timeout=within_s)
        return len(pending)

    async def close(self) -> None:
        """End everything under way without a further event. What it was for is in the saved state."""
        for handle in self._timers.values():
            handle.cancel()
        self._timers.clear()
        running = [*self._calls.values(), *self._others, *self._inspecting_images.values()]
        self._calls.clear()
        self._others.clear()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _begin_call(self, action: act.ContainerAction) -> None:
        key = (action.task_arn, action.container_name)
        task = asyncio.create_task(
            self._guard_call(action), name=f"{type(action).__name__} {action.container_name} of {action.task_arn}"
        )
        self._calls[key] = task
        self._note_if_short(action, task)
        task.add_done_callback(lambda done: self._call_done(key, done, action))

    def _call_done(self, key: Key, done: asyncio.Task[None], action: act.ContainerAction) -> None:
        if self._calls.get(key) is not done:
            return  # the agent ends, or the next call has already started
        del self._calls[key]
        if done.cancelled():
            # Told here, since a call that is cancelled before its first turn never runs a line.
            self._inbox.post(ev.CallCancelled(**self._of(action)))

    def _begin_other(self, action: OtherCall) -> None:
        task = asyncio.create_task(self._guard_other(action), name=type(action).__name__)
        self._others.add(task)
        self._note_if_short(action, task)
        task.add_done_callback(self._others.discard)

    def _note_if_short(self, action: act.Action, task: asyncio.Task[None]) -> None:
        if isinstance(action, _WORTH_WAITING_FOR):
            self._short.add(task)
            task.add_done_callback(self._short.discard)

    def _set_timer(self, action: act.SetTimer) -> None:
        if (handle := self._timers.pop(action.timer, None)) is not None:
            handle.cancel()
        delay_s = action.delay_s + (self._random.uniform(0.0, action.jitter_s) if action.jitter_s else 0.0)
        self._timers[action.timer] = asyncio.get_running_loop().call_later(delay_s, self._fire, action.timer)

    def _fire(self, timer: act.Timer) -> None:
        self._timers.pop(timer, None)
        self._inbox.post(ev.TimerFired(**self._inbox.stamp(), timer=timer))

    # --- guards: one event back, whatever happens ------------------------------------------------

    async def _guard_call(self, action: act.ContainerAction) -> None:
        try:
            event = await self._call(action)
        except RuntimeFailure as failure:
            error = self._secret_values.hidden_in(action.task_arn, failure.error)
            event = self._failed(action, error, is_unreachable=failure.is_unreachable)
        except (NoPortError, ContainerConfigError) as failure:
            event = ev.ContainerCreateFailed(**self._of(action), error=failure.error, was_asked=False)
        except Exception as error:
            _log.exception("bug in carrying out %s", type(action).__name__, extra={TASK_ARN: action.task_arn})
            event = self._failed(
                action,
                NamedError(name="UnknownError", message=f"{type(error).__name__}: {error}"),
                is_unreachable=False,
            )
        self._inbox.post(event)

    async def _guard_other(self, action: OtherCall) -> None:
        try:
            event = await self._other(action)
        except RuntimeFailure as failure:
            _log.warning("%s: %s", type(action).__name__, failure)
            event = self._other_failed(action, failure.error, is_unreachable=failure.is_unreachable)
        except ResourceFailure as failure:
            _log.warning("%s: %s", type(action).__name__, failure)
            event = self._other_failed(action, failure.error, is_unreachable=False)
        except Exception as error:
            _log.exception("bug in carrying out %s", type(action).__name__)
            unknown = NamedError(name="UnknownError", message=f"{type(error).__name__}: {error}")
            event = self._other_failed(action, unknown, is_unreachable=False)
        self._inbox.post(event)

    def _other_failed(self, action: OtherCall, error: NamedError, *, is_unreachable: bool) -> ev.AnyEvent:
        match action:
            case act.CreateResource():
                return ev.ResourceCreateFailed(**self._of_resource(action), error=error, is_unreachable=is_unreachable)
            case act.RemoveResource():
                return ev.ResourceRemoved(**self._of_resource(action), error=error, is_unreachable=is_unreachable)
            case act.RemoveImage():
                return ev.ImageRemoved(**self._inbox.stamp(), image=action.image, error=error)
            case act.RemoveOrphan():
                return ev.OrphanRemoved(**self._inbox.stamp(), docker_id=action.docker_id, error=error)
            case act.InspectContainer():
                return ev.ContainerInspected(
                    **self._inbox.stamp(),
                    docker_id=action.docker_id,
                    inspection=None,
                    seen=action.seen,
                    exit_code=action.exit_code,
                )
            case act.ListContainers():
                return ev.RuntimeListFailed(**self._inbox.stamp(), error=error)
            case _:
                assert_never(action)

    def _failed(self, action: act.ContainerAction, error: NamedError, *, is_unreachable: bool) -> ev.AnyEvent:
        kind: type[ev.ManifestFailed | ev.ImagePullFailed | ev.ContainerCreateFailed | ev.ContainerStartFailed]
        match action:
            case act.InspectImage():
                return ev.ImageInspected(
                    **self._of(action),
                    image=None,
                    is_unreachable=is_unreachable,
                )
            case act.RemoveContainer():
                return ev.ContainerRemoved(
                    **self._of(action),
                    error=error,
                    is_unreachable=is_unreachable,
                )
            case act.StopContainer():
                return ev.ContainerStopFailed(
                    **self._of(action),
                    error=error,
                    is_unreachable=is_unreachable,
                    runtime_answers=not is_unreachable,
                )
            case act.ResolveManifest():
                kind = ev.ManifestFailed
            case act.PullImage():
                kind = ev.ImagePullFailed
            case act.CreateContainer():
                kind = ev.ContainerCreateFailed
            case _:
                kind = ev.ContainerStartFailed
        return kind(
            **self._of(action),
            error=error,
            is_unreachable=is_unreachable,
        )

    def _of(self, action: act.ContainerAction) -> _Place:
        return {**self._inbox.stamp(), "task_arn": action.task_arn, "container_name": action.container_name}

    # --- calls for one container -------------------------------------------------------------------

    async def _call(self, action: act.ContainerAction) -> ev.AnyEvent:
        runtime = self._runtime
        match action:
            case act.InspectImage():
                image = await self._inspect_image(action.image)
                return ev.ImageInspected(**self._of(action), image=image)
            case act.ResolveManifest():
                return await self._image_call(action, partial(self._resolve, action))
            case act.PullImage():
                return await self._image_call(action, partial(self._pull, action))
            case act.CreateContainer():
                return await self._create(action)
            case act.StartContainer():
                return await self._start_container(action)
            case act.StopContainer():
                return await self._stop_container(action)
            case act.RemoveContainer():
                await runtime.remove_container(action.docker_id, force=False)
                if self._metadata_files is not None:
                    await self._metadata_files.remove(*self._place(action))
                return ev.ContainerRemoved(**self._of(action))
            case _:
                raise TypeError(f"not a container call: {action!r}")

    async def _inspect_image(self, reference: str) -> ImageInspection | None:
        """One look serves all that ask for the same image at the same time."""
        looking = self._inspecting_images.get(reference)
        if looking is None:
            looking = asyncio.create_task(self._runtime.inspect_image(reference), name=f"inspect image {reference}")
            self._inspecting_images[reference] = looking
            looking.add_done_callback(lambda _: self._inspecting_images.pop(reference, None))
        image = await asyncio.shield(looking)
        if image is not None:
            if len(self._images_by_id) >= _IMAGES_REMEMBERED:
                self._images_by_id.clear()
            self._images_by_id[image.image_id] = image
        return image

    async def _image_call(
        self, action: act.ResolveManifest | act.PullImage, work: Callable[[_Progressed], Awaitable[ev.AnyEvent]]
    ) -> ev.AnyEvent:
        """``work``, and from time to time a word of it where it takes long."""
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        latest: PullProgress | None = None

        def progressed(progress: PullProgress) -> None:
            nonlocal latest
            latest = progress

        def say(handle: list[asyncio.TimerHandle]) -> None:
            waited_s = round(loop.time() - begun_s)
            self._inbox.post(
                ev.ImageCallSlow(**self._of(action), image=action.image, waited_s=waited_s, progress=latest)
            )
            handle[0] = loop.call_later(self._settings.slow_image_again_s, say, handle)

        handle: list[asyncio.TimerHandle] = []
        handle.append(loop.call_later(self._settings.slow_image_s, say, handle))
        try:
            return await work(progressed)
        finally:
            handle[0].cancel()

    async def _resolve(self, action: act.ResolveManifest, _: _Progressed) -> ev.AnyEvent:
        digest = await self._runtime.resolve_digest(action.image, await self._login(action))
        return ev.ManifestResolved(**self._of(action), digest=digest)

    async def _pull(self, action: act.PullImage, note: _Progressed) -> ev.AnyEvent:
        def progressed(progress: PullProgress) -> None:
            note(progress)
            self._inbox.post(
                ev.ImagePullProgressed(
                    **self._of(action),
                    progress=progress,
                )
            )

        auth = await self._login(action)
        if action.digest and "@" not in action.image:
            pinned = f"{_without_tag(action.image)}@{action.digest}"
            await self._runtime.pull_image(pinned, auth, progressed)
            await self._runtime.tag_image(pinned, action.image)
        else:
            await self._runtime.pull_image(action.image, auth, progressed)
        image = await self._inspect_image(action.image)
        if image is None:
            raise RuntimeFailure(
                NamedError(
                    name="CannotPullContainerError", message=f"pulled {action.image}, but Docker does not have it"
                )
            )
        return ev.ImagePulled(
            **self._of(action),
            image=image,
        )

    async def _login(self, action: act.ResolveManifest | act.PullImage) -> RegistryAuth | None:
        task, container = self._place(action)
        return await self._logins.of(task, container.definition)

    async def _create(self, action: act.CreateContainer) -> ev.AnyEvent:
        task, container = self._place(action)
        folder = ""
        if self._metadata_files is not None and not container.is_agents_own:
            folder = await self._metadata_files.begin(task, container, self._state().instance)
        config = container_config(
            task=task,
            container=container,
            host_ports=self._choose_ports(task, container),
            cluster=self._settings.cluster,
            region=self._settings.region,
            endpoint=self._task_endpoint(task),
            image=self._local_name(container),
            task_network=self._settings.task_network,
            metadata_folder=folder,
            image_environment_names=await self._image_environment(container),
            secrets=self._secret_values.of(task.arn, container.definition),
            log_endpoint=self._settings.log_endpoint,
            log_credentials_id=self._settings.log_credentials_id,
        )
        missing = self._missing_host_paths(config)
        try:
            docker_id = await self._runtime.create_container(config, timeout_s=self._settings.create_timeout_s)
        except RuntimeFailure as failure:
            if not (failure.is_not_found and container.is_agents_own):
                raise
            await self._load_pause_image()  # it was never there, or was removed
            docker_id = await self._runtime.create_container(config, timeout_s=self._settings.create_timeout_s)
        return ev.ContainerCreated(**self._of(action), docker_id=docker_id, missing_host_paths=missing)

    def _local_name(self, container: Container) -> str:
        return local_name(self._state().settings, container.definition.image)

    async def _load_pause_image(self) -> None:
        from ecscope.agent.pause.image import NoPauseProgram, image_archive  # noqa: PLC0415  # seldom needed

        try:
            archive = image_archive((await self._runtime.connect()).architecture)
        except NoPauseProgram as error:
            raise RuntimeFailure(NamedError(name="CannotCreateContainerError", message=str(error))) from error
        await self._runtime.load_image(archive)

    def _task_endpoint(self, task: Task) -> str:
        port = self._settings.task_endpoint_port
        return task_endpoint(task, port=port, bridge_address=self._bridge_address()) if port else ""

    def _missing_host_paths(self, config: ContainerConfig) -> tuple[str, ...]:
        if not self._settings.sees_host_paths:
            return ()
        sources = dict.fromkeys(bind.source for bind in config.binds)
        return tuple(source for source in sources if source.startswith("/") and not os.path.lexists(source))

    def _place(self, action: act.ContainerAction) -> tuple[Task, Container]:
        task = self._state().tasks.get(action.task_arn)
        container = task.container(action.container_name) if task is not None else None
        if task is None or container is None:
            raise LookupError(f"{action.container_name} of {action.task_arn} went away under a call")
        return task, container

    def _choose_ports(self, task: Task, container: Container) -> dict[str, int]:
        mode = task.network_mode
        if container.kind is ContainerKind.CNI_PAUSE:
            return self._choose_ports_of_pause(task)
        if not mode.has_port_bindings:
            return {}
        mappings = container.definition.port_mappings
        if mode.shares_host_ports:  # a definition may leave the host port out: it is the container's
            mappings = tuple(
                msgspec.structs.replace(mapping, host_port=mapping.host_port or mapping.container_port)
                for mapping in mappings
            )
        return dict(self._ports.assign(mappings, self._is_port_free))

    def _choose_ports_of_pause(self, task: Task) -> dict[str, int]:
        """Those of all containers of an awsvpc task, which share one network namespace."""
        tasks = self._state().tasks
        self._ports_of_pauses = {
            port: arn
            for port, arn in self._ports_of_pauses.items()
            if arn in tasks and tasks[arn].known is not TaskStatus.STOPPED
        }

        def is_free(port: int, protocol: str) -> bool:
            return (port, protocol) not in self._ports_of_pauses and self._is_port_free(port, protocol)

        mappings = (mapping for container in task.containers for mapping in container.definition.port_mappings)
        given = dict(self._ports.assign_where_free(mappings, is_free))
        self._ports_of_pauses |= {(port, key.partition("/")[2]): task.arn for key, port in given.items()}
        return given

    async def _image_environment(self, container: Container) -> frozenset[str]:
        """Names that the image sets itself; only needed where the agent would add others."""
        if container.is_agents_own or not (self._settings.region or self._settings.task_endpoint_port):
            return frozenset()
        image = self._images_by_id.get(container.image_id)
        if image is None:
            image = await self._inspect_image(self._local_name(container))
        return image.environment_names if image is not None else frozenset()

    async def _start_container(self, action: act.StartContainer) -> ev.AnyEvent:
        try:
            await self._runtime.start_container(action.docker_id, timeout_s=self._settings.start_timeout_s)
            inspection = await self._runtime.inspect_container(action.docker_id)
        except RuntimeFailure as failure:
            seen = None if failure.is_unreachable else await self._try_inspect(action.docker_id)
            return ev.ContainerStartFailed(
                **self._of(action),
                error=self._secret_values.hidden_in(action.task_arn, failure.error),
                is_unreachable=failure.is_unreachable,
                inspection=seen,
            )
        if self._metadata_files is not None:
            task, container = self._place(action)
            if not container.is_agents_own:
                await self._metadata_files.complete(task, container, self._state().instance, inspection)
        return ev.ContainerStarted(
            **self._of(action),
            inspection=inspection,
        )

    async def _try_inspect(self, docker_id: DockerId) -> ContainerInspection | None:
        try:
            return await self._runtime.inspect_container(docker_id)
        except RuntimeFailure:
            return None

    async def _stop_container(self, action: act.StopContainer) -> ev.AnyEvent:
        try:
            await self._runtime.stop_container(action.docker_id, grace_s=action.grace_s)
            inspection = await self._inspect_if_there(action.docker_id)
        except RuntimeFailure as failure:
            return ev.ContainerStopFailed(
                **self._of(action),
                error=failure.error,
                is_unreachable=failure.is_unreachable,
                runtime_answers=await self._answers(),
            )
        return ev.ContainerStopDone(
            **self._of(action),
            inspection=inspection,
        )

    async def _inspect_if_there(self, docker_id: DockerId) -> ContainerInspection | None:
        """``None``: Docker answers "no such container". Raises ``RuntimeFailure`` when it does not answer."""
        try:
            return await self._runtime.inspect_container(docker_id)
        except RuntimeFailure as failure:
            if not failure.is_not_found:
                raise
            return None

    async def _answers(self) -> bool:
        try:
            await self._runtime.ping()
        except RuntimeFailure:
            return False
        return True

    # --- other calls ---------------------------------------------------------------------------------

    async def _other(self, action: OtherCall) -> ev.AnyEvent:
        match action:
            case act.InspectContainer():
                return await self._inspect_container(action)
            case act.ListContainers():
                return await self._list()
            case act.CreateResource():
                await self._provider(action).create(*self._resource(action))
                return ev.ResourceCreated(**self._of_resource(action))
            case act.RemoveResource():
                await self._provider(action).remove(*self._resource(action))
                return ev.ResourceRemoved(**self._of_resource(action))
            case act.RemoveImage():
                await self._runtime.remove_image(action.image)
                return ev.ImageRemoved(**self._inbox.stamp(), image=action.image)
            case act.RemoveOrphan():
                await self._runtime.remove_container(action.docker_id, force=True)
                return ev.OrphanRemoved(**self._inbox.stamp(), docker_id=action.docker_id)
            case _:
                assert_never(action)

    async def _inspect_container(self, action: act.InspectContainer) -> ev.AnyEvent:
        inspection = await self._inspect_if_there(action.docker_id)
        return ev.ContainerInspected(
            **self._inbox.stamp(),
            docker_id=action.docker_id,
            inspection=inspection,
            is_not_found=inspection is None,
            seen=action.seen,
            exit_code=action.exit_code,
        )

    async def _list(self) -> ev.AnyEvent:
        rows = await self._runtime.list_task_containers()
        places = asyncio.Semaphore(_INSPECTIONS_AT_ONCE)

        async def look(docker_id: DockerId) -> ContainerInspection | None:
            async with places:
                return await self._try_inspect(docker_id)

        inspections = await asyncio.gather(*(look(docker_id) for docker_id, _, _ in rows))
        return ev.RuntimeListed(
            **self._inbox.stamp(),
            containers=tuple(
                ev.ListedContainer(docker_id=docker_id, docker_name=name, task_arn=arn, inspection=inspection)
                for (docker_id, name, arn), inspection in zip(rows, inspections, strict=True)
            ),
        )

    # --- task resources ------------------------------------------------------------------------------

    def _provider(self, action: act.ResourceAction) -> ResourceProvider:
        provider = self._resources.get(action.kind)
        if provider is None:
            raise ResourceFailure(
                NamedError(
                    name="ResourceInitializationError",
                    message=f"this agent knows no {action.kind} resources; a newer one has accepted the task",
                )
            )
        return provider

    def _resource(self, action: act.ResourceAction) -> tuple[Task, TaskResource]:
        task = self._state().tasks.get(action.task_arn)
        resource = task.resource(action.kind, action.name) if task is not None else None
        if task is None or resource is None:
            raise LookupError(f"{action.kind} {action.name} of {action.task_arn} went away under a call")
        return task, resource

    def _of_resource(self, action: act.ResourceAction) -> _ResourcePlace:
        return {**self._inbox.stamp(), "task_arn": action.task_arn, "kind": action.kind, "name": action.name}


def _without_tag(image: str) -> str:
    """``host:5000/name:tag`` → ``host:5000/name``."""
    head, slash, last = image.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"


def _is_port_free(port: int, protocol: str) -> bool:
    """Whether nothing listens there, asked by listening for a moment. Source: engine.md §7."""
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    for family, address in ((socket.AF_INET6, "::"), (socket.AF_INET, "0.0.0.0")):  # noqa: S104  # as Docker binds
        try:
            with socket.socket(family, kind) as probe:
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind((address, port))
                if kind == socket.SOCK_STREAM:
                    probe.listen(1)
        except OSError as error:
            if family == socket.AF_INET6 and error.errno in (97, 99):
                continue  # this host has no IPv6
            return False
    return True
