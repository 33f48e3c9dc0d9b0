"""What is wrong with a request's placement is said before anything is placed."""

from __future__ import annotations

from typing import Any

import pytest

from ecscope.control.api.placement import constraints_of, launch_type_of, strategy_of
from ecscope.control.core.errors import ApiError
from tests.control_builders import a_cluster, a_task_definition
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


def test_a_default_of_the_cluster_is_refused_with_advice() -> None:
    cluster = a_cluster(default_strategy=({"capacityProvider": "FARGATE", "weight": 1},))
    with pytest.raises(ApiError, match=r"The default capacity provider strategy .* Give launchType EC2\."):
        launch_type_of({}, cluster, a_task_definition())
    assert launch_type_of({"launchType": "EC2"}, cluster, a_task_definition()) == "EC2"
