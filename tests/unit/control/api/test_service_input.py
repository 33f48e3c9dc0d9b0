"""What one machine cannot do is refused by name, and the rest is checked."""

from __future__ import annotations

from typing import Any

import pytest

from ecscope.control.api import service_input
from ecscope.control.core.errors import ApiError
from tests.control_builders import a_task_definition


@pytest.mark.parametrize(
    ("body", "member"),
    [
        ({"loadBalancers": [{}]}, "loadBalancers"),
        ({"vpcLatticeConfigurations": [{}]}, "vpcLatticeConfigurations"),
        ({"gatewayConnectors": [{}]}, "gatewayConnectors"),
        ({"serviceRegistries": [{}]}, "serviceRegistries"),
        ({"capacityProviderStrategy": [{}]}, "capacityProviderStrategy"),
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


def test_launch_type_and_strategy_exclude_each_other() -> None:
    with pytest.raises(ApiError, match="Specify either Launch Type or Capacity Provider Strategy, but not both"):
        service_input.refuse_what_is_not_here({"launchType": "EC2", "capacityProviderStrategy": [{}]})


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


@pytest.mark.parametrize(
    ("constraints", "message"),
    [
        ([{}], "must have a type"),
        ([{"type": "distinctInstance", "expression": "x"}], "takes no expression"),
        ([{"type": "memberOf"}], "Invalid expression"),
        ([{"type": "memberOf", "expression": "attribute:a =="}], "Invalid expression"),
        ([{"type": "distinctInstance"}] * 11, "at most 10"),
    ],
)
def test_constraints_must_make_sense(constraints: list[Any], message: str) -> None:
    with pytest.raises(ApiError, match=message):
        service_input.constraints({"placementConstraints": constraints})


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([{"field": "cpu"}], "must have a type"),
        ([{"type": "random", "field": "cpu"}], "Invalid field for placement strategy random"),
        ([{"type": "binpack", "field": "disk"}], "Invalid field for placement strategy binpack"),
        ([{"type": "spread"}], "Invalid field for placement strategy spread"),
        ([{"type": "random"}] * 6, "at most 5"),
    ],
)
def test_strategies_must_make_sense(rules: list[Any], message: str) -> None:
    with pytest.raises(ApiError, match=message):
        service_input.placement_strategy({"placementStrategy": rules}, "REPLICA")
    with pytest.raises(ApiError, match="does not support placement strategies"):
        service_input.placement_strategy({"placementStrategy": rules}, "DAEMON")


def test_good_placement_is_taken_as_it_is() -> None:
    constraints = [{"type": "memberOf", "expression": "attribute:a == b"}, {"type": "distinctInstance"}]
    assert service_input.constraints({"placementConstraints": constraints}) == constraints
    rules = [{"type": "spread", "field": "attribute:zone"}, {"type": "binpack", "field": "memory"}]
    assert service_input.placement_strategy({"placementStrategy": rules}, "REPLICA") == rules


@pytest.mark.parametrize(
    ("launch_type", "mode", "body", "message"),
    [
        ("FARGATE", "bridge", {}, "Task definition does not support launch_type FARGATE."),
        ("EC2", "awsvpc", {}, "Network Configuration must be provided when networkMode 'awsvpc' is specified."),
        ("EC2", "bridge", {"networkConfiguration": {"awsvpcConfiguration": {}}}, "Network Configuration is not valid"),
        ("EC2", "bridge", {"platformVersion": "1.4.0"}, "The platform version must be null"),
    ],
)
def test_the_definition_must_fit(launch_type: str, mode: str, body: dict[str, Any], message: str) -> None:
    sample = a_task_definition()
    definition = a_task_definition(body={**sample.body, "networkMode": mode})
    with pytest.raises(ApiError, match=message):
        service_input.check_definition(definition, launch_type=launch_type, body=body)


def test_a_grace_period_is_not_negative() -> None:
    with pytest.raises(ApiError, match="must not be negative"):
        service_input.as_given({"healthCheckGracePeriodSeconds": -1})
    assert service_input.as_given({"propagateTags": "NONE", "cluster": "c"}) == {"propagateTags": "NONE"}
