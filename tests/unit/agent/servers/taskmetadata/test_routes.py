"""Unit tests of the way from a request to its answer: the recordings are the judge."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from ecscope.agent.core.state import AgentState
from ecscope.agent.servers.targets import BadTarget
from ecscope.agent.servers.taskmetadata.routes import Answer, Request, Routes
from tests.tables import each_row
from tests.unit.agent.servers.taskmetadata.recorded import (
    RecordedSources,
    Recording,
    a_recorded_state,
    in_the_order_of,
    recordings,
)
from tests.unit.agent.servers.taskmetadata.scenes import RECORDED_ID, STATE, TASK

AT = datetime(2026, 11, 27, tzinfo=UTC)
RECORDED = a_recorded_state()
PROTECTED_UNTIL = {
    "agent-api-protection-put-app": 1795446166.4232097,
    "agent-api-protection-put-negative": 1795445506.9967155,
}


def the_routes(sources: RecordedSources | None = None, *, steady: int = 40, burst: int = 60) -> Routes:
    return Routes(steady=steady, burst=burst, sources=sources or RecordedSources(STATE))


def ask(target: str, routes: Routes | None = None, *, state: AgentState = STATE, **fields: Any) -> Answer:
    request = msgspec.structs.replace(Request(target=target, address="127.0.0.1", port=59256), **fields)
    return asyncio.run((routes or the_routes()).answer(request, state, at=AT, now_s=0.0))


@each_row("recording", recordings(), name=lambda recording: recording.name)
def test_answers_are_the_recorded_ones(recording: Recording) -> None:
    state = in_the_order_of(RECORDED, recording.body)
    sources = RecordedSources(state, recording.body)
    if recording.name in PROTECTED_UNTIL:
        sources.protection = {"protectionEnabled": True, "expirationDate": PROTECTED_UNTIL[recording.name]}
    routes = the_routes(sources, burst=1 if recording.status == 429 else 60)
    port = next((int(value.rpartition(":")[2]) for name, value in recording.headers if name.endswith("-Addr")), 0)
    for _ in range(2 if recording.status == 429 else 1):
        answer = ask(recording.target, routes, state=state, method=recording.method, body=recording.sent, port=port)
    assert answer.status == recording.status
    assert answer.body.decode() == recording.body or recording.method == "HEAD"
    assert sorted(answer.headers) == sorted(recording.headers)


def test_there_are_recordings_of_every_kind() -> None:
    assert len(recordings()) == 87


@each_row(
    "target, status",
    [
        (f"/v1/credentials?id={RECORDED_ID}&id=other", 200),
        (f"/v2/credentials/{RECORDED_ID[:-1]}%35", 200),
        (f"/v2/credentials/{RECORDED_ID}?x=y", 200),
        (f"/v2/credentials/{RECORDED_ID}/", 400),
        ("/v2/credentials/a/b", 400),
        ("/v1/credentials/", 404),
        ("/v4/x", 404),
        ("/v4/x/", 404),
        ("http://169.254.170.2/v2/credentials/", 400),
    ],
)
def test_odd_targets(target: str, status: int) -> None:
    assert ask(target).status == status


def test_a_path_is_led_to_its_plain_form_with_its_query() -> None:
    answer = ask("/v2/./credentials//a?b=c")
    assert (answer.status, answer.headers, answer.body) == (301, (("Location", "/v2/credentials/a?b=c"),), b"")
    assert answer.audit_line == ""


def test_a_path_is_decoded_before_it_is_cleaned() -> None:
    assert ask("/v2/credentials/a%2F..%2Fb%25").headers == (("Location", "/v2/credentials/b%25"),)


def test_an_unreadable_target_is_no_request() -> None:
    with pytest.raises(BadTarget):
        ask("*")


def test_who_asked_is_audited_without_the_id() -> None:
    line = ask(f"/v2/credentials/{RECORDED_ID}", user_agent="Boto3").audit_line
    assert line == (
        f'2026-11-27T00:00:00Z 200 127.0.0.1:59256 "/v2/credentials" "Boto3" {TASK.arn} GetCredentials 2 default'
        " arn:aws:ecs:us-west-2:012345678910:container-instance/default/1"
    )
    assert ask("/v2/credentials/other").audit_line == '2026-11-27T00:00:00Z 400 127.0.0.1:59256 "/v2/credentials" "" -'
    assert ask("/other").audit_line == ""


def test_too_many_requests_are_refused_and_audited() -> None:
    routes = the_routes(steady=1, burst=2)
    answers = [ask("/other", routes, forwarded_for="9.9.9.9") for _ in range(3)]
    assert [answer.status for answer in answers] == [404, 404, 429]
    last = answers[-1]
    assert last.body == b"You have reached maximum request limit."
    assert dict(last.headers) == {
        "Content-Type": "text/plain; charset=utf-8",
        "X-Rate-Limit-Duration": "1",
        "X-Rate-Limit-Limit": "1.00",
        "X-Rate-Limit-Request-Forwarded-For": "9.9.9.9",
        "X-Rate-Limit-Request-Remote-Addr": "127.0.0.1:59256",
    }
    assert last.audit_line == '2026-11-27T00:00:00Z 429 127.0.0.1:59256 "/other" "" -'
    assert ask("//other", routes).status == 301


def test_an_id_in_a_mistyped_path_is_not_audited() -> None:
    routes = the_routes(steady=1, burst=1)
    lines = [ask(f"/v2/credential/{RECORDED_ID}", routes).audit_line for _ in range(2)]
    assert lines == ["", '2026-11-27T00:00:00Z 429 127.0.0.1:59256 "/v2/credential/…" "" -']


def test_secrets_are_in_no_repr() -> None:
    assert "secret" not in repr(ask(f"/v2/credentials/{RECORDED_ID}"))
