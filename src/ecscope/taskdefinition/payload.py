"""A task definition, made into the task that ACS carries: defaults filled in, units changed, Docker's part as text.

Who the task is beyond its definition (cluster, group, service, roles, ARNs of containers) is for whoever sends it.

Source: control-plane.md §10.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ecscope.model.network import NetworkMode
from ecscope.taskdefinition import docker_settings
from ecscope.taskdefinition.rules import cpu_units, memory_mib
from ecscope.wire.acs.payload import (
    PayloadContainer,
    PayloadDependency,
    PayloadDockerConfig,
    PayloadDockerVolume,
    PayloadHostVolume,
    PayloadMountPoint,
    PayloadPortMapping,
    PayloadRestartPolicy,
    PayloadTask,
    PayloadVolume,
    PayloadVolumeFrom,
)

Members = Mapping[str, Any]

RESTART_ATTEMPT_PERIOD_S = 300
"""Where a restart policy has none. Source: control-plane.md §5.1."""


def payload_task(definition: Members, *, arn: str, version: str, desired_status: str = "RUNNING") -> PayloadTask:
    """``definition``: without mistakes, and without anything that this agent does not have."""
    mode = NetworkMode(definition.get("networkMode", ""))
    cpu = cpu_units(definition.get("cpu", ""))
    memory = memory_mib(definition.get("memory", ""))
    return PayloadTask(
        arn=arn,
        family=definition["family"],
        version=version,
        desired_status=desired_status,
        overrides="{}",
        containers=tuple(_container(members, mode) for members in definition["containerDefinitions"]),
        volumes=tuple(_volume(members) for members in definition.get("volumes", ())),
        cpu=cpu / 1024 if cpu else None,
        memory=memory or None,
        pid_mode=definition.get("pidMode"),
        ipc_mode=definition.get("ipcMode"),
        network_mode=mode.value or None,
    )


def docker_api_version(members: Members) -> str:
    """The oldest Docker API version that has all that the container asks for."""
    return max(docker_api_versions(members), key=lambda version: [int(part) for part in version.split(".")])


def docker_api_versions(members: Members) -> set[str]:
    """What each feature needs; ``1.17`` where there is none. Source: control-plane.md §5.2, §10.3."""
    linux = members.get("linuxParameters", {})
    driver = members.get("logConfiguration", {}).get("logDriver", "")
    needs = {
        "1.18": bool(members.get("ulimits") or members.get("extraHosts") or driver),
        "1.19": driver in ("journald", "awslogs"),
        "1.20": driver in ("gelf", "fluentd"),
        "1.22": driver == "splunk" or bool(linux.get("sharedMemorySize") or linux.get("tmpfs")),
        "1.24": "healthCheck" in members,
        "1.25": linux.get("initProcessEnabled", False),
    }
    return {version for version, is_needed in needs.items() if is_needed} or {"1.17"}


def _container(members: Members, mode: NetworkMode) -> PayloadContainer:
    """Whether it is essential is always said: absent means no in a payload, and yes in a definition."""
    return PayloadContainer(
        name=members["name"],
        image=members["image"],
        essential=members.get("essential", True),
        command=_words(members, "command"),
        entry_point=_words(members, "entryPoint"),
        environment={
            "AWS_EXECUTION_ENV": "AWS_ECS_EC2",
            **{variable["name"]: variable.get("value", "") for variable in members.get("environment", ())},
        },
        cpu=members.get("cpu", 0),
        memory=members.get("memory", 0),
        links=tuple(members["links"]) if members.get("links") else None,
        port_mappings=tuple(_port_mapping(entry, mode) for entry in members.get("portMappings", ())),
        mount_points=tuple(
            PayloadMountPoint(
                source_volume=entry["sourceVolume"],
                container_path=entry["containerPath"],
                read_only=entry.get("readOnly", False),
            )
            for entry in members.get("mountPoints", ())
        ),
        volumes_from=tuple(
            PayloadVolumeFrom(source_container=entry["sourceContainer"], read_only=entry.get("readOnly", False))
            for entry in members.get("volumesFrom", ())
        ),
        depends_on=tuple(
            PayloadDependency(container_name=entry["containerName"], condition=entry["condition"])
            for entry in members.get("dependsOn", ())
        )
        or None,
        start_timeout=members.get("startTimeout"),
        stop_timeout=members.get("stopTimeout"),
        restart_policy=_restart_policy(members.get("restartPolicy")),
        health_check_type="docker" if "healthCheck" in members else None,
        overrides="{}",
        docker_config=PayloadDockerConfig(
            version=docker_api_version(members),
            config=_text(docker_settings.config(members)),
            host_config=_text(docker_settings.host_config(members, mode)),
        ),
    )


def _words(members: Members, name: str) -> tuple[str, ...] | None:
    """An empty list asks for nothing, like an absent one: the image's own is used."""
    return tuple(members.get(name, ())) or None


def _port_mapping(entry: Members, mode: NetworkMode) -> PayloadPortMapping:
    port_range: str | None = entry.get("containerPortRange")
    if port_range is not None:
        return PayloadPortMapping(container_port_range=port_range, protocol=entry.get("protocol", "tcp"))
    return PayloadPortMapping(
        container_port=entry["containerPort"],
        host_port=entry["containerPort"] if mode.shares_host_ports else entry.get("hostPort", 0),
        protocol=entry.get("protocol", "tcp"),
    )


def _restart_policy(policy: Members | None) -> PayloadRestartPolicy | None:
    if policy is None:
        return None
    return PayloadRestartPolicy(
        enabled=policy["enabled"],
        ignored_exit_codes=tuple(policy.get("ignoredExitCodes", ())),
        restart_attempt_period=policy.get("restartAttemptPeriod", RESTART_ATTEMPT_PERIOD_S),
    )


def _volume(members: Members) -> PayloadVolume:
    """Source: control-plane.md §10.4."""
    docker = members.get("dockerVolumeConfiguration")
    if docker is None:
        source_path = members.get("host", {}).get("sourcePath")
        return PayloadVolume(name=members["name"], type="host", host=PayloadHostVolume(source_path=source_path or None))
    return PayloadVolume(
        name=members["name"],
        type="docker",
        docker_volume_configuration=PayloadDockerVolume(
            scope=docker.get("scope", "task"),
            autoprovision=docker.get("autoprovision", False),
            driver=docker.get("driver", "local"),
            driver_opts=docker.get("driverOpts", {}),
            labels=docker.get("labels", {}),
        ),
    )


def _text(members: Members) -> str:
    return msgspec.json.encode(members).decode()
