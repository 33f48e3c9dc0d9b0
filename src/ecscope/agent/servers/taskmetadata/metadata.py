"""Tasks and containers as task metadata shows them, in versions 2, 3 and 4. Pure.

The versions differ in what they show and in the order of the members. An unchanged task is encoded once.

Source: task-metadata-api.md §8-§11.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from ecscope.agent.core.container_config import ecs_labels
from ecscope.agent.core.state import AgentState
from ecscope.agent.servers import go_json
from ecscope.agent.servers.go_time import timestamp
from ecscope.model.arn import TaskArn
from ecscope.model.container import Container
from ecscope.model.container_instance import ContainerInstance
from ecscope.model.network import NetworkMode, TaskInterface
from ecscope.model.status import ContainerStatus, HealthStatus
from ecscope.model.task import Task

_LEAST_CPU = 2
"""What Docker makes of fewer CPU shares."""


class _Shown(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """Parent of all: members stand in the order of the wire, those without a default are always sent."""


class PortEntry(_Shown, frozen=True, kw_only=True):
    """§9.1"""

    container_port: int = 0
    protocol: str
    host_port: int = 0
    host_ip: str = ""


class VolumeEntry(_Shown, frozen=True, kw_only=True):
    docker_name: str = ""
    source: str = ""
    destination: str = ""


class HealthEntry(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """§9.2"""

    status: str = ""
    status_since: str = ""
    exit_code: int = 0
    output: str = ""


class ContainerLimits(_Shown, frozen=True, kw_only=True):
    cpu: int = msgspec.field(name="CPU")
    memory: int


class TaskLimits(_Shown, frozen=True, kw_only=True):
    cpu: float = msgspec.field(name="CPU", default=0)
    """vCPU; a whole number is an ``int``, which is written without a point."""
    memory: int = 0


class NetworkEntry(_Shown, frozen=True, kw_only=True):
    """§10"""

    network_mode: str
    ipv4_addresses: tuple[str, ...] = msgspec.field(name="IPv4Addresses", default=())
    ipv6_addresses: tuple[str, ...] = msgspec.field(name="IPv6Addresses", default=())
    attachment_index: int | msgspec.UnsetType = msgspec.UNSET
    mac_address: str = msgspec.field(name="MACAddress", default="")
    ipv4_subnet: str = msgspec.field(name="IPv4SubnetCIDRBlock", default="")
    domain_name_servers: tuple[str, ...] = ()
    domain_name_search_list: tuple[str, ...] = ()
    private_dns_name: str = msgspec.field(name="PrivateDNSName", default="")
    subnet_gateway_ipv4_address: str = msgspec.field(name="SubnetGatewayIpv4Address", default="")


class ContainerV3(_Shown, frozen=True, kw_only=True):
    """§9; versions 2 and 3."""

    docker_id: str
    name: str
    docker_name: str
    image: str
    image_id: str = msgspec.field(name="ImageID")
    ports: tuple[PortEntry, ...] = ()
    labels: dict[str, str] = {}
    desired_status: str
    known_status: str
    exit_code: int | msgspec.UnsetType = msgspec.UNSET
    limits: ContainerLimits
    created_at: str = ""
    started_at: str = ""
    finished_at: str = ""
    type: str
    networks: tuple[NetworkEntry, ...] = ()
    health: HealthEntry | msgspec.UnsetType = msgspec.UNSET
    volumes: tuple[VolumeEntry, ...] = ()


class ContainerV4(_Shown, frozen=True, kw_only=True):
    """§9; version 4."""

    docker_id: str
    name: str
    docker_name: str
    image: str
    image_id: str = msgspec.field(name="ImageID")
    ports: tuple[PortEntry, ...] = ()
    labels: dict[str, str] = {}
    desired_status: str
    known_status: str
    exit_code: int | msgspec.UnsetType = msgspec.UNSET
    limits: ContainerLimits
    created_at: str = ""
    started_at: str = ""
    finished_at: str = ""
    type: str
    health: HealthEntry | msgspec.UnsetType = msgspec.UNSET
    volumes: tuple[VolumeEntry, ...] = ()
    log_driver: str = ""
    log_options: dict[str, str] = {}
    container_arn: str = msgspec.field(name="ContainerARN", default="")
    networks: tuple[NetworkEntry, ...] = ()
    restart_count: int | msgspec.UnsetType = msgspec.UNSET


class TagError(_Shown, frozen=True, kw_only=True):
    """Tags that could not be read. §11"""

    error_field: str
    error_code: str = ""
    error_message: str = ""
    status_code: int = 0
    request_id: str = ""
    resource_arn: str = msgspec.field(name="ResourceARN", default="")


class Tags(msgspec.Struct, frozen=True, kw_only=True):
    """What the routes ``…WithTags`` add. §11"""

    task: Mapping[str, str] = {}
    container_instance: Mapping[str, str] = {}
    errors: tuple[TagError, ...] = ()


class TaskV3(_Shown, frozen=True, kw_only=True):
    """§8; versions 2 and 3."""

    cluster: str
    task_arn: str = msgspec.field(name="TaskARN")
    family: str
    revision: str
    desired_status: str = ""
    known_status: str
    containers: tuple[ContainerV3, ...] = ()
    limits: TaskLimits | msgspec.UnsetType = msgspec.UNSET
    pull_started_at: str = ""
    pull_stopped_at: str = ""
    execution_stopped_at: str = ""
    availability_zone: str = ""
    task_tags: dict[str, str] = {}
    container_instance_tags: dict[str, str] = {}


class TaskV4(_Shown, frozen=True, kw_only=True):
    """§8; version 4."""

    cluster: str
    task_arn: str = msgspec.field(name="TaskARN")
    family: str
    revision: str
    desired_status: str = ""
    known_status: str
    limits: TaskLimits | msgspec.UnsetType = msgspec.UNSET
    pull_started_at: str = ""
    pull_stopped_at: str = ""
    execution_stopped_at: str = ""
    availability_zone: str = ""
    task_tags: dict[str, str] = {}
    container_instance_tags: dict[str, str] = {}
    launch_type: str = ""
    errors: tuple[TagError, ...] = ()
    containers: tuple[ContainerV4, ...] = ()
    service_name: str = ""
    fault_injection_enabled: bool


# --- objects --------------------------------------------------------------------------------------


def container_entry(task: Task, container: Container, cluster: str, *, version: int) -> ContainerV3 | ContainerV4:
    """One container. §9"""
    shown: dict[str, Any] = {
        "docker_id": container.docker_id,
        "name": container.name,
        "docker_name": container.docker_name,
        "image": container.definition.image,
        "image_id": "" if container.is_agents_own else container.image_id,
        "ports": _ports(task, container, version),
        "labels": _sorted(container.labels or _expected_labels(task, container, cluster)),
        "desired_status": _desired(container).value,
        "known_status": container.known.value,
        "exit_code": msgspec.UNSET if container.exit_code is None else container.exit_code,
        "limits": ContainerLimits(
            cpu=max(container.definition.cpu_units, _LEAST_CPU), memory=container.definition.memory_mib
        ),
        "created_at": timestamp(container.created_at),
        "started_at": timestamp(container.started_at),
        "finished_at": timestamp(container.finished_at),
        "type": container.kind.value,
        "networks": networks(task, container, version=version),
        "health": _health(container) if container.definition.health_check_is_docker else msgspec.UNSET,
        "volumes": tuple(
            VolumeEntry(docker_name=mount.name, source=mount.source, destination=mount.destination)
            for mount in container.mounts
        ),
    }
    if version < 4:
        return ContainerV3(**shown)
    driver, options = _log_config(container.definition.docker_host_config)
    return ContainerV4(
        **shown,
        log_driver=driver,
        log_options=_sorted(options),
        container_arn=container.definition.arn,
        restart_count=container.restart_count if container.restarts else msgspec.UNSET,
    )


def networks(task: Task, container: Container, *, version: int) -> tuple[NetworkEntry, ...]:
    """``()``: nothing is known yet of the container's networks. §10"""
    if task.interface is not None:
        return (_interface(task.interface, version),)
    if version == 2:
        return ()
    return tuple(
        NetworkEntry(
            network_mode=network.name,
            ipv4_addresses=(network.ipv4,),  # Quirk: also where there is none
            ipv6_addresses=(network.ipv6,) if network.ipv6 and version == 4 else (),
        )
        for network in container.networks
    )


def _interface(interface: TaskInterface, version: int) -> NetworkEntry:
    """The same for every container of its task."""
    entry = NetworkEntry(network_mode=NetworkMode.AWSVPC.value, ipv4_addresses=(interface.ipv4,))
    if version < 4:
        return entry
    return msgspec.structs.replace(
        entry,
        attachment_index=0,
        mac_address=interface.mac,
        ipv4_subnet=interface.subnet,
        domain_name_servers=interface.domain_name_servers,
        domain_name_search_list=interface.domain_names,
        private_dns_name=interface.private_dns_name,
        subnet_gateway_ipv4_address=interface.gateway,
    )


def task_entry(
    task: Task, instance: ContainerInstance, *, version: int, tags: Tags | None = None, shows_zone: bool = True
) -> TaskV3 | TaskV4:
    """One task, with the containers that its version shows. §8"""
    tags = tags or Tags()
    containers = tuple(
        container_entry(task, container, instance.cluster, version=version)
        for container in _shown_containers(task, version)
    )
    shown: dict[str, Any] = {
        "cluster": instance.cluster,
        "task_arn": task.arn,
        "family": task.family,
        "revision": task.version,
        "desired_status": task.desired.value,
        "known_status": task.known.value,
        "containers": containers,
        "limits": TaskLimits(cpu=_go_number(task.cpu_vcpu), memory=task.memory_mib)
        if task.cpu_vcpu or task.memory_mib
        else msgspec.UNSET,
        "pull_started_at": _moment(task.pull_started_at),
        "pull_stopped_at": _moment(task.pull_stopped_at),
        "execution_stopped_at": _moment(task.execution_stopped_at),
        "availability_zone": instance.availability_zone if shows_zone else "",
        "task_tags": _sorted(tags.task),
        "container_instance_tags": _sorted(tags.container_instance),
    }
    if version < 4:
        return TaskV3(**shown)
    return TaskV4(
        **shown,
        launch_type=task.launch_type,
        errors=tags.errors,
        service_name=task.service_name,
        fault_injection_enabled=False,
    )


def _shown_containers(task: Task, version: int) -> Iterator[Container]:
    """Those whose creation has begun; in version 4 after them those that are only pulled. §8"""
    yield from (container for container in task.containers if container.docker_name)
    if version == 4:
        yield from (c for c in task.containers if not c.docker_name and c.known is ContainerStatus.PULLED)


def _desired(container: Container) -> ContainerStatus:
    return container.kind.steady_status if container.desired is ContainerStatus.RUNNING else container.desired


def _ports(task: Task, container: Container, version: int) -> tuple[PortEntry, ...]:
    """What Docker bound; in the official agent a pause container publishes nothing."""
    if container.is_agents_own:
        return ()
    return tuple(
        PortEntry(
            container_port=bound.container_port,
            protocol=bound.protocol,
            host_port=bound.host_port if task.interface is None else bound.container_port,
            host_ip=bound.host_ip if version == 4 else "",
        )
        for bound in container.bindings
    )


def _health(container: Container) -> HealthEntry:
    health = container.health
    known = health.status is not HealthStatus.UNKNOWN
    return HealthEntry(
        status=health.status.value if known else "",
        status_since=timestamp(health.since) if known else "",
        exit_code=health.exit_code or 0,
        output=health.output,
    )


def _expected_labels(task: Task, container: Container, cluster: str) -> dict[str, str]:
    """What was asked of Docker, until it shows what it made of that."""
    asked = _member(_decoded(container.definition.docker_config), "Labels")
    given = {k: v for k, v in asked.items() if isinstance(v, str)} if isinstance(asked, dict) else {}
    return given | ecs_labels(task, container, cluster)


def _log_config(docker_host_config: str) -> tuple[str, dict[str, str]]:
    """The log driver and its options as ECS sent them; ``""``: none was named."""
    log_config = _member(_decoded(docker_host_config), "LogConfig")
    driver, options = _member(log_config, "Type"), _member(log_config, "Config")
    return (
        driver if isinstance(driver, str) else "",
        {k: v for k, v in options.items() if isinstance(v, str)} if isinstance(options, dict) else {},
    )


def _decoded(text: str) -> object:
    """``None`` if it is not JSON: the container cannot be created then."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _member(value: object, name: str) -> object:
    """A member, its name in any case, as Docker reads it."""
    if not isinstance(value, dict):
        return None
    return next((found for key, found in reversed(value.items()) if key.casefold() == name.casefold()), None)


def _sorted(values: Mapping[str, str]) -> dict[str, str]:
    return dict(sorted(values.items()))


def _go_number(number: float) -> float:
    """A whole one is written without a point."""
    return int(number) if number == int(number) else number


def _moment(at: datetime | None) -> str:
    return "" if at is None else timestamp(at.isoformat())


# --- answers --------------------------------------------------------------------------------------


class MetadataViews:
    """Encoded answers, each kept until its task changes."""

    def __init__(self, *, shows_zone: bool = True) -> None:
        self._shows_zone = shows_zone
        self._kept: dict[TaskArn, tuple[Task, ContainerInstance, dict[tuple[int, str], bytes]]] = {}

    def task(self, state: AgentState, task: Task, *, version: int) -> bytes:
        """The body of ``/task``."""
        return self._kept_or(state, task, (version, ""), lambda: self._task(state, task, version, None))

    def task_with_tags(self, state: AgentState, task: Task, tags: Tags, *, version: int) -> bytes:
        """The body of ``/taskWithTags``; tags are asked for each time."""
        return self._task(state, task, version, tags)

    def container(self, state: AgentState, task: Task, container: Container, *, version: int) -> bytes:
        """The body for one container."""
        cluster = state.instance.cluster
        return self._kept_or(
            state,
            task,
            (version, container.name),
            lambda: go_json.encode(container_entry(task, container, cluster, version=version)),
        )

    def _task(self, state: AgentState, task: Task, version: int, tags: Tags | None) -> bytes:
        entry = task_entry(task, state.instance, version=version, tags=tags, shows_zone=self._shows_zone)
        return go_json.encode(entry)

    def _kept_or(self, state: AgentState, task: Task, key: tuple[int, str], make: Callable[[], bytes]) -> bytes:
        kept = self._kept.get(task.arn)
        if kept is None or kept[0] is not task or kept[1] is not state.instance:
            if len(self._kept) > len(state.tasks):
                self._kept = {arn: one for arn, one in self._kept.items() if arn in state.tasks}
            kept = self._kept[task.arn] = (task, state.instance, {})
        bodies = kept[2]
        if key not in bodies:
            bodies[key] = make()
        return bodies[key]
