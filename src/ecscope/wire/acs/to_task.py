"""A task of an ACS payload, made into ours. Pure: no I/O, no clock, no random numbers.

Three things can be wrong with a task, and each goes its own way:

- what the official agent cannot convert either is a ``TaskConversionError``;
- what it can do and ecscope cannot is named in ``Task.unsupported``: the core stops such a task with that reason;
- what does not keep a task from running is left out and reported by ``left_out``.

Docker's own settings stay JSON text here: what is wrong in them shows when the container is created.

Source: agent-protocol.md §4.5; engine.md §2, §4.4, §5-§9.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from ipaddress import AddressValueError, IPv4Address, IPv4Interface, NetmaskValueError

import msgspec

from ecscope.model import refused
from ecscope.model.arn import TaskArn
from ecscope.model.container import (
    Container,
    ContainerDefinition,
    Dependency,
    DependencyCondition,
    MountPoint,
    PortMapping,
    RegistryLogin,
    RestartPolicy,
    Secret,
    SecretStore,
    VolumeFrom,
)
from ecscope.model.credentials import RoleType, TaskCredentials
from ecscope.model.network import NetworkMode, TaskInterface, network_mode
from ecscope.model.status import TaskStatus
from ecscope.model.task import Task, Volume
from ecscope.taskdefinition.volumes import bind_volume, docker_volume
from ecscope.wire.acs.payload import (
    PayloadAsmAuthData,
    PayloadContainer,
    PayloadDependency,
    PayloadDockerConfig,
    PayloadEcrAuthData,
    PayloadNetworkInterface,
    PayloadPortMapping,
    PayloadRegistryAuthentication,
    PayloadRestartPolicy,
    PayloadSecret,
    PayloadTask,
    PayloadVolume,
    RoleCredentials,
)

_DESIRED = {"RUNNING": TaskStatus.RUNNING, "STOPPED": TaskStatus.STOPPED}
_CONDITIONS = {
    condition.value: condition for condition in DependencyCondition if condition is not DependencyCondition.CREATE
}
_LARGEST_PORT = 65535
_LARGEST_VCPU = 2**32  # CPU units are counted in whole numbers, which must not run over
_REGISTRY_KINDS = ("ecr", "asm")

_ATTACHED_VOLUMES = {"amazonebs": refused.EBS, "s3files": refused.S3_FILES}
"""Attachments that carry a volume; the volume's own entry then says nothing."""
_FOREIGN_VOLUMES = {
    "efs": refused.EFS,
    "fsxWindowsFileServer": refused.FSX,
    "amazonebs": refused.EBS,
    "s3files": refused.S3_FILES,
    "attachment": refused.ATTACHED_VOLUMES,
}
"""What the official agent takes as ``type`` of a volume, besides ``host`` and ``docker``."""


class TaskConversionError(Exception):
    """The task makes no sense to the official agent; the text says why, and may go to ECS."""


class _Overrides(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``command`` is all that may be overridden here; ECS has merged the rest. Source: engine.md §2."""

    command: tuple[str, ...] | None = None


def to_task(
    payload_task: PayloadTask,
    *,
    suffixes: Callable[[], str],
    received_at: datetime,
    endpoint_ids: Callable[[], str] = lambda: "",
    has_task_network: bool = False,
) -> Task:
    """The task as the agent keeps it. Raises ``TaskConversionError``.

    What links and ``volumesFrom`` imply for the order is not added here, nor are pause containers.

    Args:
        suffixes: gives 20 fresh hex digits at each call; one for each container and volume.
        endpoint_ids: gives a fresh UUID that nobody can guess at each call, or ``""``: no task metadata is served.
        has_task_network: a task can have a network interface of its own here.
    """
    if not payload_task.arn:
        raise TaskConversionError("task ARN is empty")
    credentials = credentials_of(payload_task)
    family, version = payload_task.family or "", payload_task.version or ""
    containers = payload_task.containers or ()
    _check_unique("container", (container.name or "" for container in containers))
    task = Task(
        arn=TaskArn(payload_task.arn),
        family=family,
        version=version,
        desired=_desired(payload_task.desired_status),
        containers=tuple(
            Container(definition=_container(container), name_suffix=suffixes(), endpoint_id=endpoint_ids())
            for container in containers
        ),
        volumes=tuple(_volumes(payload_task, family=family, version=version, suffixes=suffixes)),
        network_mode=network_mode(payload_task.network_mode) or NetworkMode.DEFAULT,
        interface=_interface(payload_task) if has_task_network else None,
        pid_mode=payload_task.pid_mode or "",
        ipc_mode=payload_task.ipc_mode or "",
        cpu_vcpu=_vcpu(payload_task.cpu),
        memory_mib=max(payload_task.memory or 0, 0),
        launch_type=payload_task.launch_type or "EC2",
        cluster_arn=payload_task.task_cluster_arn or "",
        service_name=payload_task.service_name or "",
        group=payload_task.group or "",
        credentials_id=_id_of(credentials, RoleType.TASK_APPLICATION),
        execution_credentials_id=_id_of(credentials, RoleType.TASK_EXECUTION),
        received_at=received_at,
    )
    return msgspec.structs.replace(task, unsupported=_list(_unsupported(payload_task, has_task_network)))


def credentials_of(payload_task: PayloadTask) -> tuple[TaskCredentials, ...]:
    """The credentials that came with the task. Raises ``TaskConversionError`` (no ID, no ARN)."""
    return tuple(
        _credentials(payload_task, role_type, given)
        for role_type, given in (
            (RoleType.TASK_APPLICATION, payload_task.role_credentials),
            (RoleType.TASK_EXECUTION, payload_task.execution_role_credentials),
        )
        if given is not None
    )


def left_out(payload_task: PayloadTask) -> str:
    """What the task asks for and does without here, as one clause; ``""``: nothing."""
    return _list(_left_out(payload_task))


def _credentials(payload_task: PayloadTask, role_type: RoleType, given: RoleCredentials) -> TaskCredentials:
    if not given.credentials_id:
        raise TaskConversionError("CredentialsId is empty")
    if not payload_task.arn:
        raise TaskConversionError("task ARN is empty")
    return TaskCredentials(
        task_arn=TaskArn(payload_task.arn),
        role_type=role_type,
        credentials_id=given.credentials_id,
        role_arn=given.role_arn or "",
        access_key_id=given.access_key_id or "",
        secret_access_key=given.secret_access_key or "",
        session_token=given.session_token or "",
        expiration=given.expiration or "",
        scope=given.credential_scope or "",
    )


def _id_of(credentials: Iterable[TaskCredentials], role_type: RoleType) -> str:
    return next((held.credentials_id for held in credentials if held.role_type is role_type), "")


def _desired(word: str | None) -> TaskStatus:
    if word is None:
        return TaskStatus.RUNNING  # and unsupported, see below
    if word not in _DESIRED:
        raise TaskConversionError(f"Unrecognized TaskStatus: {word!r}; write RUNNING or STOPPED")
    return _DESIRED[word]


def _vcpu(number: float | None) -> float:
    """0 where there is none; negative is none, as in the official agent."""
    if number is None or number < 0:
        return 0.0
    if number > _LARGEST_VCPU:
        raise TaskConversionError(f"cpu of the task is {number} vCPU, which is more than {_LARGEST_VCPU}")
    return number


def _check_unique(what: str, names: Iterable[str]) -> None:
    """The core knows containers and volumes of a task by name."""
    twice = sorted(name for name, times in Counter(names).items() if times > 1)
    if twice:
        raise TaskConversionError(f"two {what}s of the task are named {twice[0]!r}")


# --- a container ----------------------------------------------------------------------------------


def _container(payload: PayloadContainer) -> ContainerDefinition:
    name = payload.name or ""
    docker = payload.docker_config or PayloadDockerConfig()
    return ContainerDefinition(
        name=name,
        image=payload.image or "",
        essential=payload.essential or False,  # absent means no, other than in a task definition
        command=_command(payload),
        entry_point=payload.entry_point or None,
        environment=payload.environment or {},
        cpu_units=_whole(payload.cpu, "cpu", name),
        memory_mib=_whole(payload.memory, "memory", name),
        links=payload.links or (),
        volumes_from=tuple(
            VolumeFrom(source_container=source.source_container or "", read_only=source.read_only or False)
            for source in payload.volumes_from or ()
        ),
        mount_points=tuple(
            MountPoint(
                source_volume=point.source_volume or "",
                container_path=point.container_path or "",
                read_only=point.read_only or False,
            )
            for point in payload.mount_points or ()
        ),
        port_mappings=tuple(_port_mapping(mapping, name) for mapping in payload.port_mappings or ()),
        depends_on=tuple(_dependency(dependency, name) for dependency in payload.depends_on or ()),
        start_timeout_s=_whole(payload.start_timeout, "startTimeout", name) or None,
        stop_timeout_s=_whole(payload.stop_timeout, "stopTimeout", name) or None,
        health_check_is_docker=payload.health_check_type == "docker",
        restart_policy=_restart_policy(payload.restart_policy),
        docker_config="{}" if docker.config is None else docker.config,
        docker_host_config="{}" if docker.host_config is None else docker.host_config,
        arn=payload.container_arn or "",
        registry_login=_registry_login(payload.registry_authentication),
        secrets=tuple(_secret(secret, name) for secret in payload.secrets or ()),
        logs_as_execution_role=payload.logs_auth_strategy == "ExecutionRole",
    )


def _command(payload: PayloadContainer) -> tuple[str, ...] | None:
    """An empty list asks for nothing, like an absent one: the image's own is used."""
    command = payload.command
    if payload.overrides is not None:
        try:
            overrides = msgspec.json.decode(payload.overrides, type=_Overrides | None)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise TaskConversionError(
                f"Could not unmarshal ContainerOverrides in any supported way: container {payload.name!r}: {error}"
            ) from error
        if overrides is not None and overrides.command is not None:
            command = overrides.command
    return command or None


def _whole(number: int | None, member: str, container_name: str, *, largest: int | None = None) -> int:
    """The number, 0 where there is none. Raises ``TaskConversionError`` outside of 0…``largest``."""
    if number is None:
        return 0
    if number < 0 or (largest is not None and number > largest):
        bounds = "negative" if number < 0 else f"more than {largest}"
        raise TaskConversionError(f"{member} of container {container_name!r} is {number}, which is {bounds}")
    return number


def _port_mapping(payload: PayloadPortMapping, container_name: str) -> PortMapping:
    if payload.protocol not in (None, "tcp", "udp"):
        raise TaskConversionError(f'TransportProtocol must be "tcp" or "udp"; Got {payload.protocol!r}')
    return PortMapping(
        container_port=_whole(payload.container_port, "containerPort", container_name, largest=_LARGEST_PORT),
        host_port=_whole(payload.host_port, "hostPort", container_name, largest=_LARGEST_PORT),
        container_port_range=payload.container_port_range or None,
        protocol=payload.protocol or "tcp",
    )


def _dependency(payload: PayloadDependency, container_name: str) -> Dependency:
    condition = _CONDITIONS.get(payload.condition or "")
    if condition is None:
        raise TaskConversionError(
            f"dependsOn of container {container_name!r}: unrecognized condition {payload.condition!r};"
            f" write one of {', '.join(_CONDITIONS)}"
        )
    return Dependency(container_name=payload.container_name or "", condition=condition)


def _restart_policy(payload: PayloadRestartPolicy | None) -> RestartPolicy | None:
    if payload is None:
        return None
    return RestartPolicy(
        enabled=payload.enabled or False,
        ignored_exit_codes=payload.ignored_exit_codes or (),
        restart_attempt_period_s=max(payload.restart_attempt_period or 0, 0),
    )


def _registry_login(payload: PayloadRegistryAuthentication | None) -> RegistryLogin | None:
    """Other kinds than ``ecr`` and ``asm`` are passed over, as in the official agent."""
    if payload is None or payload.type not in _REGISTRY_KINDS:
        return None
    if payload.type == "asm":
        asm = payload.asm_auth_data or PayloadAsmAuthData()
        return RegistryLogin(kind="asm", region=asm.region or "", secret_arn=asm.credentials_parameter or "")
    ecr = payload.ecr_auth_data or PayloadEcrAuthData()
    return RegistryLogin(
        kind="ecr",
        region=ecr.region or "",
        registry_id=ecr.registry_id or "",
        endpoint_override=ecr.endpoint_override or "",
        use_execution_role=ecr.use_execution_role or False,
    )


def _secret(payload: PayloadSecret, container_name: str) -> Secret:
    """Source: control-plane.md §10.2; the words for ``target`` and ``provider`` are official."""
    try:
        store = SecretStore(payload.provider)
    except ValueError:
        raise TaskConversionError(
            f"secret {payload.name!r} of container {container_name!r}: unrecognized provider {payload.provider!r};"
            f" write {SecretStore.PARAMETER_STORE.value} or {SecretStore.SECRETS_MANAGER.value}"
        ) from None
    return Secret(
        name=payload.name or "",
        store=store,
        value_from=payload.value_from or "",
        region=payload.region or "",
        is_log_option=payload.target == "LOG_DRIVER",
    )


# --- the network interface -------------------------------------------------------------------------


def _interface(payload_task: PayloadTask) -> TaskInterface | None:
    """The first of the task's; ``None``: it has none. The task needs an address that can be given to a container."""
    interfaces = payload_task.elastic_network_interfaces
    if not interfaces:
        return None
    given = interfaces[0]
    if not given.mac_address or not given.ec2_id:
        raise TaskConversionError("elasticNetworkInterfaces: a network interface lacks macAddress or ec2Id")
    address = _primary_address(given)
    gateway = given.subnet_gateway_ipv4_address or ""
    try:
        subnet = IPv4Interface(gateway).network if "/" in gateway else None
        is_inside = subnet is not None and IPv4Address(address) in subnet
    except (AddressValueError, NetmaskValueError):
        is_inside = False
    if not is_inside:
        raise TaskConversionError(
            f"elasticNetworkInterfaces: the address {address!r} of {given.ec2_id} is not in the subnet of the gateway"
            f" {gateway!r}"
        )
    return TaskInterface(
        eni_id=given.ec2_id,
        attachment_arn=given.attachment_arn or "",
        mac=given.mac_address.lower(),
        ipv4=address,
        gateway=gateway,
        private_dns_name=given.private_dns_name or "",
        domain_name_servers=given.domain_name_servers or (),
        domain_names=given.domain_name or (),
    )


def _primary_address(interface: PayloadNetworkInterface) -> str:
    """``""``: it has no IPv4 address."""
    addresses = interface.ipv4_addresses or ()
    primary = next((address for address in addresses if address.primary), addresses[0] if addresses else None)
    return (primary.private_address if primary is not None else None) or ""


# --- volumes --------------------------------------------------------------------------------------


def _volumes(payload_task: PayloadTask, *, family: str, version: str, suffixes: Callable[[], str]) -> Iterator[Volume]:
    """Those that are supported here. The names of the errors are official. Source: engine.md §9."""
    if any(attachment.attachment_type in _ATTACHED_VOLUMES for attachment in payload_task.attachments or ()):
        return  # the task is stopped at once; entries of attached volumes may be empty
    payloads = payload_task.volumes or ()
    for payload in payloads:
        if not payload.name:
            raise TaskConversionError("invalid Volume; must include a name")
        match "host" if payload.type is None else payload.type:
            case "host":
                if payload.host is None:
                    raise TaskConversionError("invalid volume: empty volume configuration")
                if payload.host.source_path:
                    yield bind_volume(payload.name, payload.host.source_path)
                else:
                    yield docker_volume(payload.name, family=family, version=version, suffix=suffixes())
            case "docker":
                yield _docker_volume(payload, payload.name, family=family, version=version, suffix=suffixes())
            case kind:
                if kind not in _FOREIGN_VOLUMES:
                    raise TaskConversionError(f'unrecognized volume type: "{kind}"')
    _check_unique("volume", (payload.name or "" for payload in payloads))


def _docker_volume(payload: PayloadVolume, name: str, *, family: str, version: str, suffix: str) -> Volume:
    docker = payload.docker_volume_configuration
    if docker is None:
        raise TaskConversionError("invalid volume: empty volume configuration")
    is_shared = docker.scope != "task"  # also where no scope is given
    return docker_volume(
        name,
        family=family,
        version=version,
        suffix=suffix,
        is_shared=is_shared,
        driver=docker.driver,
        driver_options=docker.driver_opts,
        labels=docker.labels,
        autoprovision=docker.autoprovision or False,
    )


# --- what is not supported ---------------------------------------------------------------------------


def _list(features: Iterable[str]) -> str:
    """``a, b``, each once."""
    return ", ".join(dict.fromkeys(features))


def _unsupported(payload: PayloadTask, has_task_network: bool) -> Iterator[str]:
    if payload.desired_status is None:
        # The official agent accepts such a task and then does nothing with it, silently.
        yield "no desiredStatus"
    network = network_mode(payload.network_mode)
    interfaces = payload.elastic_network_interfaces or ()
    if network is None:
        yield f"network mode {payload.network_mode}"
    elif (interfaces or network.has_task_address) and not has_task_network:
        yield refused.AWSVPC.name
    elif network.has_task_address and not interfaces:
        yield "network mode awsvpc without a network interface"
    elif interfaces and not network.has_task_address:
        yield f"a network interface in network mode {network.value or 'bridge'}"
    if len(interfaces) > 1:
        yield "several network interfaces"
    if payload.proxy_configuration is not None:
        yield refused.APP_MESH.name
    for attachment in payload.attachments or ():
        if attachment.attachment_type == "serviceconnectdetail":
            yield refused.SERVICE_CONNECT.name
        elif attachment.attachment_type in _ATTACHED_VOLUMES:
            yield _ATTACHED_VOLUMES[attachment.attachment_type].name
    for volume in payload.volumes or ():
        if volume.type in _FOREIGN_VOLUMES:
            yield _FOREIGN_VOLUMES[volume.type].name
    for association in payload.associations or ():
        yield refused.GPU.name if association.type == "gpu" else f"associations of type {association.type}"
    if payload.trusted_execution_configuration is not None:
        yield refused.TRUSTED_EXECUTION.name
    for container in payload.containers or ():
        yield from _unsupported_in(container)


def _unsupported_in(container: PayloadContainer) -> Iterator[str]:
    name = container.name or ""
    if name == "service-connect":
        yield refused.SERVICE_CONNECT.name
    if container.firelens_configuration is not None or _log_driver(container) == "awsfirelens":
        yield refused.FIRELENS.name
    for feature, asked in (
        (refused.ENVIRONMENT_FILES, container.environment_files),
        (refused.CREDENTIAL_SPECS, container.credential_specs),
    ):
        if asked:
            yield f"{feature.name} (container {name})"


def _log_driver(container: PayloadContainer) -> str:
    """The log driver out of Docker's host config; ``""`` where none can be read: then the create call will say why."""
    text = container.docker_config.host_config if container.docker_config is not None else None
    try:
        log_config = _member(msgspec.json.decode(text or "{}"), "LogConfig")
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return ""
    driver = _member(log_config, "Type")
    return driver if isinstance(driver, str) else ""


def _member(value: object, name: str) -> object:
    """A member, its name in any case; the last of several counts."""
    if not isinstance(value, dict):
        return None
    return next((found for key, found in reversed(value.items()) if key.casefold() == name.casefold()), None)


def _left_out(payload: PayloadTask) -> Iterator[str]:
    for container in payload.containers or ():
        for agent in container.managed_agents or ():
            feature = "ECS Exec" if agent.name == "ExecuteCommandAgent" else f"managed agent {agent.name}"
            yield f"{feature} (container {container.name or ''})"
    if payload.enable_fault_injection:
        yield refused.FAULT_INJECTION.name
