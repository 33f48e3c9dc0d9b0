"""Answers are put on the wire as Go's ``net/http`` does: order of the header lines, length or chunks, end or not."""

from __future__ import annotations

import pytest

from ecscope.agent.servers.introspection import answers
from ecscope.agent.servers.introspection.answers import Answer

DATE = b"Date: Mon, 23 Nov 2026 14:49:14 GMT\r\n"
SMALL = answers.ok_json(b"x" * 2048)
LARGE = answers.ok_json(b"x" * 2049)


def rendered(
    answer: Answer, *, is_head: bool = False, is_http11: bool = True, keep_alive: bool = True
) -> tuple[list[bytes], bytes, bool]:
    """Lines of the head, body, and whether the connection stays open."""
    raw, stays_open = answers.render(answer, date=DATE, is_head=is_head, is_http11=is_http11, keep_alive=keep_alive)
    head, body = raw.split(b"\r\n\r\n", 1)
    lines = head.split(b"\r\n")
    assert DATE.rstrip() in lines
    return [line for line in lines if not line.startswith(b"Date")], body, stays_open


def test_the_date() -> None:
    assert answers.date_line(1795445354) == DATE
    assert answers.date_line(0) == b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"


def test_up_to_2048_bytes_have_a_length() -> None:
    head, body, stays_open = rendered(SMALL)
    assert head == [b"HTTP/1.1 200 OK", b"Content-Type: application/json", b"Content-Length: 2048"]
    assert body == SMALL.body
    assert stays_open


def test_more_come_as_one_chunk() -> None:
    head, body, stays_open = rendered(LARGE)
    assert head == [b"HTTP/1.1 200 OK", b"Content-Type: application/json", b"Transfer-Encoding: chunked"]
    assert body == b"801\r\n" + LARGE.body + b"\r\n0\r\n\r\n"
    assert stays_open


def test_close_stands_after_the_length_and_before_the_coding() -> None:
    head, _, stays_open = rendered(SMALL, keep_alive=False)
    assert head[2:] == [b"Content-Length: 2048", b"Connection: close"]
    assert not stays_open
    head, _, stays_open = rendered(LARGE, keep_alive=False)
    assert head[2:] == [b"Connection: close", b"Transfer-Encoding: chunked"]
    assert not stays_open


@pytest.mark.parametrize(
    ("answer", "length"),
    [
        (SMALL, [b"Content-Length: 2048"]),
        (LARGE, []),
        (answers.ok_json(b""), []),
    ],
    ids=["small", "large", "empty"],
)
def test_head_has_a_length_only_where_go_knows_it(answer: Answer, length: list[bytes]) -> None:
    head, body, stays_open = rendered(answer, is_head=True)
    assert head[2:] == length
    assert body == b""
    assert stays_open


def test_an_empty_body_has_a_length() -> None:
    assert rendered(answers.ok_json(b""))[0][2:] == [b"Content-Length: 0"]


def test_http10_ends_the_connection_without_saying_so() -> None:
    head, body, stays_open = rendered(SMALL, is_http11=False, keep_alive=False)
    assert head == [b"HTTP/1.0 200 OK", b"Content-Type: application/json", b"Content-Length: 2048"]
    assert (body, stays_open) == (SMALL.body, False)


def test_http10_stays_open_when_asked_and_the_length_is_known() -> None:
    head, _, stays_open = rendered(SMALL, is_http11=False)
    assert head[2:] == [b"Content-Length: 2048", b"Connection: keep-alive"]
    assert stays_open
    head, body, stays_open = rendered(LARGE, is_http11=False)
    assert head[2:] == []
    assert (body, stays_open) == (LARGE.body, False)


def test_http10_head_of_a_large_body_stays_open() -> None:
    head, body, stays_open = rendered(LARGE, is_http11=False, is_head=True)
    assert head[2:] == [b"Connection: keep-alive"]
    assert (body, stays_open) == (b"", True)


def test_a_guessed_type_stands_after_the_length_and_only_beside_a_body() -> None:
    answer = Answer(body=b"{}", sniffed=answers.SNIFFED_TEXT)
    text = b"Content-Type: text/plain; charset=utf-8"
    assert rendered(answer)[0] == [b"HTTP/1.1 200 OK", b"Content-Length: 2", text]
    assert rendered(answer, is_head=True)[0] == [b"HTTP/1.1 200 OK", b"Content-Length: 2", text]
    assert rendered(Answer(sniffed=answers.SNIFFED_TEXT))[0] == [b"HTTP/1.1 200 OK", b"Content-Length: 0"]


def test_a_crash_is_an_empty_500_that_ends_the_connection() -> None:
    raw, stays_open = answers.render(answers.CRASHED, date=DATE, is_head=False, is_http11=True, keep_alive=True)
    assert raw == (b"HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\n" + DATE + b"Content-Length: 0\r\n\r\n")
    assert not stays_open


def test_refusals_have_neither_date_nor_length() -> None:
    rest = b"Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
    assert answers.refusal(400) == b"HTTP/1.1 400 Bad Request\r\n" + rest + b"400 Bad Request"
    assert answers.refusal(400, b"missing required Host header") == (
        b"HTTP/1.1 400 Bad Request: missing required Host header\r\n"
        + rest
        + b"400 Bad Request: missing required Host header"
    )
    assert answers.refusal(501, text=b"Unsupported transfer encoding") == (
        b"HTTP/1.1 501 Not Implemented\r\n" + rest + b"Unsupported transfer encoding"
    )
