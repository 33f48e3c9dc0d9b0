"""ExecuteCommand says why not, and what to type instead."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ecscope.control.api.execute_command import NOT_ENABLED
from ecscope.control.core.errors import ApiError
from ecscope.control.core.records import Task
from tests.control_builders import a_cluster, a_control_step, a_control_task, an_instance, asked

(APP,) = a_control_task().containers
RUNNING = msgspec.structs.replace(APP, last_status="RUNNING", runtime_id="0123456789abcdef")
INSTEAD = "type: docker exec -it 0123456789ab /bin/sh -c 'ls /'"


def refusal(task: Task, /, **body: Any) -> ApiError:
    step = a_control_step(a_cluster(), an_instance(), task)
    with pytest.raises(ApiError) as raised:
        asked(step, "ExecuteCommand", **{"task": task.arn, "command": "/bin/sh -c 'ls /'", "interactive": True, **body})
    return raised.value


def test_where_it_is_enabled_there_is_no_session_manager() -> None:
    error = refusal(a_control_task(execute_command_enabled=True, containers=(RUNNING,)))
    assert error.code == "TargetNotConnectedException"
    assert error.message.endswith(INSTEAD)


def test_where_it_is_not_enabled_it_is_said_in_the_known_words() -> None:
    error = refusal(a_control_task(containers=(RUNNING,)))
    assert error.code == "InvalidParameterException"
    assert error.message.startswith(NOT_ENABLED)
    assert error.message.endswith(INSTEAD)


def test_nothing_is_typed_into_a_container_that_is_not_running() -> None:
    assert refusal(a_control_task()).message.endswith("(The container app is not running.)")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"task": "unknown"}, "The referenced task was not found."),
        ({"interactive": False}, "Interactive is the only mode supported currently."),
        ({"container": "nope"}, "The container nope was not found in the task."),
        ({}, "The task has several containers"),
    ],
)
def test_what_is_asked_for_must_make_sense(body: dict[str, Any], text: str) -> None:
    task = a_control_task(containers=(RUNNING, msgspec.structs.replace(RUNNING, name="side")))
    error = refusal(task, **body)
    assert (error.code, text in error.message) == ("InvalidParameterException", True)


def test_one_of_several_containers_is_named() -> None:
    task = a_control_task(containers=(RUNNING, msgspec.structs.replace(APP, name="side")))
    assert refusal(task, container="side").message.endswith("(The container side is not running.)")
