"""The control plane's side of telemetry: the recorded agent is acknowledged, and its health is passed on."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime

from ecscope.wire.tcs.messages import ServiceMessageKind, parse_service_frame
from ecscope.wire.tcs.server_session import HealthReceived, Note, Reply, StatusReceived, TcsServerSession, moment
from tests import traffic

ACKS = {
    "PublishMetricsRequest": ServiceMessageKind.ACK_METRICS,
    "PublishHealthRequest": ServiceMessageKind.ACK_HEALTH,
    "PublishInstanceStatusRequest": ServiceMessageKind.ACK_INSTANCE_STATUS,
}


def a_session(fault: str = "") -> TcsServerSession:
    return TcsServerSession(now=0.0, fault_of=lambda headers, content: fault, heartbeat_s=30.0)


def kinds(outputs: list[object]) -> list[ServiceMessageKind]:
    return [parse_service_frame(output.text).kind for output in outputs if isinstance(output, Reply)]


def test_the_recorded_agent_is_acknowledged() -> None:
    session = a_session()
    seen: Counter[str] = Counter()
    for record in traffic.records("tcs-samples", "tcs-in"):
        outputs = session.receive(traffic.frame(record))
        assert kinds(list(outputs)) == [ACKS[record["type"]]]
        assert not any(isinstance(output, Note) for output in outputs)
        seen[record["type"]] += 1
    assert set(seen) == set(ACKS)


def test_the_header_block_is_taken_off() -> None:
    (record, *_) = traffic.records("tcs-samples", "tcs-in")
    framed = f"Authorization: AWS4\r\nHost: h\r\n\r\n{traffic.frame(record)}"
    assert kinds(list(a_session().receive(framed))) == [ACKS[record["type"]]]


def test_a_frame_with_a_wrong_signature_is_not_taken() -> None:
    (record, *_) = [r for r in traffic.records("tcs-samples", "tcs-in") if r["type"] == "PublishHealthRequest"]
    signed = f"Authorization: AWS4\r\nHost: h\r\n\r\n{traffic.frame(record)}"
    complaint, note = a_session("it does not match").receive(signed)
    assert kinds([complaint]) == [ServiceMessageKind.BAD_REQUEST]
    assert note == Note("the agent sent what cannot be used: it does not match")


def test_health_is_passed_on() -> None:
    (record, *_) = [r for r in traffic.records("tcs-samples", "tcs-in") if r["type"] == "PublishHealthRequest"]
    _, told = a_session().receive(traffic.frame(record))
    task = record["message"]["tasks"][0]
    container = task["containers"][0]
    assert isinstance(told, HealthReceived)
    assert told.containers[0] == (task["taskArn"], container["containerName"], container["healthStatus"])


def test_the_status_is_passed_on() -> None:
    (record, *_) = [r for r in traffic.records("tcs-samples", "tcs-in") if r["type"] == "PublishInstanceStatusRequest"]
    _, told = a_session().receive(traffic.frame(record))
    assert isinstance(told, StatusReceived)
    assert told.entries[0].type == "ContainerRuntime"


def test_heartbeats() -> None:
    session = a_session()
    assert session.tick(29.0) == []
    assert kinds(list(session.tick(30.0))) == [ServiceMessageKind.HEARTBEAT]
    assert session.next_deadline == 60.0


def test_what_is_no_message_is_told_and_noted_a_few_times() -> None:
    session = a_session()
    outputs = session.receive(json.dumps({"type": "Nonsense", "message": {}}))
    assert kinds(list(outputs)) == [ServiceMessageKind.BAD_REQUEST]
    notes = [output for _ in range(100) for output in session.receive_binary() if isinstance(output, Note)]
    assert len(notes) == 19


def test_moments() -> None:
    assert moment(1_700_000_000.5) == datetime(2023, 11, 14, 22, 13, 20, 500_000, tzinfo=UTC)
    assert moment(1e300) is None
    assert moment(float("nan")) is None
