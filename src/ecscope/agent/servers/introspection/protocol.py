"""HTTP/1.1 and 1.0 on one connection, behaving as Go's ``net/http`` does.

Bytes in, bytes out, over ``asyncio`` and ``httptools``; what is answered comes from ``Routes``.
One request is parsed, answered, and only then the next one looked at: while a client does not
take its answers nothing more is read or parsed, so that a flood costs nothing.

Where the parser is stricter than Go (bare line feeds, folded headers, a length beside chunks)
the client gets a 400. Where it is stricter and clients could notice (unknown methods, raw UTF-8
in the target) the request line is rewritten before the parser sees it.

Source: introspection-api.md §1, §2, §9.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from enum import Enum
from typing import Protocol

import httptools
import msgspec

from ecscope.agent.servers import targets
from ecscope.agent.servers.introspection import answers
from ecscope.agent.servers.introspection.answers import Answer
from ecscope.agent.servers.introspection.routes import Routes

_HEAD_END = b"\r\n\r\n"
_PASSED_ON = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH"))
"""Methods that need nothing special from the parser."""
_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~\x80-\xff]+) HTTP/[0-9]\.[0-9]\r\n")
_BLANKS_AFTER_POST = 4
"""So many line ends are ignored after a POST, for old clients that end its body with some; no others are."""
_NON_ASCII = re.compile(rb"[\x80-\xff]")
_HOST_BYTES = b"!$%&'()*+,-./0123456789:;=ABCDEFGHIJKLMNOPQRSTUVWXYZ[]_abcdefghijklmnopqrstuvwxyz~"

_READ_BYTES = 64 << 10
_KNOWN_REQUESTS, _KNOWN_BYTES = 64, 2048
"""How many requests are recognised by their bytes, and how long they may be."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one connection may take. Source: introspection-api.md §1."""

    read_timeout_s: float = 5.0
    """For a whole request, and for the silence before one."""
    write_timeout_s: float = 5.0
    """For the client to take what it was sent."""
    linger_s: float = 0.5
    """How long a refused client may go on sending before the connection is cut."""
    head_bytes: int = (1 << 20) + 4096
    """Request line and headers."""
    headers: int = 10_000
    discarded_body_bytes: int = 256 << 10
    """A longer body is not read: the answer comes at once and ends the connection."""


class Phase(Enum):
    """What the next byte from the client belongs to."""

    BETWEEN = "BETWEEN"
    """A new request."""
    HEAD = "HEAD"
    """Request line or headers."""
    SIZED_BODY = "SIZED_BODY"
    """A body of a known length."""
    CHUNKED_BODY = "CHUNKED_BODY"
    DONE = "DONE"
    """Nothing: the last answer is given, further input is dropped."""


class Timer(Protocol):
    """What can be called off."""

    def cancel(self) -> None: ...


class Timers(Protocol):
    """The part of an event loop that knows the time. Seconds, from any start."""

    def time(self) -> float: ...

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer: ...


class Connections:
    """All open connections of one server, with one timer for all their deadlines."""

    def __init__(
        self,
        routes: Routes,
        limits: Limits,
        timers: Timers | None = None,
        *,
        admit: Callable[[asyncio.BaseTransport], bool] = lambda transport: True,
    ) -> None:
        """``timers``: the running event loop unless given. ``admit``: whether a new connection is answered at all."""
        self.routes = routes
        self.limits = limits
        self.timers = timers or asyncio.get_running_loop()
        self.admit = admit
        self.is_stopping = False
        self.buffer = memoryview(bytearray(_READ_BYTES))
        """What one read brings, for whichever connection it is: it is taken out before the next read."""
        self.known: dict[bytes, bytes] = {}
        """Whole requests that were parsed before, to their target: the same bytes mean the same again.

        Only ``GET`` on HTTP/1.1 that keeps the connection open and brings no body.
        """
        self._open: set[Connection] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._interval_s = min(0.5, limits.read_timeout_s / 10, limits.write_timeout_s / 10)
        self._timer = self.timers.call_later(self._interval_s, self._sweep)

    def __len__(self) -> int:
        return len(self._open)

    def accept(self) -> Connection:
        """The protocol for one new connection."""
        return Connection(self)

    def add(self, connection: Connection) -> None:
        self._open.add(connection)
        self._empty.clear()

    def discard(self, connection: Connection) -> None:
        self._open.discard(connection)
        if not self._open:
            self._empty.set()

    def recognise(self, request: bytes, target: bytes) -> None:
        """Remember a whole request."""
        if len(request) <= _KNOWN_BYTES:
            if len(self.known) >= _KNOWN_REQUESTS:
                self.known.clear()
            self.known[request] = target

    def _sweep(self) -> None:
        now = self.timers.time()
        for connection in [connection for connection in self._open if connection.deadline <= now]:
            connection.expire()
        self._timer = self.timers.call_later(self._interval_s, self._sweep)

    async def drain(self) -> None:
        """Let requests in flight finish; idle connections are closed. Cancelling cuts the rest off."""
        self.is_stopping = True
        for connection in list(self._open):
            connection.close_if_idle()
        try:
            await self._empty.wait()
        finally:
            self._timer.cancel()
            for connection in list(self._open):
                connection.cut()


class Connection(asyncio.BufferedProtocol):
    """One client. All is synchronous: a request that is complete is answered on the spot."""

    __slots__ = (
        "_blanks",
        "_body_left",
        "_connections",
        "_discarded",
        "_ends",
        "_expects",
        "_has_answered",
        "_has_begun",
        "_head_size",
        "_headers",
        "_held",
        "_hosts",
        "_is_chunked",
        "_is_complete",
        "_is_head_complete",
        "_is_paused",
        "_keeps_alive",
        "_limits",
        "_method",
        "_now",
        "_parser",
        "_phase",
        "_refused",
        "_routes",
        "_tail",
        "_target",
        "_transport",
        "_version",
        "_whole",
        "deadline",
    )

    _transport: asyncio.Transport

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._routes = connections.routes
        self._limits = connections.limits
        self._now = connections.timers.time
        self._parser = httptools.HttpRequestParser(self)
        # Received and not parsed yet: the start of a request line, or what came while writing was paused.
        self._held = b""
        self._is_paused = False
        # The client has sent all it will ever send.
        self._ends = False
        self._has_answered = False
        self._method = b""
        self._reset()
        self.deadline = self._now() + self._limits.read_timeout_s

    def _reset(self) -> None:
        """Ready for the next request."""
        self._phase = Phase.BETWEEN
        self._has_begun = False
        self._blanks = _BLANKS_AFTER_POST if self._method == b"POST" else 0
        self._method = b"GET"
        self._target = self._expects = b""
        # The last bytes fed of a head or a chunked body: its end may begin in them.
        self._tail = b""
        self._headers = self._hosts = self._head_size = self._body_left = self._discarded = 0
        self._is_chunked = self._is_head_complete = self._is_complete = self._keeps_alive = False
        self._refused: tuple[int, bytes, bytes] | None = None
        # All the bytes of the request, when one read brought just them.
        self._whole = b""

    # --- transport -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._connections.admit(transport):
            self._connections.add(self)
        else:
            self._phase = Phase.DONE
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._phase = Phase.DONE
        self._held = b""
        self._connections.discard(self)

    def eof_received(self) -> bool:
        # What was asked before is still answered; half a request never will be complete.
        self._ends = True
        return self._is_paused and self._phase is not Phase.DONE

    def pause_writing(self) -> None:
        self._is_paused = True
        self._transport.pause_reading()
        self.deadline = self._now() + self._limits.write_timeout_s

    def resume_writing(self) -> None:
        self._is_paused = False
        if self._phase is Phase.DONE:
            return
        self.deadline = self._now() + self._limits.read_timeout_s
        held, self._held = self._held, b""
        if held:
            self._take(held)
        if self._is_paused or self._is_done():
            return
        if self._ends:
            self._end()
        else:
            self._transport.resume_reading()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._connections.buffer

    def buffer_updated(self, nbytes: int) -> None:
        data = self._connections.buffer[:nbytes].tobytes()
        if self._phase is Phase.BETWEEN and not self._held and not self._is_paused:
            target = self._connections.known.get(data)
            if target is not None and not self._connections.is_stopping:
                raw = self._routes.finished(target)
                if raw:
                    self._send(raw, b"GET")
                    return
            is_whole = data.find(_HEAD_END) == nbytes - len(_HEAD_END) and nbytes <= self._limits.head_bytes
            if is_whole and data.startswith(b"GET ") and data.isascii() and _request_line(data) is not None:
                # One whole request and nothing after it: what nearly every read brings.
                self._whole = data
                self._parse(data)
                return
        if self._phase is not Phase.DONE:
            if self._held:
                data = self._held + data
                self._held = b""
            self._take(data)

    def _is_done(self) -> bool:
        return self._phase is Phase.DONE

    def expire(self) -> None:
        """The deadline has passed."""
        if self._is_paused or self._phase is Phase.DONE or self._transport.get_write_buffer_size():
            self._transport.abort()
        else:
            self._end()

    def close_if_idle(self) -> None:
        """Close unless a request has begun or an answer is still on its way."""
        if self._phase is Phase.BETWEEN and not self._held and not self._transport.get_write_buffer_size():
            self._end()

    def cut(self) -> None:
        """Close without waiting for anything."""
        self._transport.abort()

    # --- cutting the stream into requests --------------------------------------------------------

    def _take(self, data: bytes) -> None:
        """Feed the parser so that it never sees bytes of two requests at once."""
        at = 0
        while self._phase is not Phase.DONE:
            while self._phase is Phase.BETWEEN and self._blanks and data[at : at + 1] in {b"\r", b"\n"}:
                at += 1
                self._blanks -= 1
            if at == len(data):
                return
            if self._is_paused:
                self._held = data[at:]
                return
            if self._phase is Phase.BETWEEN:
                self._begin()
                line_end = data.find(b"\n", at) + 1
                if line_end == 0:
                    self._hold(data[at:])
                    return
                request_line = _request_line(data, at, line_end)
                if request_line is None:
                    self._refuse(400)  # at once: a client that sends such a line may send nothing more
                    return
                self._phase = Phase.HEAD
                if line := self._rewritten(request_line):
                    at = line_end
                    self._tail = line[-3:]
                    self._pass_on(line)
                    continue
            end = self._segment_end(data, at)
            segment = data[at:end]
            at = end
            self._pass_on(segment)

    def _begin(self) -> None:
        """The first byte of a request is there. The time for the first one runs from the connect."""
        if not self._has_begun:
            self._has_begun = True
            if self._has_answered:
                self.deadline = self._now() + self._limits.read_timeout_s

    def _hold(self, line: bytes) -> None:
        """Wait for the rest of a request line."""
        self._held = line
        if len(line) > self._limits.head_bytes:
            self._refuse(431)

    def _rewritten(self, line: re.Match[bytes]) -> bytes:
        """The request line as the parser accepts it, when that differs; else ``b""``."""
        self._method = line[1]
        if self._method in _PASSED_ON and line[2].isascii():
            return b""
        rest = line[0][line.end(1) - line.start() :]
        return b"GET" + _NON_ASCII.sub(lambda found: b"%%%02X" % found[0][0], rest)

    def _segment_end(self, data: bytes, at: int) -> int:
        """Up to where ``data`` can be fed without touching the next request."""
        if self._phase is Phase.SIZED_BODY:
            return min(at + self._body_left, len(data))
        border = (self._tail + data[at : at + 3]).find(_HEAD_END)
        if border >= 0:
            end = at + border + len(_HEAD_END) - len(self._tail)
        else:
            end = data.find(_HEAD_END, at) + len(_HEAD_END)
            if end < len(_HEAD_END):
                self._tail = (self._tail + data[max(at, len(data) - 3) :])[-3:]
                return len(data)
        self._tail = b""
        return end

    def _pass_on(self, segment: bytes) -> None:
        """Hold the request to the limits, and feed the parser."""
        match self._phase:
            case Phase.HEAD:
                self._head_size += len(segment)
                if self._head_size > self._limits.head_bytes:
                    self._refuse(431)
                    return
            case Phase.SIZED_BODY:
                self._body_left -= len(segment)
            case _:
                self._discarded += len(segment)
                if self._discarded > self._limits.discarded_body_bytes:
                    self._answer(lingers=True)
                    return
        self._parse(segment)

    # --- parser ----------------------------------------------------------------------------------

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers += 1
        # By length first: most headers are of no interest here.
        match len(name):
            case 4 if name.lower() == b"host":
                self._hosts += 1
                if value.translate(None, _HOST_BYTES):
                    self._refused = (400, b"malformed Host header", b"")
            case 6 if name.lower() == b"expect":
                self._expects = value.lower()
            case 14 if name.lower() == b"content-length" and value.isdigit():
                self._body_left = int(value) if len(value) < 16 else 1 << 60
            case 17 if name.lower() == b"transfer-encoding":
                self._is_chunked = True
                if value.lower() != b"chunked":
                    self._refused = (501, b"", b"Unsupported transfer encoding")

    def on_headers_complete(self) -> None:
        self._is_head_complete = True
        self._version = self._parser.get_http_version()

    def on_message_complete(self) -> None:
        self._is_complete = True
        self._keeps_alive = self._parser.should_keep_alive()

    def _parse(self, segment: bytes) -> None:
        """Feed one segment and do what follows from it."""
        is_in_head = not self._is_head_complete
        try:
            self._parser.feed_data(segment)
        except httptools.HttpParserUpgrade:
            # No upgrade is offered: what was asked is answered in HTTP/1.1.
            self._parser = httptools.HttpRequestParser(self)
            if self._body_left or self._is_chunked:
                # The parser takes the body for the other protocol's bytes, so its end is not known.
                self._answer(lingers=True)
                return
        except httptools.HttpParserError as error:
            self._refuse_unparsable(str(error))
            return
        if is_in_head and self._is_head_complete:
            self._judge_head()
        elif self._headers > self._limits.headers:
            self._refuse(431)
        if self._is_complete and self._phase is not Phase.DONE:
            self._answer()

    def _judge_head(self) -> None:
        """Refuse, answer before the body, or wait for the body. As Go does, in Go's words."""
        is_http11 = self._version == "1.1"
        if self._refused is not None:
            self._refuse(*self._refused)
        elif self._headers > self._limits.headers:
            self._refuse(431)
        elif not is_http11 and self._version != "1.0":
            self._refuse_version()
        elif is_http11 and not self._hosts and self._method != b"CONNECT":
            self._refuse(400, b"missing required Host header")
        elif self._hosts > 1:
            self._refuse(400, b"too many Host headers")
        elif self._expects and self._expects != b"100-continue":
            self._send_rendered(answers.EXPECTATION_FAILED, lingers=True)
        elif self._is_complete:
            return
        elif (self._expects and is_http11) or self._body_left > self._limits.discarded_body_bytes:
            # The body is not read: the answer comes instead of ``100 Continue``.
            self._answer(lingers=True)
        else:
            self._phase = Phase.CHUNKED_BODY if self._is_chunked else Phase.SIZED_BODY

    def _refuse_unparsable(self, reason: str) -> None:
        if self._refused is not None:
            self._refuse(*self._refused)
        elif reason == "Invalid HTTP version" and not self._parser.get_http_version().startswith("1."):
            self._refuse_version()
        else:
            self._refuse(400)

    def _refuse_version(self) -> None:
        if self._method == b"PRI":
            self._refuse(400)  # the preface of HTTP/2, which Go understands and then declines
        else:
            self._refuse(505, b"unsupported protocol version")

    # --- answering -------------------------------------------------------------------------------

    def _answer(self, *, lingers: bool = False) -> None:
        """Answer the request that was just read; ``lingers``: what is left of it will not be read."""
        is_plain = self._method == b"GET" and self._version == "1.1" and self._keeps_alive and not lingers
        if is_plain and not self._connections.is_stopping:
            raw = self._routes.finished(self._target)
            if raw:
                if self._whole:
                    self._connections.recognise(self._whole, self._target)
                self._reset()
                self._send(raw, b"GET")
                return
        answer = self._routes.answer(self._method, self._target)
        if answer is None:
            self._refuse(400)
        else:
            self._send_rendered(answer, lingers=lingers)

    def _send_rendered(self, answer: Answer, *, lingers: bool) -> None:
        self._routes.tick()
        method = self._method
        raw, stays_open = answers.render(
            answer,
            date=self._routes.date,
            is_head=method == b"HEAD",
            is_http11=self._version == "1.1",
            keep_alive=self._keeps_alive and not lingers and not self._connections.is_stopping,
        )
        if stays_open:
            self._reset()
        self._send(raw, method)
        if not stays_open:
            self._end(lingers=lingers)

    def _send(self, raw: bytes, method: bytes) -> None:
        if self._routes.is_debugging:
            self._routes.log_request(method, self._transport.get_extra_info("peername"))
        self._has_answered = True
        self.deadline = self._now() + self._limits.read_timeout_s
        self._write(raw)

    def _write(self, raw: bytes) -> None:
        """The loop reports a client that has left one turn later: until then its other requests are dropped here."""
        if not self._transport.is_closing():
            self._transport.write(raw)
        if self._transport.is_closing():
            self._phase = Phase.DONE
            self._held = b""

    def _refuse(self, status: int, detail: bytes = b"", text: bytes = b"") -> None:
        """The last answer, to a request that cannot be read."""
        self._write(answers.refusal(status, detail, text=text))
        self._end(lingers=True)

    def _end(self, *, lingers: bool = False) -> None:
        """Close behind what was sent; ``lingers``: so that what still arrives does not cost the client the answer."""
        self._phase = Phase.DONE
        self._held = b""
        is_sent = not self._transport.get_write_buffer_size()
        if lingers and not self._ends:
            self._transport.write_eof()
        else:
            self._transport.close()
        self.deadline = self._now() + (self._limits.linger_s if is_sent else self._limits.write_timeout_s)


def _request_line(data: bytes, at: int = 0, end: int | None = None) -> re.Match[bytes] | None:
    """The request line at the start, with method and target as groups; ``None``: Go answers 400 without reading on."""
    line = _REQUEST_LINE.match(data, at) if end is None else _REQUEST_LINE.fullmatch(data, at, end)
    if line is None:
        return None
    method, target = line.groups()
    if target == b"*" or (method == b"CONNECT" and not target.startswith(b"/")):
        return line
    try:
        targets.split(target)
    except targets.BadTarget:
        return None
    return line
