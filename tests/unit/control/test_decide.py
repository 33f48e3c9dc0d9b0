"""The one door lets every event through to its rule, and changes nothing it is not asked to."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ecscope.control.core.effects import ConfirmStop
from ecscope.control.core.errors import ApiError
from ecscope.control.core.events import (
    AgentConnected,
    AgentDisconnected,
    AnyEvent,
    ContainerHealth,
    HealthReported,
    InstanceStatusReported,
    MessageAcknowledged,
    StopVerificationAsked,
    TimePassed,
)
from ecscope.control.core.records import InstanceStatusDetail
from ecscope.control.core.state import ControlState
from ecscope.control.decide import decide, read
from ecscope.model.arn import TaskArn
from ecscope.model.status import HealthStatus
from tests.control_builders import AT, a_cluster, a_control_task, a_request, a_state, an_instance

ID = "0" * 32
ARN = an_instance().arn


def test_time_that_passes_over_nothing_changes_nothing() -> None:
    state = ControlState()
    assert decide(state, TimePassed(id=ID, at=AT)).state is state


def test_a_request_is_answered_or_refused() -> None:
    state = a_state(a_cluster())
    assert decide(state, a_request("ListTasks")).answer == {"taskArns": []}
    with pytest.raises(ApiError):
        decide(state, a_request("ListTasks", cluster="other"))


def test_what_only_reads_is_read_from_a_state() -> None:
    state = a_state(a_cluster())
    assert read(state, a_request("ListTasks")) == {"taskArns": []}
    with pytest.raises(ApiError):
        read(state, a_request("ListTasks", cluster="other"))


@pytest.mark.parametrize(
    ("event", "tables"),
    [
        (
            AgentConnected(
                id=ID, at=AT, instance_arn=ARN, connection_id="new", version_info={}, wants_credentials=False
            ),
            {"instances", "tasks", "meta"},
        ),
        (AgentDisconnected(id=ID, at=AT, instance_arn=ARN, connection_id="c1"), {"instances"}),
        (MessageAcknowledged(id=ID, at=AT, instance_arn=ARN, message_id="m"), {"tasks"}),
        (
            HealthReported(
                id=ID,
                at=AT,
                instance_arn=ARN,
                containers=(
                    ContainerHealth(task_arn=a_control_task().arn, container_name="app", health=HealthStatus.HEALTHY),
                ),
            ),
            {"tasks"},
        ),
        (
            InstanceStatusReported(
                id=ID, at=AT, instance_arn=ARN, details=(InstanceStatusDetail(type="CONTAINER_RUNTIME", status="OK"),)
            ),
            {"instances"},
        ),
        (TimePassed(id=ID, at=AT + timedelta(hours=1)), {"tasks"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_event_reaches_its_rule(event: AnyEvent, tables: set[str]) -> None:
    ended = a_control_task(2, last_status="STOPPED", stopped_at=AT)
    state = a_state(a_cluster(), an_instance(), a_control_task(message_id="m"), ended)
    assert set(decide(state, event).records) == tables


def test_a_stop_that_is_asked_for_is_confirmed() -> None:
    event = StopVerificationAsked(id=ID, at=AT, instance_arn=ARN, message_id="m", task_arns=(TaskArn("stray"),))
    assert [type(effect) for effect in decide(a_state(an_instance()), event).effects] == [ConfirmStop]
