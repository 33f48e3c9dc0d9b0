"""Task definitions as people write them: read, checked, and made into tasks.

The shape is what ``aws ecs register-task-definition --cli-input-json`` takes, and also what
``aws ecs describe-task-definition`` gives as ``taskDefinition``. Pure: no I/O, no clock, no
random numbers. What cannot be done here is refused by name, never passed over in silence.

Source: control-plane.md §5, §10; engine.md §6, §7, §9.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from ecscope.model.arn import TaskArn
from ecscope.model.container import (
    Container,
    ContainerDefinition,
    Dependency,
    DependencyCondition,
    MountPoint,
    PortMapping,
    RestartPolicy,
    VolumeFrom,
)
from ecscope.model.task import Task, Volume
from ecscope.wire.json_positions import MAX_SIZE_BYTES, Document, JsonError, parse, plain
from ecscope.wire.task_definition_rules import check_rules, cpu_units, memory_mib
from ecscope.wire.task_definition_shape import TASK_DEFINITION, Mistake, Report
from ecscope.wire.task_volumes import bind_volume, docker_volume

__all__ = ["Mistake", "TaskDefinition", "TaskDefinitionError", "read_task_definition", "to_task"]

_MIB = 1024 * 1024
_NS = 1_000_000_000
_DEVICE_LETTERS = {"read": "r", "write": "w", "mknod": "m"}


class TaskDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """A definition without mistakes."""

    family: str
    revision: int | None
    """As written; ``None``: the file does not say."""
    digest: str
    """SHA-256 (hex) of the canonical form: layout and order of members do not change it."""
    members: Mapping[str, Any]
    """The checked JSON."""

    def __repr__(self) -> str:
        return f"TaskDefinition(family={self.family!r}, revision={self.revision!r}, digest={self.digest!r}, …)"


class TaskDefinitionError(Exception):
    """The text is no task definition that can run here; ``mistakes`` has every reason."""

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        super().__init__(mistakes)
        self.mistakes = mistakes

    def __str__(self) -> str:
        return "\n".join(str(mistake) for mistake in self.mistakes)


def read_task_definition(data: bytes) -> TaskDefinition:
    """The definition in ``data``. Raises ``TaskDefinitionError`` with every mistake in it."""
    try:
        document = parse(data, max_size_bytes=MAX_SIZE_BYTES)
    except JsonError as error:
        mistake = Mistake(line=error.line, column=error.column, path="", reason=error.reason)
        raise TaskDefinitionError((mistake,)) from None
    mistakes = _check(document)
    if mistakes:
        raise TaskDefinitionError(mistakes)
    members = plain(document.root)
    assert isinstance(members, dict)
    family = members["family"]
    revision = members.get("revision")
    assert isinstance(family, str)
    assert revision is None or isinstance(revision, int)
    return TaskDefinition(family=family, revision=revision, digest=_digest(members), members=members)


def _check(document: Document) -> tuple[Mistake, ...]:
    report = Report()
    for duplicate in document.duplicates:
        report.add_at(
            duplicate.line,
            duplicate.column,
            duplicate.path,
            f"stands twice in its object, first on line {duplicate.first_line}",
        )
    root = document.root
    if isinstance(root.value, dict) and "taskDefinition" in root.value and "family" not in root.value:
        report.add(
            root.value["taskDefinition"],
            "taskDefinition",
            "is the answer of describe-task-definition; only what is inside taskDefinition belongs in the file",
        )
    elif not isinstance(root.value, dict):
        report.add(root, "", "a task definition is a JSON object")
    else:
        TASK_DEFINITION.check(root, "", report)
        check_rules(root, report)
    return report.mistakes()


def _digest(members: object) -> str:
    from hashlib import sha256  # noqa: PLC0415  # only when a task definition is read

    return sha256(msgspec.json.encode(members, order="sorted")).hexdigest()


# --- into a task ----------------------------------------------------------------------------------


def to_task(
    definition: TaskDefinition,
    *,
    arn: TaskArn,
    version: str,
    suffixes: Callable[[], str],
    received_at: datetime,
) -> Task:
    """The task that ECS would send to the agent for this definition.

    Does what the ECS control plane does on the way (defaults, units, what Docker takes as
    JSON text) and what the agent does on arrival (names of task volumes). What links and
    ``volumesFrom`` imply for the order is not added here.

    Args:
        version: the revision as text.
        suffixes: gives 20 fresh hex digits at each call; one for each container and volume.
    """
    members = definition.members
    network_mode: str = members.get("networkMode", "")
    return Task(
        arn=arn,
        family=definition.family,
        version=version,
        containers=tuple(
            Container(definition=_container(container, network_mode), name_suffix=suffixes())
            for container in members["containerDefinitions"]
        ),
        volumes=tuple(
            _volume(volume, family=definition.family, version=version, suffix=suffixes())
            for volume in members.get("volumes", ())
        ),
        network_mode=network_mode,
        pid_mode=members.get("pidMode", ""),
        ipc_mode=members.get("ipcMode", ""),
        cpu_vcpu=(cpu_units(members.get("cpu", "")) or 0) / 1024,
        memory_mib=memory_mib(members.get("memory", "")) or 0,
        received_at=received_at,
    )


def _container(members: Mapping[str, Any], network_mode: str) -> ContainerDefinition:
    return ContainerDefinition(
        name=members["name"],
        image=members["image"],
        essential=members.get("essential", True),
        command=_words(members, "command"),
        entry_point=_words(members, "entryPoint"),
        environment={
            "AWS_EXECUTION_ENV": "AWS_ECS_EC2",
            **{variable["name"]: variable["value"] for variable in members.get("environment", ())},
        },
        cpu_units=members.get("cpu", 0),
        memory_mib=members.get("memory", 0),
        links=tuple(members.get("links", ())),
        volumes_from=tuple(
            VolumeFrom(source_container=entry["sourceContainer"], read_only=entry.get("readOnly", False))
            for entry in members.get("volumesFrom", ())
        ),
        mount_points=tuple(
            MountPoint(
                source_volume=entry["sourceVolume"],
                container_path=entry["containerPath"],
                read_only=entry.get("readOnly", False),
            )
            for entry in members.get("mountPoints", ())
        ),
        port_mappings=tuple(_port_mapping(entry, network_mode) for entry in members.get("portMappings", ())),
        depends_on=tuple(
            Dependency(container_name=entry["containerName"], condition=DependencyCondition(entry["condition"]))
            for entry in members.get("dependsOn", ())
        ),
        start_timeout_s=members.get("startTimeout"),
        stop_timeout_s=members.get("stopTimeout"),
        health_check_is_docker="healthCheck" in members,
        restart_policy=_restart_policy(members.get("restartPolicy")),
        docker_config=_text(_config(members)),
        docker_host_config=_text(_host_config(members, network_mode)),
    )


def _words(members: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    """An empty list asks for nothing, like an absent one: the image's own is used."""
    return tuple(members.get(name, ())) or None


def _port_mapping(entry: Mapping[str, Any], network_mode: str) -> PortMapping:
    container_port = entry.get("containerPort", 0)
    return PortMapping(
        container_port=container_port,
        host_port=container_port if network_mode == "host" else entry.get("hostPort", 0),
        container_port_range=entry.get("containerPortRange"),
        protocol=entry.get("protocol", "tcp"),
    )


def _restart_policy(policy: Mapping[str, Any] | None) -> RestartPolicy | None:
    if policy is None:
        return None
    return RestartPolicy(
        enabled=policy["enabled"],
        ignored_exit_codes=tuple(policy.get("ignoredExitCodes", ())),
        restart_attempt_period_s=policy.get("restartAttemptPeriod", 300),
    )


def _volume(members: Mapping[str, Any], *, family: str, version: str, suffix: str) -> Volume:
    """Source: control-plane.md §10.4; engine.md §9."""
    source_path = members.get("host", {}).get("sourcePath", "")
    if source_path:
        return bind_volume(members["name"], source_path)
    docker = members.get("dockerVolumeConfiguration", {})
    return docker_volume(
        members["name"],
        family=family,
        version=version,
        suffix=suffix,
        is_shared=docker.get("scope") == "shared",
        driver=docker.get("driver"),
        driver_options=docker.get("driverOpts"),
        labels=docker.get("labels"),
        autoprovision=docker.get("autoprovision", False),
    )


def _text(members: Mapping[str, Any]) -> str:
    return msgspec.json.encode(members).decode()


def _config(members: Mapping[str, Any]) -> dict[str, Any]:
    """Docker's ``Config``: the part that the agent does not generate. Source: control-plane.md §10.3."""
    config: dict[str, Any] = {}
    for name, docker_name in (
        ("user", "User"),
        ("workingDirectory", "WorkingDir"),
        ("hostname", "Hostname"),
        ("dockerLabels", "Labels"),
        ("disableNetworking", "NetworkDisabled"),
        ("interactive", "OpenStdin"),
        ("pseudoTerminal", "Tty"),
    ):
        if name in members:
            config[docker_name] = members[name]
    health = members.get("healthCheck")
    if health is not None:
        config["Healthcheck"] = {
            "Test": health["command"],
            "Interval": health.get("interval", 30) * _NS,
            "Timeout": health.get("timeout", 5) * _NS,
            "Retries": health.get("retries", 3),
        }
        if health.get("startPeriod"):
            config["Healthcheck"]["StartPeriod"] = health["startPeriod"] * _NS
    return config


def _host_config(members: Mapping[str, Any], network_mode: str) -> dict[str, Any]:
    """Docker's ``HostConfig``: the part that the agent does not generate. Source: control-plane.md §10.3."""
    host: dict[str, Any] = {"NetworkMode": network_mode} if network_mode else {}
    for name, docker_name in (
        ("privileged", "Privileged"),
        ("readonlyRootFilesystem", "ReadonlyRootfs"),
        ("dnsServers", "Dns"),
        ("dnsSearchDomains", "DnsSearch"),
        ("dockerSecurityOptions", "SecurityOpt"),
    ):
        if name in members:
            host[docker_name] = members[name]
    if "extraHosts" in members:
        host["ExtraHosts"] = [f"{entry['hostname']}:{entry['ipAddress']}" for entry in members["extraHosts"]]
    if "ulimits" in members:
        host["Ulimits"] = [
            {"Name": limit["name"], "Soft": limit["softLimit"], "Hard": limit["hardLimit"]}
            for limit in members["ulimits"]
        ]
    if "logConfiguration" in members:
        log = members["logConfiguration"]
        host["LogConfig"] = {"Type": log["logDriver"], "Config": log.get("options", {})}
    if "memoryReservation" in members:
        host["MemoryReservation"] = members["memoryReservation"] * _MIB
    if "systemControls" in members:
        host["Sysctls"] = {control["namespace"]: control["value"] for control in members["systemControls"]}
    host.update(_linux(members.get("linuxParameters", {}), members.get("memory", 0)))
    return host


def _linux(linux: Mapping[str, Any], container_memory_mib: int) -> dict[str, Any]:
    host: dict[str, Any] = {}
    capabilities = linux.get("capabilities", {})
    for name, docker_name in (("add", "CapAdd"), ("drop", "CapDrop")):
        if name in capabilities:
            host[docker_name] = capabilities[name]
    if "devices" in linux:
        host["Devices"] = [
            {
                "PathOnHost": device["hostPath"],
                "PathInContainer": device.get("containerPath", device["hostPath"]),
                "CgroupPermissions": "".join(_DEVICE_LETTERS[word] for word in device.get("permissions", ())) or "rwm",
            }
            for device in linux["devices"]
        ]
    if "initProcessEnabled" in linux:
        host["Init"] = linux["initProcessEnabled"]
    if linux.get("sharedMemorySize"):
        host["ShmSize"] = linux["sharedMemorySize"] * _MIB
    if "tmpfs" in linux:
        host["Tmpfs"] = {
            mount["containerPath"]: ",".join([f"size={mount['size']}m", *mount.get("mountOptions", ())])
            for mount in linux["tmpfs"]
        }
    if "maxSwap" in linux:
        host["MemorySwap"] = (container_memory_mib + linux["maxSwap"]) * _MIB
        if "swappiness" in linux:  # without maxSwap ECS takes no notice of it
            host["MemorySwappiness"] = linux["swappiness"]
    return host
