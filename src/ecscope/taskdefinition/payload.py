"""A task definition, made into the task that ACS carries: defaults filled in, units changed, Docker's part as text.

The task's identity beyond its definition (cluster, group, service, roles, ARNs of containers) is added by the sender.

Source: control-plane.md §10.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ecscope.model.network import NetworkMode
from ecscope.taskdefinition import docker_settings
from ecscope.taskdefinition.definition import ContainerDefinition, Definition, PortMapping, RestartPolicy, Volume
from ecscope.taskdefinition.log_options import NO_LOG_DEFAULTS, LogDefaults, log_options
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

RESTART_ATTEMPT_PERIOD_S = 300
"""Where a restart policy has none. Source: control-plane.md §5.1."""


def payload_task(
    definition: Definition,
    *,
    family: str,
    arn: str,
    version: str,
    desired_status: str = "RUNNING",
    execution_environment: str = "AWS_ECS_EC2",
    log_defaults: LogDefaults = NO_LOG_DEFAULTS,
    storage_gib: int = 0,
) -> PayloadTask:
    """``definition``: without anything that this agent does not have.

    ``storage_gib``: to which Docker holds the root file system of each container; 0: to nothing.
    """
    cpu = cpu_units(definition.cpu)
    memory = memory_mib(definition.memory)
    return PayloadTask(
        arn=arn,
        family=family,
        version=version,
        desired_status=desired_status,
        overrides="{}",
        containers=tuple(
            _container(
                each,
                definition.network_mode,
                execution_environment,
                log_options(each, task_arn=arn, defaults=log_defaults),
                storage_gib,
            )
            for each in definition.container_definitions
        ),
        volumes=tuple(map(_volume, definition.volumes)),
        cpu=cpu / 1024 if cpu else None,
        memory=memory or None,
        pid_mode=definition.pid_mode,
        ipc_mode=definition.ipc_mode,
        network_mode=definition.network_mode.value or None,
    )


def docker_api_version(container: ContainerDefinition) -> str:
    """The oldest Docker API version that has all that the container asks for."""
    return max(docker_api_versions(container), key=lambda version: [int(part) for part in version.split(".")])


def docker_api_versions(container: ContainerDefinition) -> set[str]:
    """What each feature needs; ``1.17`` where there is none. Source: control-plane.md §5.2, §10.3."""
    linux, driver = container.linux_parameters, container.log_driver
    needs = {
        "1.18": bool(container.ulimits or container.extra_hosts or driver),
        "1.19": driver in ("journald", "awslogs"),
        "1.20": driver in ("gelf", "fluentd"),
        "1.22": driver == "splunk" or bool(linux.shared_memory_size or linux.tmpfs),
        "1.24": container.health_check is not None,
        "1.25": bool(linux.init_process_enabled),
    }
    return {version for version, is_needed in needs.items() if is_needed} or {"1.17"}


def _container(
    container: ContainerDefinition,
    mode: NetworkMode,
    execution_environment: str,
    log_options: Mapping[str, str],
    storage_gib: int,
) -> PayloadContainer:
    """Whether it is essential is always said: absent means no in a payload, and yes in a definition."""
    return PayloadContainer(
        name=container.name,
        image=container.image,
        essential=container.essential,
        command=container.command or None,
        entry_point=container.entry_point or None,
        environment={
            "AWS_EXECUTION_ENV": execution_environment,
            **{variable.name: variable.value for variable in container.environment},
        },
        cpu=container.cpu,
        memory=container.memory,
        links=container.links or None,
        port_mappings=tuple(_port_mapping(mapping, mode) for mapping in container.port_mappings),
        mount_points=tuple(
            PayloadMountPoint(
                source_volume=mount.source_volume, container_path=mount.container_path, read_only=mount.read_only
            )
            for mount in container.mount_points
        ),
        volumes_from=tuple(
            PayloadVolumeFrom(source_container=source.source_container, read_only=source.read_only)
            for source in container.volumes_from
        ),
        depends_on=tuple(
            PayloadDependency(container_name=dependency.container_name, condition=dependency.condition)
            for dependency in container.depends_on
        )
        or None,
        start_timeout=container.start_timeout,
        stop_timeout=container.stop_timeout,
        restart_policy=_restart_policy(container.restart_policy),
        health_check_type="docker" if container.health_check is not None else None,
        overrides="{}",
        docker_config=PayloadDockerConfig(
            version=docker_api_version(container),
            config=_text(docker_settings.config(container)),
            host_config=_text(
                docker_settings.host_config(container, mode, log_options=log_options)
                | ({"StorageOpt": {"size": f"{storage_gib}G"}} if storage_gib else {})
            ),
        ),
    )


def _port_mapping(mapping: PortMapping, mode: NetworkMode) -> PayloadPortMapping:
    if mapping.container_port_range is not None:
        return PayloadPortMapping(container_port_range=mapping.container_port_range, protocol=mapping.protocol)
    return PayloadPortMapping(
        container_port=mapping.container_port,
        host_port=mapping.host_port_in(mode),
        protocol=mapping.protocol,
    )


def _restart_policy(policy: RestartPolicy | None) -> PayloadRestartPolicy | None:
    if policy is None:
        return None
    period_s = policy.restart_attempt_period
    return PayloadRestartPolicy(
        enabled=policy.enabled,
        ignored_exit_codes=policy.ignored_exit_codes,
        restart_attempt_period=RESTART_ATTEMPT_PERIOD_S if period_s is None else period_s,
    )


def _volume(volume: Volume) -> PayloadVolume:
    """Source: control-plane.md §10.4."""
    docker = volume.docker_volume_configuration
    if docker is None:
        host = PayloadHostVolume(source_path=volume.host.source_path or None)
        return PayloadVolume(name=volume.name, type="host", host=host)
    return PayloadVolume(
        name=volume.name,
        type="docker",
        docker_volume_configuration=PayloadDockerVolume(
            scope=docker.scope,
            autoprovision=docker.autoprovision,
            driver=docker.driver,
            driver_opts=docker.driver_opts,
            labels=docker.labels,
        ),
    )


def _text(members: docker_settings.DockerMembers) -> str:
    return msgspec.json.encode(members).decode()
