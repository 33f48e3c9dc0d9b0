"""Frames of ACS become messages and the reverse, as recorded; what is no message is refused and not quoted."""

from __future__ import annotations

import json
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecscope.wire.acs import messages as acs
from ecscope.wire.acs.payload import Payload
from tests import traffic
from tests.tables import each_row

FROM_SERVER = [record for name in traffic.ALL for record in traffic.records(name, "acs-out")]
FROM_AGENT = [record for name in traffic.ALL for record in traffic.records(name, "acs-in")]


def label(record: dict[str, Any]) -> str:
    return f"{record['n']}-{record['type']}"


# --- recordings -----------------------------------------------------------------------------------


def test_there_are_recordings() -> None:
    assert (len(FROM_SERVER), len(FROM_AGENT)) == (20, 21)


@pytest.mark.parametrize("record", FROM_SERVER, ids=label)
def test_a_recorded_frame_of_the_server_comes_back_as_it_was(record: dict[str, Any]) -> None:
    message = acs.decode_from_server(traffic.frame(record))
    assert not isinstance(message, acs.Refusal)
    assert type(message).__name__ == record["type"]
    assert json.loads(acs.encode(message)) == json.loads(traffic.frame(record))


@pytest.mark.parametrize("record", FROM_AGENT, ids=label)
def test_a_recorded_frame_of_the_agent_comes_back_as_it_was(record: dict[str, Any]) -> None:
    message = acs.decode_from_agent(traffic.frame(record))
    assert not isinstance(message, acs.Refusal)
    assert json.loads(acs.encode(message)) == json.loads(traffic.frame(record))


@pytest.mark.parametrize("record", FROM_AGENT, ids=label)
def test_the_writers_write_what_was_recorded(record: dict[str, Any]) -> None:
    said = record["message"]
    match record["type"]:
        case "AckRequest":
            written = acs.ack(
                message_id=said["messageId"],
                cluster_arn=said["cluster"],
                container_instance_arn=said["containerInstance"],
            )
        case "HeartbeatAckRequest":
            written = acs.encode(acs.HeartbeatAckRequest(message_id=said["messageId"]))
        case "IAMRoleCredentialsAckRequest":
            written = acs.credentials_ack(
                message_id=said["messageId"], credentials_id=said["credentialsId"], expiration=said["expiration"]
            )
        case "TaskStopVerificationMessage":
            written = acs.stop_verification(
                message_id=said["messageId"],
                cluster_arn=said["stopCandidates"][0]["taskClusterArn"],
                task_arns=[task["taskArn"] for task in said["stopCandidates"]],
            )
        case other:
            pytest.fail(f"no writer for {other}")
    assert json.loads(written) == json.loads(traffic.frame(record))


# --- the catalogue --------------------------------------------------------------------------------

SERVER_TYPES = [
    "HeartbeatMessage", "PayloadMessage", "IAMRoleCredentialsMessage", "TaskManifestMessage",
    "TaskStopVerificationAck", "AttachTaskNetworkInterfacesMessage", "AttachInstanceNetworkInterfacesMessage",
    "ConfirmAttachmentMessage", "StageUpdateMessage", "PerformUpdateMessage", "CloseMessage", "ErrorMessage",
    "ServerException", "BadRequestException", "InvalidClusterException", "InvalidInstanceException",
    "AccessDeniedException", "InactiveInstanceException",
]  # fmt: skip
AGENT_TYPES = [
    "AckRequest", "NackRequest", "HeartbeatAckRequest", "IAMRoleCredentialsAckRequest", "TaskStopVerificationMessage",
]  # fmt: skip


@each_row("name", SERVER_TYPES)
def test_the_agent_knows_each_type_of_the_server(name: str) -> None:
    frame = f'{{"type": "{name}", "message": {{}}}}'
    assert type(acs.decode_from_server(frame)).__name__ == name
    assert isinstance(acs.decode_from_agent(frame), acs.Refusal)


@pytest.mark.parametrize("name", AGENT_TYPES)
def test_the_server_knows_each_type_of_the_agent(name: str) -> None:
    frame = f'{{"type": "{name}", "message": {{}}}}'
    assert type(acs.decode_from_agent(frame)).__name__ == name
    assert isinstance(acs.decode_from_server(frame), acs.Refusal)


def members(kind: type[Payload], path: tuple[str | int, ...] = ()) -> list[tuple[tuple[str | int, ...], Any]]:
    """Each member of a message, however deep: its path in JSON, and its Python type."""
    found: list[tuple[tuple[str | int, ...], Any]] = []
    for field in msgspec.structs.fields(kind):
        at = (*path, field.encode_name)
        found.append((at, field.type))
        for part in get_args(get_type_hints(kind)[field.name]):
            if get_origin(part) is tuple:
                item = get_args(part)[0]
                if isinstance(item, type) and issubclass(item, Payload):
                    found += members(item, (*at, 0))
            elif isinstance(part, type) and issubclass(part, Payload):
                found += members(part, at)
    return found


def nested(path: tuple[str | int, ...], value: object) -> object:
    for step in reversed(path):
        value = [value] if step == 0 else {step: value}
    return value


MEMBERS = [(kind, path) for kind in get_args(acs.ServerMessage) for path, _ in members(kind)]


def test_there_are_members() -> None:
    assert len(MEMBERS) > 250


@each_row("kind, path", MEMBERS)
def test_a_member_of_the_wrong_type_refuses_the_message(kind: type[Payload], path: tuple[str | int, ...]) -> None:
    """One of these values is wrong for every type there is, and never are fewer than four of the six."""
    values: list[object] = ["hush-hush", 17, 1.5, True, {"hush-hush": []}, [[]]]
    frames = [json.dumps({"type": kind.__name__, "message": nested(path, value)}) for value in values]
    refused = [message for message in map(acs.decode_from_server, frames) if isinstance(message, acs.Refusal)]
    assert len(refused) >= 4
    assert not any("hush" in refusal.reason for refusal in refused)
    absent = acs.decode_from_server(json.dumps({"type": kind.__name__, "message": nested(path, None)}))
    assert not isinstance(absent, acs.Refusal)


def test_the_members_are_those_of_a_union_with_null() -> None:
    for kind in get_args(acs.ServerMessage) + get_args(acs.AgentMessage):
        for path, member_type in members(kind):
            assert isinstance(member_type, UnionType) or NoneType in get_args(member_type), path


# --- refusals -------------------------------------------------------------------------------------


@each_row("text, reason", [
        ("", "the frame: not JSON"),
        ("{}", "the frame: Object missing required field `type`"),
        ("[]", "the frame: Expected `object`, got `array`"),
        ('{"type":"HeartbeatMessage"}', "the frame: Object missing required field `message`"),
        ('{"type":"HeartbeatMessage","message":null}', "HeartbeatMessage: Expected `object`, got `null`"),
        ('{"type":"NewsMessage","message":{}}', "a message of the unknown type NewsMessage"),
        ('{"type":"a secret?","message":{}}', "a message of the unknown type without a proper name"),
        ('{"type":7,"message":{}}', "the frame: Expected `str`, got `int` - at `$.type`"),
        ('{"type":"PayloadMessage","message":{"seqNum":1.0}}',
         "PayloadMessage: Expected `int | null`, got `float` - at `$.seqNum`"),
        ('{"type":"PayloadMessage","message":{"seqNum":1e999}}',
         "PayloadMessage: Number out of range - at `$.seqNum`"),
        ('{"type":"HeartbeatMessage","message":{"messageId":"\\ud800"}}', "the frame: not JSON"),
        ('{"type":"HeartbeatMessage","message":{"messageId":"\ud800"}}', "the frame: not JSON"),
        ('{"type":"HeartbeatMessage","message":{"messageId":"x"}} {}', "the frame: not JSON"),
        ("[" * 1_000_000, "the frame: Expected `object`, got `array`"),
        ('{"type":"HeartbeatMessage","message":' + '{"a":' * 1_000_000, "the frame: not JSON"),
        ("7" * 1_000_000, "the frame: Number out of range"),
    ], name=lambda part: part[:40].encode('ascii', 'replace').decode())  # fmt: skip
def test_a_refusal_says_why(text: str, reason: str) -> None:
    refusal = acs.decode_from_server(text)
    assert isinstance(refusal, acs.Refusal)
    assert refusal.reason == reason


def test_a_value_is_never_quoted() -> None:
    frame = '{"type":"PayloadMessage","message":{"tasks":[{"roleCredentials":{"secretAccessKey":["hush"]}}]}}'
    refusal = acs.decode_from_server(frame)
    assert refusal == acs.Refusal(
        "PayloadMessage: Expected `str | null`, got `array` - at `$.tasks[0].roleCredentials.secretAccessKey`"
    )


def test_unknown_members_are_ignored() -> None:
    frame = '{"extra": 1, "type": "HeartbeatMessage", "message": {"messageId": "m", "news": {"a": [1, null]}}}'
    assert acs.decode_from_server(frame) == acs.HeartbeatMessage(message_id="m")


def test_absent_members_are_not_written() -> None:
    assert acs.encode(acs.HeartbeatAckRequest()) == '{"type":"HeartbeatAckRequest","message":{}}'


@given(st.text())
def test_no_text_raises(text: str) -> None:
    assert isinstance(acs.decode_from_server(text), acs.Refusal)
    assert isinstance(acs.decode_from_agent(text), acs.Refusal)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
NAMES = st.sampled_from(sorted({str(path[0]) for _, path in MEMBERS}))


@given(st.sampled_from(SERVER_TYPES), st.dictionaries(NAMES, JSON))
def test_no_json_raises_and_what_is_read_can_be_written(name: str, message: dict[str, object]) -> None:
    decoded = acs.decode_from_server(json.dumps({"type": name, "message": message}))
    if not isinstance(decoded, acs.Refusal):
        assert acs.decode_from_server(acs.encode(decoded)) == decoded


@given(st.sampled_from(FROM_SERVER), st.data())
def test_no_cut_of_a_frame_raises(record: dict[str, Any], data: st.DataObject) -> None:
    frame = traffic.frame(record)
    cut = data.draw(st.integers(0, len(frame) - 1))
    assert isinstance(acs.decode_from_server(frame[:cut]), acs.Refusal)
    assert isinstance(acs.decode_from_server(frame[cut + 1 :]), acs.Refusal)


# --- the other end's words ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("", ""),
        ("not  authorized\n to\tperform", "not authorized to perform"),
        ("token " + "A" * 80 + " expired", "token … expired"),
        ("a\x1b[2Jb", "a?[2Jb"),
        ("word " * 1000, ("word " * 60) + "…"),
    ],
    ids=["empty", "lines", "token", "control", "long"],
)
def test_words_for_the_log_are_one_short_line(words: str, shown: str) -> None:
    assert acs.shortened(words) == shown
