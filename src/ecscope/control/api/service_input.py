"""What CreateService and UpdateService are asked for, checked: what one machine cannot do is refused by name.

Source: control-plane.md §3.5, §8.1; CreateService and UpdateService of the ECS API (2014-11-13).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ecscope.control.core.constraints import QueryError, parsed
from ecscope.control.core.deployments import DAEMON, DAEMON_PERCENTS, REPLICA_PERCENTS
from ecscope.control.core.errors import ApiError, invalid, unsupported
from ecscope.control.core.records import Json, TaskDefinition

MOST_TASKS = 5000
"""Of one service. Source: Amazon ECS service quotas."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_CONSTRAINTS_MOST, _RULES_MOST = 10, 5

_AS_GIVEN = (
    "propagateTags",
    "enableECSManagedTags",
    "enableExecuteCommand",
    "healthCheckGracePeriodSeconds",
    "availabilityZoneRebalancing",
)
_NO_LOAD_BALANCER = (
    "there is no load balancer on this machine. Publish a host port in the task definition, or read the one that was"
    " chosen from networkBindings in DescribeTasks."
)
_NO_DISCOVERY = (
    "there is no service discovery on this machine. Read hosts and ports from DescribeTasks and"
    " DescribeContainerInstances."
)
_NO_CAPACITY = "there are no capacity providers with instances on this machine. Give launchType EC2, or neither."
_REFUSED: Mapping[str, str] = {
    "loadBalancers": _NO_LOAD_BALANCER,
    "vpcLatticeConfigurations": _NO_LOAD_BALANCER,
    "gatewayConnectors": _NO_LOAD_BALANCER,
    "serviceRegistries": _NO_DISCOVERY,
    "capacityProviderStrategy": _NO_CAPACITY,
    "volumeConfigurations": "there are no EBS volumes on this machine. Use a host or docker volume.",
    "monitoring": "there is no CloudWatch on this machine.",
}
"""Member → why anything but an empty value is refused."""


def refuse_what_is_not_here(body: Json) -> None:
    """Raises ``UnsupportedFeatureException``, ``InvalidParameterException``."""
    if body.get("launchType") and body.get("capacityProviderStrategy"):
        raise invalid("Specify either Launch Type or Capacity Provider Strategy, but not both.")
    for member, reason in _REFUSED.items():
        if body.get(member):
            raise _not_here(member, reason)
    if body.get("serviceConnectConfiguration", {}).get("enabled"):
        raise _not_here("serviceConnectConfiguration", "there is no Service Connect proxy. " + _NO_DISCOVERY)
    controller = body.get("deploymentController", {}).get("type", "ECS")
    if controller != "ECS":
        raise _not_here("deploymentController", f"only rolling updates are to be had, type ECS, not {controller}.")
    configuration: Json = body.get("deploymentConfiguration", {})
    strategy = configuration.get("strategy", "ROLLING")
    if strategy != "ROLLING":
        raise _not_here("deploymentConfiguration.strategy", f"only ROLLING is to be had, not {strategy}.")
    for member in ("alarms", "earlySuccessCriteria"):
        if configuration.get(member, {}).get("enable"):
            raise _not_here(f"deploymentConfiguration.{member}", "it is not watched. Use deploymentCircuitBreaker.")
    for member in ("lifecycleHooks", "linearConfiguration", "canaryConfiguration", "bakeTimeInMinutes"):
        if configuration.get(member):
            raise _not_here(f"deploymentConfiguration.{member}", "it belongs to strategies other than ROLLING.")


def name(body: Json) -> str:
    given: str = body["serviceName"]
    if not _NAME.fullmatch(given):
        raise invalid("A service's name must have 1 to 255 letters, numbers, hyphens and underscores.")
    return given


def desired_count(body: Json, strategy: str) -> int | None:
    """``None``: it is not given, or it is not the client's to give."""
    given: int | None = body.get("desiredCount")
    if given is None:
        return None
    if strategy == DAEMON:
        raise invalid(
            "The daemon scheduling strategy does not support a desired count for services."
            " Remove the desired count value and try again."
        )
    if not 0 <= given <= MOST_TASKS:
        raise invalid(f"desiredCount must be from 0 to {MOST_TASKS}.")
    return given


def deployment_configuration(body: Json, strategy: str, before: Json | None = None) -> dict[str, Any]:
    """With what ``before`` has, or with the defaults, for what is not given."""
    minimum, maximum = DAEMON_PERCENTS if strategy == DAEMON else REPLICA_PERCENTS
    configuration: dict[str, Any] = {
        "deploymentCircuitBreaker": {"enable": False, "rollback": False},
        "maximumPercent": maximum,
        "minimumHealthyPercent": minimum,
        "strategy": "ROLLING",
        **(before or {}),
        **body.get("deploymentConfiguration", {}),
    }
    if strategy == DAEMON and configuration["maximumPercent"] != maximum:
        raise invalid(
            f"The daemon scheduling strategy supports a maximumPercent of {maximum} only: an instance has one task."
        )
    if configuration["maximumPercent"] < 100:
        raise invalid("maximumPercent must be at least 100: with fewer, the desired count would not be reached.")
    if not 0 <= configuration["minimumHealthyPercent"] <= 100:
        raise invalid("minimumHealthyPercent must be from 0 to 100.")
    threshold = configuration["deploymentCircuitBreaker"].get("thresholdConfiguration") or {}
    if threshold.get("value", 1) < 1:
        raise invalid("The value of thresholdConfiguration must be at least 1.")
    return configuration


def as_given(body: Json) -> dict[str, Any]:
    """Members that are kept as they are, take effect for the next tasks, and start no deployment."""
    if (body.get("healthCheckGracePeriodSeconds") or 0) < 0:
        raise invalid("healthCheckGracePeriodSeconds must not be negative.")
    return {member: body[member] for member in _AS_GIVEN if member in body}


def constraints(body: Json) -> list[Json]:
    """``placementConstraints``."""
    given: list[Json] = body.get("placementConstraints", [])
    if len(given) > _CONSTRAINTS_MOST:
        raise invalid(f"A service can have at most {_CONSTRAINTS_MOST} placement constraints.")
    for constraint in given:
        _check_constraint(constraint.get("type"), constraint.get("expression"))
    return given


def _check_constraint(kind: str | None, expression: str | None) -> None:
    if kind is None:
        raise invalid("A placement constraint must have a type: distinctInstance or memberOf.")
    if kind == "distinctInstance":
        if expression:
            raise invalid("A placement constraint of type distinctInstance takes no expression.")
        return
    try:
        parsed(expression or "")
    except QueryError as error:
        raise invalid(f"Invalid expression in placement constraint '{expression or ''}': {error}") from None


def placement_strategy(body: Json, scheduling_strategy: str) -> list[Json]:
    """``placementStrategy``; an entry without a type, which stands for none, is left out."""
    given: list[Json] = [rule for rule in body.get("placementStrategy", []) if rule]
    if given and scheduling_strategy == DAEMON:
        raise invalid(
            "The daemon scheduling strategy does not support placement strategies."
            " Remove the placement strategy and try again."
        )
    if len(given) > _RULES_MOST:
        raise invalid(f"A service can have at most {_RULES_MOST} placement strategy rules.")
    for rule in given:
        check = _FIELDS.get(rule.get("type", ""))
        if check is None:
            raise invalid("A placement strategy must have a type: random, spread or binpack.")
        if not check(rule.get("field") or ""):
            raise invalid(f"Invalid field for placement strategy {rule['type']}: '{rule.get('field') or ''}'.")
    return given


_FIELDS: Mapping[str, Callable[[str], bool]] = {
    "random": lambda field: field == "",
    "spread": lambda field: field.lower() in ("instanceid", "host") or field.startswith("attribute:"),
    "binpack": lambda field: field.lower() in ("cpu", "memory"),
}


def check_definition(definition: TaskDefinition, *, launch_type: str, body: Json) -> None:
    """Whether the tasks can be as the service wants them. Raises ``InvalidParameterException``."""
    if launch_type not in definition.compatibilities:
        raise invalid(f"Task definition does not support launch_type {launch_type}.")
    is_awsvpc = definition.body.get("networkMode") == "awsvpc"
    has_network = bool(body.get("networkConfiguration"))
    if is_awsvpc and not has_network:
        raise invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
    if has_network and not is_awsvpc:
        raise invalid("Network Configuration is not valid for the given networkMode of this task definition.")
    if body.get("platformVersion") and launch_type != "FARGATE":
        raise invalid(f"The platform version must be null when specifying an {launch_type} launch type.")


def _not_here(member: str, reason: str) -> ApiError:
    return unsupported(f"{member} is not supported: {reason}")
