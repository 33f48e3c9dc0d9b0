"""A task definition as a value: what its members say, read once from a document that the rules have found right.

A member that something here acts on is one field, under its own name. A member that is not given is ``None``, or what
ECS takes for it. What is only kept and shown, such as ``versionConsistency``, has no field: the document has it.

Source: RegisterTaskDefinition of the ECS API (2014-11-13).
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ecscope.model.network import NetworkMode


class _Members(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Parent of all that a definition is made of."""


class Variable(_Members, frozen=True, kw_only=True):
    """An environment variable."""

    name: str
    value: str = ""


class PortMapping(_Members, frozen=True, kw_only=True):
    """A port, or a range of them."""

    container_port: int | None = None
    """``None``: it is a range."""
    host_port: int = 0
    """0: the agent chooses one."""
    protocol: str = "tcp"
    container_port_range: str | None = None

    def host_port_in(self, mode: NetworkMode) -> int:
        """The port of the host that is asked for; 0: any, or a range of any."""
        return (self.container_port or 0) if mode.has_one_port_number else self.host_port


class RestartPolicy(_Members, frozen=True, kw_only=True):
    """When a container that has ended is started again."""

    enabled: bool
    ignored_exit_codes: tuple[int, ...] = ()
    restart_attempt_period: int | None = None
    """Seconds."""


class MountPoint(_Members, frozen=True, kw_only=True):
    """Where a container sees a volume."""

    source_volume: str
    container_path: str
    read_only: bool = False


class VolumeFrom(_Members, frozen=True, kw_only=True):
    """The volumes of another container."""

    source_container: str
    read_only: bool = False


class Dependency(_Members, frozen=True, kw_only=True):
    """What another container must have come to first."""

    container_name: str
    condition: str


class ExtraHost(_Members, frozen=True, kw_only=True):
    """A line of ``/etc/hosts``."""

    hostname: str
    ip_address: str


class Ulimit(_Members, frozen=True, kw_only=True):
    """A limit of the kernel's."""

    name: str
    soft_limit: int
    hard_limit: int


class Secret(_Members, frozen=True, kw_only=True):
    """A value that a container gets from Secrets Manager or the Parameter Store."""

    name: str
    value_from: str


class RepositoryCredentials(_Members, frozen=True, kw_only=True):
    """The secret with user name and password of a private registry."""

    credentials_parameter: str


class LogConfiguration(_Members, frozen=True, kw_only=True):
    """Where a container's output goes."""

    log_driver: str
    options: Mapping[str, str] = {}
    secret_options: tuple[Secret, ...] = ()


class HealthCheck(_Members, frozen=True, kw_only=True):
    """How it is found out whether a container works. Durations in seconds. Source: control-plane.md §5.1."""

    command: tuple[str, ...]
    interval: int = 30
    timeout: int = 5
    retries: int = 3
    start_period: int = 0


class SystemControl(_Members, frozen=True, kw_only=True):
    """A sysctl of the container's namespace."""

    namespace: str
    value: str


class Capabilities(_Members, frozen=True, kw_only=True):
    """Of the kernel, beside and without those that Docker gives."""

    add: tuple[str, ...] | None = None
    drop: tuple[str, ...] | None = None


class Device(_Members, frozen=True, kw_only=True):
    """A device of the host."""

    host_path: str
    container_path: str | None = None
    """``None``: as on the host."""
    permissions: tuple[str, ...] = ()
    """``read``, ``write``, ``mknod``; none: all of them."""


class Tmpfs(_Members, frozen=True, kw_only=True):
    """A file system in memory."""

    container_path: str
    size: int
    """MiB."""
    mount_options: tuple[str, ...] = ()


class LinuxParameters(_Members, frozen=True, kw_only=True):
    """What only Linux has."""

    capabilities: Capabilities = Capabilities()
    devices: tuple[Device, ...] | None = None
    init_process_enabled: bool | None = None
    shared_memory_size: int = 0
    """MiB; 0: Docker's own."""
    tmpfs: tuple[Tmpfs, ...] | None = None
    max_swap: int | None = None
    """MiB."""
    swappiness: int | None = None


class ContainerDefinition(_Members, frozen=True, kw_only=True):
    """One of ``containerDefinitions``."""

    name: str
    image: str
    cpu: int = 0
    """CPU units."""
    memory: int = 0
    """MiB; 0: no limit."""
    memory_reservation: int | None = None
    """MiB."""
    essential: bool = True
    links: tuple[str, ...] = ()
    port_mappings: tuple[PortMapping, ...] = ()
    restart_policy: RestartPolicy | None = None
    entry_point: tuple[str, ...] = ()
    """An empty one asks for nothing, like an absent one: the image's own is used."""
    command: tuple[str, ...] = ()
    """As ``entry_point``."""
    environment: tuple[Variable, ...] = ()
    mount_points: tuple[MountPoint, ...] = ()
    volumes_from: tuple[VolumeFrom, ...] = ()
    linux_parameters: LinuxParameters = LinuxParameters()
    depends_on: tuple[Dependency, ...] = ()
    start_timeout: int | None = None
    """Seconds."""
    stop_timeout: int | None = None
    """Seconds."""
    hostname: str | None = None
    user: str | None = None
    working_directory: str | None = None
    disable_networking: bool | None = None
    privileged: bool | None = None
    readonly_root_filesystem: bool | None = None
    dns_servers: tuple[str, ...] | None = None
    dns_search_domains: tuple[str, ...] | None = None
    extra_hosts: tuple[ExtraHost, ...] | None = None
    docker_security_options: tuple[str, ...] | None = None
    interactive: bool | None = None
    pseudo_terminal: bool | None = None
    docker_labels: Mapping[str, str] | None = None
    ulimits: tuple[Ulimit, ...] | None = None
    log_configuration: LogConfiguration | None = None
    secrets: tuple[Secret, ...] = ()
    repository_credentials: RepositoryCredentials | None = None
    health_check: HealthCheck | None = None
    system_controls: tuple[SystemControl, ...] = ()

    @property
    def log_driver(self) -> str:
        """``""``: Docker's own choice."""
        return self.log_configuration.log_driver if self.log_configuration is not None else ""

    @property
    def secret_log_options(self) -> tuple[Secret, ...]:
        """Log options whose values are secrets."""
        return self.log_configuration.secret_options if self.log_configuration is not None else ()


class HostVolume(_Members, frozen=True, kw_only=True):
    """A path of the host."""

    source_path: str = ""
    """``""``: an empty folder of the task's own."""


class DockerVolume(_Members, frozen=True, kw_only=True):
    """A volume of Docker's."""

    scope: str = "task"
    autoprovision: bool = False
    driver: str = "local"
    driver_opts: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}


class Volume(_Members, frozen=True, kw_only=True):
    """One of ``volumes``."""

    name: str
    host: HostVolume = HostVolume()
    docker_volume_configuration: DockerVolume | None = None


class PlacementConstraint(_Members, frozen=True, kw_only=True):
    """Which container instances may have the task."""

    type: str = ""
    expression: str = ""


class EphemeralStorage(_Members, frozen=True, kw_only=True):
    """Of a task on Fargate."""

    size_in_gib: int = msgspec.field(name="sizeInGiB")


class RuntimePlatform(_Members, frozen=True, kw_only=True):
    """What kind of machine the images are for; ``""``: any."""

    cpu_architecture: str = ""
    operating_system_family: str = ""


class Definition(_Members, frozen=True, kw_only=True):
    """A task definition, without its identity (family, revision, tags, status), which its owner keeps."""

    container_definitions: tuple[ContainerDefinition, ...]
    volumes: tuple[Volume, ...] = ()
    network_mode: NetworkMode = NetworkMode.DEFAULT
    pid_mode: str | None = None
    ipc_mode: str | None = None
    cpu: str = ""
    """As written, such as ``256`` or ``0.25 vCPU``; ``""``: no limit of the task's own."""
    memory: str = ""
    """As written, such as ``512`` or ``0.5 GB``; ``""``: no limit of the task's own."""
    task_role_arn: str = ""
    execution_role_arn: str = ""
    placement_constraints: tuple[PlacementConstraint, ...] = ()
    runtime_platform: RuntimePlatform = RuntimePlatform()
    requires_compatibilities: tuple[str, ...] = ()
    ephemeral_storage: EphemeralStorage | None = None
    """``None``: what Fargate gives every task."""


def definition_of(document: Mapping[str, object]) -> Definition:
    """What a document says that is without mistakes. Raises ``msgspec.ValidationError`` for another one."""
    return msgspec.convert(document, Definition)
