"""One websocket is kept open: dialled again as its end says, each problem said once, until a connection has held."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from ecscope.agent.aws.interface import AwsCallFailed
from ecscope.agent.cluster.connection import Connection, Dialling, Service, end_of
from ecscope.agent.cluster.websocket import End, Websocket, WebsocketTimes
from ecscope.wire.acs.reconnect import Reconnect, ReconnectTimes, UnusableEndpoint
from tests.builders import a_failure
from tests.websockets import ConnectionRig, Serve, Visit, refusing

LOG = logging.getLogger("ecscope.test")


class Listener(Connection):
    """Listens until the end. ``for_good`` is the body of a refusal that is an answer."""

    def __init__(self, *, url: Callable[[], str], for_good: str = "gone", **arguments: Any) -> None:
        super().__init__(**arguments)
        self.next_url = url
        self.for_good = for_good

    async def _url(self) -> str:
        return self.next_url()

    def _after_refusal(self, body: str) -> float | None:
        return 3600.0 if body == self.for_good else None

    async def _converse(self, websocket: Websocket, url: str) -> End:
        while (frame := await websocket.receive()).type is WSMsgType.TEXT:
            self._note_sign_of_life()
        return end_of(frame.type, frame.data, frame.extra)


class Rig(ConnectionRig[Visit]):
    """A listener, its server, and what came of it."""

    def __init__(
        self, *serve: Serve[Visit], proxy: Callable[[str], str | None] = lambda url: None, **changes: Any
    ) -> None:
        super().__init__(Visit, *serve, path="/ws")
        self.reasons: list[str] = []
        service = Service(name="the other end", log=LOG, meanwhile="nothing is lost", largest_frame_bytes=100)
        dialling = Dialling(signer=self.signer, proxy=proxy, sleep=self.sleep)
        arguments: dict[str, Any] = {
            "service": service,
            "dialling": dialling,
            "url": lambda: self.endpoint,
            "disconnected": self.reasons.append,
            "times": WebsocketTimes(close_s=0.5),
            "reconnect": Reconnect(chance=lambda: 0.0),
        }
        self.connection = Listener(**(arguments | changes))


def closing(code: int, text: str = "") -> Serve[Visit]:
    async def serve(visit: Visit) -> None:
        await visit.accept()
        await visit.websocket.send_str("hello")
        await visit.websocket.close(code=code, message=text.encode())

    return serve


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == LOG.name]


@pytest.fixture(autouse=True)
def _all_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger=LOG.name)


# --- the dial -------------------------------------------------------------------------------------


async def test_what_was_signed_is_what_is_dialled() -> None:
    rig = await Rig(closing(1000)).run()
    (visit,) = rig.visits
    assert rig.signer.signed == [f"http://{visit.request.host}{visit.request.raw_path}"]
    assert visit.request.headers["Authorization"].endswith(" x")


async def test_a_refusal_waits_longer_and_longer_and_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    rig = await Rig(*[refusing(403, "no\nright")] * 3).run()
    assert rig.reasons == ["ECS refused it with status 403: no right"] * 3
    assert rig.waits == pytest.approx([0.25, 0.375, 0.5625])
    assert said(caplog) == [
        "The other end cannot be reached: ECS refused it with status 403: no right. Trying again until it can; "
        "nothing is lost."
    ]


async def test_refusals_that_differ_only_in_their_words_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    await Rig(*[refusing(503, f"request {n}") for n in range(30)], refusing(403, "no")).run()
    assert [text.count("status") for text in said(caplog)] == [1, 1]
    assert "status 503" in said(caplog)[0]
    assert "status 403: no" in said(caplog)[1]


async def test_a_refusal_may_be_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    rig = await Rig(refusing(400, "gone"), refusing(400, "other")).run()
    assert rig.waits == [3600.0, 0.25]
    assert rig.reasons == ["ECS refused it with status 400: other"]


async def test_a_long_refusal_is_cut() -> None:
    rig = await Rig(refusing(503, "words " * 100_000)).run()
    assert len(rig.reasons[0]) < 400


async def test_a_redirect_is_a_refusal() -> None:
    """It would take signed headers elsewhere."""
    rig = await Rig(refusing(302, Location="/elsewhere")).run()
    assert len(rig.visits) == 1
    assert rig.reasons == ["ECS refused it with status 302: no reason given"]


async def test_a_wrong_handshake_is_a_failure() -> None:
    async def serve(visit: Visit) -> None:
        visit.cut(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")

    rig = await Rig(serve).run()
    assert rig.reasons == ["status 101: Invalid challenge response"]
    assert rig.waits == [0.25]


async def test_a_server_that_never_answers_the_upgrade() -> None:
    released = asyncio.Event()

    async def serve(visit: Visit) -> web.StreamResponse:
        await released.wait()
        return web.Response()

    rig = Rig(serve, times=WebsocketTimes(dial_s=0.05))
    async with rig.running():
        await rig.finished()
        released.set()
    assert rig.reasons == ["no answer within 0.05 s"]


async def test_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    rig = await Rig(*[closing(1000)] * 3, url=lambda: "http://127.0.0.1:1").run()
    assert all("Cannot connect to host 127.0.0.1:1" in reason for reason in rig.reasons)
    assert rig.waits == pytest.approx([0.25, 0.375, 0.5625])
    assert len(said(caplog)) == 1


async def test_no_endpoint_no_address_no_credentials_no_url() -> None:
    no_role = AwsCallFailed(a_failure(message="no role"))
    urls = iter([no_role, UnusableEndpoint("no address"), "http://h", "http://[::1"])

    def url() -> str:
        given = next(urls)
        rig.signer.failure = AwsCallFailed(a_failure(message="no credentials")) if given == "http://h" else None
        if isinstance(given, Exception):
            raise given
        return given

    rig = Rig(*[closing(1000)] * 4, url=url)
    await rig.run()
    assert [reason == "no address" for reason in rig.reasons] == [False, True, False, False]
    assert "no role" in rig.reasons[0]
    assert "no credentials" in rig.reasons[2]
    assert rig.waits[-1] == pytest.approx(0.84375)


async def test_a_proxy_is_dialled_where_one_is_given() -> None:
    asked: list[str] = []

    def proxy(url: str) -> str | None:
        asked.append(url)
        return rig.endpoint.removesuffix("/ws")

    rig = Rig(closing(1000), url=lambda: "http://ecs.invalid/ws", proxy=proxy)
    await rig.run()
    assert asked == rig.signer.signed
    assert rig.visits[0].request.host == "ecs.invalid"


# --- the end of a connection ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "wait_s"),
    [(1000, 0.0), (1001, 0.0), (1011, 0.0), (1008, 0.25), (1012, 0.25), (4000, 0.25)],
)
async def test_a_close_code_says_whether_to_dial_at_once(code: int, wait_s: float) -> None:
    rig = await Rig(closing(code, "so be it")).run()
    assert rig.reasons == [f"ECS closed it with code {code}, so be it"]
    assert rig.waits == [wait_s]


@pytest.mark.parametrize(
    ("frame", "end"),
    [
        ((WSMsgType.CLOSE, 0, None), End("ECS closed it without a code", is_clean=False)),
        ((WSMsgType.CLOSE, 1006, ""), End("ECS closed it with code 1006", is_clean=True)),
        ((WSMsgType.CLOSE, 4000, "so\nbe it"), End("ECS closed it with code 4000, so be it", is_clean=False)),
        ((WSMsgType.ERROR, ValueError("no"), None), End("invalid websocket frame received: no", is_clean=False)),
        ((WSMsgType.BINARY, b"", None), End("ECS sent a binary frame", is_clean=False)),
        ((WSMsgType.CLOSED, None, None), End("the connection was cut", is_clean=True)),
    ],
    ids=lambda value: value[0].name if isinstance(value, tuple) else "",
)
def test_the_last_frame_says_how_it_ended(frame: tuple[WSMsgType, object, str | None], end: End) -> None:
    assert end_of(*frame) == end


async def test_a_server_that_ends_each_connection_is_not_dialled_in_a_tight_loop(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reconnect = Reconnect(chance=lambda: 0.0, times=ReconnectTimes(hasty_s=60.0))  # however slow the machine is
    rig = await Rig(*[closing(1011)] * 6, reconnect=reconnect).run()
    assert rig.waits == pytest.approx([0.0, 0.0, 0.0, 0.25, 0.375, 0.5625])
    assert said(caplog) == [
        "connected to the other end",
        "the connection to the other end ended: ECS closed it with code 1011",
    ]


async def test_a_connection_that_held_makes_the_next_problem_news(caplog: pytest.LogCaptureFixture) -> None:
    full = refusing(503, "full")
    await Rig(full, closing(1000), full, times=WebsocketTimes(close_s=0.5, proven_s=0.0)).run()
    assert [text.partition(":")[0] for text in said(caplog)] == [
        "The other end cannot be reached",
        "connected to the other end",
        "the connection to the other end holds",
        "the connection to the other end ended",
        "The other end cannot be reached",
    ]


async def test_cancelling_closes_the_connection() -> None:
    async def listening(visit: Visit) -> None:
        await visit.accept()
        await visit.until_closed()

    rig = Rig(listening)
    async with rig.running():
        while not rig.visits or not rig.visits[0].websocket.prepared:
            await asyncio.sleep(0.001)
    assert rig.visits[0].closed_with == (1001, "")
