"""Builds the agent from its parts and runs it: the only place that does.

The order of starting is the order of usefulness: saved state, then the introspection API
(so that the first answer already shows the restored tasks), then Docker, then what tasks come
from: files, or a cluster (``cluster.build``). Libraries of either are loaded only after the API
answers.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ecscope import __version__
from ecscope.agent.config.settings import Config
from ecscope.agent.core import attachments, credentials, host_resources, identity
from ecscope.agent.core.actions import AnyAction, AttachmentAction, EcsAction
from ecscope.agent.core.capabilities import Offer
from ecscope.agent.core.events import CleanupRequested
from ecscope.agent.core.host_ports import HostPortChooser
from ecscope.agent.core.registration import is_introspected, starting
from ecscope.agent.core.restore import restored_state
from ecscope.agent.core.state import (
    ATTACHMENTS_KEY,
    MANIFEST_SEQUENCE_KEY,
    AgentState,
)
from ecscope.agent.engine import Engine
from ecscope.agent.executors.metadata_file import MetadataFiles
from ecscope.agent.executors.registry_login import RegistryLogins
from ecscope.agent.executors.resources.cgroup import CgroupError, TaskCgroups
from ecscope.agent.executors.resources.providers import Tools, providers
from ecscope.agent.executors.runtime import Executor, ExecutorSettings
from ecscope.agent.executors.secret_values import SecretValues
from ecscope.agent.inbox import Inbox
from ecscope.agent.runtime.connection import RuntimeConnection
from ecscope.agent.runtime.interface import RegistryAuth, Runtime, RuntimeFailure
from ecscope.agent.servers.bridge import address_of
from ecscope.agent.servers.introspection.server import IntrospectionServer
from ecscope.agent.store.interface import BadRecord, Batch, Loaded, Store, StoreError
from ecscope.agent.systemd import READY, STOPPING, Systemd
from ecscope.agent.taskfiles.source import TaskFiles
from ecscope.backoff import Backoff
from ecscope.clock import Clock, SystemClock
from ecscope.model import history
from ecscope.model.arn import STANDALONE_ACCOUNT, container_instance_arn
from ecscope.model.container_instance import ContainerInstance
from ecscope.model.credentials import TaskCredentials
from ecscope.model.history import AnyHappening, HistoryEntry
from ecscope.model.resources import HostResources
from ecscope.model.runtime import EngineInfo
from ecscope.model.status import TaskStatus
from ecscope.open_files import AcceptErrors, allow_many_files
from ecscope.sqlitefile.errors import WHOLE_FILE, UnsafeStore
from ecscope.version import commit, version_line

if TYPE_CHECKING:
    from ecscope.agent.cluster.build import ClusterClient
    from ecscope.agent.servers.diagnostics.server import DiagnosticsServer

_log = logging.getLogger("ecscope.agent")

STANDALONE_REGION = "us-east-1"
"""In the ARNs of a standalone agent without a region; never called."""

_HISTORY_EXPIRY_S = 600.0
_CALLS_END_S = 5.0
"""How long calls to Docker may go on after SIGTERM. ``docker stop`` and ``ecscope up`` wait 10 s or more."""
_SAVED_WITHIN_S = 1.0
_DOCKER_BACKOFF = Backoff(tries=None, first_s=0.25, cap_s=5.0, factor=1.5, jitter=0.2)
_SAVE_BACKOFF = Backoff(tries=None, first_s=0.5, cap_s=5.0, factor=1.5, jitter=0.2)


class AgentError(Exception):
    """The agent cannot start, or cannot continue; the message says why and what helps."""


class WrongSetting(AgentError):
    """A setting names what cannot be used; starting the agent again as it is cannot help."""


class TerminalError(AgentError):
    """Starting the agent again as it is cannot help: a supervisor should not. Source: agent-protocol.md §1."""


class Agent:
    """A whole agent. ``run`` is its life; ``state`` may be read at any time.

    ``runtime``, ``store`` and ``clock`` can be given instead of the real ones, for tests and simulation.
    """

    def __init__(
        self,
        config: Config,
        *,
        tasks_path: Path | None = None,
        ec2_instance_id: str = "",
        runtime: Runtime | None = None,
        store: Store | None = None,
        introspection_port: int = 51678,
        diagnostics_port: int = 51680,
        checked: bool = False,
        clock: Clock | None = None,
    ) -> None:
        """Nothing is opened before ``run``. Raises ``AgentError`` for settings that cannot be used.

        Args:
            config: as loaded, complete.
            tasks_path: file or folder of task definitions; ``None``: tasks come from a cluster.
            ec2_instance_id: ``""``: not on EC2, or not known.
            introspection_port: 51678 outside tests; 0 takes a free one.
            diagnostics_port: 51680 outside tests; 0 takes a free one.
            checked: run the core's invariants after every event.
            clock: ``None``: the host's.
        """
        self._config = config
        self._tasks_path = tasks_path
        self._ec2_instance_id = ec2_instance_id
        self._clock = clock if clock is not None else SystemClock()
        self._store = store if store is not None else _store_of(config)
        self._runtime = runtime if runtime is not None else _runtime_of(config)
        self._has_containers = runtime is None
        self._auth_for = _auth_of(config)
        self._introspection_port = introspection_port
        self._diagnostics_port = diagnostics_port
        self._checked = checked
        run_id = os.urandom(4).hex()
        numbers = count(1)
        self._inbox = Inbox(
            lambda event: self._running_engine().post(event),
            new_id=lambda: f"{run_id}-{next(numbers)}",
            now=self._clock.now,
        )
        self._secret_values = SecretValues()
        self._log_credentials = _log_credentials_of(config)
        self._engine: Engine | None = None
        self._server: IntrospectionServer | None = None
        self._diagnostics: DiagnosticsServer | None = None
        self._docker_info: EngineInfo | None = None
        self._docker_is_known = asyncio.Event()
        self._stopping = asyncio.Event()

    @property
    def state(self) -> AgentState:
        """The published state. Raises ``RuntimeError`` before ``run`` has restored it."""
        return self._running_engine().state

    @property
    def engine(self) -> Engine:
        """The one writer. Raises ``RuntimeError`` before ``run`` has built it."""
        return self._running_engine()

    @property
    def introspection(self) -> IntrospectionServer | None:
        """The server on 51678, which listens when there is an instance to show; ``None`` before the state was read."""
        return self._server

    @property
    def diagnostics(self) -> DiagnosticsServer | None:
        """The server on 51680; ``None`` before it was started."""
        return self._diagnostics

    def stop(self) -> None:
        """Ask ``run`` to end. Containers keep running; the next agent takes them up."""
        self._stopping.set()

    async def clean_up(self, *, limit_s: float = 20.0) -> None:
        """Remove what is left of stopped tasks now, then ``stop``. What takes longer is left for the next start."""
        engine = self._running_engine()
        self._inbox.post(CleanupRequested(**self._inbox.stamp()))
        try:
            async with asyncio.timeout(limit_s):
                await engine.states.until(
                    lambda state: all(task.known is not TaskStatus.STOPPED for task in state.tasks.values())
                )
        except TimeoutError:
            _log.warning("not all that is left of stopped tasks could be removed within %g s", limit_s)
        self.stop()

    def _running_engine(self) -> Engine:
        if self._engine is None:
            raise RuntimeError("the agent is not running yet")
        return self._engine

    async def run(self) -> None:
        """Until ``stop`` or cancellation. Raises ``AgentError`` when saved state cannot be used, or ECS refuses us."""
        try:
            loaded = self._store.load()
        except UnsafeStore as error:
            raise WrongSetting(str(error)) from error
        except StoreError as error:
            raise AgentError(str(error)) from error
        try:
            await self._live(await self._of_this_instance(loaded))
        finally:
            await self._runtime.close()
            await self._store.close()

    async def _live(self, loaded: Loaded) -> None:
        instance = self._instance(loaded)
        _log.info(
            "ecscope %s (%s) starts: cluster %s%s, state in %s, %d saved tasks",
            __version__,
            commit(),
            instance.cluster,
            f" in {self._config.region}" if self._joins_cluster else f", tasks from {self._tasks_path}",
            self._config.data_dir,
            len(loaded.tasks),
        )
        cgroups = _cgroups_of(self._config)
        state = restored_state(
            instance=instance,
            settings=msgspec.structs.replace(
                self._config.core_settings(),
                cgroup_version=0 if cgroups is None else 2 if cgroups.is_v2 else 1,
                joins_cluster=self._joins_cluster,
            ),
            tasks=loaded.tasks,
            images=loaded.images,
            sources=loaded.sources,
            lost_task_arns=[bad.key for bad in loaded.bad if bad.kind == "task"],
            obstacle=starting(self._clock.now()) if self._joins_cluster else None,
            manifest_sequence=_whole_number(loaded.metadata.get(MANIFEST_SEQUENCE_KEY, "")),
            attachments=attachments.restored(loaded.metadata.get(ATTACHMENTS_KEY, "")),
        )
        state = msgspec.structs.replace(state, credentials={one.credentials_id: one for one in self._log_credentials})
        executor: Executor | None = None
        cluster: ClusterClient | None = None

        def act(action: AnyAction) -> None:
            if isinstance(action, EcsAction):
                assert cluster is not None
                cluster.executor.start(action)
                return
            if isinstance(action, AttachmentAction):
                assert cluster is not None
                cluster.attachments.start(action)
                return
            assert executor is not None
            executor.start(action)

        engine = Engine(state=state, store=self._store, act=act, save_retry=_SAVE_BACKOFF, checked=self._checked)
        self._engine = engine
        self._server = IntrospectionServer(
            lambda: engine.state,
            addresses=self._config.introspection_addresses,
            allows_offhost=self._config.allow_offhost_introspection,
            port=self._introspection_port,
            license_dir=Path(__file__).parent.parent / "licenses",
            runtime_stats=self._config.runtime_stats,
        )
        if is_introspected(state):
            await self._server.start()
        connection = RuntimeConnection(
            runtime=self._runtime,
            inbox=self._inbox,
            resources_of=self._resources_of,
            backoff=_DOCKER_BACKOFF,
        )
        if self._joins_cluster:
            cluster = self._cluster_client(engine, connection, has_task_limits=cgroups is not None)

        def credentials_of(credentials_id: str) -> TaskCredentials | None:
            return engine.state.credentials.get(credentials_id)

        task_secrets = cluster.task_secrets if cluster is not None else None
        executor = Executor(
            runtime=self._runtime,
            state=lambda: engine.state,
            inbox=self._inbox,
            settings=ExecutorSettings(
                cluster=self._config.cluster,
                region=self._config.region,
                sees_host_paths=_sees_host_paths(self._config),
                log_endpoint=self._config.logs_endpoint,
                log_credentials_id="".join(one.credentials_id for one in self._log_credentials),
                task_endpoint_port=self._config.task_endpoint_port,
                task_network=self._config.task_network,
                create_timeout_s=self._config.container_create_timeout_s,
                start_timeout_s=self._config.container_start_timeout_s,
            ),
            ports=HostPortChooser(*self._config.dynamic_host_port_range),
            logins=RegistryLogins(
                own=self._auth_for,
                aws=cluster.registry_tokens if cluster is not None else None,
                credentials_of=credentials_of,
                of_user=_logins_of_user(self._config),
            ),
            reconnect=connection.reconnect,
            metadata_files=_metadata_files_of(self._config),
            resources=providers(
                Tools(
                    runtime=self._runtime,
                    cgroups=cgroups,
                    task_network=self._config.task_network,
                    task_secrets=task_secrets,
                    log_streams=task_secrets,
                    secret_values=self._secret_values,
                    credentials_of=credentials_of,
                )
            ),
            secret_values=self._secret_values,
            bridge_address=address_of,
        )
        await self._save_start(instance, loaded)
        systemd = Systemd(os.environ, pid=os.getpid())
        systemd.notify(READY)
        source = self._in_cluster(cluster) if cluster is not None else self._task_files(engine).run()
        lives = {
            "engine": engine.run(),
            "runtime connection": connection.run(),
            "source of tasks": source,
            "introspection": self._serve_introspection(engine, self._server),
            "diagnostics": self._serve_diagnostics(engine),
            "history expiry": self._expire_history(),
        }
        if systemd.watchdog_s:
            lives["watchdog"] = systemd.feed_watchdog()
        if cluster is not None:
            lives["stats"] = cluster.collector.run()
            if self._has_containers:  # nothing asks in a simulation
                lives["task metadata"] = self._serve_containers(engine, cluster)
        try:
            await self._together(lives, before_the_end=lambda: self._let_calls_end(executor, engine))
        finally:
            systemd.notify(STOPPING)
            if cluster is not None:
                if self._config.drain_on_sigterm and self._stopping.is_set():
                    await cluster.drain()
                await cluster.close()
            await self._server.stop()
            await executor.close()
            await self._save_end()

    async def _serve_introspection(self, engine: Engine, server: IntrospectionServer) -> None:
        """The port is served as long as there is a container instance to show; a port in use is tried again."""
        while True:
            await engine.states.until(lambda state: is_introspected(state) is not server.is_started)
            if server.is_started:
                _log.info("closing the introspection API: this container instance is inactive")
                await server.stop()
            else:
                await server.start()

    async def _serve_diagnostics(self, engine: Engine) -> None:
        server_class = await asyncio.to_thread(_diagnostics_server)  # so that nothing waits for aiohttp to be loaded
        server = server_class(lambda: engine.state, port=self._diagnostics_port)
        self._diagnostics = server
        try:
            await server.start()
            await asyncio.Event().wait()
        finally:
            await server.stop()

    def _task_files(self, engine: Engine) -> TaskFiles:
        return TaskFiles(
            str(self._tasks_path),
            inbox=self._inbox,
            state=lambda: engine.state,
            region=self._config.region or STANDALONE_REGION,
            cluster=self._config.cluster,
            task_ids=lambda: os.urandom(16).hex(),
            suffixes=lambda: os.urandom(10).hex(),
        )

    # --- in a cluster ------------------------------------------------------------------------------

    @property
    def _joins_cluster(self) -> bool:
        return self._tasks_path is None

    def _cluster_client(self, engine: Engine, connection: RuntimeConnection, *, has_task_limits: bool) -> ClusterClient:
        from ecscope.agent.cluster.build import ClusterClient  # noqa: PLC0415  # only for a cluster, and after 51678 answers

        async def what_docker_offers() -> tuple[Offer, HostResources]:
            await self._docker_is_known.wait()
            assert self._docker_info is not None
            try:
                plugins = await self._runtime.volume_plugins()
            except RuntimeFailure as failure:
                _log.warning("registering without volume plugins: %s", failure)
                plugins = ("local",)
            offer = self._config.offer(self._docker_info, volume_plugins=plugins, has_task_limits=has_task_limits)
            return offer, self._resources_of(self._docker_info)

        return ClusterClient(
            self._config,
            runtime=self._runtime,
            states=engine.states,
            inbox=self._inbox,
            what_docker_offers=what_docker_offers,
            why_no_docker=lambda: connection.problem,
            docker_version=lambda: self._docker_info.version if self._docker_info is not None else "",
            clock=self._clock,
        )

    async def _in_cluster(self, cluster: ClusterClient) -> None:
        from ecscope.agent.cluster.registration import RegistrationRefused  # noqa: PLC0415

        try:
            await cluster.run()
        except RegistrationRefused as refused:
            raise TerminalError(str(refused)) from refused

    async def _serve_containers(self, engine: Engine, cluster: ClusterClient) -> None:
        from ecscope.agent.servers.taskmetadata.audit import AuditLog  # noqa: PLC0415  # not without a cluster
        from ecscope.agent.servers.taskmetadata.redirect import BridgeRedirect, Redirect  # noqa: PLC0415
        from ecscope.agent.servers.taskmetadata.server import PORT, TaskMetadataServer  # noqa: PLC0415
        from ecscope.agent.servers.taskmetadata.service import serve  # noqa: PLC0415
        from ecscope.agent.servers.taskmetadata.sources import AgentSources  # noqa: PLC0415

        await self._docker_is_known.wait()  # it makes the network interface
        config = self._config
        audit = AuditLog(None if config.audit_log_disabled else Path(config.audit_log_file))
        server = partial(
            TaskMetadataServer,
            lambda: engine.state,
            sources=AgentSources(stats=cluster.collector, api=cluster.api, states=engine.states),
            rates=config.task_metadata_rates,
            audit=audit,
            shows_zone=not config.task_metadata_az_disabled,
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(serve(server(), Redirect(port=PORT)))
            if (network := config.task_network) is not None:
                at_bridge = server(address=network.gateway, bridge=network.bridge)
                way = BridgeRedirect(bridge=network.bridge, address=network.gateway, port=PORT)
                group.create_task(serve(at_bridge, way))

    async def _together(
        self,
        lives: Mapping[str, Coroutine[None, None, None]],
        *,
        before_the_end: Callable[[], Coroutine[None, None, None]],
    ) -> None:
        """Run all of them until asked to stop, and ``before_the_end`` beside them then.

        If one fails, all end and the failure is raised.
        """
        stopping = asyncio.create_task(self._stopping.wait(), name="stop asked for")
        tasks = [asyncio.create_task(life, name=name) for name, life in lives.items()]
        try:
            done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if task is not stopping:
                    task.result()
                    raise RuntimeError(f"{task.get_name()} ended, which it never should")
            await before_the_end()
        finally:
            for task in (stopping, *tasks):
                task.cancel()
            await asyncio.gather(stopping, *tasks, return_exceptions=True)

    async def _let_calls_end(self, executor: Executor, engine: Engine) -> None:
        """Engines from 26 on drop a start whose client goes, and the results of the others are worth a moment."""
        left = await executor.finish(within_s=_CALLS_END_S)
        if left:
            _log.warning(
                "%d calls to Docker did not end within %g s; the next start continues where they left off",
                left,
                _CALLS_END_S,
            )
        with suppress(TimeoutError):  # where nothing can be saved, the engine has said so
            async with asyncio.timeout(_SAVED_WITHIN_S):
                await engine.settled()

    async def _expire_history(self) -> None:
        while True:
            await asyncio.sleep(_HISTORY_EXPIRY_S)
            try:
                await self._store.expire_history(self._clock.now())
            except StoreError as error:
                _log.warning("cannot drop old history entries now: %s", error)

    # --- who we are ------------------------------------------------------------------------------

    async def _of_this_instance(self, loaded: Loaded) -> Loaded:
        """Without what another EC2 instance saved, from whose disk this one was made.

        Raises ``AgentError`` where it cannot be removed.

        Source: agent-protocol.md §1.4.
        """
        here = self._ec2_instance_id
        saved = identity.other_ec2_instance(loaded.metadata, ec2_instance_id=here)
        if not saved:
            return loaded
        _log.warning("the saved state is that of EC2 instance %s, and this is %s: registering as new", saved, here)
        gone = Batch(
            tasks=dict.fromkeys((task.arn for task in loaded.tasks), None),
            images=dict.fromkeys((image.name for image in loaded.images), None),
            metadata=identity.taken_over(ec2_instance_id=here),
            history=[self._entry(history.StateOfOtherInstanceDropped(ec2_instance_id=saved))],
        )
        try:
            await self._store.save(gone)
        except StoreError as error:
            raise AgentError(f"the state of EC2 instance {saved} cannot be removed: {error}") from error
        return msgspec.structs.replace(loaded, tasks=(), images=(), metadata={**loaded.metadata, **gone.metadata})

    def _instance(self, loaded: Loaded) -> ContainerInstance:
        """Who we were. Raises ``TerminalError`` where the saved state is that of another agent."""
        cluster, version = self._config.cluster, version_line()
        try:
            if self._joins_cluster:
                return identity.cluster_instance(loaded.metadata, cluster=cluster, agent_version=version)
            fresh_arn = container_instance_arn(
                region=self._config.region or STANDALONE_REGION,
                account=STANDALONE_ACCOUNT,
                cluster=cluster,
                instance_id=os.urandom(16).hex(),
            )
            return identity.standalone_instance(
                loaded.metadata, cluster=cluster, agent_version=version, fresh_arn=fresh_arn
            )
        except identity.StateOfAnotherAgent as error:
            raise TerminalError(f"the state in {self._config.data_dir} {error}") from error

    def _resources_of(self, info: EngineInfo) -> HostResources:
        """Raises ``AgentError``, which ends the agent, as officially. Source: configuration.md §3.2."""
        self._docker_info = info
        self._docker_is_known.set()
        has_mib = info.memory_bytes // (1024 * 1024)
        if self._config.reserved_memory_mib > has_mib:
            raise AgentError(
                f"ECS_RESERVED_MEMORY is {self._config.reserved_memory_mib} MiB, but the host has {has_mib} MiB in all;"
                " reserve less"
            )
        return host_resources.host_of(
            info,
            reserved_memory_mib=self._config.reserved_memory_mib,
            reserved_ports_tcp=frozenset(self._config.reserved_ports_tcp),
            reserved_ports_udp=frozenset(self._config.reserved_ports_udp),
        )

    # --- the history's first and last words --------------------------------------------------------

    async def _save_start(self, instance: ContainerInstance, loaded: Loaded) -> None:
        for bad in (bad for bad in loaded.bad if bad.kind != WHOLE_FILE):
            _log.error(
                "a saved %s record (%s) cannot be read and was set aside as %s: %s",
                bad.kind,
                bad.key,
                bad.set_aside_as,
                bad.reason,
            )
        entries = [self._entry(history.AgentStarted(version=instance.agent_version, saved_tasks=len(loaded.tasks)))]
        entries += [self._set_aside(bad) for bad in loaded.bad]
        facts = identity.to_save(instance, joins_cluster=self._joins_cluster, ec2_instance_id=self._ec2_instance_id)
        await self._try_save(Batch(metadata=facts, history=entries))

    async def _save_end(self) -> None:
        await self._try_save(Batch(history=[self._entry(history.AgentStopped())]))

    async def _try_save(self, batch: Batch) -> None:
        try:
            await self._store.save(batch)
        except StoreError as error:
            _log.warning("cannot save: %s", error)

    def _set_aside(self, bad: BadRecord) -> HistoryEntry:
        return self._entry(
            history.RecordSetAside(record=bad.kind, key=bad.key, set_aside_as=bad.set_aside_as, reason=bad.reason),
            task_arn=bad.key if bad.kind == "task" else "",
        )

    def _entry(self, what: AnyHappening, *, task_arn: str = "") -> HistoryEntry:
        stamp = self._inbox.stamp()
        return HistoryEntry(
            at=stamp["at"],
            event_id=stamp["id"],
            cause="Agent",
            what=what,
            task_arn=task_arn,
        )


def run_until_signalled(agent: Agent) -> None:
    """Run on a new event loop until SIGTERM or SIGINT. Raises what ``Agent.run`` raises."""
    allow_many_files(_log)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_run_with_signals(agent))


async def _run_with_signals(agent: Agent) -> None:
    loop = asyncio.get_running_loop()
    AcceptErrors(_log).install(loop)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, agent, number.name)
    cleaning: set[asyncio.Task[None]] = set()
    loop.add_signal_handler(signal.SIGUSR2, _on_clean_up, agent, cleaning)
    await agent.run()
    await asyncio.gather(*cleaning)


def _on_clean_up(agent: Agent, cleaning: set[asyncio.Task[None]]) -> None:
    if not cleaning:
        _log.info("SIGUSR2: removing what is left of stopped tasks, then stopping")
        cleaning.add(asyncio.create_task(agent.clean_up(), name="clean up"))


def _on_signal(agent: Agent, name: str) -> None:
    _log.info("%s: stopping; containers keep running, and the next start takes them over", name)
    agent.stop()


def _whole_number(text: str) -> int:
    """A saved count; -1 where there is none."""
    return int(text) if text.isdecimal() else -1


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it is installed; nothing depends on it."""
    try:
        import uvloop  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415  # the optional extra "speed"
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _diagnostics_server() -> type[DiagnosticsServer]:
    from ecscope.agent.servers.diagnostics.server import DiagnosticsServer  # noqa: PLC0415  # after 51678 answers

    return DiagnosticsServer


def _store_of(config: Config) -> Store:
    if config.checkpoint:
        from ecscope.agent.store.sqlite import SqliteStore  # noqa: PLC0415  # sqlite3 is not needed without

        return SqliteStore(Path(config.data_dir))
    from ecscope.agent.store.memory import MemoryStore  # noqa: PLC0415

    return MemoryStore()


def _cgroups_of(config: Config) -> TaskCgroups | None:
    """``None`` where task-level limits are switched off, or not supported on this machine."""
    if not config.task_cpu_mem_limit:
        return None
    cgroups = TaskCgroups(Path(config.cgroup_path))
    try:
        cgroups.check()
    except CgroupError as error:
        _log.warning(
            "tasks run without task-level CPU and memory limits: %s. Set ECS_ENABLE_TASK_CPU_MEM_LIMIT=false if that"
            " is as it should be",
            error,
        )
        return None
    return cgroups


def _runtime_of(config: Config) -> Runtime:
    from ecscope.agent.runtime.docker.endpoint import InvalidEndpoint  # noqa: PLC0415
    from ecscope.agent.runtime.docker.runtime import DockerRuntime  # noqa: PLC0415  # not needed over another runtime
    from ecscope.agent.runtime.docker.timeouts import Timeouts  # noqa: PLC0415

    timeouts = Timeouts(
        manifest_s=config.manifest_pull_timeout_s,
        pull_s=config.image_pull_timeout_s,
        pull_inactivity_s=config.image_pull_inactivity_timeout_s,
    )
    try:
        return DockerRuntime(config.docker_host, timeouts=timeouts)
    except InvalidEndpoint as error:
        raise AgentError(f"DOCKER_HOST: {error}") from error


def _log_credentials_of(config: Config) -> tuple[TaskCredentials, ...]:
    """One set, for tasks without an execution role; none where Docker has its own."""
    if not (config.logs_as_instance and config.aws_secret_access_key.text):
        return ()
    return (
        credentials.of_instance(
            access_key_id=config.aws_access_key_id,
            secret_access_key=config.aws_secret_access_key.text,
            session_token=config.aws_session_token.text,
        ),
    )


def _sees_host_paths(config: Config) -> bool:
    """The engine is on this machine, and this process is not in a container of its own."""
    return config.docker_host.startswith("unix://") and not Path("/.dockerenv").exists()


def _metadata_files_of(config: Config) -> MetadataFiles | None:
    """``None``: containers get no metadata file."""
    if not config.container_metadata_enabled:
        return None
    folder = Path(config.data_dir) / "metadata"
    return MetadataFiles(folder, on_host="" if _sees_host_paths(config) else f"{config.host_data_dir}{folder}")


def _logins_of_user(config: Config) -> Callable[[str], Awaitable[RegistryAuth | None]] | None:
    if not config.docker_config:
        return None
    from ecscope.agent.runtime.docker.user_logins import UserLogins  # noqa: PLC0415

    return UserLogins(Path(config.docker_config)).of


def _auth_of(config: Config) -> Callable[[str], RegistryAuth | None]:
    if not (config.engine_auth_type and config.engine_auth_data.text):
        return lambda image: None
    from ecscope.agent.runtime.docker.auth import credentials_for, parse_engine_auth  # noqa: PLC0415

    known = parse_engine_auth(config.engine_auth_type, config.engine_auth_data.text)
    for warning in known.warnings:
        # As officially: images of other registries can still be pulled. Source: configuration.md §3.2.
        _log.warning("images are pulled without these credentials: %s", warning)
    return lambda image: credentials_for(image, known.credentials)
