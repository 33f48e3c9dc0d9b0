"""The control plane's side of ACS: the recorded agent is understood, and the silent are given up."""

from __future__ import annotations

import json

import pytest

from ecscope.wire.acs.messages import HeartbeatMessage, decode_from_server
from ecscope.wire.acs.server_session import (
    Acknowledged,
    AcsServerSession,
    Close,
    Note,
    Output,
    Reply,
    ServerTimes,
    StopAsked,
)
from tests import traffic


def a_session(**times: float) -> AcsServerSession:
    return AcsServerSession(now=0.0, new_id=lambda: "beat", times=ServerTimes(**times))


def said(session: AcsServerSession, kind: str, **message: object) -> list[Output]:
    return session.receive(json.dumps({"type": kind, "message": message}))


@pytest.mark.parametrize("recording", [traffic.SEQUENCE, traffic.OUTCOMES])
def test_the_recorded_agent_is_understood(recording: str) -> None:
    session = a_session()
    acknowledged: list[str] = []
    for record in traffic.records(recording, "acs-in"):
        outputs = session.receive(traffic.frame(record))
        assert not any(isinstance(output, Note | Close) for output in outputs)
        acknowledged += [output.message_id for output in outputs if isinstance(output, Acknowledged)]
    sent = {
        record["message"]["messageId"]
        for record in traffic.records(recording, "acs-out")
        if record["type"] in ("PayloadMessage", "TaskManifestMessage")
    }
    assert set(acknowledged) <= sent
    assert acknowledged


def test_heartbeats_come_and_silence_ends_it() -> None:
    session = a_session(heartbeat_s=30.0, most_unanswered=3)
    assert session.tick(29.9) == []
    for beat in range(1, 4):
        assert session.next_deadline == 30.0 * beat
        (reply,) = session.tick(30.0 * beat)
        assert isinstance(reply, Reply)
        assert decode_from_server(reply.text) == HeartbeatMessage(message_id="beat", healthy=True)
    (end,) = session.tick(120.0)
    assert isinstance(end, Close)
    assert end.reason == "3 heartbeats were not answered"


@pytest.mark.parametrize(
    ("kind", "message"),
    [("HeartbeatAckRequest", {"messageId": "beat"}), ("AckRequest", {"messageId": "m"}), ("NackRequest", {})],
)
def test_any_word_is_a_sign_of_life(kind: str, message: dict[str, object]) -> None:
    session = a_session()
    for beat in range(1, 10):
        assert isinstance(session.tick(30.0 * beat)[0], Reply)
        said(session, kind, **message)


def test_what_is_no_message_is_no_sign_of_life() -> None:
    session = a_session()
    for beat in range(1, 4):
        session.tick(30.0 * beat)
        (note,) = session.receive('{"type":"Nonsense","message":{}}')
        assert isinstance(note, Note)
        assert "unknown type Nonsense" in note.text
    assert isinstance(session.tick(120.0)[0], Close)


def test_a_stop_verification() -> None:
    candidates = [{"taskArn": "arn:1", "desiredStatus": "STOPPED"}, {}]
    assert said(a_session(), "TaskStopVerificationMessage", messageId="m", stopCandidates=candidates) == [
        StopAsked("m", ("arn:1",))
    ]
    assert said(a_session(), "TaskStopVerificationMessage", messageId="m", stopCandidates=[]) == []


def test_a_refusal_is_noted_in_one_line() -> None:
    (note,) = said(a_session(), "NackRequest", messageId="m", reason="Updates\nare disabled")
    assert note == Note("the agent refused a message: Updates are disabled")


def test_notes_end() -> None:
    session = a_session()
    notes = [note for _ in range(100) for note in session.receive_binary()]
    assert len(notes) == 20
    assert notes[-1] == Note("further notes about this ACS connection are left out")
