"""A requested task, before it is placed: what it consists of and what it needs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import msgspec

from ecscope.control.core.overrides import members_for
from ecscope.control.core.records import Json, TaskDefinition
from ecscope.control.core.service_members import PlacementStrategy
from ecscope.control.core.statuses import LaunchType
from ecscope.model.network import NetworkMode
from ecscope.model.resources import ContainerShare, HostResources, task_needs
from ecscope.taskdefinition.definition import ContainerDefinition, Definition, PlacementConstraint


class Wanted(msgspec.Struct, frozen=True, kw_only=True, dict=True):
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
    capacity_provider: str = ""
    """``""``: it is started by launch type."""
    network: Json = {}
    """``networkConfiguration``, checked; empty: its network mode has none."""
    platform_version: str = ""
    """Of Fargate; ``""``: it runs elsewhere."""
    tags: Mapping[str, str] = {}
    execute_command_enabled: bool = False
    constraints: tuple[PlacementConstraint, ...] = ()
    """Of the request or the service; those of the definition hold besides."""
    strategy: tuple[PlacementStrategy, ...] = ()
    instance_arn: str = ""
    """On this instance or nowhere; ``""``: placement chooses."""

    @cached_property
    def members(self) -> Definition:
        """What the definition says, with what is overridden."""
        return members_for(self.definition, self.overrides)

    def needs(self) -> HostResources:
        """What it takes of an instance."""
        return self._needs

    @cached_property
    def _needs(self) -> HostResources:
        """What it takes of an instance: the numbers that the agent will count. Source: control-plane.md §7.1."""
        members = self.members
        return task_needs(
            launch_type=self.launch_type,
            network_mode=members.network_mode,
            cpu_units=int(members.cpu or 0),
            memory_mib=int(members.memory or 0),
            containers=(_share_of(container, members.network_mode) for container in members.container_definitions),
        )


def _share_of(container: ContainerDefinition, mode: NetworkMode) -> ContainerShare:
    return ContainerShare(
        cpu_units=container.cpu,
        memory_mib=container.memory,
        memory_reservation_mib=container.memory_reservation or None,
        host_ports=tuple((mapping.host_port_in(mode), mapping.protocol) for mapping in container.port_mappings),
    )
