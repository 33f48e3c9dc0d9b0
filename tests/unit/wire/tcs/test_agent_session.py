"""What is due on a telemetry connection, and when, on a clock that the test moves."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ecscope.model.instance_status import InstanceHealth, InstanceStatus
from ecscope.wire.tcs.agent_session import Close, Due, Reports, TcsSession
from ecscope.wire.tcs.messages import BadFrame, ServiceMessage, ServiceMessageKind, service_frame
from tests.builders import AT

NEVER_CHECKED = InstanceStatus(
    health=InstanceHealth.INITIALIZING, checked_at=AT, previously_checked_at=AT, changed_at=AT
)
CHECKED = InstanceStatus(
    health=InstanceHealth.OK,
    checked_at=AT + timedelta(seconds=10),
    previously_checked_at=AT,
    changed_at=AT + timedelta(seconds=10),
)
T = 1000.0
"""When the connection is opened."""


def session(*, reports: Reports | None = None, random: float = 0.0) -> TcsSession:
    return TcsSession(reports=reports or Reports(at_s=T), opened_at_s=T, random=lambda: random)


def frame(kind: ServiceMessageKind) -> str:
    return service_frame(ServiceMessage(kind=kind))


def run(one: TcsSession, until_s: float, status: InstanceStatus = NEVER_CHECKED) -> list[tuple[float, object]]:
    """What becomes due until then (seconds since the opening), a heartbeat every 30 s."""
    seen: list[tuple[float, object]] = []
    heartbeat_s = T + 30
    while (now_s := min(one.next_at_s, heartbeat_s)) <= T + until_s:
        if now_s == heartbeat_s:
            one.received(frame(ServiceMessageKind.HEARTBEAT), now_s)
            heartbeat_s += 30
        due = one.due(now_s, status)
        if isinstance(due, Close):
            return [*seen, (now_s - T, due)]
        for each in due:
            if each is Due.INSTANCE_STATUS:
                one.reported(status)
            seen.append((now_s - T, each))
    return seen


def test_metrics_at_once_and_every_20_s_the_status_once_after_20_s() -> None:
    assert run(session(), 61) == [
        (0, Due.METRICS),
        (20, Due.METRICS),
        (20, Due.INSTANCE_STATUS),
        (40, Due.METRICS),
        (60, Due.METRICS),
    ]


def test_the_status_is_reported_anew_after_each_check_and_only_then() -> None:
    one = session()
    assert (20, Due.INSTANCE_STATUS) in run(one, 30)
    assert [due for _, due in run(one, 59)] == [Due.METRICS]
    assert one.due(T + 60, CHECKED) == (Due.METRICS, Due.INSTANCE_STATUS)
    one.reported(CHECKED)
    assert one.due(T + 80, CHECKED) == (Due.METRICS,)


def test_a_status_that_could_not_be_sent_is_due_again() -> None:
    one = session()
    assert Due.INSTANCE_STATUS in tuple(one.due(T + 20, CHECKED))  # type: ignore[arg-type]  # no Close
    assert Due.INSTANCE_STATUS in tuple(one.due(T + 40, CHECKED))  # type: ignore[arg-type]  # no Close


def test_reports_go_on_over_connections_and_missed_turns_are_not_made_up_for() -> None:
    reports = Reports(at_s=T - 100.5)
    first = session(reports=reports)
    assert first.due(T, NEVER_CHECKED) == (Due.METRICS,)
    assert first.due(T, NEVER_CHECKED) == ()
    second = TcsSession(reports=reports, opened_at_s=T + 5, random=float)
    assert second.due(T + 5, NEVER_CHECKED) == ()
    assert second.next_at_s == T + 19.5, "the turns stay where they were"
    first.reported(CHECKED)
    third = TcsSession(reports=reports, opened_at_s=T + 6, random=float)
    assert third.due(T + 26, CHECKED) == (Due.METRICS,), "reported already, on another connection"


@pytest.mark.parametrize(("random", "limit_s"), [(0.0, 60.0), (0.5, 90.0), (0.999, 119.94)])
@pytest.mark.parametrize(
    "kind",
    [
        ServiceMessageKind.HEARTBEAT,
        ServiceMessageKind.ACK_METRICS,
        ServiceMessageKind.ACK_HEALTH,
        ServiceMessageKind.ACK_INSTANCE_STATUS,
    ],
)
def test_a_sign_of_life_is_expected_every_one_to_two_minutes(
    kind: ServiceMessageKind, random: float, limit_s: float
) -> None:
    one = session(random=random)
    assert not isinstance(one.due(T + limit_s - 0.1, NEVER_CHECKED), Close)
    one.received(frame(kind), T + 50)
    assert not isinstance(one.due(T + 50 + limit_s - 0.1, NEVER_CHECKED), Close)
    close = one.due(T + 50 + limit_s, NEVER_CHECKED)
    assert close == Close(code=1000, text="no heartbeat and no acknowledgement came in time", is_clean=False)


@pytest.mark.parametrize(
    "kind", [kind for kind in ServiceMessageKind if "Ack" not in kind.value and "Heartbeat" not in kind.value]
)
def test_nothing_else_is_a_sign_of_life(kind: ServiceMessageKind) -> None:
    one = session()
    assert one.received(frame(kind), T + 50).kind is kind
    assert isinstance(one.due(T + 60, NEVER_CHECKED), Close)


def test_a_frame_that_is_none_counts_for_nothing() -> None:
    one = session()
    with pytest.raises(BadFrame):
        one.received('{"type":"HeartbeatMessage","message":[]}', T + 59)
    assert isinstance(one.due(T + 60, NEVER_CHECKED), Close)


@pytest.mark.parametrize(("random", "age_s"), [(0.0, 1800), (0.5, 1950)])
def test_a_connection_is_given_up_in_its_31st_to_35th_minute(random: float, age_s: float) -> None:
    seen = run(session(random=random), 4000)
    assert seen[-1] == (age_s, Close(code=1000, text="ConnectionExpired: Reconnect to continue", is_clean=True))
    assert len([due for _, due in seen if due is Due.METRICS]) == age_s // 20 + (age_s % 20 > 0)
