"""One connection from byte to byte, on a transport and a clock that the test holds in its hand."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ecscope.agent.core.state import AgentState
from ecscope.agent.servers.introspection.protocol import Connection, Connections, Limits
from ecscope.agent.servers.introspection.routes import Routes
from ecscope.model.container_instance import ContainerInstance
from tests.builders import a_container, a_task
from tests.tables import each_row

INSTANCE = ContainerInstance(cluster="default", arn="arn:instance", agent_version="Amazon ECS Agent - v1 (a)")
SMALL = AgentState(instance=INSTANCE)
LARGE = AgentState(
    instance=INSTANCE,
    tasks={
        task.arn: task
        for task in (a_task(a_container(docker_name="x" * 300), number=number) for number in range(1, 101))
    },
)
GET = b"GET /v1/tasks HTTP/1.1\r\nHost: localhost\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
NO_TASKS = b'{"Tasks":[]}'


class FakeTimers:
    """A clock that goes on when told to, and then calls what is due."""

    def __init__(self) -> None:
        self.now = 100.0
        self._due: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], None]) -> FakeTimers.Handle:
        entry = (self.now + delay, callback)
        self._due.append(entry)
        return FakeTimers.Handle(self._due, entry)

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while due := [entry for entry in self._due if entry[0] <= end]:
            first = min(due, key=lambda entry: entry[0])
            self._due.remove(first)
            self.now = max(self.now, first[0])
            first[1]()
        self.now = end

    class Handle:
        def __init__(self, due: list[tuple[float, Callable[[], None]]], entry: tuple[float, Callable[[], None]]):
            self._due, self._entry = due, entry

        def cancel(self) -> None:
            if self._entry in self._due:
                self._due.remove(self._entry)


class FakeTransport(asyncio.Transport):
    """A socket whose peer may stop taking bytes; holds what ``asyncio`` promises about pausing and closing."""

    HIGH_WATER = 64 << 10

    def __init__(self) -> None:
        super().__init__()
        self.protocol: Connection
        self.taken = b""
        self.buffer = b""
        self.peer_takes = True
        self.is_reading_paused = self.is_eof_sent = self.was_aborted = self.is_gone = self._closing = False
        self.has_reset = False
        self.lost_writes = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.is_eof_sent
        if self.has_reset:  # as the loop does it: the first write finds out, and the protocol hears of it later
            self._closing = True
        if self._closing:
            self.lost_writes += 1
            return
        self.buffer += bytes(data)
        was_below = len(self.buffer) - len(data) <= self.HIGH_WATER
        if self.peer_takes:
            self.take()
        elif was_below and len(self.buffer) > self.HIGH_WATER:
            self.protocol.pause_writing()

    def take(self) -> None:
        """The peer takes all there is."""
        was_above = not self.peer_takes and len(self.buffer) > self.HIGH_WATER
        self.taken, self.buffer = self.taken + self.buffer, b""
        if was_above:
            self.protocol.resume_writing()
        self._vanish_when_flushed()

    def write_eof(self) -> None:
        self.is_eof_sent = True

    def close(self) -> None:
        self._closing = True
        self._vanish_when_flushed()

    def abort(self) -> None:
        self.was_aborted = self._closing = True
        self.buffer = b""
        self._vanish_when_flushed()

    def _vanish_when_flushed(self) -> None:
        if self._closing and not self.buffer and not self.is_gone:
            self.is_gone = True
            self.protocol.connection_lost(None)

    def is_closing(self) -> bool:
        return self._closing

    def get_write_buffer_size(self) -> int:
        return len(self.buffer)

    def pause_reading(self) -> None:
        self.is_reading_paused = True

    def resume_reading(self) -> None:
        self.is_reading_paused = False

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("203.0.113.7", 4711) if name == "peername" else default


class Peer:
    """A client of one connection."""

    def __init__(self, connections: Connections) -> None:
        self.transport = FakeTransport()
        self.connection = connections.accept()
        self.transport.protocol = self.connection
        self.connection.connection_made(self.transport)

    def send(self, data: bytes) -> bytes:
        """What comes back at once."""
        before = len(self.transport.taken)
        while data and not self.transport.is_reading_paused and not self.transport.is_gone:
            buffer = self.connection.get_buffer(-1)
            size = min(len(buffer), len(data))
            buffer[:size] = data[:size]
            data = data[size:]
            self.connection.buffer_updated(size)
        return self.transport.taken[before:]

    def half_close(self) -> None:
        if not self.connection.eof_received():
            self.transport.close()


class Setting:
    """A server without sockets."""

    def __init__(self, state: AgentState = SMALL, limits: Limits | None = None) -> None:
        self.state = state
        self.asked = 0
        self.timers = FakeTimers()
        self.routes = Routes(self.read, license_dir=Path("/nonexistent"), clock=lambda: 1795445354.0)
        self.connections = Connections(self.routes, limits or Limits(), self.timers)

    def read(self) -> AgentState:
        self.asked += 1
        return self.state

    def peer(self) -> Peer:
        return Peer(self.connections)


def statuses(raw: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb"HTTP/1\.[01] (\d{3}) ", raw)]


def sent(request: bytes, *, state: AgentState = SMALL) -> tuple[bytes, Peer]:
    peer = Setting(state).peer()
    return peer.send(request), peer


# --- requests -----------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [b"/v1/tasks", b"/nothing", b"/v1/tasks?taskarn=x"])
def test_nothing_more_is_written_to_a_client_that_has_left(target: bytes) -> None:
    setting = Setting()
    peer = setting.peer()
    peer.transport.has_reset = True
    peer.send(GET.replace(b"/v1/tasks", target) * 500)
    assert peer.transport.lost_writes == 1
    assert setting.asked < 10  # nor is an answer made that nobody gets


def test_a_request_and_another_one() -> None:
    raw, peer = sent(GET)
    assert raw.startswith(OK)
    assert raw.endswith(NO_TASKS)
    assert peer.send(GET) == raw
    assert not peer.transport.is_closing()


def test_the_same_bytes_are_recognised_and_follow_the_state() -> None:
    setting = Setting()
    peer = setting.peer()
    assert peer.send(GET) == peer.send(GET)
    assert GET in setting.connections.known
    setting.state = LARGE
    assert b"chunked" in peer.send(GET)
    assert b"chunked" in setting.peer().send(GET)


@pytest.mark.parametrize(
    "request_",
    [
        GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        GET.replace(b"1.1", b"1.0"),
        GET.replace(b"GET", b"HEAD"),
        GET.replace(b"\r\n\r\n", b"\r\nContent-Length: 1\r\n\r\n"),
        GET.replace(b"\r\n\r\n", b"\r\nX: " + b"x" * 3000 + b"\r\n\r\n"),
        GET + GET,
    ],
    ids=["close", "http10", "head", "body", "long", "two"],
)
def test_only_plain_requests_are_recognised(request_: bytes) -> None:
    setting = Setting()
    setting.peer().send(request_)
    assert setting.connections.known == {}


def test_the_number_of_recognised_requests_is_bounded() -> None:
    setting = Setting()
    peer = setting.peer()
    for number in range(1000):
        peer.send(GET.replace(b"tasks", b"tasks?%d" % number))
    assert len(setting.connections.known) <= 64


@each_row("method", [b"FOO", b"get", b"CONNECT", b"PRI", b"M-SEARCH", b"TRACE", b"!#$%&'*+.^_`|~09"])
def test_any_method_is_answered(method: bytes) -> None:
    raw, peer = sent(GET.replace(b"GET", method))
    assert raw.startswith(OK)
    assert raw.endswith(NO_TASKS)
    assert statuses(peer.send(method + b" / HTTP/1.0\r\n\r\n")) == [200]


def test_head_of_an_unknown_target_with_utf_8() -> None:
    assert sent("GET /v1/tasks?x=é HTTP/1.1\r\nHost: a\r\n\r\n".encode())[0].endswith(NO_TASKS)
    raw, _ = sent("FOO //é HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert b"\r\nLocation: /%C3%A9\r\n" in raw


@pytest.mark.parametrize("pause", ["held", "straight"])
def test_a_request_line_may_come_in_pieces(pause: str) -> None:
    peer = Setting().peer()
    request = GET if pause == "straight" else GET.replace(b"GET", b"FOO")
    raw = b"".join(peer.send(bytes((byte,))) for byte in request)
    assert raw.endswith(NO_TASKS)


def test_http10() -> None:
    raw, peer = sent(b"GET /v1/tasks HTTP/1.0\r\n\r\n")
    assert raw.startswith(b"HTTP/1.0 200 OK\r\n")
    assert b"Connection" not in raw
    assert peer.transport.is_gone
    raw, peer = sent(b"GET /v1/tasks HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
    assert b"\r\nConnection: keep-alive\r\n" in raw
    assert not peer.transport.is_closing()
    raw, peer = sent(b"GET /v1/tasks HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", state=LARGE)
    assert b"chunked" not in raw
    assert raw.endswith(b"]}")
    assert peer.transport.is_gone


def test_close_is_honoured_and_what_follows_is_dropped() -> None:
    raw, peer = sent(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + GET)
    assert statuses(raw) == [200]
    assert b"\r\nConnection: close\r\n" in raw
    assert peer.transport.is_gone


def test_bodies_are_read_and_ignored() -> None:
    for body in (
        b"Content-Length: 5\r\n\r\nab\r\n\r",
        b"Transfer-Encoding: chunked\r\n\r\n4\r\n\r\n\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nTrailer: x\r\n\r\n",
        b"Content-Length: 0\r\n\r\n",
    ):
        request = b"POST /v1/tasks HTTP/1.1\r\nHost: a\r\n" + body
        assert statuses(sent(request + b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n" + request)[0]) == [200, 200, 200], body


def test_a_body_is_awaited_before_the_answer() -> None:
    raw, peer = sent(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab")
    assert raw == b""
    assert statuses(peer.send(b"c")) == [200]


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 300000\r\n\r\n",
        b"Content-Length: 99999999999999999999\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n" + b"10000\r\n" + b"x" * 65536 + b"\r\n" + b"80000\r\n" + b"x" * 262144,
    ],
    ids=["sized", "huge", "chunked"],
)
def test_a_long_body_is_not_read(head: bytes) -> None:
    raw, peer = sent(b"POST /v1/tasks HTTP/1.1\r\nHost: a\r\n" + head)
    assert statuses(raw) in ([200], [400])
    assert b"\r\nConnection: close\r\n" in raw
    assert peer.transport.is_eof_sent
    assert peer.send(b"x" * 1000) == b""


def test_expect() -> None:
    raw, peer = sent(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert statuses(raw) == [200]
    assert b"\r\nConnection: close\r\n" in raw
    assert peer.transport.is_eof_sent
    raw, peer = sent(GET.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
    assert b"Connection" not in raw
    raw, peer = sent(GET.replace(b"\r\n\r\n", b"\r\nExpect: tea\r\n\r\n"))
    assert raw.startswith(b"HTTP/1.1 417 Expectation Failed\r\nConnection: close\r\nDate")


def test_upgrades_are_passed_over() -> None:
    upgrade = GET.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    raw, peer = sent(upgrade)
    assert raw.endswith(NO_TASKS)
    assert peer.send(upgrade + GET) == raw + raw
    with_body = upgrade.replace(b"Upgrade: h2c", b"Upgrade: h2c\r\nContent-Length: 45")
    raw, peer = sent(with_body + GET + GET)
    assert statuses(raw) == [200]
    assert b"\r\nConnection: close\r\n" in raw


def test_a_crash_ends_the_connection() -> None:
    setting = Setting()

    def state() -> AgentState:
        raise RuntimeError

    setting.routes._state = state  # the one seam that production code has no business with
    peer = setting.peer()
    assert statuses(peer.send(GET.replace(b"GET", b"POST"))) == [500]
    assert peer.transport.is_gone


@each_row(
    "request_, status_line",
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"400 Bad Request: missing required Host header"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", b"400 Bad Request: too many Host headers"),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", b"400 Bad Request: malformed Host header"),
        (b"GET / HTTP/3.7\r\nHost: a\r\n\r\n", b"505 HTTP Version Not Supported: unsupported protocol version"),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", b"505 HTTP Version Not Supported: unsupported protocol version"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"400 Bad Request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", b"501 Not Implemented"),
        (b"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", b"400 Bad Request"),
        (b"CONNECT host:80 HTTP/1.1\r\nHost: a\r\n\r\n", b"400 Bad Request"),
        (b"GET\r\n", b"400 Bad Request"),
        (b" / HTTP/1.1\r\n", b"400 Bad Request"),
        (b"(x) / HTTP/1.1\r\n", b"400 Bad Request"),
        (b"\xff\xfe\n", b"400 Bad Request"),
    ],
)
def test_refusals_in_go_s_words(request_: bytes, status_line: bytes) -> None:
    raw, peer = sent(request_)
    assert raw.startswith(b"HTTP/1.1 " + status_line + b"\r\nContent-Type: text/plain; charset=utf-8\r\n")
    assert peer.transport.is_eof_sent
    assert peer.send(GET) == b""


@pytest.mark.parametrize(
    ("request_", "first", "last"),
    [
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 200 OK", b""),
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", b"HTTP/1.1 200 OK", b""),
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"HTTP/1.1 200 OK", b"Connection: close\r\n"),
        (b"OPTIONS * HTTP/1.0\r\n\r\n", b"HTTP/1.0 200 OK", b""),
        (
            b"OPTIONS * HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            b"HTTP/1.0 200 OK",
            b"Connection: keep-alive\r\n",
        ),
    ],
)
def test_options_of_the_server_as_a_whole(request_: bytes, first: bytes, last: bytes) -> None:
    """Byte for byte what the official agent answers, the date aside."""
    raw, peer = sent(request_)
    line, length, date, *rest = raw.splitlines(keepends=True)
    assert (line, length) == (first + b"\r\n", b"Content-Length: 0\r\n")
    assert date.startswith(b"Date: ")
    assert b"".join(rest) == last + b"\r\n"
    assert peer.transport.is_closing() == (b"keep-alive" not in last and (b"HTTP/1.0" in first or last != b""))


@pytest.mark.parametrize("method", [b"GET", b"FOO", b"CONNECT", b"options"])
def test_an_asterisk_in_other_methods(method: bytes) -> None:
    raw, peer = sent(method + b" * HTTP/1.1\r\nHost: a\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nDate: ")
    assert raw.endswith(b"\r\nContent-Length: 0\r\n\r\n")
    assert peer.transport.is_closing()


LIMITS = Limits(head_bytes=1000, headers=20)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /" + b"x" * 1000,
        b"GET /" + b"x" * 2000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 1000,
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 21 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 21,
    ],
    ids=["line", "whole", "head", "headers", "unfinished"],
)
def test_heads_are_limited(request_: bytes) -> None:
    raw = Setting(limits=LIMITS).peer().send(request_)
    assert raw.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")


# --- time ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "beginning", [b"", b"GE", b"GET / HTTP/1.1\r\nHo", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\na"]
)
def test_an_unfinished_request_is_dropped_without_a_word(beginning: bytes) -> None:
    setting = Setting()
    peer = setting.peer()
    peer.send(beginning)
    setting.timers.advance(4.9)
    assert not peer.transport.is_gone
    setting.timers.advance(0.7)
    assert peer.transport.is_gone
    assert peer.transport.taken == b""
    assert len(setting.connections) == 0


def test_a_trickle_does_not_lengthen_the_time() -> None:
    setting = Setting()
    peer = setting.peer()
    for byte in b"GET / HTTP/1.1\r\nX: aaaaaaaaaaa":
        peer.send(bytes((byte,)))
        setting.timers.advance(0.2)
    assert peer.transport.is_gone


def test_silence_after_an_answer_ends_the_connection() -> None:
    setting = Setting()
    peer = setting.peer()
    setting.timers.advance(3)
    peer.send(GET)
    setting.timers.advance(4.9)
    assert not peer.transport.is_gone
    setting.timers.advance(0.7)
    assert peer.transport.is_gone


def test_a_request_after_silence_has_its_own_time() -> None:
    setting = Setting()
    peer = setting.peer()
    peer.send(GET)
    setting.timers.advance(4)
    peer.send(b"GET / HTTP/1.1\r\n")
    setting.timers.advance(4)
    assert statuses(peer.send(b"Host: a\r\n\r\n")) == [200]


def test_a_client_that_does_not_take_its_answer_is_cut_off() -> None:
    for state in (SMALL, LARGE):
        setting = Setting(state)
        peer = setting.peer()
        peer.transport.peer_takes = False
        peer.send(GET * 3)
        setting.timers.advance(4.9)
        assert not peer.transport.was_aborted
        setting.timers.advance(0.7)
        assert peer.transport.was_aborted
        assert len(setting.connections) == 0


def test_a_refused_client_has_half_a_second_to_stop() -> None:
    setting = Setting()
    peer = setting.peer()
    peer.send(b"\xff\n")
    setting.timers.advance(0.4)
    assert not peer.transport.is_gone
    setting.timers.advance(0.7)
    assert peer.transport.is_gone


# --- back-pressure ------------------------------------------------------------------------------


def test_a_flood_that_takes_no_answers_costs_a_few_answers() -> None:
    setting = Setting(LARGE)
    peer = setting.peer()
    peer.transport.peer_takes = False
    peer.send(GET * 20_000)
    assert setting.asked <= 4
    assert peer.transport.is_reading_paused
    assert len(peer.transport.buffer) < 200_000


def test_answers_go_on_when_the_client_takes_them() -> None:
    setting = Setting(LARGE)
    peer = setting.peer()
    peer.transport.peer_takes = False
    peer.send(GET * 50)
    while peer.transport.buffer:
        peer.transport.take()
    assert statuses(peer.transport.taken) == [200] * 50
    assert not peer.transport.is_reading_paused
    peer.transport.peer_takes = True
    assert statuses(peer.send(GET)) == [200]


def test_half_a_request_behind_a_flood_is_kept() -> None:
    setting = Setting(LARGE)
    peer = setting.peer()
    peer.transport.peer_takes = False
    peer.send(GET * 3 + GET[:20])
    while peer.transport.buffer:
        peer.transport.take()
    peer.transport.peer_takes = True
    assert statuses(peer.send(GET[20:])) == [200]


def test_a_half_closed_client_gets_all_its_answers() -> None:
    setting = Setting(LARGE)
    peer = setting.peer()
    peer.transport.peer_takes = False
    peer.send(GET * 10)
    peer.half_close()
    assert not peer.transport.is_gone
    while peer.transport.buffer:
        peer.transport.take()
    assert statuses(peer.transport.taken) == [200] * 10
    assert peer.transport.is_gone


def test_a_half_close_in_the_middle_of_a_request_ends_it() -> None:
    _, peer = sent(GET[:-2])
    peer.half_close()
    assert peer.transport.is_gone
    assert peer.transport.taken == b""


# --- the end ------------------------------------------------------------------------------------


async def test_draining_closes_the_idle_and_waits_for_the_rest() -> None:
    setting = Setting()
    idle, used, busy, writing = (setting.peer() for _ in range(4))
    used.send(GET)
    busy.send(GET[:10])
    writing.transport.peer_takes = False
    writing.send(GET)
    draining = asyncio.create_task(setting.connections.drain())
    await asyncio.sleep(0)
    assert idle.transport.is_gone
    assert used.transport.is_gone
    assert not busy.transport.is_gone
    assert not writing.transport.is_gone
    raw = busy.send(GET[10:])
    assert raw.endswith(NO_TASKS)
    assert b"\r\nConnection: close\r\n" in raw
    assert not draining.done()
    setting.timers.advance(6)
    await draining
    assert writing.transport.was_aborted
    assert len(setting.connections) == 0


async def test_recognised_requests_end_the_connection_too_while_draining() -> None:
    setting = Setting()
    peer = setting.peer()
    peer.send(GET)
    setting.connections.is_stopping = True
    raw = peer.send(GET)
    assert b"\r\nConnection: close\r\n" in raw
    assert peer.transport.is_gone
    await setting.connections.drain()


def test_one_debug_line_per_request_when_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "ecscope.introspection"):
        peer = Setting().peer()
        peer.send(GET)
        peer.send(GET)
        peer.send(GET.replace(b"GET", b"FOO"))
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split()[2] for line in lines] == ["GET", "GET", "FOO"]
    assert all("203.0.113.7" in line and "/v1" not in line for line in lines)


# --- any bytes ----------------------------------------------------------------------------------

REQUESTS = st.sampled_from(
    [
        GET,
        b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"FOO /v1/metadata HTTP/1.1\r\nHost: a\r\n\r\n",
        "BAR /ä HTTP/1.1\r\nHost: a\r\n\r\n".encode(),
        b"GET /v1/tasks HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab\r\n\r",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n\r\n\r\n\r\n0\r\n\r\n",
        b"OWN / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nT: x\r\n\r\n",
        b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /v1/tasks?dockerid=f HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    ]
)
CUTS = st.lists(st.integers(0, 600), max_size=12)


def split_at(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted({cut for cut in cuts if cut < len(stream)}), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


@settings(deadline=None)
@given(st.lists(REQUESTS, max_size=6), CUTS)
def test_it_does_not_matter_how_the_stream_is_cut(requests: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(requests)
    alone = Setting()
    one_by_one = b""
    peer = alone.peer()
    for request in requests:
        one_by_one += peer.send(request)
    at_once = Setting().peer().send(stream)
    peer = Setting().peer()
    in_pieces = b"".join(peer.send(piece) for piece in split_at(stream, cuts))
    assert at_once == one_by_one
    assert in_pieces == one_by_one


@settings(deadline=None)
@given(
    st.lists(REQUESTS, min_size=1, max_size=4).map(b"".join),
    st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=4), st.booleans()), max_size=6),
    CUTS,
    st.booleans(),
)
@example(b"GET / HTTP/1.1\r\n\r\n", [(0, b"\x00", False)], [], True)
def test_no_bytes_break_the_server(
    stream: bytes, mutations: list[tuple[int, bytes, bool]], cuts: list[int], half_closes: bool
) -> None:
    for at, inserted, overwrites in mutations:
        stream = stream[:at] + inserted + stream[at + (len(inserted) if overwrites else 0) :]
    setting = Setting()
    peer = setting.peer()
    for piece in split_at(stream, cuts):
        peer.send(piece)
    if half_closes:
        peer.half_close()
    assert set(statuses(peer.transport.taken)) <= {200, 301, 400, 404, 417, 431, 501, 505}
    setting.timers.advance(11)
    assert peer.transport.is_gone
    assert setting.peer().send(GET).endswith(NO_TASKS)


def test_limits_are_go_s_unless_given() -> None:
    assert msgspec.structs.asdict(Limits()) == {
        "read_timeout_s": 5.0,
        "write_timeout_s": 5.0,
        "linger_s": 0.5,
        "head_bytes": (1 << 20) + 4096,
        "headers": 10_000,
        "discarded_body_bytes": 256 << 10,
    }


def test_who_is_not_admitted_is_closed_unread() -> None:
    setting = Setting()
    setting.connections.admit = lambda transport: transport.get_extra_info("peername") != ("203.0.113.7", 4711)
    peer = setting.peer()
    assert peer.transport.was_aborted
    assert peer.send(GET) == b""
    assert (len(setting.connections), setting.asked) == (0, 0)
