"""What is wrong with a request's placement is said before anything is placed."""

from __future__ import annotations

from typing import Any

import pytest

from ecscope.control.api.placement import constraints_of, launch_of, network_of, strategy_items, strategy_of
from ecscope.control.core.errors import ApiError
from tests.control_builders import a_cluster, a_fargate_definition, a_task_definition
from tests.tables import each_row


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ([{"type": "distinctInstance"}] * 11, "more than 10"),
        ([{"type": "distinctInstance", "expression": "x"}], "has no expression"),
        ([{"type": "memberOf"}], "memberOf with an expression"),
        ([{}], "is of type"),
        (
            [{"type": "memberOf", "expression": "attribute:a =="}],
            "Invalid expression 'attribute:a ==': at character 15: expected a value.",
        ),
    ],
)
def test_constraints(given: list[dict[str, Any]], text: str) -> None:
    with pytest.raises(ApiError) as raised:
        constraints_of(given)
    assert raised.value.code == "InvalidParameterException"
    assert text in raised.value.message


@each_row(
    "given, text",
    [
        ([{"type": "random"}] * 6, "more than 5"),
        ([{"type": "random", "field": "cpu"}], "random has no field"),
        ([{"type": "binpack", "field": "disk"}], "goes by cpu or memory"),
        ([{"type": "binpack"}], "goes by cpu or memory"),
        ([{"type": "spread", "field": "zone"}], "goes by instanceId, host or"),
        ([{"type": "spread", "field": "attribute:"}], "goes by instanceId, host or"),
        ([{}], "is of type"),
    ],
)
def test_strategies(given: list[dict[str, Any]], text: str) -> None:
    with pytest.raises(ApiError) as raised:
        strategy_of(given)
    assert raised.value.code == "InvalidParameterException"
    assert text in raised.value.message


FARGATE = {"capacityProvider": "FARGATE", "base": 0, "weight": 1}
FITTING = a_fargate_definition()
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}


def test_a_launch_type_comes_from_the_request_or_from_the_default_of_the_cluster() -> None:
    cluster = a_cluster(capacity_providers=("FARGATE",), default_strategy=(FARGATE,))
    by_default = launch_of({}, cluster, FITTING)
    assert (by_default.launch_type, by_default.strategy, by_default.platform_version) == (
        "FARGATE",
        (FARGATE,),
        "LATEST",
    )
    assert by_default.current_version == "1.4.0"
    by_type = launch_of({"launchType": "FARGATE", "platformVersion": "1.3.0"}, cluster, FITTING)
    assert (by_type.strategy, by_type.current_version) == ((), "1.3.0")
    assert launch_of({"launchType": "EC2"}, cluster, a_task_definition()).launch_type == "EC2"
    assert launch_of({}, a_cluster(), FITTING).launch_type == "EC2"


@each_row(
    "body, code, text",
    [
        (
            {"launchType": "FARGATE", "capacityProviderStrategy": [FARGATE]},
            "InvalidParameterException",
            "Specify either Launch Type or Capacity Provider Strategy, but not both.",
        ),
        ({"launchType": "MANAGED_INSTANCES"}, "UnsupportedFeatureException", "MANAGED_INSTANCES is not supported"),
        ({"launchType": "EXTERNAL"}, "InvalidParameterException", "does not support launch_type EXTERNAL."),
        ({"platformVersion": "1.4.0"}, "InvalidParameterException", "must be null when specifying an EC2 launch type"),
        ({"launchType": "FARGATE", "platformVersion": "9"}, "PlatformUnknownException", "platform does not exist"),
        (
            {"launchType": "FARGATE", "placementConstraints": [{"type": "distinctInstance"}]},
            "InvalidParameterException",
            "Placement constraints are not supported with FARGATE launch type.",
        ),
        (
            {"launchType": "FARGATE", "placementStrategy": [{"type": "random"}]},
            "InvalidParameterException",
            "Placement strategies are not supported with FARGATE launch type.",
        ),
        ({"capacityProviderStrategy": [FARGATE]}, "InvalidParameterException", "not associated with the cluster"),
    ],
)
def test_what_a_launch_cannot_be(body: dict[str, Any], code: str, text: str) -> None:
    with pytest.raises(ApiError) as raised:
        launch_of(body, a_cluster(), FITTING)
    assert raised.value.code == code
    assert text in raised.value.message


def test_a_definition_that_does_not_fit_fargate_is_refused_with_the_reason() -> None:
    with pytest.raises(ApiError, match=r"launch_type FARGATE: Fargate only supports network mode ‘awsvpc’\.$"):
        launch_of({"launchType": "FARGATE"}, a_cluster(), a_task_definition())


@each_row(
    "items, text",
    [
        ([{"capacityProvider": "mine"}], "not associated with the cluster"),
        ([{"capacityProvider": "FARGATE", "weight": 1001}], "A weight must be from 0 to 1000"),
        ([{"capacityProvider": "FARGATE"}] * 2, "only once"),
        (
            [{"capacityProvider": "FARGATE", "base": 1}, {"capacityProvider": "FARGATE_SPOT", "base": 1}],
            "a base above 0",
        ),
        ([{"capacityProvider": "FARGATE"}, {"capacityProvider": "FARGATE_SPOT"}], "a weight above 0"),
    ],
)
def test_strategies_of_capacity_providers(items: list[dict[str, Any]], text: str) -> None:
    with pytest.raises(ApiError) as raised:
        strategy_items(items, ("FARGATE", "FARGATE_SPOT"))
    assert raised.value.code == "InvalidParameterException"
    assert text in raised.value.message


def test_a_network_configuration_is_shown_with_its_defaults() -> None:
    on_fargate = launch_of({"launchType": "FARGATE"}, a_cluster(), FITTING)
    shown = network_of({"networkConfiguration": NETWORK}, FITTING, on_fargate)
    assert shown == {
        "awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": [], "assignPublicIp": "DISABLED"}
    }
    assert network_of({}, a_task_definition(), on_fargate) == {}


@each_row(
    "configuration, text",
    [
        (None, "Network Configuration must be provided when networkMode 'awsvpc' is specified."),
        ({"subnets": []}, "subnets can not be empty."),
        ({"subnets": ["s"] * 17}, "subnets can have at most 16 items."),
        ({"subnets": ["s"], "securityGroups": ["g"] * 6}, "securityGroups can have at most 5 items."),
        (
            {"subnets": ["s"], "assignPublicIp": "ENABLED"},
            "Assign public IP is not supported for this launch type.",
        ),
    ],
)
def test_what_a_network_cannot_be(configuration: dict[str, Any] | None, text: str) -> None:
    body = {} if configuration is None else {"networkConfiguration": {"awsvpcConfiguration": configuration}}
    with pytest.raises(ApiError) as raised:
        network_of(body, FITTING, launch_of({}, a_cluster(), FITTING))
    assert (raised.value.code, raised.value.message) == ("InvalidParameterException", text)
