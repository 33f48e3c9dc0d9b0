"""From what ECS makes of a container to the body of Docker's create call. Pure; holds no rule of ECS.

Docker's ``Config`` and ``HostConfig`` are written, then the two JSON strings of the payload are laid over them the way
Go's decoder does it: member names in any case, lists and plain values replaced, maps merged by key, ``null`` empties
lists and maps and leaves plain values. What only the agent may say comes last.

Source: engine.md §6.4, §6.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ecscope.agent.core.container_config import ContainerConfig, Endpoint
from ecscope.agent.runtime.interface import RuntimeFailure
from ecscope.model.container import NamedError

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

_OF_NETWORK = ("Hostname", "Domainname", "MacAddress", "NetworkDisabled", "ExposedPorts")
_OF_HOSTS_NETWORK = ("Dns", "DnsOptions", "DnsSearch", "ExtraHosts", "Links", "PortBindings", "PublishAllPorts")
"""What Docker takes from the container whose network is shared, and refuses beside that."""

_LOG_CONFIG = _table({_TEXT: "Type", _MAP: "Config"})


class _Undecodable(Exception):
    """The overlay is not what Go's decoder would take."""


def create_body(config: ContainerConfig) -> dict[str, Any]:
    """The body, ready to be encoded as JSON.

    Raises:
        RuntimeFailure: ``DockerClientConfigError`` or ``HostConfigError``; the JSON of the payload cannot be laid over.
    """
    body = _config(config)
    host = body["HostConfig"] = _host_config(config)
    if config.endpoint is not None:
        _connect(body, host, config.endpoint)
    elif config.network_mode:
        host["NetworkMode"] = config.network_mode
        for members, names in ((body, _OF_NETWORK), (host, _OF_HOSTS_NETWORK)):
            for name in names:
                members.pop(name, None)
    return body


def _connect(body: dict[str, Any], host: dict[str, Any], endpoint: Endpoint) -> None:
    """With the address of the task's interface; its MAC is in both places for engines before and after API 1.44."""
    host |= {"NetworkMode": endpoint.network, "Dns": list(endpoint.dns_servers)}
    if endpoint.dns_search_domains:
        host["DnsSearch"] = list(endpoint.dns_search_domains)
    body |= {
        "Hostname": endpoint.hostname,
        "MacAddress": endpoint.mac,
        "NetworkingConfig": {
            "EndpointsConfig": {
                endpoint.network: {"IPAMConfig": {"IPv4Address": endpoint.ipv4}, "MacAddress": endpoint.mac}
            }
        },
    }


def _config(config: ContainerConfig) -> dict[str, Any]:
    body: dict[str, Any] = {
        "Image": config.image,
        "Env": [f"{name}={value}" for name, value in config.environment.items()],
    }
    if config.command is not None:
        body["Cmd"] = list(config.command)
    if config.entry_point is not None:
        body["Entrypoint"] = list(config.entry_point)
    if config.exposed_ports:
        body["ExposedPorts"] = {port: {} for port in config.exposed_ports}
    try:
        _lay_over(body, config.docker_config, _CONFIG, "Config")
    except _Undecodable as error:
        raise _failure("DockerClientConfigError", f"Unable decode given docker config: {error}") from error
    if config.needs_health_check and body.get("Healthcheck") is None:
        raise _failure(
            "DockerClientConfigError", "docker health check is nil while container health check type is DOCKER"
        )
    body["Labels"] = {**(body.get("Labels") or {}), **config.labels}
    return body


def _host_config(config: ContainerConfig) -> dict[str, Any]:
    host: dict[str, Any] = {"Memory": config.memory_bytes, "CpuShares": config.cpu_shares}
    lists = {
        "Links": [f"{link.docker_name}:{link.alias}" for link in config.links],
        "VolumesFrom": [f"{source.docker_name}{_mode(source.read_only)}" for source in config.volumes_of],
        "Binds": [f"{bind.source}:{bind.container_path}{_mode(bind.read_only)}" for bind in config.binds],
        "PortBindings": {
            port: [{"HostIp": config.publish_address, "HostPort": str(host_port)}]
            for port, host_port in config.published_ports.items()
        },
    }
    host |= {name: value for name, value in lists.items() if value}
    try:
        _lay_over(host, config.docker_host_config, _HOST_CONFIG, "HostConfig")
        _complete_log_config(host, config.log_options, config.log_buffer_size)
    except _Undecodable as error:
        raise _failure("HostConfigError", f"Unable to decode given host config: {error}") from error
    own = {"CgroupParent": config.cgroup_parent, "PidMode": config.pid_mode, "IpcMode": config.ipc_mode}
    host |= {name: value for name, value in own.items() if value}
    if not host.get("IpcMode"):
        # Quirk: the payload names an API version so old that the engine's default is this one.
        # Source: engine.md, Seen running, 8.
        host["IpcMode"] = "shareable"
    return host


def _mode(read_only: bool) -> str:
    return ":ro" if read_only else ""


def _complete_log_config(host: dict[str, Any], agents: Mapping[str, str], buffer_size: str) -> None:
    given = host.get("LogConfig")
    if not given:
        return
    log_config: dict[str, Any] = {}
    _merge(log_config, given, _LOG_CONFIG, "HostConfig.LogConfig")
    options = {**(log_config.get("Config") or {}), **agents}
    if options.get("mode") == "non-blocking" and "max-buffer-size" not in options:
        options["max-buffer-size"] = buffer_size
    if options:
        log_config["Config"] = options
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
