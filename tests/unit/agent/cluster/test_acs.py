"""The connection to ACS over real sockets: it answers, survives what a server may do to it, and dials again."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import pytest
from aiohttp import web

from ecscope.agent.cluster.acs import AcsConnection, ConnectionTimes, CoreMessage
from ecscope.agent.cluster.connection import Dialling
from ecscope.wire.acs import messages as acs
from ecscope.wire.acs.agent_session import SessionTimes
from ecscope.wire.acs.reconnect import connect_url
from tests import traffic, websockets
from tests.websockets import ConnectionRig, refusing

HEARTBEAT = '{"type":"HeartbeatMessage","message":{"messageId":"m-1","healthy":true}}'
INACTIVE = '{"InactiveInstanceException":"not there"}'


class Visit(websockets.Visit):
    """One dial of the connection, as ACS sees it."""

    async def answer(self) -> dict[str, Any]:
        decoded: dict[str, Any] = json.loads(await self.text())
        return decoded

    async def heartbeat(self) -> None:
        """Shows that the connection has read everything before this, and that the connection is in order."""
        await self.websocket.send_str(HEARTBEAT)
        assert await self.answer() == {"type": "HeartbeatAckRequest", "message": {"messageId": "m-1"}}


Serve = websockets.Serve[Visit]


class Rig(ConnectionRig[Visit]):
    """A connection to ACS, its server, and what came of it."""

    def __init__(self, *serve: Serve, **changes: Any) -> None:
        super().__init__(Visit, *serve, path="/acs")
        self.happened: list[str] = []
        self.delivered: list[CoreMessage] = []
        self.on_connected: Callable[[], None] = lambda: None
        self.on_delivery: Callable[[CoreMessage], None] = lambda message: None
        dialling = Dialling(signer=self.signer, sleep=self.sleep, chance=lambda: 0.0)
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
            "deliver": self.deliver,
            "connected": self.connected,
            "disconnected": lambda reason: self.happened.append(f"disconnected: {reason}"),
            "deregistered": lambda words: self.happened.append(f"deregistered: {words}"),
            "heartbeat": lambda: self.happened.append("heartbeat"),
            "times": ConnectionTimes(close_s=0.5),
        }
        self.connection: AcsConnection = AcsConnection(dialling, **(arguments | changes))

    def connected(self) -> None:
        self.happened.append("connected")
        self.on_connected()

    def deliver(self, message: CoreMessage) -> None:
        self.delivered.append(message)
        self.on_delivery(message)


@asynccontextmanager
async def a_rig(*serve: Serve, **changes: Any) -> AsyncIterator[Rig]:
    rig = Rig(*serve, **changes)
    async with rig.running():
        yield rig


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


async def listening(visit: Visit) -> None:
    """Accepts, says nothing, and waits for the connection's close."""
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
    [INACTIVE, '{"type":"InactiveInstanceException","message":{"message":"not there"}}'],
    ids=["unframed", "framed"],
)
async def test_an_inactive_instance_asks_again_after_an_hour(body: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="ecscope")
    async with a_rig(refusing(400, body), refusing(400, body)) as rig:
        await rig.finished()
        assert rig.happened == ["deregistered: not there"] * 2
        assert rig.waits == [3600.0, 3600.0]
    assert caplog.text.count("not registered any more (not there)") == 1
    assert {record.levelname for record in caplog.records} == {"INFO"}, "the warning is the one of the core"


async def test_any_other_refusal_is_a_failure_to_connect(caplog: pytest.LogCaptureFixture) -> None:
    async with a_rig(*[refusing(403, "no right")] * 2) as rig:
        await rig.finished()
        assert rig.happened == ["disconnected: ECS refused it with status 403: no right"] * 2
        assert rig.waits == pytest.approx([0.25, 0.375])
    assert caplog.text.count("ACS cannot be reached") == 1


async def test_a_refusal_that_comes_in_pieces_is_read_to_its_end() -> None:
    async def serve(visit: Visit) -> web.StreamResponse:
        response = web.StreamResponse(status=400)
        await response.prepare(visit.request)
        for character in INACTIVE:
            await response.write(character.encode())
            await asyncio.sleep(0)
        return response

    async with a_rig(serve) as rig:
        await rig.finished()
        assert rig.happened == ["deregistered: not there"]


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
                rig.connection.send('{"type":"AckRequest","message":{"messageId":"last"}}')

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
        rig.connection.send("late")
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
        with suppress(ConnectionError):  # the connection does not read to its end
            await websocket.send_str("z" * (33 * 1024 * 1024))

    async with a_rig(serve) as rig:
        await rig.finished()
        assert rig.happened[1].startswith("disconnected: invalid websocket frame received")
        assert rig.waits == [0.25]


async def test_text_that_is_no_utf_8_ends_the_connection() -> None:
    async def serve(visit: Visit) -> None:
        await visit.accept()
        visit.cut(b"\x81\x02\xff\xfe")

    async with a_rig(serve) as rig:
        await rig.finished()
        assert rig.happened[1].startswith("disconnected: invalid websocket frame received")


# --- the end of a connection ----------------------------------------------------------------------


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


async def test_silence_is_ended_by_the_link() -> None:
    times = ConnectionTimes(close_s=0.5, session=SessionTimes(heartbeat_s=0.05))
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

    times = ConnectionTimes(close_s=0.5, session=SessionTimes(heartbeat_s=0.1))
    async with a_rig(serve, times=times) as rig:
        await rig.finished()
        assert rig.happened == ["connected", "disconnected: no message for 0 s"]


async def test_an_old_connection_is_closed_in_the_official_words_and_followed_at_once() -> None:
    times = ConnectionTimes(close_s=0.5, session=SessionTimes(age_s=0.05))
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

    async with a_rig(serve, times=ConnectionTimes(close_s=0.1, **times)) as rig:
        rig.on_connected = lambda: rig.connection.send("x" * 30_000_000)
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

    async with a_rig(serve, times=ConnectionTimes(close_s=0.1)) as rig:
        await rig.finished()
        assert rig.happened[-1] == "disconnected: ECS does not read what it is sent"
        assert rig.happened.count("heartbeat") < 30


async def test_cancelling_closes_the_connection() -> None:
    async with a_rig(listening) as rig:
        while not rig.happened:
            await asyncio.sleep(0.001)
    assert rig.visits[0].closed_with == (1001, "")
