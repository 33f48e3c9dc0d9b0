"""The link to ACS over real sockets: it answers, survives what a server may do to it, dials again, and says it once."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from ecscope.agent.acs.link import AcsLink, CoreMessage, LinkTimes
from ecscope.agent.aws.interface import AwsCallFailed
from ecscope.wire import acs
from ecscope.wire.acs_reconnect import Reconnect, ReconnectTimes, connect_url
from ecscope.wire.acs_session import SessionTimes
from tests import traffic
from tests.builders import a_failure

Serve = Callable[["Visit"], Awaitable[web.StreamResponse | None]]

HEARTBEAT = '{"type":"HeartbeatMessage","message":{"messageId":"m-1","healthy":true}}'
INACTIVE = {"InactiveInstanceException": "not there"}


class Visit:
    """One dial of the link, as the server sees it."""

    def __init__(self, request: web.Request) -> None:
        self.request = request
        self.websocket = web.WebSocketResponse(timeout=0.2)
        self.closed_with: tuple[int, str] | None = None

    async def accept(self) -> web.WebSocketResponse:
        await self.websocket.prepare(self.request)
        return self.websocket

    async def answer(self) -> dict[str, Any]:
        message = await self.websocket.receive(timeout=5)
        assert message.type is WSMsgType.TEXT, message
        decoded: dict[str, Any] = json.loads(message.data)
        return decoded

    async def heartbeat(self) -> None:
        """Shows that the link has read everything before this, and that the connection is in order."""
        await self.websocket.send_str(HEARTBEAT)
        assert await self.answer() == {"type": "HeartbeatAckRequest", "message": {"messageId": "m-1"}}

    async def until_closed(self) -> None:
        message = await self.websocket.receive(timeout=5)
        if message.type is WSMsgType.CLOSE:
            self.closed_with = (message.data, message.extra or "")

    def cut(self, last: bytes = b"") -> None:
        """Write these bytes, past the websocket, and close the socket."""
        transport = self.request.transport
        assert transport is not None
        transport.write(last)
        transport.close()


class FakeSigner:
    """A signer with one header; ``failure`` makes it fail."""

    def __init__(self) -> None:
        self.signed: list[str] = []
        self.failure: AwsCallFailed | None = None

    async def upgrade_headers(self, url: str) -> Mapping[str, str]:
        if self.failure:
            raise self.failure
        self.signed.append(url)
        return {"Authorization": "AWS4-HMAC-SHA256 x", "X-Amz-Date": "20261123T145920Z"}

    async def sign_frame(self, url: str, frame: str) -> str:
        raise NotImplementedError


class Rig:
    """A link, a server that treats each dial as the next of ``serve`` says, and what came of it.

    Once ``serve`` has nothing left, the link is left waiting, as it is at the end of a test.
    """

    def __init__(self, *serve: Serve, **changes: Any) -> None:
        self.serve = list(serve)
        self.visits: list[Visit] = []
        self.faults: list[BaseException] = []
        self.happened: list[str] = []
        self.delivered: list[CoreMessage] = []
        self.waits: list[float] = []
        self.on_connected: Callable[[], None] = lambda: None
        self.on_delivery: Callable[[CoreMessage], None] = lambda message: None
        self.endpoint = ""
        self.signer = FakeSigner()
        self.dials_left = len(serve)
        self.done = asyncio.Event()
        arguments: dict[str, Any] = {
            "endpoint": self.discover,
            "address": partial(
                connect_url,
                agent_hash="a8b3e7d3",
                agent_version="1.105.1",
                cluster="default",
                container_instance_arn="arn:i",
                docker_version="20.10.24+dfsg1",
            ),
            "signer": self.signer,
            "deliver": self.deliver,
            "connected": self.connected,
            "disconnected": lambda reason: self.happened.append(f"disconnected: {reason}"),
            "deregistered": lambda words: self.happened.append(f"deregistered: {words}"),
            "heartbeat": lambda: self.happened.append("heartbeat"),
            "times": LinkTimes(close_s=0.5),
            "sleep": self.sleep,
            "chance": lambda: 0.0,
        }
        self.link = AcsLink(**(arguments | changes))

    async def discover(self) -> str:
        return self.endpoint

    def connected(self) -> None:
        self.happened.append("connected")
        self.on_connected()

    def deliver(self, message: CoreMessage) -> None:
        self.delivered.append(message)
        self.on_delivery(message)

    async def sleep(self, wait_s: float) -> None:
        self.waits.append(wait_s)
        self.dials_left -= 1
        if self.dials_left <= 0:
            self.done.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        visit = Visit(request)
        self.visits.append(visit)
        try:
            answer = await self.serve[len(self.visits) - 1](visit)
        except BaseException as fault:
            self.faults.append(fault)
            raise
        return answer or visit.websocket

    async def finished(self) -> None:
        """Until each of ``serve`` was dialled and has ended; a fault of the server's side is the test's."""
        async with asyncio.timeout(20):
            await self.done.wait()
        for fault in self.faults:
            raise fault


@asynccontextmanager
async def a_rig(*serve: Serve, started: bool = True, **changes: Any) -> AsyncIterator[Rig]:
    rig = Rig(*serve, **changes)
    app = web.Application()
    app.router.add_get("/acs/ws", rig.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    rig.endpoint = f"http://127.0.0.1:{port}/acs"
    running = asyncio.create_task(rig.link.run())
    try:
        yield rig
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await runner.cleanup()


# --- how a server may behave ----------------------------------------------------------------------


def closing(code: int, text: str = "") -> Serve:
    async def serve(visit: Visit) -> None:
        websocket = await visit.accept()
        await visit.heartbeat()
        await websocket.close(code=code, message=text.encode())

    return serve


def sending(*frames: str | bytes, then: int = 1000) -> Serve:
    """Sends the frames, sees that the connection still answers, closes."""

    async def serve(visit: Visit) -> None:
        websocket = await visit.accept()
        for frame in frames:
            await (websocket.send_str(frame) if isinstance(frame, str) else websocket.send_bytes(frame))
        await visit.heartbeat()
        await websocket.close(code=then)

    return serve


def refusing(status: int, body: object, **headers: str) -> Serve:
    async def serve(visit: Visit) -> web.StreamResponse:
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=status, text=text, headers=headers)

    return serve


async def listening(visit: Visit) -> None:
    """Accepts, says nothing, and waits for the link's close."""
    await visit.accept()
    await visit.until_closed()


# --- the dial -------------------------------------------------------------------------------------


async def test_the_upgrade_is_as_recorded() -> None:
    async with a_rig(closing(1000), closing(1000)) as rig:
        await rig.finished()
        recorded = traffic.records(traffic.SEQUENCE, "acs-connect")
        for visit, record in zip(rig.visits, recorded, strict=False):
            assert visit.request.path == record["path"]
            expected = record["query"] | {"containerInstanceArn": "arn:i"}
            assert dict(visit.request.query) == expected
            assert list(visit.request.query) == sorted(expected)
            assert visit.request.headers["X-Amz-Date"]
            assert visit.request.headers["Authorization"]
            assert "Sec-WebSocket-Protocol" not in visit.request.headers
            assert "Sec-WebSocket-Extensions" not in visit.request.headers
        assert rig.signer.signed == [
            f"ws://{visit.request.host}{visit.request.raw_path}" for visit in rig.visits
        ]  # what was signed is what was sent, to the letter


async def test_credentials_are_asked_for_until_the_first_connection() -> None:
    async with a_rig(refusing(500, ""), refusing(403, ""), closing(1000), closing(1000)) as rig:
        await rig.finished()
        assert [visit.request.query["sendCredentials"] for visit in rig.visits] == ["true", "true", "true", "false"]


@pytest.mark.parametrize(
    "body",
    [INACTIVE, {"type": "InactiveInstanceException", "message": {"message": "not there"}}],
    ids=["unframed", "framed"],
)
async def test_an_inactive_instance_asks_again_after_an_hour(body: object, caplog: pytest.LogCaptureFixture) -> None:
    async with a_rig(refusing(400, body), refusing(400, body)) as rig:
        await rig.finished()
        assert rig.happened == ["deregistered: not there"] * 2
        assert rig.waits == [3600.0, 3600.0]
    assert caplog.text.count("not registered any more (not there)") == 1


async def test_a_refusal_that_comes_in_pieces_is_read_to_its_end() -> None:
    async def serve(visit: Visit) -> web.StreamResponse:
        response = web.StreamResponse(status=400)
        await response.prepare(visit.request)
        for character in json.dumps(INACTIVE):
            await response.write(character.encode())
            await asyncio.sleep(0)
        return response

    async with a_rig(serve) as rig:
        await rig.finished()
        assert rig.happened == ["deregistered: not there"]


async def test_refusals_that_differ_only_in_their_words_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async with a_rig(*[refusing(503, f"request {n}") for n in range(30)], refusing(403, "no")) as rig:
        await rig.finished()
    assert caplog.text.count("status 503") == 1
    assert caplog.text.count("status 403: no") == 1


async def test_a_proxy_is_dialled_where_one_is_given() -> None:
    asked: list[str] = []

    def proxy(url: str) -> str | None:
        asked.append(url)
        return rig.endpoint.removesuffix("/acs")

    async def far_away() -> str:
        return "http://acs.invalid/acs"

    async with a_rig(closing(1000), endpoint=far_away, proxy=proxy) as rig:
        await rig.finished()
        assert asked == rig.signer.signed
        assert rig.visits[0].request.host == "acs.invalid"
        assert rig.happened[0] == "connected"


async def test_any_other_refusal_waits_longer_and_longer(caplog: pytest.LogCaptureFixture) -> None:
    async with a_rig(*[refusing(403, "no\nright")] * 3) as rig:
        await rig.finished()
        assert rig.happened == ["disconnected: ECS refused it with status 403: no right"] * 3
        assert rig.waits == pytest.approx([0.25, 0.375, 0.5625])
    assert caplog.text.count("ACS cannot be reached") == 1


async def test_a_long_refusal_is_cut() -> None:
    async with a_rig(refusing(503, "words " * 100_000)) as rig:
        await rig.finished()
        assert len(rig.happened[0]) < 400


async def test_a_redirect_is_a_refusal() -> None:
    """It would take signed headers elsewhere."""
    async with a_rig(refusing(302, "", Location="/acs/ws?other")) as rig:
        await rig.finished()
        assert len(rig.visits) == 1
        assert rig.happened == ["disconnected: ECS refused it with status 302: no reason given"]


async def test_a_wrong_handshake_is_a_failure() -> None:
    async def serve(visit: Visit) -> None:
        visit.cut(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")

    async with a_rig(serve) as rig:
        await rig.finished()
        assert rig.happened == ["disconnected: status 101: Invalid challenge response"]
        assert rig.waits == [0.25]


async def test_a_server_that_never_answers_the_upgrade() -> None:
    released = asyncio.Event()

    async def serve(visit: Visit) -> web.StreamResponse:
        await released.wait()
        return web.Response()

    async with a_rig(serve, times=LinkTimes(dial_s=0.05)) as rig:
        await rig.finished()
        released.set()
        assert rig.happened == ["disconnected: no answer within 0.05 s"]


async def test_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    async def nowhere() -> str:
        return "http://127.0.0.1:1"

    async with a_rig(*[listening] * 3, endpoint=nowhere) as rig:
        await rig.finished()
        assert all("Cannot connect to host 127.0.0.1:1" in happened for happened in rig.happened)
        assert rig.waits == pytest.approx([0.25, 0.375, 0.5625])
    assert caplog.text.count("ACS cannot be reached") == 1


async def test_no_endpoint_no_credentials_no_address(caplog: pytest.LogCaptureFixture) -> None:
    endpoints = iter(["ftp://h", "http://h:99999", AwsCallFailed(a_failure(message="no role")), "http://h"])

    async def discover() -> str:
        given = next(endpoints)
        if isinstance(given, AwsCallFailed):
            raise given
        return given

    async with a_rig(*[listening] * 4, endpoint=discover) as rig:
        rig.signer.failure = AwsCallFailed(a_failure(message="no credentials"))
        await rig.finished()
        assert [("begin with" in rig.happened[0]), ("no address" in rig.happened[1])] == [True, True]
        assert "no role" in rig.happened[2]
        assert "no credentials" in rig.happened[3]
        assert rig.waits[-1] == pytest.approx(0.84375)


# --- the conversation -----------------------------------------------------------------------------


async def test_messages_are_delivered_and_answers_sent() -> None:
    frames = [traffic.frame(record) for record in traffic.records(traffic.SEQUENCE, "acs-out")]
    answers: list[dict[str, Any]] = []

    async def serve(visit: Visit) -> None:
        websocket = await visit.accept()
        for frame in frames:
            await websocket.send_str(frame)
        while len(answers) < 3:
            answers.append(await visit.answer())
        await websocket.close()

    async with a_rig(serve) as rig:

        def answer(message: CoreMessage) -> None:
            if isinstance(message, acs.TaskStopVerificationAck):
                rig.link.send('{"type":"AckRequest","message":{"messageId":"last"}}')

        rig.on_delivery = answer
        await rig.finished()
        assert [type(message).__name__ for message in rig.delivered] == [
            record["type"]
            for record in traffic.records(traffic.SEQUENCE, "acs-out")
            if record["type"] != "HeartbeatMessage"
        ]
        assert [answer["type"] for answer in answers] == ["HeartbeatAckRequest"] * 2 + ["AckRequest"]
        assert rig.happened == ["connected", "heartbeat", "heartbeat", "disconnected: ECS closed it with code 1000"]


async def test_an_answer_without_a_connection_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="ecscope.acs")
    async with a_rig(refusing(503, "")) as rig:
        await rig.finished()
        rig.link.send("late")
    assert "an answer to ECS was dropped" in caplog.text


async def test_a_fault_in_our_own_handling_costs_one_message_and_quotes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(message: CoreMessage) -> None:
        raise KeyError("hush-hush")

    stop = '{"type":"TaskStopVerificationAck","message":{"messageId":"m"}}'
    async with a_rig(sending(stop, stop), deliver=fail) as rig:
        await rig.finished()
    assert caplog.text.count("TaskStopVerificationAck could not be handled") == 1
    assert "KeyError in fail" in caplog.text
    assert "hush" not in caplog.text


async def test_ten_thousand_garbage_frames_are_one_line(caplog: pytest.LogCaptureFixture) -> None:
    async with a_rig(sending(*["garbage"] * 10_000)) as rig:
        await rig.finished()
        assert rig.happened[:2] == ["connected", "heartbeat"]
    assert caplog.text.count("cannot be used") == 1
    assert caplog.text.count("10000 messages of this ACS connection could not be used") == 1


async def test_large_and_binary_frames_are_borne() -> None:
    large = json.dumps({"type": "ErrorMessage", "message": {"message": "x", "extra": "y" * 10_000_000}})
    async with a_rig(sending("z" * 10_000_000, large, b"\x00\x01", large.encode())) as rig:
        await rig.finished()
        assert rig.happened[:2] == ["connected", "heartbeat"]


async def test_a_frame_beyond_the_limit_ends_the_connection() -> None:
    async def serve(visit: Visit) -> None:
        websocket = await visit.accept()
        with suppress(ConnectionError):  # the link does not read to its end
            await websocket.send_str("z" * (33 * 1024 * 1024))

    async with a_rig(serve) as rig:
        await rig.finished()
        assert rig.happened[1].startswith("disconnected: what came was no websocket frame")
        assert rig.waits == [0.25]


async def test_text_that_is_no_utf_8_ends_the_connection() -> None:
    async def serve(visit: Visit) -> None:
        await visit.accept()
        visit.cut(b"\x81\x02\xff\xfe")

    async with a_rig(serve) as rig:
        await rig.finished()
        assert rig.happened[1].startswith("disconnected: what came was no websocket frame")


# --- the end of a connection ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "wait_s"),
    [(1000, 0.0), (1001, 0.0), (1011, 0.0), (1008, 0.25), (1012, 0.25), (4000, 0.25)],
)
async def test_a_close_code_says_whether_to_dial_at_once(code: int, wait_s: float) -> None:
    async with a_rig(closing(code, "so be it")) as rig:
        await rig.finished()
        assert rig.happened[-1] == f"disconnected: ECS closed it with code {code}, so be it"
        assert rig.waits == [wait_s]


@pytest.mark.parametrize(
    "last",
    [b"", b"\x81", b"\x81\x7e\x10\x00", b"\x81\x7e\x10\x00" + HEARTBEAT.encode()],
    ids=["between", "in the head", "after the head", "mid-frame"],
)
async def test_a_cut_is_followed_at_once_and_no_half_frame_is_taken(last: bytes) -> None:
    async def serve(visit: Visit) -> None:
        await visit.accept()
        visit.cut(last)

    async with a_rig(serve, closing(1000)) as rig:
        await rig.finished()
        assert rig.happened == [
            "connected",
            "disconnected: the connection was cut",
            "connected",
            "heartbeat",
            "disconnected: ECS closed it with code 1000",
        ]
        assert rig.waits[0] == 0.0


async def test_a_server_that_ends_each_connection_is_not_dialled_in_a_tight_loop(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="ecscope.acs")
    reconnect = Reconnect(chance=lambda: 0.0, times=ReconnectTimes(hasty_s=60.0))  # however slow the machine is
    async with a_rig(*[closing(1011)] * 6, reconnect=reconnect) as rig:
        await rig.finished()
        assert rig.waits == pytest.approx([0.0, 0.0, 0.0, 0.25, 0.375, 0.5625])
    assert caplog.text.count("the ACS connection ended") == 1
    assert caplog.text.count("connected to ECS") == 1


async def test_silence_is_ended_by_the_link() -> None:
    times = LinkTimes(close_s=0.5, session=SessionTimes(heartbeat_s=0.05))
    async with a_rig(listening, times=times) as rig:
        await rig.finished()
        assert rig.happened == ["connected", "disconnected: no message for 0 s"]
        assert rig.visits[0].closed_with == (1001, "")


async def test_garbage_and_pings_are_silence() -> None:
    async def serve(visit: Visit) -> None:
        websocket = await visit.accept()
        while not websocket.closed and visit.closed_with is None:
            await websocket.ping()
            await websocket.send_str("garbage")
            try:
                message = await websocket.receive(timeout=0.01)
            except TimeoutError:
                continue
            visit.closed_with = (message.data, "")

    times = LinkTimes(close_s=0.5, session=SessionTimes(heartbeat_s=0.1))
    async with a_rig(serve, times=times) as rig:
        await rig.finished()
        assert rig.happened == ["connected", "disconnected: no message for 0 s"]


async def test_an_old_connection_is_closed_in_the_official_words_and_followed_at_once() -> None:
    times = LinkTimes(close_s=0.5, session=SessionTimes(age_s=0.05))
    async with a_rig(listening, times=times) as rig:
        await rig.finished()
        assert rig.visits[0].closed_with == (1000, "ConnectionExpired: Reconnect to continue")
        assert rig.waits == [0.0]


@pytest.mark.parametrize("times", [{"write_s": 0.1}, {"session": SessionTimes(heartbeat_s=0.1)}], ids=["write", "read"])
async def test_a_server_that_reads_nothing_loses_the_connection(times: dict[str, Any]) -> None:
    released = asyncio.Event()

    async def serve(visit: Visit) -> None:
        websocket = await visit.accept()
        assert visit.request.transport is not None
        visit.request.transport.pause_reading()  # type: ignore[attr-defined]  # a BaseTransport that can
        await released.wait()
        await websocket.close()

    async with a_rig(serve, times=LinkTimes(close_s=0.1, **times)) as rig:
        rig.on_connected = lambda: rig.link.send("x" * 30_000_000)
        await rig.finished()
        released.set()
        assert rig.happened[-1] in (
            "disconnected: ECS does not read what it is sent",
            "disconnected: no message for 0 s",
        )
        assert rig.waits == [0.25]


async def test_answers_do_not_pile_up_for_a_server_that_only_asks() -> None:
    asked = json.dumps({"type": "HeartbeatMessage", "message": {"messageId": "m" * 1_000_000}})

    async def serve(visit: Visit) -> None:
        websocket = await visit.accept()
        assert visit.request.transport is not None
        visit.request.transport.pause_reading()  # type: ignore[attr-defined]  # a BaseTransport that can
        with suppress(ConnectionError):
            while True:
                await websocket.send_str(asked)

    async with a_rig(serve, times=LinkTimes(close_s=0.1)) as rig:
        await rig.finished()
        assert rig.happened[-1] == "disconnected: ECS does not read what it is sent"
        assert rig.happened.count("heartbeat") < 30


async def test_a_connection_that_held_makes_the_next_problem_news(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="ecscope.acs")
    async with a_rig(
        refusing(503, "full"), closing(1000), refusing(503, "full"), times=LinkTimes(close_s=0.5, proven_s=0.0)
    ) as rig:
        await rig.finished()
    assert caplog.text.count("status 503") == 2
    assert caplog.text.count("the ACS connection holds") == 1


async def test_cancelling_closes_the_connection() -> None:
    async with a_rig(listening) as rig:
        while not rig.happened:
            await asyncio.sleep(0.001)
    assert rig.visits[0].closed_with == (1001, "")
