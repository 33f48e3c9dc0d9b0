"""Constraints, strategies, launch types and capacity providers of a request, checked before anything is placed.

Source: RunTask of the ECS API (2014-11-13); control-plane.md §6.1, §7.2, §7.3.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ecscope.control.core.constraints import QueryError, parsed
from ecscope.control.core.errors import invalid, unsupported
from ecscope.control.core.records import Cluster, Json, TaskDefinition
from ecscope.control.core.service_members import PlacementStrategy
from ecscope.control.core.statuses import LaunchType
from ecscope.model import refused
from ecscope.model.network import NetworkMode
from ecscope.taskdefinition.definition import PlacementConstraint

_MOST_CONSTRAINTS = 10
_MOST_STRATEGIES = 5
_FARGATE = ("FARGATE", "FARGATE_SPOT")
_LAUNCH_TYPES = (LaunchType.EC2, LaunchType.EXTERNAL)


def constraints_of(given: Iterable[Json]) -> tuple[PlacementConstraint, ...]:
    """Checked. Raises ``InvalidParameterException``."""
    constraints = msgspec.convert(tuple(given), tuple[PlacementConstraint, ...])
    if len(constraints) > _MOST_CONSTRAINTS:
        raise invalid(f"Placement constraints cannot have more than {_MOST_CONSTRAINTS} elements.")
    for constraint in constraints:
        kind, expression = constraint.type, constraint.expression
        if kind == "distinctInstance":
            if expression:
                raise invalid("A placement constraint of type distinctInstance has no expression.")
        elif kind == "memberOf" and expression:
            expression_of(expression)
        else:
            raise invalid("A placement constraint is of type distinctInstance, or of type memberOf with an expression.")
    return constraints


def expression_of(text: str) -> str:
    """In the cluster query language. Raises ``InvalidParameterException``, which names the place."""
    try:
        parsed(text)
    except QueryError as error:
        raise invalid(f"Invalid expression {text[:200]!r}: {error}.") from None
    return text


def strategy_of(given: Iterable[Json]) -> tuple[PlacementStrategy, ...]:
    """Checked. Raises ``InvalidParameterException``."""
    strategies = msgspec.convert(tuple(given), tuple[PlacementStrategy, ...])
    if len(strategies) > _MOST_STRATEGIES:
        raise invalid(f"Placement strategies cannot have more than {_MOST_STRATEGIES} elements.")
    for strategy in strategies:
        kind, field = strategy.type, strategy.field
        lowered = field.lower()
        if kind == "random":
            if field:
                raise invalid("A placement strategy of type random has no field.")
        elif kind == "binpack":
            if lowered not in ("cpu", "memory"):
                raise invalid(f"Invalid field {field!r}: a placement strategy of type binpack goes by cpu or memory.")
        elif kind == "spread":
            if lowered not in ("instanceid", "host") and not (lowered.startswith("attribute:") and len(field) > 10):
                raise invalid(
                    f"Invalid field {field!r}: a placement strategy of type spread goes by instanceId, host or "
                    "attribute:<name>."
                )
        else:
            raise invalid("A placement strategy is of type random, spread or binpack.")
    return strategies


def launch_type_of(body: Json, cluster: Cluster, definition: TaskDefinition) -> LaunchType:
    """``EC2`` or ``EXTERNAL``. Raises ``ApiError``: nothing else is available on one machine."""
    launch_type, strategy = body.get("launchType"), body.get("capacityProviderStrategy")
    if launch_type and strategy:
        raise invalid("Specify either Launch Type or Capacity Provider Strategy, but not both.")
    if not launch_type:
        for item in strategy or cluster.default_strategy:
            _refuse_provider(item.get("capacityProvider", ""), is_default=not strategy)
    launch_type = launch_type or LaunchType.EC2
    if launch_type not in _LAUNCH_TYPES:
        raise unsupported(
            f"Launch type {launch_type} is not supported: there is no network mode awsvpc here yet, and no capacity "
            "but that of registered container instances. Use launch type EC2."
        )
    if launch_type not in definition.compatibilities:
        raise invalid(f"Task definition does not support launch_type {launch_type}.")
    if body.get("platformVersion"):
        raise invalid(f"The platform version must be null when specifying an {launch_type} launch type.")
    return LaunchType(launch_type)


def refuse_network(body: Json, definition: TaskDefinition) -> None:
    """Raises ``ApiError`` for network mode awsvpc, and for a configuration that is for it only."""
    is_awsvpc = definition.members.network_mode is NetworkMode.AWSVPC
    if is_awsvpc and not body.get("networkConfiguration"):
        raise invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
    if is_awsvpc:
        raise unsupported(f"networkMode: {refused.AWSVPC.why}.")
    if body.get("networkConfiguration"):
        raise invalid("Network Configuration is not valid for the given networkMode of this task definition.")


def _refuse_provider(name: str, *, is_default: bool) -> None:
    where = "The default capacity provider strategy of the cluster" if is_default else "capacityProviderStrategy"
    if name in _FARGATE:
        advice = "Give launchType EC2." if is_default else "Use launchType EC2 instead."
        raise unsupported(f"{where} names {name}, which is not available on one machine. {advice}")
    raise invalid(f"{where} names {name}, which is not a capacity provider of the cluster.")
