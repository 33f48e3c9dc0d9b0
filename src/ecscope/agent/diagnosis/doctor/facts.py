"""What `ecscope doctor` sees of a host, as values. Each fact is read by one probe (``agent/probes/``).

A probe that has no answer in its time, or may not look, gives ``NotKnown``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from ecscope.model.container_instance import ObstacleKind


class NotKnown(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """There is no answer."""

    why: str
    """A clause without a full stop."""


class SettingsFact(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The configuration of the agent that runs, or of one that would be started from this shell."""

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    joins_cluster: bool = True
    may_ask_imds: bool = True
    log_drivers: tuple[str, ...] = ()
    """That are offered to ECS."""
    task_roles: bool = False
    """Containers get the credentials of their task's role."""
    is_local: bool = False
    """It belongs to `ecscope up`."""


class AgentFact(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The agent of the data directory, as processes and its ports show it."""

    pid: int | None = None
    """``None``: none runs."""
    obstacle: ObstacleKind | None = None
    """What keeps it from being registered, as port 51680 shows it."""
    obstacle_message: str = ""
    obstacle_since: str = ""
    answers_51680: bool = False
    answers_51678: bool = False
    why_not: str = ""
    """What a client of 51678 gets instead of an answer."""


class CredentialsFact(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What the credential chain finds. Never a secret."""

    source: str = ""
    expires_at: datetime | None = None
    """``None``: they do not expire."""
    failure: str = ""
    """``""``: some were found."""
    now: datetime


class CallFact(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """One call of ECS that changes nothing: DiscoverPollEndpoint."""

    endpoint: str
    took_s: float = 0.0
    failure: ObstacleKind | None = None
    """``None``: it was answered."""
    message: str = ""
    details: Mapping[str, str | int | float | bool | None] = {}
    """What else is known of the failure, as in ``Obstacle.detail``."""


class NamesFact(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The look-up of the endpoint's name."""

    host: str
    addresses: int = 0
    failure: str = ""


class ProxyFact(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The proxy that calls of ECS take; without user and password."""

    proxy: str = ""
    """``""``: none."""
    failure: str = ""
    """Why it cannot be reached or used."""
    metadata_goes_through: tuple[str, ...] = ()
    """Link-local addresses of AWS that ``NO_PROXY`` does not except."""


class ClockFact(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """This host's clock against the endpoint's."""

    offset_s: float
    """Positive: this host is ahead."""


class InstanceMetadataFact(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The EC2 instance metadata service."""

    instance_id: str = ""
    failure: str = ""


class DockerFact(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The Docker Engine that the agent uses."""

    endpoint: str
    failure: str = ""
    """``""``: it answers."""
    version: str = ""
    api_version: str = ""
    min_api_version: str = ""
    is_supported: bool = True
    latencies_s: tuple[float, ...] = ()
    """Of some calls that do nothing, in turn."""
    cgroup_version: str = ""
    cgroup_driver: str = ""
    storage_driver: str = ""
    root: str = ""
    log_drivers: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    """In the engine's own words."""
    has_memory_limit: bool = True
    has_bridge: bool = True


class TaskContainer(msgspec.Struct, frozen=True, kw_only=True):
    """A container with the label of a task."""

    docker_id: str
    name: str
    task_arn: str
    state: str


class LeftoversFact(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What is in the engine with ECS's labels and names, and what of it the agent knows."""

    containers: tuple[TaskContainer, ...] = ()
    known_docker_ids: frozenset[str] = frozenset()
    volumes: tuple[str, ...] = ()
    """Names that begin as those of tasks do."""
    known_volumes: frozenset[str] = frozenset()


class DiskFact(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The file system under a directory."""

    path: str
    total_bytes: int = 0
    free_bytes: int = 0
    total_inodes: int = 0
    """0: the file system has no fixed number of them."""
    free_inodes: int = 0
    is_read_only: bool = False


class DataDirectoryFact(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Where the agent keeps its state."""

    path: str
    exists: bool = True
    problem: str = ""
    """Why it is refused, with what to do."""
    state_problem: str = ""
    """Why the state file cannot be read."""
    is_kept: bool = True
    """``ECS_CHECKPOINT``: state is kept at all."""


class PortHolder(msgspec.Struct, frozen=True, kw_only=True):
    """A process that listens on a port."""

    pid: int | None = None
    """``None``: it may not be seen."""
    command: str = ""


class PortsFact(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Who listens on the ports of ECS."""

    holders: dict[int, tuple[PortHolder, ...]] = {}


class LimitsFact(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Limits of the kernel. ``None``: not known here."""

    open_files_soft: int | None = None
    """Of the agent; of this process while none runs."""
    open_files_used: int | None = None
    files_allocated: int | None = None
    files_max: int | None = None
    ip_forward: bool | None = None
    conntrack_used: int | None = None
    conntrack_max: int | None = None
    inotify_instances: int | None = None
    inotify_instances_used: int | None = None
    pid_max: int | None = None
    processes: int | None = None
    memory_total_bytes: int | None = None
    memory_available_bytes: int | None = None


class FirewallFact(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The rules of iptables."""

    failure: str = ""
    has_docker_chain: bool = True
    has_task_role_rules: bool = True
    drops_forwarded: bool = False
    """The policy of FORWARD is DROP and no rule of Docker accepts anything."""


class VersionsFact(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What runs here."""

    ecscope: str
    agent: str = ""
    """Of the agent that runs; ``""``: none answers."""
    python: str = ""
    kernel: str = ""


class KernelLogFact(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Whether the kernel's log can be read: it proves what was killed for want of memory."""

    failure: str = ""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything; a field that nobody has read is not known."""

    settings: SettingsFact | NotKnown
    agent: AgentFact | NotKnown
    credentials: CredentialsFact | NotKnown
    call: CallFact | NotKnown
    names: NamesFact | NotKnown
    proxy: ProxyFact | NotKnown
    clock: ClockFact | NotKnown
    instance_metadata: InstanceMetadataFact | NotKnown
    docker: DockerFact | NotKnown
    leftovers: LeftoversFact | NotKnown
    docker_disk: DiskFact | NotKnown
    data_disk: DiskFact | NotKnown
    data_directory: DataDirectoryFact | NotKnown
    ports: PortsFact | NotKnown
    limits: LimitsFact | NotKnown
    firewall: FirewallFact | NotKnown
    versions: VersionsFact | NotKnown
    kernel_log: KernelLogFact | NotKnown
