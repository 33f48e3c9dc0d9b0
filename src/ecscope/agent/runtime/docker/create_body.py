"""From a container of a task to the body of Docker's create call. Pure.

Docker's ``Config`` and ``HostConfig`` are generated, then the two JSON strings of the
payload are laid over them the way Go's decoder does it: member names in any case, lists and
plain values replaced, maps merged by key, ``null`` empties lists and maps and leaves plain
values. What only the agent may say (labels, cgroup parent, pid and ipc mode, log buffer)
comes last.

Source: engine.md §6.1-§6.7, §7-§9.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ecscope.agent.runtime.docker.events import TASK_ARN_LABEL
from ecscope.agent.runtime.docker.inspect import CONTAINER_NAME_LABEL
from ecscope.agent.runtime.interface import ContainerSpec, RuntimeFailure
from ecscope.model.container import ContainerDefinition, MountPoint, NamedError
from ecscope.model.task import Task, VolumeKind

FAMILY_LABEL = "com.amazonaws.ecs.task-definition-family"
VERSION_LABEL = "com.amazonaws.ecs.task-definition-version"
CLUSTER_LABEL = "com.amazonaws.ecs.cluster"

MIB = 1048576
MEMORY_FLOOR_BYTES = 4 * MIB
CPU_SHARES_RANGE = (2, 262144)
LOG_BUFFER_SIZE = "10m"
"""``max-buffer-size`` for ``mode=non-blocking``. Source: engine.md §6.7."""

_TEXT, _FLAG, _NUMBER, _LIST, _MAP, _OBJECT, _WORDS = "string", "bool", "int64", "[]", "map", "struct", "[]string"
"""Kinds of members, in Go's words. ``_WORDS`` may be a single string as well."""


def _table(groups: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Members by casefolded name: Docker's spelling and kind, from the names of each kind."""
    return {name.casefold(): (name, kind) for kind, names in groups.items() for name in names.split()}


_CONFIG = _table(
    {
        _TEXT: "Hostname Domainname User Image WorkingDir MacAddress StopSignal",
        _FLAG: "AttachStdin AttachStdout AttachStderr Tty OpenStdin StdinOnce ArgsEscaped NetworkDisabled",
        _NUMBER: "StopTimeout",
        _LIST: "Env OnBuild",
        _WORDS: "Cmd Entrypoint Shell",
        _MAP: "ExposedPorts Volumes Labels",
        _OBJECT: "Healthcheck",
    }
)

_HOST_CONFIG = _table(
    {
        _TEXT: "ContainerIDFile NetworkMode VolumeDriver CgroupnsMode IpcMode Cgroup PidMode UTSMode UsernsMode "
        "Runtime Isolation CgroupParent CpusetCpus CpusetMems",
        _FLAG: "AutoRemove Privileged PublishAllPorts ReadonlyRootfs OomKillDisable Init",
        _NUMBER: "OomScoreAdj ShmSize CpuShares Memory NanoCpus BlkioWeight CpuPeriod CpuQuota CpuRealtimePeriod "
        "CpuRealtimeRuntime KernelMemory KernelMemoryTCP MemoryReservation MemorySwap MemorySwappiness PidsLimit "
        "CpuCount CpuPercent IOMaximumIOps IOMaximumBandwidth",
        _LIST: "Binds VolumesFrom Dns DnsOptions DnsSearch ExtraHosts GroupAdd Links SecurityOpt ConsoleSize "
        "BlkioWeightDevice BlkioDeviceReadBps BlkioDeviceWriteBps BlkioDeviceReadIOps BlkioDeviceWriteIOps Devices "
        "DeviceCgroupRules DeviceRequests Ulimits Mounts MaskedPaths ReadonlyPaths",
        _WORDS: "CapAdd CapDrop",
        _MAP: "PortBindings StorageOpt Tmpfs Sysctls Annotations",
        _OBJECT: "LogConfig RestartPolicy",
    }
)

_POINTERS = frozenset({"Healthcheck", "StopTimeout", "MemorySwappiness", "OomKillDisable", "PidsLimit", "Init"})
"""Members that ``null`` empties, although they are neither lists nor maps."""

_LOG_CONFIG = _table({_TEXT: "Type", _MAP: "Config"})


class _Undecodable(Exception):
    """The overlay is not what Go's decoder would take."""


def create_body(spec: ContainerSpec) -> dict[str, Any]:
    """The body, ready to be encoded as JSON.

    Raises:
        RuntimeFailure: ``DockerClientConfigError`` or ``HostConfigError``; the container cannot be created as asked.
    """
    body = _config(spec)
    body["HostConfig"] = _host_config(spec)
    return body


def _config(spec: ContainerSpec) -> dict[str, Any]:
    definition = spec.container.definition
    config: dict[str, Any] = {"Image": definition.image, "Env": _environment(spec)}
    if definition.command is not None:
        config["Cmd"] = list(definition.command)
    if definition.entry_point is not None:
        config["Entrypoint"] = list(definition.entry_point)
    exposed = _exposed_ports(definition)
    if exposed:
        config["ExposedPorts"] = {port: {} for port in exposed}
    try:
        _lay_over(config, definition.docker_config, _CONFIG, "Config")
    except _Undecodable as error:
        raise _failure("DockerClientConfigError", f"Unable decode given docker config: {error}") from error
    if definition.health_check_is_docker and config.get("Healthcheck") is None:
        raise _failure(
            "DockerClientConfigError", "docker health check is nil while container health check type is DOCKER"
        )
    config["Labels"] = {**(config.get("Labels") or {}), **_labels(spec)}
    return config


def _environment(spec: ContainerSpec) -> list[str]:
    environment = dict(spec.container.definition.environment)
    region_names = ("AWS_REGION", "AWS_DEFAULT_REGION")
    if spec.region and not any(name in environment or name in spec.image_environment_names for name in region_names):
        environment |= dict.fromkeys(region_names, spec.region)
    if spec.task.credentials_id:
        environment["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = f"/v2/credentials/{spec.task.credentials_id}"
    return [f"{name}={value}" for name, value in environment.items()]


def _labels(spec: ContainerSpec) -> dict[str, str]:
    return {
        TASK_ARN_LABEL: spec.task.arn,
        CONTAINER_NAME_LABEL: spec.container.name,
        FAMILY_LABEL: spec.task.family,
        VERSION_LABEL: spec.task.version,
        CLUSTER_LABEL: spec.cluster,
    }


def _exposed_ports(definition: ContainerDefinition) -> list[str]:
    ports: list[str] = []
    for mapping in definition.port_mappings:
        if mapping.container_port_range is None:
            ports.append(f"{mapping.container_port}/{mapping.protocol}")
            continue
        first, dash, last = mapping.container_port_range.partition("-")
        if not (dash and first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
            raise _failure(
                "DockerClientConfigError",
                f"Invalid container port range {mapping.container_port_range!r}: write first-last, e.g. 8000-8010",
            )
        ports += [f"{port}/{mapping.protocol}" for port in range(int(first), int(last) + 1)]
    return ports


def _host_config(spec: ContainerSpec) -> dict[str, Any]:
    task, definition = spec.task, spec.container.definition
    host: dict[str, Any] = {
        "Memory": _memory_bytes(definition.memory_mib),
        "CpuShares": min(max(definition.cpu_units, CPU_SHARES_RANGE[0]), CPU_SHARES_RANGE[1]),
    }
    generated = {
        "Links": [_link(task, link) for link in definition.links],
        "VolumesFrom": [
            _sibling(task, source.source_container, "Volume") + (":ro" if source.read_only else "")
            for source in definition.volumes_from
        ],
        "Binds": [_bind(task, definition.name, point) for point in definition.mount_points],
        "PortBindings": {
            port: [{"HostIp": "", "HostPort": str(host_port)}] for port, host_port in spec.host_ports.items()
        },
    }
    host |= {name: value for name, value in generated.items() if value}
    try:
        _lay_over(host, definition.docker_host_config, _HOST_CONFIG, "HostConfig")
        _complete_log_config(host)
    except _Undecodable as error:
        raise _failure("HostConfigError", f"Unable to decode given host config: {error}") from error
    if spec.cgroup_parent:
        host["CgroupParent"] = spec.cgroup_parent
    host |= _namespaces(task)
    if not host.get("IpcMode"):
        # Quirk: the payload names an API version so old that the engine's default is this one.
        # Source: engine.md, Seen running, 8.
        host["IpcMode"] = "shareable"
    return host


def _memory_bytes(memory_mib: int) -> int:
    return max(memory_mib * MIB, MEMORY_FLOOR_BYTES) if memory_mib else 0


def _link(task: Task, link: str) -> str:
    target, colon, alias = link.partition(":")
    if ":" in alias:
        raise _failure("HostConfigError", f"Invalid link format: {link!r} has more than one colon")
    return f"{_sibling(task, target, 'Link')}:{alias if colon else target}"


def _sibling(task: Task, name: str, kind: str) -> str:
    container = task.container(name)
    if container is None or not container.docker_name:
        raise _failure("HostConfigError", f"{kind} target not available: {name}")
    return container.docker_name


def _bind(task: Task, container_name: str, point: MountPoint) -> str:
    volume = next((volume for volume in task.volumes if volume.name == point.source_volume), None)
    if volume is None:
        raise _failure("HostConfigError", f"Invalid volume referenced: {point.source_volume}")
    source = volume.source_path if volume.kind is VolumeKind.BIND else volume.docker_name
    if not source or not point.container_path:
        raise _failure(
            "HostConfigError",
            f"Unable to resolve volume mounts; invalid path: {container_name} {volume.name}; "
            f"{source} -> {point.container_path}",
        )
    return f"{source}:{point.container_path}{':ro' if point.read_only else ''}"


def _namespaces(task: Task) -> dict[str, str]:
    for kind, mode in (("pidMode", task.pid_mode), ("ipcMode", task.ipc_mode)):
        if mode == "task":
            raise _failure("HostConfigError", f"{kind} task is not supported: it needs a pause container; use host")
    modes = {}
    if task.pid_mode == "host":
        modes["PidMode"] = "host"
    if task.ipc_mode in ("host", "none"):
        modes["IpcMode"] = task.ipc_mode
    return modes


def _complete_log_config(host: dict[str, Any]) -> None:
    given = host.get("LogConfig")
    if not given:
        return
    log_config: dict[str, Any] = {}
    _merge(log_config, given, _LOG_CONFIG, "HostConfig.LogConfig")
    options = log_config.get("Config") or {}
    if options.get("mode") == "non-blocking" and "max-buffer-size" not in options:
        log_config["Config"] = {**options, "max-buffer-size": LOG_BUFFER_SIZE}
    host["LogConfig"] = log_config


def _lay_over(generated: dict[str, Any], text: str, members: Mapping[str, tuple[str, str]], what: str) -> None:
    try:
        overlay = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise _Undecodable(str(error)) from error
    if overlay is None:
        return
    if not isinstance(overlay, dict):
        raise _Undecodable(f"json: cannot unmarshal {_kind_of(overlay)} into Go value of type container.{what}")
    _merge(generated, overlay, members, what)


def _merge(target: dict[str, Any], overlay: dict[str, Any], members: Mapping[str, tuple[str, str]], what: str) -> None:
    for given_name, value in overlay.items():
        known = members.get(given_name.casefold())
        if known is None:
            # Not a member in any spelling we know. Newer engines may know it, but the names that
            # would change the meaning of the whole body are not the task's to write.
            if given_name.casefold() not in ("hostconfig", "networkingconfig"):
                target[given_name] = value
            continue
        name, kind = known
        if value is None:
            if kind not in (_TEXT, _FLAG, _NUMBER, _OBJECT) or name in _POINTERS:
                target.pop(name, None)
            continue
        if not _fits(value, kind):
            raise _Undecodable(
                f"json: cannot unmarshal {_kind_of(value)} into Go struct field {what}.{name} of type {kind}"
            )
        if kind is _MAP and name in target:
            target[name] = {**target[name], **value}
        else:
            target[name] = value


def _fits(value: object, kind: str) -> bool:
    match kind:
        case "string":
            return isinstance(value, str)
        case "bool":
            return isinstance(value, bool)
        case "int64":
            return isinstance(value, int) and not isinstance(value, bool)
        case "[]":
            return isinstance(value, list)
        case "[]string":
            return isinstance(value, (list, str))
        case _:
            return isinstance(value, dict)


def _kind_of(value: object) -> str:
    match value:
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def _failure(name: str, message: str) -> RuntimeFailure:
    return RuntimeFailure(NamedError(name=name, message=message))
