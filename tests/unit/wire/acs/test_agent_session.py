"""One ACS connection: recorded frames get the recorded answers, only messages count as life, and nothing piles up."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecscope.wire.acs import messages as acs
from ecscope.wire.acs.agent_session import (
    AcsSession,
    Close,
    Deliver,
    HeartbeatSeen,
    Note,
    Output,
    Reply,
    SessionTimes,
)
from tests import traffic
from tests.tables import each_row

HEARTBEAT = '{"type":"HeartbeatMessage","message":{"messageId":"m-1","healthy":true}}'
CLUSTER = "arn:aws:ecs:us-west-2:012345678910:cluster/default"
INSTANCE = "arn:aws:ecs:us-west-2:012345678910:container-instance/default/i1"
TASK = "arn:aws:ecs:us-west-2:012345678910:task/default/t1"
ADDRESSED = {"clusterArn": CLUSTER, "containerInstanceArn": INSTANCE, "messageId": "m-1"}


def a_session(**times: float) -> AcsSession:
    return AcsSession(now=0.0, heartbeat_share=0.5, age_share=0.5, times=SessionTimes(**times))


def a_frame(kind: str, **message: Any) -> str:
    return json.dumps({"type": kind, "message": message})


def replies(outputs: list[Output]) -> list[Any]:
    return [json.loads(output.text) for output in outputs if isinstance(output, Reply)]


def notes(outputs: list[Output]) -> list[str]:
    return [output.text for output in outputs if isinstance(output, Note)]


# --- recordings -----------------------------------------------------------------------------------


def core_answers(message: object, running: set[str]) -> list[str]:
    """What the core decides, as far as the recordings need it; in the order the official agent happened to send."""
    match message:
        case acs.PayloadMessage():
            written = []
            for task in message.tasks or ():
                running |= {task.arn or ""}
                for credentials in (task.role_credentials, task.execution_role_credentials):
                    if credentials:
                        written.append(
                            acs.credentials_ack(
                                message_id=message.message_id or "",
                                credentials_id=credentials.credentials_id or "",
                                expiration=credentials.expiration or "",
                            )
                        )
                if task.desired_status == "STOPPED":
                    running.discard(task.arn or "")
        case acs.TaskManifestMessage():
            listed = {task.task_arn for task in message.tasks or ()}
            extra = sorted(running - listed)
            written = [
                acs.stop_verification(
                    message_id=message.message_id or "", cluster_arn=message.cluster_arn or "", task_arns=extra
                )
            ] * bool(extra)
        case _:
            return []
    return [
        *written,
        acs.ack(
            message_id=message.message_id or "",
            cluster_arn=message.cluster_arn or "",
            container_instance_arn=message.container_instance_arn or "",
        ),
    ]


@pytest.mark.parametrize("name", [traffic.SEQUENCE, traffic.OUTCOMES])
def test_the_recorded_frames_get_the_recorded_answers_in_order(name: str) -> None:
    session, running, answers = a_session(), set[str](), []
    for record in traffic.records(name, "acs-out"):
        outputs = session.receive(traffic.frame(record), 1.0)
        answers += replies(outputs)
        for output in outputs:
            if isinstance(output, Deliver):
                answers += map(json.loads, core_answers(output.message, running))
    assert answers == [json.loads(traffic.frame(record)) for record in traffic.records(name, "acs-in")]
    assert session.dropped == 0


# --- timers ---------------------------------------------------------------------------------------


def test_silence_ends_the_connection() -> None:
    session = a_session()
    assert session.next_deadline == 90.0
    assert session.tick(89.9) == []
    assert session.tick(90.0) == [Close(code=1001, text="", reason="no message for 90 s", is_clean=False)]


@pytest.mark.parametrize(("share", "expected"), [(0.0, 60.0), (1.0, 120.0)])
def test_the_expectation_is_between_one_and_two_minutes(share: float, expected: float) -> None:
    assert AcsSession(now=0.0, heartbeat_share=share, age_share=0.0).next_deadline == expected


def test_a_message_is_life() -> None:
    session = a_session()
    session.receive(HEARTBEAT, 80.0)
    assert session.next_deadline == 170.0
    assert session.tick(90.0) == []


@pytest.mark.parametrize("kind", ["CloseMessage", "ServerException", "InactiveInstanceException", "PayloadMessage"])
def test_a_message_without_handler_or_members_is_life_too(kind: str) -> None:
    session = a_session()
    session.receive(a_frame(kind), 80.0)
    assert session.next_deadline == 170.0


@each_row(
    "frame",
    [
        "",
        "garbage",
        a_frame("NewsMessage"),
        a_frame("HeartbeatMessage", messageId=1),
        a_frame("PayloadMessage", **ADDRESSED, tasks=[{"arn": TASK, "version": 1}]),
        a_frame("PayloadMessage", **ADDRESSED, tasks=[{"arn": TASK, "containers": [{"overrides": {}}]}]),
        a_frame("PayloadMessage", **ADDRESSED, tasks=[{"containers": [{"dockerConfig": {"config": {}}}]}]),
    ],
)
def test_what_is_no_message_is_no_life_and_gets_no_answer(frame: str) -> None:
    session = a_session()
    outputs = session.receive(frame, 80.0)
    assert [type(output) for output in outputs] == [Note]
    assert session.next_deadline == 90.0
    assert session.dropped == 1


def test_a_binary_frame_is_no_message() -> None:
    session = a_session()
    assert len(notes(session.receive_binary())) == 1
    assert session.dropped == 1


def test_an_old_connection_is_closed_with_the_official_words() -> None:
    session = a_session()
    for minute in range(33):
        assert session.tick(minute * 60.0) == []
        session.receive(HEARTBEAT, minute * 60.0)
    assert session.next_deadline == 1950.0
    assert session.tick(1949.9) == []
    assert session.tick(1950.0) == [
        Close(
            code=1000,
            text="ConnectionExpired: Reconnect to continue",
            reason="the connection reached its age",
            is_clean=True,
        )
    ]


@given(st.floats(0, 1e9), st.floats(0, 1), st.floats(0, 1))
def test_at_its_deadline_a_tick_has_something_to_say(now: float, heartbeat_share: float, age_share: float) -> None:
    """Else the caller would ask again and again."""
    session = AcsSession(now=now, heartbeat_share=heartbeat_share, age_share=age_share)
    assert session.tick(session.next_deadline)


# --- what is answered here ------------------------------------------------------------------------


def test_a_heartbeat_is_answered_and_told() -> None:
    assert a_session().receive(HEARTBEAT, 1.0) == [
        Reply('{"type":"HeartbeatAckRequest","message":{"messageId":"m-1"}}'),
        HeartbeatSeen(),
    ]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("StageUpdateMessage", "Updates are disabled"),
        ("PerformUpdateMessage", "Cannot perform update; update not downloaded"),
    ],
)
def test_updates_are_refused_in_the_official_words(kind: str, reason: str) -> None:
    outputs = a_session().receive(a_frame(kind, **ADDRESSED, updateInfo={"location": "l", "signature": "s"}), 1.0)
    assert replies(outputs) == [
        {
            "type": "NackRequest",
            "message": {"cluster": CLUSTER, "containerInstance": INSTANCE, "messageId": "m-1", "reason": reason},
        }
    ]
    assert "update it by hand" in notes(outputs)[0]


def test_an_update_without_id_gets_no_answer() -> None:
    assert replies(a_session().receive(a_frame("StageUpdateMessage"), 1.0)) == []


@pytest.mark.parametrize("kind", ["CloseMessage", "ErrorMessage", "AccessDeniedException", "InactiveInstanceException"])
def test_what_the_server_says_is_noted(kind: str) -> None:
    outputs = a_session().receive(a_frame(kind, message="so\nit is"), 1.0)
    assert outputs == [Note(f"ECS says over ACS, with {kind}: so it is")]


# --- what the core decides ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("PayloadMessage", ADDRESSED),
        ("TaskManifestMessage", ADDRESSED),
        ("TaskStopVerificationAck", {"messageId": "m-1"}),
        (
            "IAMRoleCredentialsMessage",
            {
                "messageId": "m-1",
                "taskArn": TASK,
                "roleType": "TaskExecution",
                "roleCredentials": {"credentialsId": "c-1"},
            },
        ),
    ],
)
def test_a_message_for_the_core_is_delivered_only_with_what_it_needs(kind: str, message: dict[str, Any]) -> None:
    [delivered] = a_session().receive(a_frame(kind, **message), 1.0)
    assert isinstance(delivered, Deliver)
    assert type(delivered.message).__name__ == kind
    for name, value in message.items():
        for without in (None, "" if isinstance(value, str) else {}):
            outputs = a_session().receive(a_frame(kind, **message | {name: without}), 1.0)
            assert [type(output) for output in outputs] == [Note]
            assert name in notes(outputs)[0]


def test_credentials_of_an_unknown_kind_are_dropped() -> None:
    frame = a_frame(
        "IAMRoleCredentialsMessage",
        messageId="m-1",
        taskArn=TASK,
        roleType="Else",
        roleCredentials={"credentialsId": "c-1", "secretAccessKey": "hush"},
    )
    session = a_session()
    [note] = notes(session.receive(frame, 1.0))
    assert "roleType is neither TaskApplication nor TaskExecution" in note
    assert "hush" not in note


# --- attachments ----------------------------------------------------------------------------------

ENI = {
    "macAddress": "0e:00:00:00:00:01",
    "ec2Id": "eni-1",
    "ipv4Addresses": [{"privateAddress": "10.0.0.2", "primary": True}],
    "subnetGatewayIpv4Address": "10.0.0.1/24",
}
ENI_6 = {
    "macAddress": "0e:00:00:00:00:01",
    "ec2Id": "eni-1",
    "ipv6Addresses": [{"address": "fd00::2"}],
    "subnetGatewayIpv6Address": "fd00::1/64",
}
VLAN = {"vlanId": "7", "trunkInterfaceMacAddress": "0e:00:00:00:00:02"}
ATTACHMENT = {"attachmentArn": "arn:aws:ecs:us-west-2:012345678910:attachment/a1"}

TASK_ENI = ADDRESSED | {"taskArn": TASK, "waitTimeoutMs": 1000, "elasticNetworkInterfaces": [ENI]}
INSTANCE_ENI = ADDRESSED | {"waitTimeoutMs": 1000, "elasticNetworkInterfaces": [ENI]}
CONFIRM = ADDRESSED | {"taskArn": TASK, "attachment": ATTACHMENT}


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("AttachTaskNetworkInterfacesMessage", TASK_ENI),
        ("AttachTaskNetworkInterfacesMessage", TASK_ENI | {"elasticNetworkInterfaces": [ENI, ENI_6]}),
        (
            "AttachTaskNetworkInterfacesMessage",
            TASK_ENI | {"elasticNetworkInterfaces": [ENI | {"interfaceAssociationProtocol": "default"}]},
        ),
        ("AttachInstanceNetworkInterfacesMessage", INSTANCE_ENI),
        (
            "AttachInstanceNetworkInterfacesMessage",
            INSTANCE_ENI
            | {
                "elasticNetworkInterfaces": [
                    ENI | {"interfaceAssociationProtocol": "vlan", "interfaceVlanProperties": VLAN}
                ]
            },
        ),
    ],
)
def test_network_interfaces_are_the_cores_to_decide_about(kind: str, message: dict[str, Any]) -> None:
    [output] = a_session().receive(a_frame(kind, **message), 1.0)
    assert isinstance(output, Deliver)
    assert type(output.message).__name__ == kind


@pytest.mark.parametrize("more", [{}, {"waitTimeoutMs": 5}])
def test_volumes_are_acknowledged_and_said_to_be_beyond_us(more: dict[str, Any]) -> None:
    outputs = a_session().receive(a_frame("ConfirmAttachmentMessage", **CONFIRM | more), 1.0)
    assert replies(outputs) == [
        {"type": "AckRequest", "message": {"cluster": CLUSTER, "containerInstance": INSTANCE, "messageId": "m-1"}}
    ]
    assert "attaches no volumes" in notes(outputs)[0]


def one(**changes: Any) -> dict[str, Any]:
    return {"elasticNetworkInterfaces": [ENI | changes]}


@each_row(
    "kind, message",
    [
        *[("AttachTaskNetworkInterfacesMessage", TASK_ENI | {name: None}) for name in TASK_ENI],
        *[("AttachInstanceNetworkInterfacesMessage", INSTANCE_ENI | {name: None}) for name in INSTANCE_ENI],
        *[("ConfirmAttachmentMessage", CONFIRM | {name: None}) for name in CONFIRM],
        *[
            ("AttachInstanceNetworkInterfacesMessage", INSTANCE_ENI | wrong)
            for wrong in (
                {"waitTimeoutMs": 0},
                {"waitTimeoutMs": -1},
                {"elasticNetworkInterfaces": []},
                {"elasticNetworkInterfaces": [ENI, {}]},
                one(macAddress=""),
                one(ec2Id=None),
                one(ipv4Addresses=[]),
                one(subnetGatewayIpv4Address=None),
                one(subnetGatewayIpv4Address="10.0.0.1"),
                one(interfaceAssociationProtocol="tunnel"),
                one(interfaceAssociationProtocol="vlan"),
                one(interfaceAssociationProtocol="vlan", interfaceVlanProperties={"vlanId": "7"}),
                {"elasticNetworkInterfaces": [ENI_6 | {"subnetGatewayIpv6Address": ""}]},
            )
        ],
        *[
            ("ConfirmAttachmentMessage", CONFIRM | wrong)
            for wrong in (
                {"waitTimeoutMs": 0},
                {"taskArn": "t1"},
                {"clusterArn": "default"},
                {"attachment": {}},
                {"attachment": {"attachmentArn": "arn:aws:ecs"}},
            )
        ],
    ],
)
def test_an_attachment_that_is_not_valid_is_dropped(kind: str, message: dict[str, Any]) -> None:
    session = a_session()
    outputs = session.receive(a_frame(kind, **message), 80.0)
    assert [type(output) for output in outputs] == [Note]
    assert session.next_deadline == 170.0
    assert session.dropped == 1


# --- nothing piles up -----------------------------------------------------------------------------


def test_ten_thousand_equal_frames_of_garbage_are_one_note() -> None:
    session = a_session()
    said = [note for _ in range(10_000) for note in notes(session.receive("garbage", 1.0))]
    assert len(said) == 1
    assert session.dropped == 10_000


def test_ten_thousand_different_complaints_are_a_handful_of_notes() -> None:
    session = a_session()
    said = [
        note for n in range(10_000) for note in notes(session.receive(a_frame("ErrorMessage", message=f"{n}"), 1.0))
    ]
    assert len(said) == 21
    assert said[-1] == "further notes about this ACS connection are left out"


def test_large_frames_leave_nothing_behind() -> None:
    session = a_session()
    large = [
        a_frame("ErrorMessage", message="x" * 10_000_000),
        a_frame("HeartbeatMessage", messageId="m", extra="x" * 10_000_000),
        "x" * 10_000_000,
    ]
    for frame in large:
        session.receive(frame, 1.0)
    tracemalloc.start()
    try:
        for _ in range(3):
            for frame in large:
                session.receive(frame, 1.0)
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept_bytes < 100_000


@given(st.text())
def test_no_text_raises_or_is_answered(text: str) -> None:
    assert [type(output) for output in a_session().receive(text, 1.0)] == [Note]


@given(st.sampled_from(traffic.records(traffic.SEQUENCE, "acs-out")), st.data())
def test_no_cut_of_a_frame_raises_or_is_answered(record: dict[str, Any], data: st.DataObject) -> None:
    frame = traffic.frame(record)
    cut = data.draw(st.integers(0, len(frame) - 1))
    session = a_session()
    assert [type(output) for output in session.receive(frame[:cut], 1.0)] == [Note]
    assert session.next_deadline == 90.0
