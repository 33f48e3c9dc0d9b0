"""What a service was asked to be, as a value: read once from the members that are kept and shown.

Source: CreateService of the ECS API (2014-11-13); control-plane.md §8.1.
"""

from __future__ import annotations

import msgspec

from ecscope.control.core.statuses import LaunchType
from ecscope.taskdefinition.definition import PlacementConstraint


class _Members(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Parent of all that a service is made of."""


class PlacementStrategy(_Members, frozen=True, kw_only=True):
    """Which of the instances that can have a task get it."""

    type: str = ""
    """``random``, ``spread``, ``binpack``."""
    field: str = ""
    """What to spread over, or to fill."""


class Threshold(_Members, frozen=True, kw_only=True):
    """How many failed tasks are too many. Source: control-plane.md §8.3."""

    type: str = "BOUNDED_PERCENT"
    value: int = 50


class CircuitBreaker(_Members, frozen=True, kw_only=True):
    """``deploymentCircuitBreaker``."""

    enable: bool = False
    rollback: bool = False
    reset_on_healthy_task: bool = True
    threshold_configuration: Threshold = Threshold()


class DeploymentConfiguration(_Members, frozen=True, kw_only=True):
    """How fast a deployment may go, and when it is marked as failed."""

    deployment_circuit_breaker: CircuitBreaker = CircuitBreaker()
    minimum_healthy_percent: int | None = None
    """``None``: what the scheduling strategy has."""
    maximum_percent: int | None = None
    """``None``: what the scheduling strategy has."""


class ServiceMembers(_Members, frozen=True, kw_only=True):
    """A service. What is only kept and shown, such as ``roleArn``, has no field: the document has it."""

    launch_type: LaunchType = LaunchType.EC2
    deployment_configuration: DeploymentConfiguration = DeploymentConfiguration()
    placement_constraints: tuple[PlacementConstraint, ...] = ()
    placement_strategy: tuple[PlacementStrategy, ...] = ()
    propagate_tags: str = "NONE"
    """``SERVICE``, ``TASK_DEFINITION`` or ``NONE``: whose tags its tasks get."""
    enable_ecs_managed_tags: bool = msgspec.field(name="enableECSManagedTags", default=False)
    enable_execute_command: bool = False
    health_check_grace_period_seconds: int = 0
