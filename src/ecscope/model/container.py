"""A container of a task: what its definition asks for, and what is known about it.

Values only: frozen, compared by content, encodable as they are. No rules, no I/O.

Source: engine.md §1, §5-§7, §10; agent-protocol.md §4.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum

import msgspec

from ecscope.model.arn import DockerId
from ecscope.model.status import ContainerStatus, HealthStatus, ReportedStatus, TaskStatus, task_status_of
from ecscope.model.waiting import Waiting


class ContainerKind(Enum):
    """Whose a container is, in the official words. Source: task-metadata-api.md, ``Type``."""

    NORMAL = "NORMAL"
    """The user's: it is in the task definition."""
    CNI_PAUSE = "CNI_PAUSE"
    """The agent's: it holds the network namespace of a task."""
    NAMESPACE_PAUSE = "NAMESPACE_PAUSE"
    """The agent's: it holds the PID or IPC namespace of a task."""

    @property
    def is_agents_own(self) -> bool:
        """Added by the agent: not reported to ECS, not listed, and not measured."""
        return self is not ContainerKind.NORMAL

    @property
    def steady_status(self) -> ContainerStatus:
        """The steady status of such a container while its task runs. Source: engine.md §1.1."""
        return ContainerStatus.RESOURCES_PROVISIONED if self is ContainerKind.CNI_PAUSE else ContainerStatus.RUNNING


class DependencyCondition(Enum):
    """When a ``dependsOn`` entry counts as met. Source: engine.md §5.1."""

    START = "START"
    COMPLETE = "COMPLETE"
    SUCCESS = "SUCCESS"
    HEALTHY = "HEALTHY"
    CREATE = "CREATE"
    """Internal: what ``volumesFrom`` implies."""


class Dependency(msgspec.Struct, frozen=True, kw_only=True):
    """One ``dependsOn`` entry: wait for ``container_name`` until ``condition``."""

    container_name: str
    condition: DependencyCondition


class PortMapping(msgspec.Struct, frozen=True, kw_only=True):
    """One ``portMappings`` entry: a single port or a range, never both."""

    container_port: int = 0
    """0 when ``container_port_range`` is set."""
    host_port: int = 0
    """0: the agent chooses a free port."""
    container_port_range: str | None = None
    """``"a-b"``, both ends included."""
    protocol: str = "tcp"


class MountPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A task volume mounted into the container."""

    source_volume: str
    container_path: str
    read_only: bool = False


class VolumeFrom(msgspec.Struct, frozen=True, kw_only=True):
    """All volumes of another container of the task."""

    source_container: str
    read_only: bool = False


class RestartPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Restart a container that exited without being stopped. Source: engine.md §10.2."""

    enabled: bool = False
    ignored_exit_codes: tuple[int, ...] = ()
    restart_attempt_period_s: int = 300
    """A container that ran shorter than this is not restarted."""


class RegistryLogin(msgspec.Struct, frozen=True, kw_only=True):
    """Where AWS keeps the credentials of the image's registry. Source: engine.md §4.4."""

    kind: str
    """``ecr`` or ``asm`` (Secrets Manager)."""
    region: str = ""
    registry_id: str = ""
    """``ecr``: the account that owns the registry."""
    endpoint_override: str = ""
    """``ecr``: ``""``: the region's own endpoint."""
    use_execution_role: bool = False
    """``ecr``: ask with the execution role's credentials; else with the instance's own."""
    secret_arn: str = ""
    """``asm``: the secret with user name and password."""


class SecretStore(Enum):
    """What keeps a secret. Source: control-plane.md §10.2, ``provider``."""

    PARAMETER_STORE = "ssm"
    SECRETS_MANAGER = "asm"


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """Where a value comes from that only the container may see. The value itself is in no record."""

    name: str
    """Of the environment variable, or of the log option."""
    store: SecretStore
    value_from: str
    """Name or ARN of a parameter; ARN of a secret, which may name a JSON key, a stage and a version."""
    region: str = ""
    """Of the store; ``""``: the agent's own."""
    is_log_option: bool = False
    """It goes to the log driver, and not into the environment."""


class ContainerDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """What the task definition (or the ACS payload made from it) asks of one container."""

    name: str
    image: str
    essential: bool = True
    command: tuple[str, ...] | None = None
    """``None``: the image's own."""
    entry_point: tuple[str, ...] | None = None
    """``None``: the image's own."""
    environment: Mapping[str, str] = {}
    cpu_units: int = 0
    memory_mib: int = 0
    """0: no limit."""
    links: tuple[str, ...] = ()
    """``name`` or ``name:alias``."""
    volumes_from: tuple[VolumeFrom, ...] = ()
    mount_points: tuple[MountPoint, ...] = ()
    port_mappings: tuple[PortMapping, ...] = ()
    depends_on: tuple[Dependency, ...] = ()
    """As written, and (once the task is admitted) what links and volumesFrom imply."""
    start_timeout_s: int | None = None
    """Read when *others* wait for this container; ``None`` or 0: no limit."""
    stop_timeout_s: int | None = None
    """SIGTERM to SIGKILL; ``None`` or 0: the agent's ``ECS_CONTAINER_STOP_TIMEOUT``."""
    health_check_is_docker: bool = False
    """``healthCheckType`` is ``docker``."""
    restart_policy: RestartPolicy | None = None
    docker_config: str = "{}"
    """JSON text of Docker's ``Config``, laid over what the agent generates. Source: engine.md §6.4."""
    docker_host_config: str = "{}"
    """JSON text of Docker's ``HostConfig``, likewise. Source: engine.md §6.5."""
    arn: str = ""
    """ARN that ECS gave the container; ``""``: none (tasks from files)."""
    registry_login: RegistryLogin | None = None
    """``None``: the agent's own registry credentials, where it has some."""
    secrets: tuple[Secret, ...] = ()
    logs_as_execution_role: bool = False
    """Docker's log driver writes with the credentials of the execution role."""


class NamedError(msgspec.Struct, frozen=True, kw_only=True):
    """An error as ECS reports it: ``<name>: <message>``. Source: engine.md §10.5."""

    name: str
    message: str

    def __str__(self) -> str:
        return f"{self.name}: {self.message}"


class PortBinding(msgspec.Struct, frozen=True, kw_only=True):
    """One binding that Docker reports for a container."""

    container_port: int
    host_port: int
    protocol: str = "tcp"
    host_ip: str = ""


class ContainerNetwork(msgspec.Struct, frozen=True, kw_only=True):
    """One Docker network of a container. Source: task-metadata-api.md §10."""

    name: str
    """As Docker names it: ``bridge``, ``host``, ``none`` or a network that somebody made."""
    ipv4: str = ""
    """``""``: no address in it, as with ``host``."""
    ipv6: str = ""
    """Global address; ``""``: none."""


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    """One mount that Docker reports for a container."""

    name: str = ""
    """Docker volume name; ``""`` for a bind mount."""
    source: str = ""
    destination: str = ""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The last verdict of Docker's health check."""

    status: HealthStatus = HealthStatus.UNKNOWN
    since: str = ""
    """RFC 3339 time of the check that gave the verdict; ``""``: unknown."""
    output: str = ""
    """At most 1,024 characters. Source: engine.md §10.1."""
    exit_code: int | None = None


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """One container of a task, with all that is known about it.

    Docker's times are kept as the text Docker gave (RFC 3339 with nanoseconds), because
    Python's ``datetime`` would drop three digits that clients can see; ``""`` is unknown.
    """

    definition: ContainerDefinition
    kind: ContainerKind = ContainerKind.NORMAL
    name_suffix: str
    """20 hex digits chosen when the task was accepted; the end of ``docker_name``."""
    endpoint_id: str = ""
    """UUID in the URIs of task metadata: only the container's own environment shows it. ``""``: it gets no such URI."""
    known: ContainerStatus = ContainerStatus.NONE
    desired: ContainerStatus = ContainerStatus.RUNNING
    in_flight: ContainerStatus | None = None
    """The status that a runtime call now under way leads to; ``None``: no call under way.

    Never two calls at once. Not meaningful after a restart of the agent, which clears it.
    """
    cancelling: bool = False
    """The call under way has been asked to end early; its result is still awaited."""
    digest_checked: bool = False
    """The local image was looked at for this container's manifest step."""
    use_local_image: bool = False
    """No pull is needed: the pull behavior allows the local image, and it is there."""
    waiting: Waiting | None = None
    """What keeps it from its next step; ``None``: nothing does, or no step is left."""
    docker_name: str = ""
    """Name given to Docker; ``""`` until the create call is decided, then saved before the call."""
    docker_id: DockerId = DockerId("")
    image_id: str = ""
    """Local image ID, ``sha256:…``; ``""`` until known."""
    image_digest: str = ""
    """Digest from the registry or the local RepoDigests; ``""``: unknown."""
    created_at: str = ""
    started_at: str = ""
    """The *first* start that was seen; a restart does not move it."""
    last_started_at: str = ""
    finished_at: str = ""
    exit_code: int | None = None
    oom_killed: bool = False
    error: NamedError | None = None
    """The first error; it is never replaced. Source: engine.md §3.2."""
    bindings: tuple[PortBinding, ...] = ()
    """As first reported non-empty by Docker, never refreshed. Source: introspection-api.md §6.9."""
    mounts: tuple[Mount, ...] = ()
    networks: tuple[ContainerNetwork, ...] = ()
    """Docker's networks, with the addresses last seen in them; ``()``: nothing is known yet."""
    labels: Mapping[str, str] = {}
    """All that Docker shows, the image's own too; empty: nothing is known yet."""
    restart_count: int = 0
    last_restarted_at: datetime | None = None
    health: Health = Health()
    die_exit_code: int | None = None
    """What the last ``die`` notice said, for a container that cannot be inspected afterwards."""
    die_signal: int | None = None
    """The signal of that notice: the last one sent through Docker in that run; ``None``: none was."""
    died_at_ns: int = 0
    """When, by Docker's clock: nanoseconds since the epoch; 0: no notice came."""
    stop_asked_at: datetime | None = None
    """When the agent last asked Docker to stop it; ``None``: it never did."""
    may_be_running: bool = False
    """A failed start may have started it after all, so it must be stopped. Source: engine.md §3.2."""
    removed: bool = False
    """Clean-up has removed the Docker container."""
    reported: ReportedStatus | None = None
    """The furthest status that was reported to ECS, or is queued to be; ``None``: none yet."""

    @property
    def name(self) -> str:
        """The name in the task definition."""
        return self.definition.name

    @property
    def is_essential(self) -> bool:
        """The user said so. What the agent made up is another matter: see ``is_agents_own``."""
        return self.definition.essential and not self.is_agents_own

    @property
    def is_agents_own(self) -> bool:
        """The agent made it up, for the user's containers."""
        return self.kind.is_agents_own

    @property
    def is_steady(self) -> bool:
        """It runs, and has reached its steady status."""
        return self.is_running and self.known >= self.kind.steady_status

    @property
    def task_status(self) -> TaskStatus:
        """The task status that it corresponds to."""
        return task_status_of(self.known, steady=self.kind.steady_status)

    @property
    def is_running(self) -> bool:
        return self.known in (ContainerStatus.RUNNING, ContainerStatus.RESOURCES_PROVISIONED)

    @property
    def is_stopped(self) -> bool:
        return self.known is ContainerStatus.STOPPED

    @property
    def restarts(self) -> bool:
        """Has a restart policy that is enabled."""
        policy = self.definition.restart_policy
        return policy is not None and policy.enabled


class ContainerInspection(msgspec.Struct, frozen=True, kw_only=True):
    """What Docker says about one container, translated. Source: engine.md §12."""

    docker_id: DockerId
    docker_name: str = ""
    image_id: str = ""
    status: ContainerStatus
    """CREATED, RUNNING or STOPPED."""
    created_at: str = ""
    started_at: str = ""
    finished_at: str = ""
    exit_code: int | None = None
    """``None`` while it runs, when it never ran, and with ``start_dropped``, which overwrites it in Docker."""
    start_dropped: bool = False
    """The engine abandoned the last start because its client disconnected. The container is otherwise unchanged."""
    oom_killed: bool = False
    error: NamedError | None = None
    """``OutOfMemoryError`` or ``DockerStateError``."""
    bindings: tuple[PortBinding, ...] = ()
    mounts: tuple[Mount, ...] = ()
    networks: tuple[ContainerNetwork, ...] = ()
    labels: Mapping[str, str] = {}
    health: Health = Health()
    task_arn: str = ""
    """Label ``com.amazonaws.ecs.task-arn``; ``""``: none."""
    container_name: str = ""
    """Label ``com.amazonaws.ecs.container-name``."""


class ImageInspection(msgspec.Struct, frozen=True, kw_only=True):
    """What Docker says about one local image, translated."""

    image_id: str
    repo_tags: tuple[str, ...] = ()
    repo_digests: tuple[str, ...] = ()
    environment_names: frozenset[str] = frozenset()
    """Names set by the image's own ``Env``."""
    size_bytes: int = 0
