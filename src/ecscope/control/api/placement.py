"""Constraints, strategies, launch types and capacity providers of a request, checked before anything is placed.

Source: RunTask of the ECS API (2014-11-13); control-plane.md §6.1, §7.2, §7.3.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from ecscope.control.core.constraints import QueryError, parsed
from ecscope.control.core.errors import ApiError, invalid, unsupported
from ecscope.control.core.records import Cluster, Json, TaskDefinition
from ecscope.control.core.service_members import PlacementStrategy
from ecscope.control.core.statuses import LaunchType
from ecscope.taskdefinition.definition import PlacementConstraint
from ecscope.taskdefinition.read import fargate_mistakes

_MOST_CONSTRAINTS = 10
_MOST_STRATEGIES = 5
_MOST_SUBNETS = 16
_MOST_GROUPS = 5
_MOST_WEIGHT = 1000
_MOST_BASE = 100_000
_EC2, _FARGATE = LaunchType.EC2, LaunchType.FARGATE
_LAUNCH_TYPES = tuple(LaunchType)
_LATEST = "1.4.0"
_PLATFORM_VERSIONS = ("LATEST", "1.4.0", "1.3.0")


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


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """What kind of capacity a task or a service is to run on."""

    launch_type: LaunchType
    strategy: tuple[Json, ...] = ()
    """Of capacity providers, with ``base`` and ``weight``; empty: it was asked for by launch type."""
    platform_version: str = ""
    """Of Fargate, as asked for; ``""``: it is not Fargate."""

    @property
    def is_fargate(self) -> bool:
        return self.launch_type == _FARGATE

    @property
    def current_version(self) -> str:
        """What ``LATEST`` stands for today."""
        return _LATEST if self.platform_version == "LATEST" else self.platform_version


def launch_of(body: Json, cluster: Cluster, definition: TaskDefinition) -> Launch:
    """By launch type, by the strategy of the request, or by that of the cluster. Raises ``ApiError``."""
    given, strategy = body.get("launchType"), body.get("capacityProviderStrategy")
    if given and strategy:
        raise invalid("Specify either Launch Type or Capacity Provider Strategy, but not both.")
    chosen = () if given else strategy_items(strategy or cluster.default_strategy, cluster.capacity_providers)
    launch_type = _FARGATE if chosen else given or _EC2
    if launch_type not in _LAUNCH_TYPES:
        raise unsupported(f"Launch type {launch_type} is not supported. Use {', '.join(_LAUNCH_TYPES)}.")
    if launch_type not in definition.compatibilities:
        what = "the capacity provider strategy" if chosen else f"launch_type {launch_type}"
        raise invalid(f"Task definition does not support {what}{_why_not(definition, launch_type)}.")
    version = body.get("platformVersion") or ""
    if launch_type != _FARGATE:
        if version:
            raise invalid(f"The platform version must be null when specifying an {launch_type} launch type.")
        return Launch(launch_type=LaunchType(launch_type))
    if version not in ("", *_PLATFORM_VERSIONS):
        raise ApiError("PlatformUnknownException", "The specified platform does not exist.")
    for member, what in (("placementConstraints", "constraints"), ("placementStrategy", "strategies")):
        if any(body.get(member) or ()):
            raise invalid(f"Placement {what} are not supported with FARGATE launch type.")
    return Launch(launch_type=_FARGATE, strategy=chosen, platform_version=version or "LATEST")


def _why_not(definition: TaskDefinition, launch_type: str) -> str:
    """Which rule of Fargate it breaks first, which ECS leaves to be found out."""
    if launch_type != _FARGATE:
        return ""
    reasons = fargate_mistakes(definition.body)
    return f": {reasons[0].reason}" if reasons else ""


def strategy_items(given: Iterable[Json], providers: Collection[str]) -> tuple[Json, ...]:
    """Of a capacity provider strategy, with their defaults. Raises ``InvalidParameterException``.

    Args:
        providers: those of the cluster.
    """
    items: tuple[Json, ...] = tuple(
        {"base": 0, "weight": 0, **item, "capacityProvider": item["capacityProvider"].rsplit("/", 1)[-1]}
        for item in given
    )
    for item in items:
        if item["capacityProvider"] not in providers:
            raise invalid(
                "The specified capacity provider strategy cannot contain a capacity provider that is not associated"
                " with the cluster. Associate the capacity provider with the cluster and try again."
            )
        if not (0 <= item["weight"] <= _MOST_WEIGHT and 0 <= item["base"] <= _MOST_BASE):
            raise invalid(f"A weight must be from 0 to {_MOST_WEIGHT}, a base from 0 to {_MOST_BASE}.")
    if len({item["capacityProvider"] for item in items}) < len(items):
        raise invalid("A capacity provider strategy can contain each capacity provider only once.")
    if sum(item["base"] > 0 for item in items) > 1:
        raise invalid("Only one capacity provider of a strategy can have a base above 0.")
    if len(items) > 1 and not any(item["weight"] for item in items):
        raise invalid("At least one capacity provider of a strategy must have a weight above 0.")
    return items


def network_of(body: Json, definition: TaskDefinition, launch: Launch) -> Json:
    """``networkConfiguration``, as it is shown; empty: the network mode has none. Raises ``ApiError``.

    Which subnets and security groups there are is not looked at: this machine has one network for all tasks.
    """
    given: Json = body.get("networkConfiguration") or {}
    configuration: Json = given.get("awsvpcConfiguration") or {}
    if not definition.members.network_mode.has_task_address:
        if given:
            raise invalid("Network Configuration is not valid for the given networkMode of this task definition.")
        return {}
    if not configuration:
        raise invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
    subnets, groups = configuration.get("subnets") or (), configuration.get("securityGroups") or ()
    if not subnets:
        raise invalid("subnets can not be empty.")
    if len(subnets) > _MOST_SUBNETS:
        raise invalid(f"subnets can have at most {_MOST_SUBNETS} items.")
    if len(groups) > _MOST_GROUPS:
        raise invalid(f"securityGroups can have at most {_MOST_GROUPS} items.")
    public = configuration.get("assignPublicIp") or "DISABLED"
    if public == "ENABLED" and not launch.is_fargate:
        raise invalid("Assign public IP is not supported for this launch type.")
    return {"awsvpcConfiguration": {"subnets": list(subnets), "securityGroups": list(groups), "assignPublicIp": public}}
