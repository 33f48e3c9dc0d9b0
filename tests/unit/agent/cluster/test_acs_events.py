"""What ECS says over ACS reaches the core as events that hold the same facts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ecscope.agent.cluster.acs_events import event_of
from ecscope.agent.core import events as ev
from ecscope.model.arn import TaskArn
from ecscope.model.attachment import Attachment
from ecscope.model.credentials import RoleType
from ecscope.model.task import Task
from ecscope.wire.acs import messages as acs
from ecscope.wire.acs.payload import PayloadNetworkInterface, PayloadTask, RoleCredentials
from ecscope.wire.acs.to_task import TaskConversionError
from tests.builders import AT, a_task, an_arn, some_credentials

ADDRESSED: dict[str, Any] = {"message_id": "m-1", "cluster_arn": "c", "container_instance_arn": "i"}
EVENT: dict[str, Any] = {"id": "e-1", "at": AT}

CREDENTIALS = RoleCredentials(
    credentials_id="id-1",
    role_arn="r",
    access_key_id="AKID",
    secret_access_key="s",
    session_token="t",
    expiration="2030-01-01T00:00:00Z",
    credential_scope="scope",
)


def to_task(task: PayloadTask) -> Task:
    if task.family == "bad":
        raise TaskConversionError("why not")
    return a_task(arn=TaskArn(task.arn or ""), family=task.family)


def event(message: Any) -> ev.AnyEvent:
    return event_of(message, to_task=to_task, **EVENT)


def held(task_arn: TaskArn, role_type: RoleType) -> Any:
    return some_credentials(
        task_arn=task_arn,
        role_type=role_type,
        credentials_id="id-1",
        role_arn="r",
        access_key_id="AKID",
        secret_access_key="s",
        session_token="t",
        expiration="2030-01-01T00:00:00Z",
        scope="scope",
    )


def test_a_payload() -> None:
    message = acs.PayloadMessage(
        **ADDRESSED,
        seq_num=7,
        tasks=(
            PayloadTask(arn=an_arn(1), family="one", role_credentials=CREDENTIALS),
            PayloadTask(arn=an_arn(2), family="two", execution_role_credentials=CREDENTIALS),
        ),
    )
    assert event(message) == ev.PayloadReceived(
        **EVENT,
        **ADDRESSED,
        sequence_number=7,
        tasks=(a_task(arn=an_arn(1), family="one"), a_task(arn=an_arn(2), family="two")),
        credentials=(held(an_arn(1), RoleType.TASK_APPLICATION), held(an_arn(2), RoleType.TASK_EXECUTION)),
    )


def test_a_payload_without_tasks() -> None:
    assert event(acs.PayloadMessage(**ADDRESSED)) == ev.PayloadReceived(**EVENT, **ADDRESSED)


def test_a_bad_task_spoils_neither_the_others_nor_the_message() -> None:
    message = acs.PayloadMessage(
        **ADDRESSED,
        tasks=(
            PayloadTask(arn=an_arn(1), family="bad", role_credentials=CREDENTIALS),
            PayloadTask(family="bad"),
            PayloadTask(arn=an_arn(3), family="good"),
        ),
    )
    assert event(message) == ev.PayloadReceived(
        **EVENT,
        **ADDRESSED,
        tasks=(a_task(arn=an_arn(3), family="good"),),
        unreadable=(
            ev.UnreadableTask(task_arn=an_arn(1), error="why not"),
            ev.UnreadableTask(task_arn=TaskArn(""), error="why not"),
        ),
    )


@pytest.mark.parametrize(("timeline", "expected"), [(5, 5), (None, 0)])
def test_a_manifest(timeline: int | None, expected: int) -> None:
    message = acs.TaskManifestMessage(
        **ADDRESSED,
        timeline=timeline,
        tasks=(
            acs.TaskIdentifier(task_arn=an_arn(1), desired_status="RUNNING"),
            acs.TaskIdentifier(task_arn=an_arn(2), desired_status="STOPPED"),
            acs.TaskIdentifier(task_arn=an_arn(3)),
            acs.TaskIdentifier(desired_status="RUNNING"),
        ),
    )
    assert event(message) == ev.ManifestReceived(
        **EVENT, **ADDRESSED, timeline=expected, running=frozenset({an_arn(1)})
    )


def test_a_verified_stop() -> None:
    message = acs.TaskStopVerificationAck(
        message_id="m-1",
        stop_tasks=(
            acs.TaskIdentifier(task_arn=an_arn(1), desired_status="STOPPED"),
            acs.TaskIdentifier(task_arn=an_arn(2)),
            acs.TaskIdentifier(),
        ),
    )
    assert event(message) == ev.StopVerified(**EVENT, message_id="m-1", task_arns=(an_arn(1), an_arn(2)))
    assert event(acs.TaskStopVerificationAck(message_id="m-2")) == ev.StopVerified(
        **EVENT, message_id="m-2", task_arns=()
    )


INTERFACES = (
    PayloadNetworkInterface(mac_address="0E:00:00:00:00:01", attachment_arn="arn:a1"),
    PayloadNetworkInterface(mac_address="0e:00:00:00:00:02"),
)


def test_network_interfaces_of_the_instance() -> None:
    message = acs.AttachInstanceNetworkInterfacesMessage(
        **ADDRESSED, wait_timeout_ms=1500, elastic_network_interfaces=INTERFACES
    )
    expires_at = AT + timedelta(seconds=1.5)
    attachment = Attachment(arn="arn:a1", mac_address="0e:00:00:00:00:01", expires_at=expires_at)
    assert event(message) == ev.AttachmentsReceived(**EVENT, **ADDRESSED, attachments=(attachment,))


@pytest.mark.parametrize("wait_timeout_ms", [2**62, 24 * 3600 * 1000])
def test_network_interfaces_of_a_task_are_awaited_for_a_day_at_most(wait_timeout_ms: int) -> None:
    message = acs.AttachTaskNetworkInterfacesMessage(
        **ADDRESSED, task_arn=an_arn(1), wait_timeout_ms=wait_timeout_ms, elastic_network_interfaces=INTERFACES
    )
    attachment = Attachment(
        arn="arn:a1", mac_address="0e:00:00:00:00:01", expires_at=AT + timedelta(days=1), task_arn=an_arn(1)
    )
    assert event(message) == ev.AttachmentsReceived(**EVENT, **ADDRESSED, attachments=(attachment,))


@pytest.mark.parametrize("role_type", list(RoleType))
def test_renewed_credentials(role_type: RoleType) -> None:
    message = acs.IAMRoleCredentialsMessage(
        message_id="m-1", task_arn=an_arn(1), role_type=role_type.value, role_credentials=CREDENTIALS
    )
    assert event(message) == ev.CredentialsReceived(**EVENT, message_id="m-1", credentials=held(an_arn(1), role_type))
