"""What a container definition says in Docker's own words: the parts of ``Config`` and ``HostConfig`` it decides.

The agent generates the rest (command, environment, ports, links, mounts, memory, CPU). One place for task files
and for what a control plane sends, so that both give the same containers.

Source: control-plane.md §10.3.
"""

from __future__ import annotations

from collections.abc import Mapping

from ecscope.model.network import NetworkMode
from ecscope.taskdefinition.definition import ContainerDefinition, LinuxParameters

_MIB = 1024 * 1024
_NS = 1_000_000_000
_DEVICE_LETTERS = {"read": "r", "write": "w", "mknod": "m"}

DockerMembers = dict[str, object]
"""Members of the Docker API under its own names, as JSON has them."""


def config(container: ContainerDefinition) -> DockerMembers:
    """Docker's ``Config``: the part that the agent does not generate. Source: control-plane.md §10.3."""
    docker = _given(
        User=container.user,
        WorkingDir=container.working_directory,
        Hostname=container.hostname,
        Labels=container.docker_labels,
        NetworkDisabled=container.disable_networking,
        OpenStdin=container.interactive,
        Tty=container.pseudo_terminal,
    )
    health = container.health_check
    if health is not None:
        docker["Healthcheck"] = {
            "Test": health.command,
            "Interval": health.interval * _NS,
            "Timeout": health.timeout * _NS,
            "Retries": health.retries,
            **({"StartPeriod": health.start_period * _NS} if health.start_period else {}),
        }
    return docker


def host_config(
    container: ContainerDefinition, mode: NetworkMode, *, log_options: Mapping[str, str] | None = None
) -> DockerMembers:
    """Docker's ``HostConfig``: the part that the agent does not generate. Source: control-plane.md §10.3.

    ``log_options`` ``None``: as the definition has them.
    """
    host: DockerMembers = {"NetworkMode": mode.value} if mode.value else {}
    host |= _given(
        Privileged=container.privileged,
        ReadonlyRootfs=container.readonly_root_filesystem,
        Dns=container.dns_servers,
        DnsSearch=container.dns_search_domains,
        SecurityOpt=container.docker_security_options,
    )
    if container.extra_hosts is not None:
        host["ExtraHosts"] = [f"{entry.hostname}:{entry.ip_address}" for entry in container.extra_hosts]
    if container.ulimits is not None:
        host["Ulimits"] = [
            {"Name": limit.name, "Soft": limit.soft_limit, "Hard": limit.hard_limit} for limit in container.ulimits
        ]
    if container.log_configuration is not None:
        host["LogConfig"] = {
            "Type": container.log_driver,
            "Config": container.log_configuration.options if log_options is None else log_options,
        }
    if container.memory_reservation is not None:
        host["MemoryReservation"] = container.memory_reservation * _MIB
    if container.system_controls:  # ECS fills in an empty list
        host["Sysctls"] = {control.namespace: control.value for control in container.system_controls}
    return host | _linux(container.linux_parameters, container.memory)


def _linux(linux: LinuxParameters, container_memory_mib: int) -> DockerMembers:
    host = _given(CapAdd=linux.capabilities.add or None, CapDrop=linux.capabilities.drop or None)
    if linux.devices is not None:
        host["Devices"] = [
            {
                "PathOnHost": device.host_path,
                "PathInContainer": device.host_path if device.container_path is None else device.container_path,
                "CgroupPermissions": "".join(_DEVICE_LETTERS[word] for word in device.permissions) or "rwm",
            }
            for device in linux.devices
        ]
    if linux.init_process_enabled is not None:
        host["Init"] = linux.init_process_enabled
    if linux.shared_memory_size:
        host["ShmSize"] = linux.shared_memory_size * _MIB
    if linux.tmpfs is not None:
        host["Tmpfs"] = {
            mount.container_path: ",".join([f"size={mount.size}m", *mount.mount_options]) for mount in linux.tmpfs
        }
    if linux.max_swap is not None:
        host["MemorySwap"] = (container_memory_mib + linux.max_swap) * _MIB
        if linux.swappiness is not None:  # without maxSwap ECS takes no notice of it
            host["MemorySwappiness"] = linux.swappiness
    return host


def _given(**members: object) -> DockerMembers:
    """Without those that the definition does not have."""
    return {name: value for name, value in members.items() if value is not None}
