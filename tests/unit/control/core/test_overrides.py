"""Overrides change a definition for one task, and cannot make it what could not have been registered."""

from __future__ import annotations

from typing import Any

import pytest

from ecscope.control.core.errors import ApiError
from ecscope.control.core.overrides import check_merged, merged
from ecscope.control.core.task_definitions import register
from tests.control_builders import a_control_step

CONTAINER: dict[str, Any] = {
    "name": "app",
    "image": "busybox",
    "memory": 64,
    "command": ["one"],
    "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
}
DEFINITION = register(
    a_control_step(), {"family": "sample", "containerDefinitions": [CONTAINER, {**CONTAINER, "name": "side"}]}, {}
)


def of_container(**members: Any) -> dict[str, Any]:
    return {"containerOverrides": [{"name": "app", **members}]}


def test_nothing_changes_nothing() -> None:
    assert merged(DEFINITION.body, {}) is DEFINITION.body
    for overrides in (dict[str, Any](containerOverrides=[]), of_container(command=[], environment=[])):
        assert merged(DEFINITION.body, overrides) == DEFINITION.body
        check_merged(DEFINITION, overrides)


@pytest.mark.parametrize(
    ("override", "member", "value"),
    [
        ({"command": ["two", "three"]}, "command", ["two", "three"]),
        ({"cpu": 5}, "cpu", 5),
        ({"memory": 100}, "memory", 100),
        ({"memoryReservation": 10}, "memoryReservation", 10),
        (
            {"environment": [{"name": "B", "value": "3"}, {"name": "C"}]},
            "environment",
            [{"name": "A", "value": "1"}, {"name": "B", "value": "3"}, {"name": "C", "value": ""}],
        ),
    ],
)
def test_a_container_is_changed_and_the_others_are_not(override: Any, member: str, value: object) -> None:
    overrides = of_container(**override)
    check_merged(DEFINITION, overrides)
    first, second = merged(DEFINITION.body, overrides)["containerDefinitions"]
    before = DEFINITION.body["containerDefinitions"]
    assert first == {**before[0], member: value}
    assert second == before[1]


def test_the_task_is_changed() -> None:
    overrides = {"cpu": "256", "memory": "512", "taskRoleArn": "a", "executionRoleArn": "b"}
    check_merged(DEFINITION, overrides)
    assert merged(DEFINITION.body, overrides) == {**DEFINITION.body, **overrides}


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (of_container(memoryReservation=65), "must not be less than memoryReservation"),
        ({"memory": "100"}, "less than the 128 MiB of all containers"),
        (of_container(memory=1), "at least 6"),
        (of_container(environment=[{"name": "a=b", "value": ""}]), "variable name"),
    ],
)
def test_rules_hold_for_what_comes_out(overrides: Any, words: str) -> None:
    with pytest.raises(ApiError, match=words) as caught:
        check_merged(DEFINITION, overrides)
    assert caught.value.code == "ClientException"
    assert caught.value.message.startswith("With the overrides of this request: ")
