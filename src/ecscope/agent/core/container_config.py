"""What ECS makes of a container: all that a runtime is asked to create, in no runtime's words. Pure.

The task definition's part comes as values, its Docker settings as the JSON that ECS sent: the runtime lays them over
what is here, as the official agent does. What only the agent may say (labels, cgroup parent, pid and ipc mode, the
bound of the log buffer) is said after that.

Source: engine.md §6.1-§6.7, §7-§9.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

import msgspec

from ecscope.agent.core.cgroups import parent_of
from ecscope.agent.core.log_streams import log_options
from ecscope.model.arn import TaskArn
from ecscope.model.container import Container, ContainerDefinition, ContainerKind, MountPoint, NamedError, Secret
from ecscope.model.names import (
    CLUSTER_LABEL,
    CONTAINER_NAME_LABEL,
    FAMILY_LABEL,
    NAMESPACE_PAUSE,
    NETWORK_PAUSE,
    TASK_ARN_LABEL,
    VERSION_LABEL,
)
from ecscope.model.network import NetworkMode, TaskNetwork
from ecscope.model.task import Task, VolumeKind

MIB = 1048576
MEMORY_FLOOR_BYTES = 4 * MIB
CPU_SHARES_RANGE = (2, 262144)
METADATA_FOLDER = "/opt/ecs/metadata"
"""In a container, over the folder with its metadata file. Source: engine.md §6.3."""
METADATA_FILE_NAME = "ecs-container-metadata.json"
METADATA_SERVER = "http://169.254.170.2"
"""Where containers reach the agent. Source: task-metadata-api.md §1.1."""
LOG_BUFFER_SIZE = "10m"
"""``max-buffer-size`` for ``mode=non-blocking``. Source: engine.md §6.7."""


_ENDPOINT_OF_ALL = "AWS_ENDPOINT_URL"
_ENDPOINTS = (_ENDPOINT_OF_ALL, "AWS_ENDPOINT_URL_ECS", "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS")
"""Where SDKs look for endpoints. Source: AWS SDKs and Tools Reference Guide, "Service-specific endpoints"."""


class ContainerConfigError(Exception):
    """The container cannot be created as asked: ``DockerClientConfigError`` or ``HostConfigError``."""

    def __init__(self, error: NamedError) -> None:
        super().__init__(error)
        self.error = error

    def __str__(self) -> str:
        return str(self.error)


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """Another container of the task, reachable under a name."""

    docker_name: str
    alias: str


class VolumesOf(msgspec.Struct, frozen=True, kw_only=True):
    """All volumes of another container of the task."""

    docker_name: str
    read_only: bool = False


class Bind(msgspec.Struct, frozen=True, kw_only=True):
    """A path of the host or a volume, mounted into the container."""

    source: str
    """Absolute path, or name of a Docker volume."""
    container_path: str
    read_only: bool = False


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The connection of a container to a network of the runtime's, as the task's network interface has it."""

    network: str
    ipv4: str
    mac: str
    hostname: str = ""
    """``""``: the runtime's own choice."""
    dns_servers: tuple[str, ...] = ()
    """None: those of the host."""
    dns_search_domains: tuple[str, ...] = ()
    """None: those of the host."""


class ContainerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a create call is built from."""

    docker_name: str
    task_arn: TaskArn
    container_name: str
    """As in the task definition."""
    image: str
    command: tuple[str, ...] | None = None
    """``None``: the image's own."""
    entry_point: tuple[str, ...] | None = None
    """``None``: the image's own."""
    environment: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    """The agent's; no others may have their names."""
    exposed_ports: tuple[str, ...] = ()
    """``80/tcp``; ranges spelled out."""
    published_ports: Mapping[str, int] = {}
    """``"<container port>/<protocol>"`` → host port, ranges spelled out."""
    publish_address: str = ""
    """Of this host, at which alone the ports are published; ``""``: at all of them."""
    endpoint: Endpoint | None = None
    """``None``: the network is as ``docker_host_config`` says, or as ``network_mode`` does."""
    network_mode: str = ""
    """``none``, or ``container:<Docker ID>`` to share that container's network, and nothing of an own; ``""``: the
    task's own settings say it."""
    memory_bytes: int = 0
    """0: no limit."""
    cpu_shares: int
    links: tuple[Link, ...] = ()
    volumes_of: tuple[VolumesOf, ...] = ()
    binds: tuple[Bind, ...] = ()
    cgroup_parent: str = ""
    """``""``: the runtime's own choice."""
    pid_mode: str = ""
    """``host``, ``container:<Docker ID>``, or ``""`` for a namespace of its own."""
    ipc_mode: str = ""
    """``host``, ``none``, ``container:<Docker ID>``, or ``""`` for the runtime's default, which others can share."""
    needs_health_check: bool = False
    """``docker_config`` has to have a health check."""
    log_options: Mapping[str, str] = {}
    """The agent's, for the log driver that the payload names: secrets, and where ``awslogs`` finds AWS."""
    log_buffer_size: str = LOG_BUFFER_SIZE
    """Bound of a non-blocking log that names none."""
    docker_config: str = "{}"
    """JSON text of Docker's ``Config``, to be laid over."""
    docker_host_config: str = "{}"
    """JSON text of Docker's ``HostConfig``, to be laid over."""


def container_config(
    *,
    task: Task,
    container: Container,
    host_ports: Mapping[str, int],
    cluster: str,
    region: str,
    endpoint: str = "",
    image: str = "",
    task_network: TaskNetwork | None = None,
    metadata_folder: str = "",
    image_environment_names: frozenset[str],
    secrets: Mapping[Secret, str] | None = None,
    log_endpoint: str = "",
    log_credentials_id: str = "",
) -> ContainerConfig:
    """What is asked for one container of a task. Raises ``ContainerConfigError``.

    Args:
        host_ports: ``"<container port>/<protocol>"`` → host port, for every port to publish, ranges expanded.
        cluster: as configured, for the label.
        region: the agent's; ``""``: unknown.
        endpoint: of AWS, for the programs in the container; ``""``: they get no address.
        image: that the runtime is asked for; ``""``: the definition's.
        task_network: on which awsvpc tasks have their addresses; ``None``: there are none here.
        metadata_folder: the host's path of the folder with its metadata file; ``""``: it gets none.
        image_environment_names: set by the image's own ``Env``.
        secrets: values of ``container.definition.secrets``.
        log_endpoint: of CloudWatch Logs for the log driver ``awslogs``; ``""``: the region's own.
        log_credentials_id: what that driver asks for where a task has no execution role; ``""``: nothing.
    """
    definition = container.definition
    holds_network = container.kind is ContainerKind.CNI_PAUSE
    return ContainerConfig(
        docker_name=container.docker_name,
        task_arn=task.arn,
        container_name=container.name,
        image=image or definition.image,
        command=definition.command,
        entry_point=definition.entry_point,
        environment={
            **_environment(task, container, region, endpoint, image_environment_names),
            **_metadata_file(container, metadata_folder),
            **_secrets_for(secrets, is_log_option=False),
        },
        labels=ecs_labels(task, container, cluster),
        exposed_ports=tuple(host_ports) if holds_network else _exposed_ports(definition),
        published_ports=host_ports,
        publish_address="127.0.0.1" if holds_network else "",
        endpoint=_endpoint(task, task_network) if holds_network else None,
        network_mode=_network_mode(task, container),
        memory_bytes=max(definition.memory_mib * MIB, MEMORY_FLOOR_BYTES) if definition.memory_mib else 0,
        cpu_shares=min(max(definition.cpu_units, CPU_SHARES_RANGE[0]), CPU_SHARES_RANGE[1]),
        links=tuple(_link(task, link) for link in definition.links),
        volumes_of=tuple(
            VolumesOf(docker_name=_sibling(task, source.source_container, "Volume"), read_only=source.read_only)
            for source in definition.volumes_from
        ),
        binds=(
            *(_bind(task, container.name, point) for point in definition.mount_points),
            *((Bind(source=metadata_folder, container_path=_metadata_folder(container)),) if metadata_folder else ()),
        ),
        cgroup_parent=parent_of(task),
        pid_mode=_namespace(task, container, task.pid_mode, ("host",)),
        ipc_mode=_namespace(task, container, task.ipc_mode, ("host", "none")),
        needs_health_check=definition.health_check_is_docker,
        log_options={
            **_secrets_for(secrets, is_log_option=True),
            **_awslogs(task, container, log_endpoint, log_credentials_id),
        },
        docker_config=definition.docker_config,
        docker_host_config=definition.docker_host_config,
    )


def _metadata_file(container: Container, metadata_folder: str) -> dict[str, str]:
    if not metadata_folder:
        return {}
    return {"ECS_CONTAINER_METADATA_FILE": f"{_metadata_folder(container)}/{METADATA_FILE_NAME}"}


def _metadata_folder(container: Container) -> str:
    return f"{METADATA_FOLDER}/{container.name_suffix}"


def ecs_labels(task: Task, container: Container, cluster: str) -> dict[str, str]:
    """Those of ECS, which no others may replace. ``cluster``: as configured."""
    return {
        TASK_ARN_LABEL: task.arn,
        CONTAINER_NAME_LABEL: container.name,
        FAMILY_LABEL: task.family,
        VERSION_LABEL: task.version,
        CLUSTER_LABEL: cluster,
    }


def task_endpoint(task: Task, *, port: int, bridge_address: str) -> str:
    """URL at which a task reaches ``port`` of this host; ``""``: it does not.

    ``bridge_address``: this host's on Docker's default bridge; ``""``: there is none.
    """
    address = bridge_address if task.network_mode.is_bridge else ""
    if task.network_mode is NetworkMode.HOST:
        address = "127.0.0.1"
    if task.interface is not None:
        address = task.interface.gateway.partition("/")[0]
    return f"http://{address}:{port}" if address else ""


def _environment(
    task: Task, container: Container, region: str, endpoint: str, image_names: frozenset[str]
) -> dict[str, str]:
    environment = dict(container.definition.environment)
    if container.is_agents_own:
        return environment
    region_names = ("AWS_REGION", "AWS_DEFAULT_REGION")
    if region and not any(name in environment or name in image_names for name in region_names):
        environment |= dict.fromkeys(region_names, region)
    own = {*environment, *image_names}
    if endpoint and _ENDPOINT_OF_ALL not in own:  # else it would go before the user's, being more specific
        environment |= {name: endpoint for name in _ENDPOINTS if name not in own}
    if task.credentials_id:
        environment["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = f"/v2/credentials/{task.credentials_id}"
    if container.endpoint_id and task.network_mode is not NetworkMode.NONE:  # from there nothing is reached
        environment |= {
            "ECS_CONTAINER_METADATA_URI": f"{METADATA_SERVER}/v3/{container.endpoint_id}",
            "ECS_CONTAINER_METADATA_URI_V4": f"{METADATA_SERVER}/v4/{container.endpoint_id}",
            "ECS_AGENT_URI": f"{METADATA_SERVER}/api/{container.endpoint_id}",
        }
    return environment


def _secrets_for(secrets: Mapping[Secret, str] | None, *, is_log_option: bool) -> dict[str, str]:
    return {secret.name: value for secret, value in (secrets or {}).items() if secret.is_log_option is is_log_option}


def _awslogs(task: Task, container: Container, endpoint: str, credentials_id: str) -> dict[str, str]:
    """How Docker's log driver finds AWS: at which endpoint, with whose credentials. Source: engine.md §6.7."""
    definition = container.definition
    driver, _ = log_options(definition)
    options = {"awslogs-endpoint": endpoint} if endpoint and driver == "awslogs" else {}
    if definition.logs_as_execution_role:
        credentials_id = task.execution_credentials_id
        if not credentials_id:
            _fail("HostConfigError", "No execution credentials set for the task")
    if credentials_id and (definition.logs_as_execution_role or driver == "awslogs"):
        options["awslogs-credentials-endpoint"] = f"/v2/credentials/{credentials_id}"
    return options


def _exposed_ports(definition: ContainerDefinition) -> tuple[str, ...]:
    ports: list[str] = []
    for mapping in definition.port_mappings:
        if mapping.container_port_range is None:
            ports.append(f"{mapping.container_port}/{mapping.protocol}")
            continue
        first, dash, last = mapping.container_port_range.partition("-")
        if not (dash and first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
            _fail(
                "DockerClientConfigError",
                f"Invalid container port range {mapping.container_port_range!r}: write first-last, e.g. 8000-8010",
            )
        ports += [f"{port}/{mapping.protocol}" for port in range(int(first), int(last) + 1)]
    return tuple(ports)


def _link(task: Task, link: str) -> Link:
    target, colon, alias = link.partition(":")
    if ":" in alias:
        _fail("HostConfigError", f"Invalid link format: {link!r} has more than one colon")
    return Link(docker_name=_sibling(task, target, "Link"), alias=alias if colon else target)


def _sibling(task: Task, name: str, what: str) -> str:
    container = task.container(name)
    if container is None or not container.docker_name:
        _fail("HostConfigError", f"{what} target not available: {name}")
    return container.docker_name


def _bind(task: Task, container_name: str, point: MountPoint) -> Bind:
    volume = task.volume(point.source_volume)
    if volume is None:
        _fail("HostConfigError", f"Invalid volume referenced: {point.source_volume}")
    source = volume.source_path if volume.kind is VolumeKind.BIND else volume.docker_name
    if not source or not point.container_path:
        _fail(
            "HostConfigError",
            f"Unable to resolve volume mounts; invalid path: {container_name} {volume.name}; "
            f"{source} -> {point.container_path}",
        )
    return Bind(source=source, container_path=point.container_path, read_only=point.read_only)


def _namespace(task: Task, container: Container, mode: str, known: tuple[str, ...]) -> str:
    """Of a container: the host's, that of its task, none, or (``""``) its own."""
    if container.is_agents_own:
        return ""
    if mode == "task":
        return _shared_with(task, NAMESPACE_PAUSE)
    return mode if mode in known else ""


def _network_mode(task: Task, container: Container) -> str:
    if container.kind is ContainerKind.NAMESPACE_PAUSE:
        return "none"
    return "" if container.is_agents_own or task.interface is None else _shared_with(task, NETWORK_PAUSE)


def _shared_with(task: Task, pause_name: str) -> str:
    pause = task.container(pause_name)
    if pause is None or not pause.docker_id:
        _fail("HostConfigError", f"the pause container {pause_name} of the task is not there")
    return f"container:{pause.docker_id}"


def _endpoint(task: Task, network: TaskNetwork | None) -> Endpoint:
    """What the definitions of the task's containers say of names holds for all of them: they share one resolver."""
    if task.interface is None or network is None:
        _fail("HostConfigError", "there is no network for awsvpc tasks here any more: ECSCOPE_TASK_BRIDGE is not set")
    servers = _words_of(task, "dns")
    domains = _words_of(task, "dnssearch")
    return Endpoint(
        network=network.bridge,
        ipv4=task.interface.ipv4,
        mac=task.interface.mac,
        hostname=task.interface.private_dns_name,
        dns_servers=servers or task.interface.domain_name_servers,
        dns_search_domains=domains or task.interface.domain_names,
    )


def _words_of(task: Task, name: str) -> tuple[str, ...]:
    """What a list of Docker's ``HostConfig`` holds in any container of the task; the name in lower case.

    What cannot be read fails when its container is created, with its own error.
    """
    words: list[str] = []
    for container in task.containers:
        try:
            given = msgspec.json.decode(container.definition.docker_host_config or "{}")
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            continue
        for key, value in given.items() if isinstance(given, dict) else ():
            if key.casefold() == name and isinstance(value, list):
                words += [word for word in value if isinstance(word, str)]
    return tuple(dict.fromkeys(words))


def _fail(name: str, message: str) -> NoReturn:
    raise ContainerConfigError(NamedError(name=name, message=message))
