"""The newest connection speaks for an instance, and is told all that it may have missed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import msgspec

from ecscope.control.core import agents
from ecscope.control.core.effects import ConfirmStop, Disconnect, SendCredentials, SendManifest, SendPayload
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
from ecscope.control.core.records import Instance, InstanceStatusDetail, Record
from ecscope.control.core.step import Decision, Step
from ecscope.model.arn import TaskArn
from ecscope.model.status import HealthStatus
from tests.control_builders import AT, a_control_task, a_state, an_instance

ARN = an_instance().arn
OLD = AT - timedelta(days=1)


def after(function: Callable[..., None], event: AnyEvent, *records: Record) -> Decision:
    step = Step(a_state(*records), event)
    function(step, event)
    return step.decision()


def connects(connection_id: str = "new", *, arn: str = ARN, wants_credentials: bool = False) -> AgentConnected:
    return AgentConnected(
        id="1" * 32,
        at=AT,
        instance_arn=arn,
        connection_id=connection_id,
        version_info={"agentVersion": "1.0"},
        wants_credentials=wants_credentials,
    )


def the_instance(decision: Decision) -> Instance:
    return decision.state.instances[ARN]


def test_a_connection_is_remembered_with_its_versions() -> None:
    was = an_instance(connection_id="", connectivity_at=OLD, version_info={"dockerVersion": "DockerVersion: 1"})
    instance = the_instance(after(agents.connected, connects(), was))
    assert (instance.connection_id, instance.connectivity_at, instance.version) == ("new", AT, 2)
    assert instance.version_info == {"agentVersion": "1.0", "dockerVersion": "DockerVersion: 1"}


def test_the_newest_connection_wins() -> None:
    decision = after(agents.connected, connects(), an_instance(connection_id="old", connectivity_at=OLD))
    assert the_instance(decision).connection_id == "new"
    assert the_instance(decision).connectivity_at == OLD, "it was connected all the time"
    closed = [effect for effect in decision.effects if isinstance(effect, Disconnect)]
    assert [effect.connection_id for effect in closed] == ["old"]
    again = after(agents.connected, connects("same"), an_instance(connection_id="same"))
    assert not [effect for effect in again.effects if isinstance(effect, Disconnect)]


def test_nobody_speaks_for_an_instance_that_is_not_registered() -> None:
    for records in ((), (an_instance(status="INACTIVE"),)):
        decision = after(agents.connected, connects(), *records)
        assert [type(effect) for effect in decision.effects] == [Disconnect]
        assert not decision.records


def test_it_is_told_what_should_run_and_what_it_did_not_acknowledge() -> None:
    taken_over = a_control_task(1, message_id="m1", is_acknowledged=True)
    not_yet = a_control_task(2, message_id="m2")
    to_stop = a_control_task(3, message_id="m3", desired_status="STOPPED", stop_code="UserInitiated")
    ended = a_control_task(4, last_status="STOPPED")
    elsewhere = a_control_task(5, instance_arn=an_instance(2).arn)
    gone = an_instance(connection_id="")
    decision = after(agents.connected, connects(), gone, taken_over, not_yet, to_stop, ended, elsewhere)
    manifest, payload = decision.effects
    assert isinstance(manifest, SendManifest)
    assert isinstance(payload, SendPayload)
    assert manifest.task_arns == (taken_over.arn, not_yet.arn)
    assert payload.task_arns == (not_yet.arn, to_stop.arn)
    assert manifest.timeline < payload.sequence, "or the agent takes the manifest for an old one"
    assert {decision.state.tasks[arn].message_id for arn in payload.task_arns} == {payload.message_id}


def test_one_that_has_just_started_is_handed_credentials() -> None:
    with_role, without = a_control_task(1, credentials_id="c", is_acknowledged=True), a_control_task(2)
    with_execution_role = a_control_task(3, execution_credentials_id="c", is_acknowledged=True)
    records = (an_instance(), with_role, without, with_execution_role)
    decision = after(agents.connected, connects(wants_credentials=True), *records)
    (handed,) = (effect for effect in decision.effects if isinstance(effect, SendCredentials))
    assert handed.task_arns == (with_role.arn, with_execution_role.arn)
    assert not [e for e in after(agents.connected, connects(), *records).effects if isinstance(e, SendCredentials)]


def test_a_connection_that_ends_leaves_the_tasks_alone() -> None:
    task = a_control_task(last_status="RUNNING")
    event = AgentDisconnected(id="1" * 32, at=AT, instance_arn=ARN, connection_id="c1")
    decision = after(agents.disconnected, event, an_instance(), task)
    assert (the_instance(decision).connection_id, the_instance(decision).connectivity_at) == ("", AT)
    assert decision.state.tasks[task.arn] is task


def test_the_end_of_an_older_connection_changes_nothing() -> None:
    event = AgentDisconnected(id="1" * 32, at=AT, instance_arn=ARN, connection_id="old")
    assert not after(agents.disconnected, event, an_instance()).records
    assert not after(agents.disconnected, event).records


def test_an_acknowledgement_is_kept() -> None:
    task = a_control_task(message_id="m")
    event = MessageAcknowledged(id="1" * 32, at=AT, instance_arn=ARN, message_id="m")
    assert after(agents.acknowledged, event, an_instance(), task).state.tasks[task.arn].is_acknowledged


def test_a_stop_is_confirmed_for_what_should_not_run_there() -> None:
    running = a_control_task(1)
    to_stop = a_control_task(2, desired_status="STOPPED")
    elsewhere = a_control_task(3, instance_arn=an_instance(2).arn)
    unknown = TaskArn("arn:aws:ecs:us-east-1:000000000000:task/default/unknown")
    event = StopVerificationAsked(
        id="1" * 32,
        at=AT,
        instance_arn=ARN,
        message_id="m",
        task_arns=(running.arn, to_stop.arn, elsewhere.arn, unknown),
    )
    decision = after(agents.stop_asked, event, an_instance(), running, to_stop, elsewhere)
    assert decision.effects == (
        ConfirmStop(instance_arn=ARN, message_id="m", task_arns=(to_stop.arn, elsewhere.arn, unknown)),
    )
    only_running = msgspec.structs.replace(event, task_arns=(running.arn,))
    assert not after(agents.stop_asked, only_running, an_instance(), running).effects


def test_health_is_taken_from_the_instance_that_has_the_task() -> None:
    (container,) = a_control_task().containers
    task = a_control_task(containers=(msgspec.structs.replace(container, has_health_check=True),))
    told = tuple(
        ContainerHealth(task_arn=arn, container_name="app", health=HealthStatus.HEALTHY)
        for arn in (task.arn, TaskArn("x"))
    )
    event = HealthReported(id="1" * 32, at=AT, instance_arn=ARN, containers=told)
    decision = after(agents.health, event, an_instance(), task)
    assert decision.state.tasks[task.arn].health is HealthStatus.HEALTHY
    stranger = msgspec.structs.replace(event, instance_arn=an_instance(2).arn)
    assert not after(agents.health, stranger, an_instance(), task).records


def test_the_runtime_s_status_is_kept_when_it_is_new() -> None:
    details = (InstanceStatusDetail(type="CONTAINER_RUNTIME", status="OK"),)
    event = InstanceStatusReported(id="1" * 32, at=AT, instance_arn=ARN, details=details)
    assert the_instance(after(agents.instance_status, event, an_instance())).health == details
    assert not after(agents.instance_status, event, an_instance(health=details)).records
    assert not after(agents.instance_status, event).records


def test_a_deregistered_instance_is_forgotten_after_a_day() -> None:
    gone = an_instance(1, status="INACTIVE", connection_id="", connectivity_at=AT - agents.INACTIVE_KEPT)
    going = an_instance(2, status="INACTIVE", connection_id="", connectivity_at=AT - timedelta(hours=23))
    away = an_instance(3, connection_id="", connectivity_at=AT - timedelta(days=9))
    step = Step(a_state(gone, going, away), TimePassed(id="1" * 32, at=AT))
    agents.expire(step)
    decision = step.decision()
    assert set(decision.state.instances) == {going.arn, away.arn}
    assert decision.records == {"instances": {gone.arn: None}}
