"""What one machine cannot do is refused by name, and the rest is checked."""

from __future__ import annotations

from typing import Any

import pytest

from ecscope.control.api import service_input
from ecscope.control.core.errors import ApiError
from tests.tables import each_row


@each_row(
    "body, member",
    [
        ({"loadBalancers": [{}]}, "loadBalancers"),
        ({"vpcLatticeConfigurations": [{}]}, "vpcLatticeConfigurations"),
        ({"gatewayConnectors": [{}]}, "gatewayConnectors"),
        ({"serviceRegistries": [{}]}, "serviceRegistries"),
        ({"volumeConfigurations": [{}]}, "volumeConfigurations"),
        ({"monitoring": {"metricConfigurations": []}}, "monitoring"),
        ({"serviceConnectConfiguration": {"enabled": True}}, "serviceConnectConfiguration"),
        ({"deploymentController": {"type": "CODE_DEPLOY"}}, "deploymentController"),
        ({"deploymentConfiguration": {"strategy": "CANARY"}}, "deploymentConfiguration.strategy"),
        ({"deploymentConfiguration": {"alarms": {"enable": True}}}, "deploymentConfiguration.alarms"),
        (
            {"deploymentConfiguration": {"earlySuccessCriteria": {"enable": True}}},
            "deploymentConfiguration.earlySuccessCriteria",
        ),
        ({"deploymentConfiguration": {"lifecycleHooks": [{}]}}, "deploymentConfiguration.lifecycleHooks"),
        ({"deploymentConfiguration": {"bakeTimeInMinutes": 1}}, "deploymentConfiguration.bakeTimeInMinutes"),
    ],
)
def test_what_is_not_here_is_refused_by_name(body: dict[str, Any], member: str) -> None:
    with pytest.raises(ApiError) as caught:
        service_input.refuse_what_is_not_here(body)
    assert caught.value.code == "UnsupportedFeatureException"
    assert caught.value.message.startswith(f"{member} is not supported: ")


def test_what_asks_for_nothing_is_accepted() -> None:
    service_input.refuse_what_is_not_here(
        {
            "loadBalancers": [],
            "serviceRegistries": [],
            "serviceConnectConfiguration": {"enabled": False},
            "deploymentController": {"type": "ECS"},
            "deploymentConfiguration": {"strategy": "ROLLING", "bakeTimeInMinutes": 0, "lifecycleHooks": []},
        }
    )


@pytest.mark.parametrize(
    ("strategy", "configuration", "message"),
    [
        ("DAEMON", {"maximumPercent": 200}, "supports a maximumPercent of 100 only"),
        ("REPLICA", {"maximumPercent": 99}, "maximumPercent must be at least 100"),
        ("REPLICA", {"minimumHealthyPercent": 101}, "minimumHealthyPercent must be from 0 to 100"),
        ("REPLICA", {"minimumHealthyPercent": -1}, "minimumHealthyPercent must be from 0 to 100"),
        (
            "REPLICA",
            {"deploymentCircuitBreaker": {"enable": True, "thresholdConfiguration": {"value": 0}}},
            "must be at least 1",
        ),
    ],
)
def test_percents_have_bounds(strategy: str, configuration: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiError, match=message):
        service_input.deployment_configuration({"deploymentConfiguration": configuration}, strategy)


def test_a_daemon_has_no_placement_strategy_and_an_empty_rule_is_none() -> None:
    rules = [{"type": "spread", "field": "instanceId"}]
    with pytest.raises(ApiError, match="does not support placement strategies"):
        service_input.placement_strategy({"placementStrategy": rules}, "DAEMON")
    assert service_input.placement_strategy({"placementStrategy": [{}]}, "DAEMON") == []
    assert service_input.placement_strategy({"placementStrategy": rules}, "REPLICA") == rules
    with pytest.raises(ApiError, match="goes by cpu or memory"):
        service_input.placement_strategy({"placementStrategy": [{"type": "binpack"}]}, "REPLICA")


def test_a_grace_period_is_not_negative() -> None:
    with pytest.raises(ApiError, match="must not be negative"):
        service_input.as_given({"healthCheckGracePeriodSeconds": -1})
    assert service_input.as_given({"propagateTags": "NONE", "cluster": "c"}) == {"propagateTags": "NONE"}
