"""The life of ``ecscope up``: what is started in which order, what is printed meanwhile, and how it is stopped."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path

import msgspec

from ecscope.agent.runtime.docker.runtime import DockerRuntime
from ecscope.control.app import LOGS_BYTES, ControlPlane, ControlPlaneError, WrongOption
from ecscope.control.core.errors import ApiError
from ecscope.control.core.records import Task
from ecscope.control.core.state import Settings, live_delays
from ecscope.control.server.http import READY
from ecscope.model.network import TaskNetwork
from ecscope.owned_files import UnsafeFile, check_directory, check_file
from ecscope.sqlitefile.lock import LOCK_NAME
from ecscope.up.agent_process import AgentEnded, AgentProcess
from ecscope.up.disk import DiskWatch
from ecscope.up.docker import config_of_user, docker_problem, missing_images
from ecscope.up.failures import Cause, FailureWatch
from ecscope.up.introspection import instance_at
from ecscope.up.network import NoTaskNetwork, bridge_of, remove_task_network, task_network
from ecscope.up.ports import PortWatch
from ecscope.up.running import Running, exports, publish, withdraw
from ecscope.up.storage import docker_limits_storage

INTROSPECTION_PORT = 51678
_DOCKERS_BRIDGE = "docker0"
DOCKER_WAIT_S = 5.0
_REMIND_S = 10.0
_STOP_TASKS_S = 60.0
"""Docker gives a container 30 s by default, and an agent needs a little more."""
_LOOK_S = 0.1
_OPENS_S = 2.0
"""Between the registration and the agent's listening."""

_NOT_FOR_THE_AGENT = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_ECS", "ECS_CLUSTER")
"""Variables of the user's shell that would lead the agent to another ECS."""

_LOGGING_DRIVERS = '["json-file","syslog","journald","gelf","fluentd","splunk","awslogs","none"]'
"""Those that every Docker Engine on Linux has."""
_ENDPOINTS_OF_THE_AGENT = (
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "AWS_ENDPOINT_URL_SSM",
    "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS",
)


class Ending(Enum):
    """How it came to an end."""

    ASKED_FOR = "asked for"
    FAILED = "failed"
    """It could not start; trying again later can help."""
    MISUSED = "misused"
    """An option, or a file that an option names, is wrong."""
    HOPELESS = "hopeless"
    """The agent cannot run, and restarting it cannot help."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says."""

    data_dir: Path
    port: int
    region: str
    cluster: str = "default"
    """Made if it is not there, and joined by the agent."""
    iam_file: Path | None = None
    keeps_tasks: bool = False
    """Tasks keep running at the end."""
    has_agent: bool = True
    has_task_endpoint: bool = True
    """Containers get the address of AWS, and may ask there."""
    local_images: Mapping[str, str] = {}
    """Image as definitions name it → local image to use in its place."""
    has_live_delays: bool = False
    runs_any_architecture: bool = False
    """Tasks whose ``runtimePlatform`` is of another architecture run as well, if the engine can emulate it."""
    """Services wait as long as in ECS."""
    logs_bytes: int = LOGS_BYTES
    """Of log events, on disk; the oldest are removed beyond that."""


class LocalEcs:
    """See the module docstring."""

    def __init__(
        self,
        options: Options,
        *,
        say: Callable[[str], None],
        progress: Callable[[str], None] | None = None,
        show: Callable[[str], None],
        environment: Mapping[str, str] = os.environ,
        explain: Callable[[str], Cause | None] = lambda _: None,
    ) -> None:
        """Start nothing yet.

        ``explain``: why the task of an ARN failed; called in a thread.

        ``say``: prints one line about a problem, and about progress unless ``progress`` does; ``show``: prints
        results, such as what to export.
        """
        self._options = options
        self._say = say
        self._progress = progress or say
        self._show = show
        self._environment = environment
        self._explain = explain
        settings = Settings(
            region=options.region,
            availability_zone=f"{options.region}a",
            runs_any_architecture=options.runs_any_architecture,
        )
        self._control = ControlPlane(
            data_dir=options.data_dir,
            settings=live_delays(settings) if options.has_live_delays else settings,
            port=options.port,
            iam_file=options.iam_file,
            bridges=(
                (_DOCKERS_BRIDGE, bridge_of(options.data_dir))
                if options.has_agent and options.has_task_endpoint
                else ()
            ),
            logs_bytes=options.logs_bytes,
            say=say,
        )
        self._control.health = self._health
        self._is_there = False
        """All that was asked for has been there once."""
        self._agent_dir = options.data_dir / "agent"
        self._log_path = options.data_dir / "agent.log"
        self._agent: AgentProcess | None = None
        self._task_network: TaskNetwork | None = None
        self._stopping = asyncio.Event()
        self._hurrying = asyncio.Event()
        self._is_by_hand = False

    def stop(self, *, by_hand: bool = False) -> None:
        """Ask ``run`` to end; a second time: without waiting for tasks.

        ``by_hand``: by Ctrl-C, so that the user learns what a second one does.
        """
        if self._stopping.is_set():
            self._hurrying.set()
        self._is_by_hand |= by_hand
        self._stopping.set()

    async def run(self) -> Ending:
        """Until ``stop``, or until it cannot continue."""
        if self._options.has_agent and (unsafe := self._unsafe()):
            self._say(f"{unsafe}, or give another --data-dir")
            return Ending.MISUSED
        try:
            await self._control.start()
        except ControlPlaneError as error:
            self._say(str(error))
            return Ending.MISUSED if isinstance(error, WrongOption) else Ending.FAILED
        self._progress(f"the ECS API answers at {self._control.url}; state and keys are in {self._options.data_dir}")
        ending = Ending.FAILED
        keeping: asyncio.Task[None] | None = None
        disk = DiskWatch(self._options.data_dir, say=self._say, has_no_room=lambda: self._control.has_no_room)
        watching = asyncio.create_task(disk.run(), name="watch over the disk")
        try:
            has_cluster = await self._cluster_is_there()
            if has_cluster and not self._options.has_agent:
                ending = await self._serve(None)
            elif has_cluster and await self._docker_is_there():
                await self._make_task_network()
                await self._look_for_local_images()
                self._control.change_settings(limits_storage=await docker_limits_storage(self._docker_endpoint))
                self._agent = self._agent_process()
                keeping = asyncio.create_task(self._agent.run(), name="agent process")
                ending = await self._serve(keeping)
        finally:
            withdraw(self._options.data_dir)
            await self._take_down(keeping)
            await self._control.stop()
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        return Ending.ASKED_FOR if self._stopping.is_set() else ending

    async def _serve(self, keeping: asyncio.Task[None] | None) -> Ending:
        """Until ``stop``, or until the agent cannot continue."""
        if keeping is not None and not await self._registered(keeping):
            return self._told_the_end_of(keeping) if keeping.done() else Ending.ASKED_FOR
        is_introspected = keeping is not None and await self._is_introspected()
        running = self._running()
        try:
            publish(self._options.data_dir, running)
        except OSError as error:
            self._say(f"`ecscope env` cannot be used: {error.filename} cannot be written: {error.strerror or error}")
        self._is_there = True
        self._show(exports(running) + self._hints(is_introspected=is_introspected))
        failing = asyncio.create_task(self._control.failed(), name="control plane's failure")
        failures = FailureWatch(
            tasks=lambda: self._control.state.tasks,
            explain=self._explain,
            say=self._say,
            note=self._control.explained,
        )
        telling = asyncio.create_task(failures.run(), name="watch over tasks that fail")
        ports = PortWatch(tasks=lambda: self._control.state.tasks, say=self._progress)
        showing = asyncio.create_task(ports.run(), name="watch over ports on 127.0.0.1")
        stopping = asyncio.create_task(self._stopping.wait(), name="stop asked for")
        watched = {failing, stopping} | ({keeping} if keeping is not None else set())
        try:
            while True:
                done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
                if failing in done:
                    failing.result()
                if stopping in done:
                    return Ending.ASKED_FOR
                assert keeping is not None
                self._told_the_end_of(keeping)
                self._say("the API stays available without an agent of its own; Ctrl-C ends it")
                watched.discard(keeping)
        finally:
            for one in (failing, stopping, telling, showing):
                one.cancel()
            await asyncio.gather(failing, stopping, telling, showing, return_exceptions=True)

    def _health(self) -> str:
        if self._stopping.is_set():
            return "ending"
        if not self._is_there:
            return "starting"
        if self._control.has_no_room:
            return "the disk is full"
        if self._agent is not None and not (self._agent.pid and self._control.connected):
            return "the agent is not connected"
        return READY

    # --- starting ----------------------------------------------------------------------------------

    async def _cluster_is_there(self) -> bool:
        try:
            await self._control.ask("CreateCluster", {"clusterName": self._options.cluster})
        except ApiError as error:
            self._say(f"cannot make the cluster {self._options.cluster!r}: {error.message}")
            return False
        return True

    async def _docker_is_there(self) -> bool:
        endpoint = self._docker_endpoint
        loop = asyncio.get_running_loop()
        give_up_at_s = loop.time() + DOCKER_WAIT_S
        is_said = False
        while problem := await docker_problem(endpoint):
            if self._stopping.is_set():
                return False
            if loop.time() >= give_up_at_s:
                self._say(
                    f"Docker does not answer at {endpoint} ({problem}). Start it, or set DOCKER_HOST; --no-agent does"
                    " without"
                )
                return False
            if not is_said:
                self._progress(f"waiting for Docker at {endpoint}")
                is_said = True
            await asyncio.sleep(0.5)
        return True

    @property
    def _docker_endpoint(self) -> str:
        return self._environment.get("DOCKER_HOST") or "unix:///var/run/docker.sock"

    async def _make_task_network(self) -> None:
        """Without one, awsvpc tasks are refused, and everything else works."""
        runtime = DockerRuntime(self._docker_endpoint)
        try:
            self._task_network = await task_network(self._options.data_dir, runtime)
            self._control.change_settings(task_subnet=self._task_network.subnet)
        except NoTaskNetwork as error:
            self._say(str(error))
        finally:
            await runtime.close()

    async def _look_for_local_images(self) -> None:
        """They may still be built. Until then tasks fail with a message that does not name the option."""
        runtime = DockerRuntime(self._docker_endpoint)
        try:
            given = self._options.local_images
            missing = await missing_images(runtime, given.values())
            for named, local in given.items():
                if local in missing:
                    self._say(
                        f"--image {named}={local}: Docker has no image {local}, so tasks with {named} fail until it is"
                        " built, or tagged"
                    )
        finally:
            await runtime.close()

    def _unsafe(self) -> str:
        """Which of the agent's files may be another user's; ``""``: none. Checked before a process in one is ended."""
        try:
            self._agent_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            check_directory(self._agent_dir)
            check_file(self._agent_dir / LOCK_NAME)
            check_file(self._log_path, may_be_shared=True)
        except UnsafeFile as error:
            return error.sentence
        except OSError as error:
            return f"{error.filename}: {error.strerror or error}; remove it"
        return ""

    def _agent_process(self) -> AgentProcess:
        self._progress(f"starting the agent; its log: {self._log_path}")
        return AgentProcess(
            command=[sys.executable, "-m", "ecscope.cli.main", "agent"],
            environment=self._agent_environment(self._agent_dir),
            data_dir=self._agent_dir,
            log_path=self._log_path,
            say=self._say,
        )

    def _agent_environment(self, data_dir: Path) -> dict[str, str]:
        """That of this process, so that ``ECS_…`` variables reach the agent, but with this ECS.

        What a user may set otherwise has the values of Amazon's own images. Source: configuration.md §4.
        """
        key, network = self._control.instance_role, self._task_network
        environment = {name: value for name, value in self._environment.items() if name not in _NOT_FOR_THE_AGENT}
        environment.setdefault("ECS_IMAGE_PULL_BEHAVIOR", "prefer-cached")  # images that were built here need no pull
        environment.setdefault("ECSCOPE_REPORT_HEALTH_AT_ONCE", "true")
        environment.setdefault("ECS_ENABLE_TASK_IAM_ROLE", "true")
        environment.setdefault("ECS_ENABLE_TASK_IAM_ROLE_NETWORK_HOST", "true")
        environment.setdefault("ECSCOPE_DOCKER_CONFIG", os.fspath(config_of_user(self._environment)))
        environment.setdefault("ECS_AVAILABLE_LOGGING_DRIVERS", _LOGGING_DRIVERS)
        environment.setdefault("ECS_ENABLE_AWSLOGS_EXECUTIONROLE_OVERRIDE", "true")
        environment.setdefault("ECSCOPE_AWSLOGS_WITH_AGENT_KEYS", "true")
        for variable in _ENDPOINTS_OF_THE_AGENT:  # a user may have another emulator
            environment.setdefault(variable, self._control.url)
        environment.setdefault("ECS_AUDIT_LOGFILE", os.fspath(data_dir / "audit.log"))
        return environment | {
            "ECS_BACKEND_HOST": self._control.url,
            "ECS_CLUSTER": self._options.cluster,
            "ECS_DATADIR": os.fspath(data_dir),
            "AWS_EC2_METADATA_DISABLED": "true",  # and no ECS_EXTERNAL: RunTask places on EC2 by default
            "AWS_DEFAULT_REGION": self._options.region,
            "AWS_REGION": self._options.region,
            "AWS_ACCESS_KEY_ID": key.access_key_id,
            "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
            "AWS_SESSION_TOKEN": key.session_token,
            "ECSCOPE_LOCAL_IMAGES": msgspec.json.encode(self._options.local_images).decode(),
            "ECSCOPE_TASK_BRIDGE": network.bridge if network is not None else "",
            "ECSCOPE_TASK_SUBNET": network.subnet if network is not None else "",
            "ECSCOPE_TASK_ENDPOINT_PORT": str(self._control.port if self._options.has_task_endpoint else 0),
        }

    async def _registered(self, keeping: asyncio.Task[None]) -> bool:
        """Wait for the agent; ``False``: it has ended for good, or ``stop`` was called."""
        loop = asyncio.get_running_loop()
        remind_at_s = loop.time() + _REMIND_S
        self._progress("waiting for the agent to register")
        assert self._agent is not None
        while not (self._agent.pid and self._control.connected):  # an orphan's connection is not ours
            if keeping.done() or self._stopping.is_set():
                return False
            if loop.time() >= remind_at_s:
                remind_at_s = loop.time() + _REMIND_S
                self._say(f"still waiting for the agent to register; its log: {self._agent.log_path}")
            await asyncio.sleep(_LOOK_S)
        arn = min(self._control.connected)
        self._progress(f"the agent is registered as container instance {arn.rsplit('/', 1)[-1]}")
        kept = sum(task.desired_status != "STOPPED" for task in self._running_tasks())
        if kept:
            self._progress(f"{_tasks(kept)} of an earlier run {'goes' if kept == 1 else 'go'} on")
        return True

    async def _is_introspected(self) -> bool:
        """Whether the agent's port is answered by an agent of this ECS; prints what the user must know otherwise."""
        arn = await instance_at(INTROSPECTION_PORT, patience_s=_OPENS_S)
        if arn is not None and arn not in self._control.state.instances:
            self._say(
                f"port {INTROSPECTION_PORT} belongs to {'another agent' if arn else 'something else'}, which curl and"
                " `ecscope tasks` would ask; this agent answers there once it is free"
            )
        return arn in self._control.state.instances

    def _told_the_end_of(self, keeping: asyncio.Task[None]) -> Ending:
        try:
            keeping.result()
        except AgentEnded as ended:
            self._say(str(ended))
        return Ending.HOPELESS

    def _running(self) -> Running:
        key = self._control.administrator
        return Running(
            pid=os.getpid(),
            url=self._control.url,
            region=self._options.region,
            cluster=self._options.cluster,
            access_key_id=key.access_key_id,
            secret_access_key=key.secret_access_key,
        )

    def _hints(self, *, is_introspected: bool) -> str:
        """Comments, so that all that is printed can be sourced."""
        lines = ["# then, for instance:", f"# aws ecs list-container-instances{self._cluster_option()}"]
        if is_introspected:
            lines.append(f"# curl http://localhost:{INTROSPECTION_PORT}/v1/tasks")
        elif not self._options.has_agent:
            command = f"ecscope agent --simulated --data-dir ./agent{self._cluster_option()}"
            lines += [
                "# and an agent joins with what was exported; this one is simulated:",
                f"# ECS_BACKEND_HOST={self._control.url} {command}",
            ]
        return "\n" + "\n".join(lines) + "\n"

    def _cluster_option(self) -> str:
        return "" if self._options.cluster == "default" else f" --cluster {self._options.cluster}"

    # --- ending ------------------------------------------------------------------------------------

    async def _take_down(self, keeping: asyncio.Task[None] | None) -> None:
        if keeping is None:
            return
        if not self._options.keeps_tasks and not keeping.done():
            await self._stop_tasks()
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        assert self._agent is not None
        await self._agent.end(clean_up=not self._options.keeps_tasks)
        if not self._options.keeps_tasks:
            await remove_task_network(self._options.data_dir, self._docker_endpoint)
        self._say_what_is_left()

    def _say_what_is_left(self) -> None:
        left = self._running_tasks()
        asked_to_stop = sum(task.desired_status == "STOPPED" for task in left)
        if asked_to_stop:
            self._say(f"not waiting for {_tasks(asked_to_stop)} to stop; the next `ecscope up` sees to it")
        if kept := len(left) - asked_to_stop:
            keep, them = ("keeps", "it") if kept == 1 else ("keep", "them")
            self._progress(f"{_tasks(kept)} {keep} running; the next `ecscope up` with this --data-dir takes {them} up")

    async def _stop_tasks(self) -> None:
        """Those of connected agents; services start none in the meantime, and continue at the next start."""
        self._control.change_settings(is_ending=True)
        tasks = [task for task in self._running_tasks() if task.instance_arn in self._control.connected]
        if not tasks:
            return
        self._progress(
            f"stopping {_tasks(len(tasks))}{'; Ctrl-C again not to wait for it' if self._is_by_hand else ''}"
        )
        await asyncio.gather(*(self._stop_task(task) for task in tasks if task.desired_status != "STOPPED"))
        loop = asyncio.get_running_loop()
        give_up_at_s = loop.time() + _STOP_TASKS_S
        arns = {task.arn for task in tasks}
        while any(task.arn in arns for task in self._running_tasks()):
            if self._hurrying.is_set() or loop.time() >= give_up_at_s:
                return
            await asyncio.sleep(_LOOK_S)

    async def _stop_task(self, task: Task) -> None:
        try:
            await self._control.ask(
                "StopTask", {"cluster": task.cluster, "task": task.arn, "reason": "ecscope up was stopped"}
            )
        except ApiError as error:
            self._say(f"cannot stop {task.arn}: {error}")

    def _running_tasks(self) -> list[Task]:
        return [task for task in self._control.state.tasks.values() if not task.is_stopped]


def _tasks(count: int) -> str:
    return f"{count} task" if count == 1 else f"{count} tasks"
