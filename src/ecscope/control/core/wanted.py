"""A task that somebody wants, before it has a place: what it is made of and what it needs."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ecscope.control.core.overrides import merged, role_of
from ecscope.control.core.records import Json, TaskDefinition
from ecscope.control.core.statuses import LaunchType
from ecscope.model.resources import ContainerShare, HostResources, task_needs


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """See the module docstring."""

    definition: TaskDefinition
    cluster: str
    """Name of the cluster."""
    overrides: Json = {}
    """As asked for, checked; ``cpu`` and ``memory`` as plain numbers in text."""
    group: str
    started_by: str = ""
    service_arn: str = ""
    deployment_id: str = ""
    """``""``: no service wants it."""
    launch_type: LaunchType = LaunchType.EC2
    tags: Mapping[str, str] = {}
    execute_command_enabled: bool = False
    constraints: tuple[Json, ...] = ()
    """Of the request or the service; those of the definition hold besides."""
    strategy: tuple[Json, ...] = ()
    instance_arn: str = ""
    """On this instance or nowhere; ``""``: placement chooses."""

    @property
    def task_role_arn(self) -> str:
        """``""``: none."""
        return role_of(self.definition.body, self.overrides, "taskRoleArn")

    @property
    def execution_role_arn(self) -> str:
        """``""``: none."""
        return role_of(self.definition.body, self.overrides, "executionRoleArn")

    def containers(self) -> tuple[Json, ...]:
        """Those of the definition, with what is overridden."""
        return tuple(merged(self.definition.body, self.overrides)["containerDefinitions"])

    def needs(self) -> HostResources:
        """What it takes of an instance: the numbers that the agent will count. Source: control-plane.md §7.1."""
        body, overrides = self.definition.body, self.overrides
        mode = body.get("networkMode") or "bridge"
        return task_needs(
            cpu_units=int(overrides.get("cpu") or body.get("cpu") or 0),
            memory_mib=int(overrides.get("memory") or body.get("memory") or 0),
            containers=(_share_of(container, mode) for container in self.containers()),
        )


def _share_of(container: Json, network_mode: str) -> ContainerShare:
    return ContainerShare(
        cpu_units=container.get("cpu") or 0,
        memory_mib=container.get("memory") or 0,
        memory_reservation_mib=container.get("memoryReservation") or None,
        host_ports=tuple((_host_port(m, network_mode), m.get("protocol", "tcp")) for m in container["portMappings"])
        if network_mode != "awsvpc" and "portMappings" in container
        else (),
    )


def _host_port(mapping: Json, network_mode: str) -> int:
    chosen: int = mapping.get("hostPort") or 0
    return mapping.get("containerPort") or 0 if network_mode == "host" else chosen
