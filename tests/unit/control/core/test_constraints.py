"""The cluster query language means the instances that ECS means, and says where it cannot be read."""

from __future__ import annotations

import msgspec
import pytest

from ecscope.control.core.constraints import QueryError, parsed, running_tasks_count
from ecscope.control.core.state import ControlState
from ecscope.control.core.step import Step
from ecscope.model.container_instance import Attribute
from tests.control_builders import a_control_task, a_request, an_instance
from tests.tables import each_row

INSTANCE = an_instance(
    reported_attributes=(
        Attribute(name="ecs.instance-type", value="t2.small"),
        Attribute(name="ecs.availability-zone", value="us-east-1a"),
        Attribute(name="ecs.capability.external"),
    ),
    custom_attributes={"stack": "prod", "rack": "12", "flag": None},
    version_info={"agentVersion": "1.105.1"},
)


def is_meant(expression: str) -> bool:
    step = Step(ControlState(instances={INSTANCE.arn: INSTANCE}), a_request("RunTask"))
    step.put_task(a_control_task(1, group="service:db", last_status="RUNNING"))
    step.put_task(a_control_task(2, group="family:web"))
    return parsed(expression)(step, INSTANCE)


@each_row(
    "expression",
    [
        "attribute:ecs.instance-type =~ t2.* and attribute:stack == prod",
        "attribute:ecs.instance-type matches t2.(small|large) && (attribute:stack equals prod)",
        "(attribute:ecs.instance-type =~ t2.(small|large))",
        "attribute:ecs.instance-type == 't2.small'",
        'attribute:stack == "prod"',
        "attribute:stack in [test,prod]",
        "attribute:stack in [ 'test' , prod ]",
        "attribute:stack !in [test]",
        "attribute:stack not_in [test, beta]",
        "attribute:stack exists",
        "attribute:flag exists",
        "attribute:ecs.capability.external exists",
        "attribute:color !exists",
        "attribute:color not_exists",
        "attribute:color != red",
        "attribute:stack not_equals beta",
        "attribute:stack !~ t.*",
        "attribute:stack =~ 'p.* ?'",
        "attribute:rack > 2",
        "attribute:rack >= 12",
        "attribute:rack less_than_equal 12",
        "attribute:stack < qqq",
        "attribute:rack < abc",
        "not attribute:stack == test",
        "!(attribute:stack == test)",
        "not not attribute:stack == prod",
        "attribute:stack == test or attribute:rack == 12",
        "attribute:stack == prod || attribute:rack == 1 and attribute:rack == 2",
        "attribute:ecs.availability-zone in [us-east-1a, us-east-1b]",
        "agentConnected == true",
        "agentConnected == TRUE",
        "agentVersion >= 1.13.0",
        "agentVersion > 1.105",
        "ec2InstanceId in ['i-00000000000000001', 'i-wxyx7890']",
        "registeredAt > 2018-02-18",
        "registeredAt <= 2024-05-17T12:00:00+00:00",
        "runningTasksCount == 1",
        "runningTasksCount < 10",
        "task:group == service:db",
        "task:group =~ family:.*",
        "not(task:group == service:web)",
        "task:group != service:web",
    ],
)
def test_these_mean_the_instance(expression: str) -> None:
    assert is_meant(expression)
    assert not is_meant(f"not ({expression})")


@each_row(
    "expression, position, problem",
    [
        ("", 1, "expected a subject"),
        ("attribute:stack", 16, "expected an operator"),
        ("attribute:stack ==", 19, "expected a value"),
        ("attribute:stack = prod", 17, "expected an operator"),
        ("attribute:stack is prod", 17, "expected an operator"),
        ("color == red", 1, "unknown subject color"),
        ("attribute:stack == prod extra", 25, "expected and, or, or the end"),
        ("(attribute:stack == prod", 25, "expected ) for the ( at character 1"),
        ("attribute:stack in prod", 20, "expected [ and values"),
        ("attribute:stack in [prod", 25, "expected , or ]"),
        ("attribute:stack =~ t2.[", 19, "t2.[ is not a regular expression"),
        ("attribute:stack =~ a{99999999999}", 19, "a{99999999999} is not a regular expression"),
        (f"attribute:stack =~ {'(' * 1900}", 19, "((("),
        ("attribute:stack =~ ", 20, "expected a regular expression"),
        ("attribute:stack == prod and", 28, "expected a subject"),
        ("(" * 60, 52, "too many parentheses"),
        ("a" * 2001, 2001, "an expression has 2000 characters at most"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_place(expression: str, position: int, problem: str) -> None:
    with pytest.raises(QueryError) as raised:
        parsed(expression)
    assert str(raised.value).startswith(f"at character {position}: {problem}")


def test_only_running_tasks_count() -> None:
    step = Step(ControlState(instances={INSTANCE.arn: INSTANCE}), a_request("RunTask"))
    assert running_tasks_count(step, INSTANCE) == 0
    task = step.put_task(a_control_task())
    assert running_tasks_count(step, INSTANCE) == 0
    step.put_task(msgspec.structs.replace(task, last_status="RUNNING"))
    assert running_tasks_count(step, INSTANCE) == 1
