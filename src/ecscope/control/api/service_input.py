"""What CreateService and UpdateService are asked for, checked: what one machine cannot do is refused by name.

Source: control-plane.md §3.5, §8.1; CreateService and UpdateService of the ECS API (2014-11-13).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ecscope.control.api.placement import constraints_of, strategy_of
from ecscope.control.core.deployments import DAEMON_PERCENTS, REPLICA_PERCENTS
from ecscope.control.core.errors import ApiError, invalid, unsupported
from ecscope.control.core.records import Json
from ecscope.control.core.statuses import LaunchType, SchedulingStrategy

MOST_TASKS = 5000
"""Of one service. Source: Amazon ECS service quotas."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")

_ZONE = "attribute:ecs.availability-zone"

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
_REFUSED: Mapping[str, str] = {
    "loadBalancers": _NO_LOAD_BALANCER,
    "vpcLatticeConfigurations": _NO_LOAD_BALANCER,
    "gatewayConnectors": _NO_LOAD_BALANCER,
    "serviceRegistries": _NO_DISCOVERY,
    "volumeConfigurations": "there are no EBS volumes on this machine. Use a host or docker volume.",
    "monitoring": "there is no CloudWatch on this machine.",
}
"""Member → why anything but an empty value is refused."""


def refuse_what_is_not_here(body: Json) -> None:
    """Raises ``UnsupportedFeatureException``."""
    for member, reason in _REFUSED.items():
        if body.get(member):
            raise _not_here(member, reason)
    if body.get("serviceConnectConfiguration", {}).get("enabled"):
        raise _not_here("serviceConnectConfiguration", "there is no Service Connect proxy. " + _NO_DISCOVERY)
    controller = body.get("deploymentController", {}).get("type", "ECS")
    if controller != "ECS":
        raise _not_here("deploymentController", f"only rolling updates (type ECS) are supported, not {controller}.")
    configuration: Json = body.get("deploymentConfiguration", {})
    strategy = configuration.get("strategy", "ROLLING")
    if strategy != "ROLLING":
        raise _not_here("deploymentConfiguration.strategy", f"only ROLLING is supported, not {strategy}.")
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
    if strategy == SchedulingStrategy.DAEMON:
        raise invalid(
            "The daemon scheduling strategy does not support a desired count for services."
            " Remove the desired count value and try again."
        )
    if not 0 <= given <= MOST_TASKS:
        raise invalid(f"desiredCount must be from 0 to {MOST_TASKS}.")
    return given


def deployment_configuration(body: Json, strategy: str, before: Json | None = None) -> dict[str, Any]:
    """With what ``before`` has, or with the defaults, for what is not given."""
    minimum, maximum = DAEMON_PERCENTS if strategy == SchedulingStrategy.DAEMON else REPLICA_PERCENTS
    configuration: dict[str, Any] = {
        "deploymentCircuitBreaker": {"enable": False, "rollback": False},
        "maximumPercent": maximum,
        "minimumHealthyPercent": minimum,
        "strategy": "ROLLING",
        **(before or {}),
        **body.get("deploymentConfiguration", {}),
    }
    if strategy == SchedulingStrategy.DAEMON and configuration["maximumPercent"] != maximum:
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


def placement_constraints(body: Json) -> list[Json]:
    """Checked."""
    given: list[Json] = list(body.get("placementConstraints", ()))
    constraints_of(given)
    return given


def placement_strategy(body: Json, scheduling_strategy: str) -> list[Json]:
    """Checked; an entry without members, which means none, is left out."""
    given = [rule for rule in body.get("placementStrategy", ()) if rule]
    if given and scheduling_strategy == SchedulingStrategy.DAEMON:
        raise invalid(
            "The daemon scheduling strategy does not support placement strategies."
            " Remove the placement strategy and try again."
        )
    strategy_of(given)
    return [_as_shown(rule) for rule in given]


def _as_shown(rule: Json) -> Json:
    """``host`` is but another word for ``instanceId``, which is what ECS gives back, and Terraform expects."""
    return {**rule, "field": "instanceId"} if rule.get("field", "").lower() == "host" else rule


def rebalancing(service_body: Json, strategy: str) -> str:
    """Of a new service that does not say: enabled where ECS could do it.

    Source: CreateService of the ECS API; "Balancing an Amazon ECS service across Availability Zones" of the guide.
    """
    rules = service_body["placementStrategy"]
    could = (
        strategy != SchedulingStrategy.DAEMON
        and service_body.get("launchType") != LaunchType.EXTERNAL
        and service_body["deploymentConfiguration"]["maximumPercent"] > 100
        and (not rules or (rules[0].get("type"), rules[0].get("field")) == ("spread", _ZONE))
        and not any(_ZONE in one.get("expression", "") for one in service_body["placementConstraints"])
    )
    return "ENABLED" if could else "DISABLED"


def _not_here(member: str, reason: str) -> ApiError:
    return unsupported(f"{member} is not supported: {reason}")
