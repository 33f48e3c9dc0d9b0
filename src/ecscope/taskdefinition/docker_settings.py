"""What a container definition says in Docker's own words: the parts of ``Config`` and ``HostConfig`` it decides.

The agent generates the rest (command, environment, ports, links, mounts, memory, CPU). One place for task files
and for what a control plane sends, so that both give the same containers.

Source: control-plane.md §10.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ecscope.model.network import NetworkMode

_MIB = 1024 * 1024
_NS = 1_000_000_000
_DEVICE_LETTERS = {"read": "r", "write": "w", "mknod": "m"}


def config(members: Mapping[str, Any]) -> dict[str, Any]:
    """Docker's ``Config``: the part that the agent does not generate. Source: control-plane.md §10.3."""
    docker: dict[str, Any] = {}
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
            docker[docker_name] = members[name]
    health = members.get("healthCheck")
    if health is not None:
        docker["Healthcheck"] = {
            "Test": health["command"],
            "Interval": health.get("interval", 30) * _NS,
            "Timeout": health.get("timeout", 5) * _NS,
            "Retries": health.get("retries", 3),
        }
        if health.get("startPeriod"):
            docker["Healthcheck"]["StartPeriod"] = health["startPeriod"] * _NS
    return docker


def host_config(members: Mapping[str, Any], mode: NetworkMode) -> dict[str, Any]:
    """Docker's ``HostConfig``: the part that the agent does not generate. Source: control-plane.md §10.3."""
    host: dict[str, Any] = {"NetworkMode": mode.value} if mode.value else {}
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
    if members.get("systemControls"):  # ECS fills in an empty list
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
