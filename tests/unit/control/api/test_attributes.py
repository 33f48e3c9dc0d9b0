"""Custom attributes are given to one instance or to all, and only they can be taken away."""

from __future__ import annotations

from typing import Any

import pytest

from ecscope.control.core.errors import ApiError
from ecscope.control.core.step import Step
from ecscope.model.container_instance import Attribute
from tests.control_builders import a_cluster, a_control_step, an_instance, asked

FIRST = an_instance(1, reported_attributes=(Attribute(name="ecs.os-type", value="linux"), Attribute(name="ecs.x")))
SECOND = an_instance(2)


def a_step() -> Step:
    return a_control_step(
        a_cluster(), FIRST, SECOND, an_instance(3, status="INACTIVE"), an_instance(4, cluster="other")
    )


def listed(step: Step, **body: Any) -> list[tuple[str, str | None, str]]:
    answer = asked(step, "ListAttributes", targetType="container-instance", **body)
    assert all(each["targetType"] == "container-instance" for each in answer["attributes"])
    return [(each["name"], each.get("value"), each["targetId"][-1]) for each in answer["attributes"]]


def test_attributes_come_and_go() -> None:
    step = a_step()
    answer = asked(
        step,
        "PutAttributes",
        attributes=[
            {"name": "env", "value": "prod"},
            {"name": "rack", "value": "1", "targetId": FIRST.arn},
            {"name": "rack", "value": "2", "targetId": SECOND.arn[-32:], "targetType": "container-instance"},
            {"name": "fast", "targetId": SECOND.arn},
        ],
    )
    assert len(answer["attributes"]) == 5
    everything = [
        ("ecs.os-type", "linux", "1"),
        ("ecs.x", None, "1"),
        ("env", "prod", "1"),
        ("rack", "1", "1"),
        ("env", "prod", "2"),
        ("rack", "2", "2"),
        ("fast", None, "2"),
    ]
    assert listed(step) == everything
    assert listed(step, attributeName="rack") == [("rack", "1", "1"), ("rack", "2", "2")]
    assert listed(step, attributeName="rack", attributeValue="2") == [("rack", "2", "2")]
    answer = asked(step, "DeleteAttributes", attributes=[{"name": "rack", "targetId": SECOND.arn[-32:]}])
    assert answer["attributes"] == [
        {"name": "rack", "value": "2", "targetType": "container-instance", "targetId": SECOND.arn}
    ]
    assert listed(step, attributeName="rack") == [("rack", "1", "1")]
    assert asked(step, "DeleteAttributes", attributes=[{"name": "ecs.os-type"}, {"name": "none"}])["attributes"] == []


@pytest.mark.parametrize(
    ("attribute", "code", "words"),
    [
        ({"name": "a", "targetId": "0"}, "TargetNotFoundException", "wasn't found"),
        ({"name": "a", "targetId": f"{3:032x}"}, "TargetNotFoundException", "wasn't found"),
        ({"name": "a b"}, "InvalidParameterException", "name must have"),
        ({"name": "a", "value": " x"}, "InvalidParameterException", "value of attribute a"),
        ({"name": "ecs.os-type", "value": "x"}, "InvalidParameterException", "ECS's own"),
    ],
)
def test_what_is_no_attribute(attribute: Any, code: str, words: str) -> None:
    with pytest.raises(ApiError, match=words) as caught:
        asked(a_step(), "PutAttributes", attributes=[attribute])
    assert caught.value.code == code


def test_ten_at_a_time_and_ten_in_all() -> None:
    step = a_step()
    ten = [{"name": f"a{number}", "targetId": FIRST.arn} for number in range(10)]
    asked(step, "PutAttributes", attributes=ten)
    asked(step, "PutAttributes", attributes=ten)
    with pytest.raises(ApiError, match="up to 10 custom attributes") as caught:
        asked(step, "PutAttributes", attributes=[{"name": "more", "targetId": FIRST.arn}])
    assert caught.value.code == "AttributeLimitExceededException"
    with pytest.raises(ApiError, match="more than 10 elements"):
        asked(step, "PutAttributes", attributes=[*ten, {"name": "more"}])


def test_a_value_is_found_by_name() -> None:
    with pytest.raises(ApiError, match="must also give attributeName"):
        listed(a_step(), attributeValue="x")
