"""The containers of a simulated engine: their life from creation to removal, as their programs say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from ecscope.agent.core.container_config import ContainerConfig
from ecscope.agent.runtime.docker import errors
from ecscope.agent.runtime.docker.errors import Operation
from ecscope.agent.runtime.interface import RuntimeFailure
from ecscope.agent.runtime.simulated.engine import SimulatedEngine, refused
from ecscope.agent.runtime.simulated.names import digest_of
from ecscope.agent.runtime.simulated.programs import EXIT_BY_SIGKILL, HealthStep, Program
from ecscope.model.arn import DockerId
from ecscope.model.container import ContainerInspection, Health, Mount, NamedError, PortBinding
from ecscope.model.names import CONTAINER_NAME_LABEL, TASK_ARN_LABEL
from ecscope.model.runtime import RuntimeAction, RuntimeNotice
from ecscope.model.status import ContainerStatus, HealthStatus

SIGTERM, SIGKILL = 15, 9

ProgramOf = Callable[[ContainerConfig, int], Program]
"""What a container does at a start; 0 is the first."""


class SimulatedContainer:
    """One container of a simulated engine."""

    def __init__(self, *, docker_id: DockerId, config: ContainerConfig, image_id: str) -> None:
        self.docker_id = docker_id
        self.config = config
        self.name = config.docker_name
        self.image_id = image_id
        self.labels = config.labels
        host = _members(config.docker_host_config)
        self.binds: list[str] = host.get("binds") or [f"{bind.source}:{bind.container_path}" for bind in config.binds]
        self.network = config.endpoint.network if config.endpoint is not None else ""
        self.has_network = host.get("networkmode") not in ("host", "none") and not config.network_mode
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


class Containers:
    """See the module docstring."""

    def __init__(self, engine: SimulatedEngine, *, program: ProgramOf | None = None, seed: str = "") -> None:
        """
        Args:
            program: ``None``: each runs until it is stopped.
            seed: makes Docker IDs of two engines different.
        """
        self._engine = engine
        self._program_of = program
        self._seed = seed
        self._made = 0
        self._all: dict[DockerId, SimulatedContainer] = {}

    def __iter__(self) -> Iterator[SimulatedContainer]:
        """The oldest first."""
        return iter(self._all.values())

    def newest_first(self) -> Iterator[SimulatedContainer]:
        """As Docker lists them."""
        return reversed(self._all.values())

    def get(self, docker_id: DockerId) -> SimulatedContainer | None:
        """By its Docker ID."""
        return self._all.get(docker_id)

    def named(self, operation: Operation, id_or_name: str) -> SimulatedContainer:
        """Raises ``RuntimeFailure``."""
        for container in self._all.values():
            if id_or_name in (container.docker_id, container.name):
                return container
        raise refused(operation, 404, f"No such container: {id_or_name}")

    def create(self, config: ContainerConfig, *, image_id: str) -> SimulatedContainer:
        """One of that name that carries this task's labels is adopted. Raises ``RuntimeFailure``."""
        name = config.docker_name
        program = self._program(config, start=0)
        if program.create_error:
            raise refused(errors.CREATE, 400, program.create_error)
        for other in self._all.values():
            if other.name == name:
                if other.labels[TASK_ARN_LABEL] == config.task_arn and (
                    other.labels[CONTAINER_NAME_LABEL] == config.container_name
                ):
                    return other
                raise refused(
                    errors.CREATE,
                    409,
                    f'Conflict. The container name "/{name}" is already in use by container "{other.docker_id}". '
                    "You have to remove (or rename) that container to be able to reuse that name.",
                )
        self._made += 1
        docker_id = DockerId(digest_of("container", self._seed, str(self._made)))
        container = SimulatedContainer(docker_id=docker_id, config=config, image_id=image_id)
        container.created_at = self._engine.now_text()
        self._all[docker_id] = container
        self._notify(container, RuntimeAction.CREATE)
        return container

    def start(self, container: SimulatedContainer) -> None:
        """One that does not run. Raises ``RuntimeFailure``."""
        program = self._program(container.config, start=container.starts)
        taken = {port for other in self._all.values() if other.running for port in other.host_ports}
        clash = sorted(container.host_ports & taken)
        refusal = program.start_error
        if clash:
            refusal = (
                f"driver failed programming external connectivity on endpoint {container.name} "
                f"({digest_of('endpoint', container.docker_id)}): Bind for 0.0.0.0:{clash[0][1]} failed: "
                "port is already allocated"
            )
        if refusal:
            container.error = refusal
            raise refused(errors.START, 400, refusal)
        loop = asyncio.get_running_loop()
        container.program = program
        container.starts += 1
        container.running, container.error, container.out_of_memory = True, "", False
        container.exit_code, container.last_signal = None, None
        container.started_at = self._engine.now_text()
        container.running_since_s = loop.time()
        container.health = Health()
        container.ended = loop.create_future()
        self._notify(container, RuntimeAction.START)
        for step in program.health:
            container.timers.append(loop.call_later(step.after_s, self._check_health, container, step))
        if program.run_for_s is not None:
            container.timers.append(loop.call_later(program.run_for_s, self._end_by_itself, container))

    def stop(self, container: SimulatedContainer, grace_s: float) -> None:
        """SIGTERM now, and SIGKILL after ``grace_s``."""
        loop, program = asyncio.get_running_loop(), container.program
        container.last_signal = SIGTERM
        if program.heeds_sigterm and program.stop_takes_s <= grace_s:
            container.timers.append(loop.call_later(program.stop_takes_s, self.end, container, program.stop_exit_code))
        else:
            container.timers.append(loop.call_later(grace_s, self.kill, container))

    def stopped(self, container: SimulatedContainer) -> None:
        """A stop that was asked for has come to its end."""
        if container.docker_id in self._all:
            self._notify(container, RuntimeAction.STOP)

    def kill(self, container: SimulatedContainer) -> None:
        """End one that runs, by SIGKILL."""
        container.last_signal = SIGKILL
        self.end(container, EXIT_BY_SIGKILL)

    def end(self, container: SimulatedContainer, exit_code: int) -> None:
        """One that runs has come to its end."""
        for timer in container.timers:
            timer.cancel()
        container.timers.clear()
        container.running = False
        container.exit_code = exit_code
        container.finished_at = self._engine.now_text()
        self._notify(container, RuntimeAction.DIE, exit_code=exit_code, signal=container.last_signal)
        if container.ended is not None and not container.ended.done():
            container.ended.set_result(None)
        container.ended = None

    def remove(self, container: SimulatedContainer) -> None:
        """Whether it runs or not."""
        if container.running:
            self.kill(container)
        del self._all[container.docker_id]
        self._notify(container, RuntimeAction.DESTROY)

    def inspection(self, container: SimulatedContainer) -> ContainerInspection:
        """What ``docker inspect`` shows."""
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
            bindings=_bindings(container) if container.running else (),
            mounts=tuple(_mount(bind) for bind in container.binds),
            health=container.health,
            task_arn=container.labels[TASK_ARN_LABEL],
            container_name=container.labels[CONTAINER_NAME_LABEL],
        )

    def _end_by_itself(self, container: SimulatedContainer) -> None:
        if container.program.out_of_memory:
            container.out_of_memory = True
            self._notify(container, RuntimeAction.OOM)
            self.end(container, EXIT_BY_SIGKILL)
        else:
            self.end(container, container.program.exit_code)

    def _check_health(self, container: SimulatedContainer, step: HealthStep) -> None:
        changed = container.health.status is not step.status
        container.health = Health(
            status=step.status, since=self._engine.now_text(), output=step.output[:1024], exit_code=step.exit_code
        )
        if changed and step.status is not HealthStatus.UNKNOWN:
            self._notify(container, RuntimeAction.HEALTH)

    def _program(self, config: ContainerConfig, *, start: int) -> Program:
        return Program() if self._program_of is None else self._program_of(config, start)

    def _notify(
        self,
        container: SimulatedContainer,
        action: RuntimeAction,
        *,
        exit_code: int | None = None,
        signal: int | None = None,
    ) -> None:
        self._engine.notify(
            RuntimeNotice(
                docker_id=container.docker_id,
                action=action,
                time_ns=self._engine.now_ns(),
                exit_code=exit_code,
                signal=signal,
            )
        )


def check_settings(config: ContainerConfig) -> None:
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


def _members(text: str) -> dict[str, Any]:
    """Of JSON that ECS sent for Docker, by their names in lower case. Raises ``ValueError``."""
    members = msgspec.json.decode(text, type=dict[str, Any] | None) or {}
    return {name.lower(): value for name, value in members.items()}


def _misconfigured(name: str, message: str) -> RuntimeFailure:
    return RuntimeFailure(NamedError(name=name, message=message))


def _bindings(container: SimulatedContainer) -> tuple[PortBinding, ...]:
    address = container.config.publish_address
    return tuple(
        PortBinding(
            container_port=int(key.partition("/")[0]),
            host_port=host_port,
            protocol=key.partition("/")[2],
            host_ip=host_ip,
        )
        for key, host_port in container.ports.items()
        for host_ip in ((address,) if address else ("0.0.0.0", "::"))  # noqa: S104 - what Docker shows
    )


def _mount(bind: str) -> Mount:
    source, destination = bind.split(":")[:2]
    if source.startswith("/"):
        return Mount(source=source, destination=destination)
    return Mount(name=source, source=f"/var/lib/docker/volumes/{source}/_data", destination=destination)
