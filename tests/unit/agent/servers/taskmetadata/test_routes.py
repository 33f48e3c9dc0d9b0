"""Unit tests of the way from a request to its answer: the recordings are the judge."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from ecscope.agent.servers.targets import BadTarget
from ecscope.agent.servers.taskmetadata.routes import Answer, Request, Routes
from tests.tables import each_row
from tests.unit.agent.servers.taskmetadata.scenes import RECORDED_ID, STATE, TASK

RECORDINGS = sorted((Path(__file__).parents[4] / "fixtures" / "official-agent" / "tmds").glob("*.txt"))
AT = datetime(2026, 11, 27, tzinfo=UTC)
REASONS = {"OK": 200, "Bad Request": 400, "Not Found": 404, "Moved Permanently": 301}


def ask(target: str, routes: Routes | None = None, **fields: str) -> Answer:
    request = msgspec.structs.replace(Request(target=target, address="127.0.0.1", port=59256), **fields)
    return (routes or Routes(steady=40, burst=60)).answer(request, STATE, at=AT, now_s=0.0)


@each_row("recording", RECORDINGS, name=lambda path: path.stem)
def test_answers_are_the_recorded_ones(recording: Path) -> None:
    head, _, body = recording.read_text().partition("\n\n")
    command, status, *lines = head.splitlines()
    headers = dict(line.split(": ", 1) if ": " in line else (line.rstrip(":"), "") for line in lines)
    del headers["Date"]
    assert headers.pop("Content-Length") == str(len(body.encode()))
    answer = ask(re.findall(r"51679([^']*)'", command)[0])
    assert f"HTTP/1.1 {answer.status} " in status
    assert answer.body.decode() == body
    told = dict(answer.headers)
    if "X-Rate-Limit-Request-Remote-Addr" in headers:  # a port that differed from request to request
        headers["X-Rate-Limit-Request-Remote-Addr"] = told["X-Rate-Limit-Request-Remote-Addr"]
    assert {name: value.strip() for name, value in headers.items()} == told


def test_there_are_recordings_of_every_kind() -> None:
    assert len(RECORDINGS) == 11


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
        ("http://169.254.170.2/v2/credentials/", 400),
    ],
)
def test_odd_targets(target: str, status: int) -> None:
    assert ask(target).status == status


def test_a_path_is_led_to_its_plain_form_with_its_query() -> None:
    answer = ask("/v2/./credentials//a?b=c")
    assert (answer.status, answer.headers, answer.body) == (301, {"Location": "/v2/credentials/a?b=c"}, b"")
    assert answer.audit_line == ""


def test_a_path_is_decoded_before_it_is_cleaned() -> None:
    assert ask("/v2/credentials/a%2F..%2Fb%25").headers == {"Location": "/v2/credentials/b%25"}


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
    routes = Routes(steady=1, burst=2)
    answers = [ask("/other", routes, forwarded_for="9.9.9.9") for _ in range(3)]
    assert [answer.status for answer in answers] == [404, 404, 429]
    last = answers[-1]
    assert last.body == b"You have reached maximum request limit."
    assert last.headers == {
        "Content-Type": "text/plain; charset=utf-8",
        "X-Rate-Limit-Duration": "1",
        "X-Rate-Limit-Limit": "1.00",
        "X-Rate-Limit-Request-Forwarded-For": "9.9.9.9",
        "X-Rate-Limit-Request-Remote-Addr": "127.0.0.1:59256",
    }
    assert last.audit_line == '2026-11-27T00:00:00Z 429 127.0.0.1:59256 "/other" "" -'
    assert ask("//other", routes).status == 301


def test_an_id_in_a_mistyped_path_is_not_audited() -> None:
    routes = Routes(steady=1, burst=1)
    lines = [ask(f"/v2/credential/{RECORDED_ID}", routes).audit_line for _ in range(2)]
    assert lines == ["", '2026-11-27T00:00:00Z 429 127.0.0.1:59256 "/v2/credential/…" "" -']


def test_secrets_are_in_no_repr() -> None:
    assert "secret" not in repr(ask(f"/v2/credentials/{RECORDED_ID}"))
