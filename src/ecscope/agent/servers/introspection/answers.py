"""What a handler answers, and how Go's ``net/http`` puts an answer on the wire.

Pure: an ``Answer`` and a few facts about the request in, bytes out. The order of header lines
and the choice between a length and chunks are Go's: first the handler's own headers, then
``Date``, the length, a content type that was guessed, ``Connection``, ``Transfer-Encoding``.

Source: introspection-api.md §2, §9.
"""

from __future__ import annotations

import time

import msgspec

JSON = b"Content-Type: application/json\r\n"
PLAIN = b"Content-Type: text/plain\r\n"
HTML = b"Content-Type: text/html; charset=utf-8\r\n"
CLOSE = b"Connection: close\r\n"
SNIFFED_TEXT = b"Content-Type: text/plain; charset=utf-8\r\n"
"""What Go guesses for JSON whose handler named no type."""

BUFFERED_BYTES = 2048
"""Go knows the length of a body only when its buffer holds all of it."""

REASONS = {
    200: b"OK",
    301: b"Moved Permanently",
    400: b"Bad Request",
    404: b"Not Found",
    417: b"Expectation Failed",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    505: b"HTTP Version Not Supported",
}

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a handler answers, before it is known how it was asked."""

    status: int = 200
    headers: bytes = b""
    """The handler's own header lines, sorted, each with its CRLF."""
    has_length: bool = False
    """``headers`` say how long the body is, where Go's handler does."""
    body: bytes = b""
    sniffed: bytes = b""
    """The content-type line, at the position where Go puts a guessed one."""
    closes: bool = False
    """The connection ends with this answer; ``headers`` then say so."""
    is_lasting: bool = False
    """The same target gives the same answer until the state changes."""


def ok_json(body: bytes) -> Answer:
    """A successful answer of the API."""
    return Answer(headers=JSON, body=body, is_lasting=True)


CRASHED = Answer(status=500, headers=CLOSE, closes=True)
"""A handler failed. Source: introspection-api.md §9."""

BAD_TARGET = Answer(status=400, headers=CLOSE, closes=True)
"""The request target was ``*``. Source: introspection-api.md §2."""

ASTERISK_OPTIONS = Answer(headers=b"Content-Length: 0\r\n", has_length=True)
"""``OPTIONS *``, which asks the server as a whole. Source: introspection-api.md §2."""

EXPECTATION_FAILED = Answer(status=417, headers=CLOSE, closes=True)
"""An ``Expect`` other than ``100-continue``."""


def date_line(second: int) -> bytes:
    """The ``Date`` header line for that second since the epoch."""
    at = time.gmtime(second)
    return (
        f"Date: {_DAYS[at.tm_wday]}, {at.tm_mday:02} {_MONTHS[at.tm_mon - 1]} {at.tm_year} "
        f"{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} GMT\r\n"
    ).encode()


def render(answer: Answer, *, date: bytes, is_head: bool, is_http11: bool, keep_alive: bool) -> tuple[bytes, bool]:
    """The bytes to send, and whether the connection stays open after them.

    ``keep_alive``: the client asked for it and the server is not stopping.
    """
    body = answer.body
    is_buffered = len(body) <= BUFFERED_BYTES
    length = chunked = connection = b""
    # Quirk: on HEAD an empty body has no length, because Go cannot tell whether it is really empty.
    if is_buffered and (body or not is_head) and not answer.has_length:
        length = b"Content-Length: %d\r\n" % len(body)
    if is_http11:
        stays_open = keep_alive and not answer.closes
        if not stays_open and not answer.closes:
            connection = CLOSE
        if not is_buffered and not is_head:
            chunked = b"Transfer-Encoding: chunked\r\n"
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    else:
        # HTTP/1.0 has no chunks: the end of a body without a length is the end of the connection.
        stays_open = keep_alive and not answer.closes and (is_buffered or is_head)
        if stays_open:
            connection = b"Connection: keep-alive\r\n"
    raw = b"HTTP/1.%d %d %b\r\n%b%b%b%b%b%b\r\n%b" % (
        is_http11,
        answer.status,
        REASONS[answer.status],
        answer.headers,
        date,
        length,
        answer.sniffed if body else b"",
        connection,
        chunked,
        b"" if is_head else body,
    )
    return raw, stays_open


def refusal(status: int, detail: bytes = b"", *, text: bytes = b"") -> bytes:
    """What Go sends for a request it cannot read: no date, no length, then the end of the connection.

    ``detail`` follows the reason in the status line; ``text`` replaces the body.
    """
    line = b"%d %b" % (status, REASONS[status])
    if detail:
        line += b": " + detail
    return b"HTTP/1.1 %b\r\n%b%b\r\n%b" % (line, SNIFFED_TEXT, CLOSE, text or line)
