"""Tasks of services are protected for a while, and no others are."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ecscope.control.core.effects import WakeAt
from ecscope.control.core.errors import ApiError
from ecscope.control.core.step import Step
from tests.control_builders import (
    AT,
    PREFIX,
    a_cluster,
    a_control_step,
    a_control_task,
    a_service,
    an_instance,
    asked,
)

OURS = a_control_task(1, service_arn=a_service().arn)
ALONE = a_control_task(2)
PROTECTED = a_control_task(3, service_arn=a_service().arn, is_protected=True, protected_until=AT + timedelta(minutes=1))
EXPIRED = a_control_task(4, service_arn=a_service().arn, is_protected=True, protected_until=AT)
ENDED = a_control_task(5, service_arn=a_service().arn, last_status="STOPPED")


def a_world() -> Step:
    return a_control_step(a_cluster(), an_instance(), a_service(), OURS, ALONE, PROTECTED, EXPIRED, ENDED)


def update(step: Step, *, enabled: bool = True, tasks: tuple[str, ...] = (OURS.arn,), **body: Any) -> dict[str, Any]:
    return asked(step, "UpdateTaskProtection", cluster="default", tasks=list(tasks), protectionEnabled=enabled, **body)


def test_protection_is_given_and_ends() -> None:
    step = a_world()
    ends_at = AT + timedelta(hours=2)
    shown = {"taskArn": OURS.arn, "protectionEnabled": True, "expirationDate": ends_at.timestamp()}
    assert update(step) == {"protectedTasks": [shown], "failures": []}
    assert WakeAt(at=ends_at) in step.decision().effects
    assert asked(step, "GetTaskProtection", cluster="default", tasks=[OURS.arn])["protectedTasks"] == [shown]
    update(step, expiresInMinutes=1)
    assert step.tasks[OURS.arn].protected_until == AT + timedelta(minutes=1)


def test_protection_is_taken_away() -> None:
    step = a_world()
    assert update(step, enabled=False, tasks=(PROTECTED.arn,))["protectedTasks"] == [
        {"taskArn": PROTECTED.arn, "protectionEnabled": False}
    ]
    assert not step.tasks[PROTECTED.arn].is_protected


def test_others_are_failures() -> None:
    answer = update(a_world(), tasks=(ALONE.arn, ENDED.arn, "unknown"))
    assert answer["protectedTasks"] == []
    assert [(failure["arn"], failure["reason"]) for failure in answer["failures"]] == [
        (ALONE.arn, "TASK_NOT_VALID"),
        (ENDED.arn, "MISSING"),
        (f"{PREFIX}:task/default/unknown", "MISSING"),
    ]


def test_without_tasks_all_that_are_protected_are_shown() -> None:
    answer = asked(a_world(), "GetTaskProtection", cluster="default")
    assert [task["taskArn"] for task in answer["protectedTasks"]] == [PROTECTED.arn]
    (expired,) = asked(a_world(), "GetTaskProtection", cluster="default", tasks=[EXPIRED.arn])["protectedTasks"]
    assert expired == {"taskArn": EXPIRED.arn, "protectionEnabled": False}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"tasks": ()}, "Tasks cannot be empty."),
        ({"tasks": ("t",) * 11}, "more than 10"),
        ({"expiresInMinutes": 0}, "expiresInMinutes must be from 1 to 2880"),
        ({"expiresInMinutes": 2881}, "expiresInMinutes must be from 1 to 2880"),
        ({"enabled": False, "expiresInMinutes": 5}, "is for protection that is enabled"),
    ],
)
def test_what_is_wrong_is_said(body: dict[str, Any], text: str) -> None:
    with pytest.raises(ApiError, match=text):
        update(a_world(), **body)


@pytest.mark.parametrize(("tasks", "text"), [([], "Tasks cannot be empty."), (["t"] * 101, "more than 100")])
def test_what_is_wrong_with_a_look_is_said(tasks: list[str], text: str) -> None:
    with pytest.raises(ApiError, match=text):
        asked(a_world(), "GetTaskProtection", cluster="default", tasks=tasks)
