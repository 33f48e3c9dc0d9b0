"""Each invariant catches the state, or the step, that breaks it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from ecscope.control.core.invariants import InvariantBroken, check_state, check_step
from ecscope.control.core.state import ControlState
from ecscope.control.core.statuses import LastStatus
from ecscope.model.resources import HostResources
from tests.control_builders import AT, a_control_task, a_state, an_instance
from tests.tables import each_row

TASK = a_control_task(message_id="m")
STOPPED = a_control_task(
    last_status="STOPPED",
    desired_status="STOPPED",
    stop_code="UserInitiated",
    stopped_at=AT,
    containers=(msgspec.structs.replace(TASK.containers[0], last_status="STOPPED"),),
)


def with_task(**fields: Any) -> ControlState:
    return a_state(an_instance(), msgspec.structs.replace(TASK, **fields))


def stopped(**fields: Any) -> ControlState:
    return a_state(an_instance(), msgspec.structs.replace(STOPPED, **fields))


def test_sound_states_pass() -> None:
    for state in (ControlState(), with_task(), stopped()):
        check_state(state)
    check_step(with_task(), with_task())
    check_step(with_task(), stopped())
    check_step(stopped(), a_state(an_instance()))


@each_row(
    "state, rule",
    [
        (msgspec.structs.replace(with_task(), tasks={a_control_task(2).arn: TASK}), "filed under their ARN"),
        (stopped(stopped_at=None), "STOPPED and the time of it"),
        (stopped(stop_code=""), "a stop code exactly"),
        (stopped(desired_status="RUNNING", stop_code=""), "what is STOPPED is to be STOPPED"),
        (stopped(containers=TASK.containers), "a STOPPED task has STOPPED containers"),
        (with_task(message_id=""), "every task is sent to its agent"),
        (a_state(TASK), "a live task has an instance"),
        (msgspec.structs.replace(with_task(), tasks_on={}), "tasks_on equals"),
        (msgspec.structs.replace(with_task(), tasks_of={"arn": frozenset({TASK.arn})}), "tasks_of equals"),
        (msgspec.structs.replace(with_task(service_arn="arn"), tasks_of={}), "tasks_of equals"),
        (msgspec.structs.replace(with_task(), groups_on={}), "groups_on equals"),
        (msgspec.structs.replace(with_task(), taken={}), "taken equals"),
        (
            a_state(
                an_instance(),
                *(
                    a_control_task(number, message_id="m", needs=HostResources(ports_tcp=frozenset({80})))
                    for number in (1, 2)
                ),
            ),
            "hold one port",
        ),
    ],
)
def test_unsound_states_are_caught(state: ControlState, rule: str) -> None:
    with pytest.raises(InvariantBroken, match=rule):
        check_state(state)


@each_row(
    "before, after, rule",
    [
        (with_task(last_status=LastStatus.RUNNING), with_task(), "a status never goes back"),
        (with_task(desired_status="STOPPED"), with_task(), "a stop is never taken back"),
        (with_task(stop_code="a"), with_task(stop_code="b"), "the first stop code stays"),
        (stopped(), stopped(stopped_at=AT + timedelta(seconds=1)), "does not end again"),
        (with_task(version=2), with_task(), "versions rise"),
        (
            with_task(containers=STOPPED.containers),
            with_task(),
            "a container's status never goes back",
        ),
        (with_task(), a_state(an_instance()), "only STOPPED tasks are forgotten"),
        (ControlState(sequence=2), ControlState(sequence=1), "sequence numbers rise"),
    ],
)
def test_unsound_steps_are_caught(before: ControlState, after: ControlState, rule: str) -> None:
    with pytest.raises(InvariantBroken, match=rule):
        check_step(before, after)
