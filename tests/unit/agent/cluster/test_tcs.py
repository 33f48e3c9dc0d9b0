"""The connection to the telemetry service over real sockets: it reports, survives its server, and says it once."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ecscope.agent.aws.interface import AwsCallFailed
from ecscope.agent.cluster.connection import Dialling
from ecscope.agent.cluster.tcs import ConnectionTimes, TcsConnection
from ecscope.agent.core.state import AgentState
from ecscope.model.container_instance import ContainerInstance
from ecscope.model.instance_status import InstanceHealth, InstanceStatus
from ecscope.model.status import ContainerStatus
from ecscope.model.task import Task
from ecscope.wire.tcs.agent_session import SessionTimes
from ecscope.wire.tcs.messages import (
    AgentFrame,
    ContainerMetric,
    MetricsReading,
    PublishHealth,
    PublishInstanceStatus,
    PublishMetrics,
    ServiceMessage,
    ServiceMessageKind,
    TaskMetric,
    connect_url,
    parse_agent_frame,
    service_frame,
    stats_set,
)
from tests import websockets
from tests.builders import AT, a_container, a_failure, a_task, an_arn
from tests.websockets import ConnectionRig, refusing

TRAFFIC = Path(__file__).resolve().parents[3] / "fixtures" / "official-agent" / "traffic"
CONNECT: dict[str, Any] = next(
    record
    for record in map(json.loads, (TRAFFIC / "sequence-start-to-stop.jsonl").read_text().splitlines())
    if record["kind"] == "tcs-connect"
)
INSTANCE = CONNECT["query"]["containerInstance"]
METRIC = TaskMetric(
    container_metrics=(
        ContainerMetric(container_name="app", cpu_stats_set=stats_set([1.5]), memory_stats_set=stats_set([2])),
    ),
    task_arn=an_arn(),
    task_definition_family="sample",
    task_definition_version="1",
)
QUICK = SessionTimes(publish_s=0.05)


class Visit(websockets.Visit):
    """One dial of the connection, as the telemetry service sees it."""

    @property
    def frames(self) -> list[AgentFrame]:
        return [parse_agent_frame(text) for text in self.texts]

    async def frame(self) -> AgentFrame:
        return parse_agent_frame(await self.text())

    async def say(self, kind: ServiceMessageKind, text: str = "") -> None:
        await self.websocket.send_str(service_frame(ServiceMessage(kind=kind, text=text)))


Serve = websockets.Serve[Visit]


class FakeMetrics:
    """Measurements that a test sets."""

    def __init__(self) -> None:
        self.next = MetricsReading(is_idle=True)
        self.times_reported = 0

    def reading(self) -> MetricsReading:
        return self.next

    def reported(self) -> None:
        self.times_reported += 1


class Rig(ConnectionRig[Visit]):
    """A connection to the telemetry service, its server, and what came of it."""

    def __init__(self, *serve: Serve, **changes: Any) -> None:
        super().__init__(Visit, *serve, path="/tcs/")
        self.metrics = FakeMetrics()
        self.state = AgentState(instance=ContainerInstance(cluster="default", arn=INSTANCE, agent_version="v"))
        self.status = InstanceStatus(
            health=InstanceHealth.INITIALIZING, checked_at=AT, previously_checked_at=AT, changed_at=AT
        )
        ids = itertools.count(1)
        dialling = Dialling(signer=self.signer, sleep=self.sleep, chance=lambda: 0.0)
        arguments: dict[str, Any] = {
            "endpoint": self.discover,
            "address": partial(
                connect_url, agent_hash="a8b3e7d3", agent_version="1.105.1", docker_version="20.10.24+dfsg1"
            ),
            "state": lambda: self.state,
            "metrics": self.metrics,
            "status": lambda: self.status,
            "new_id": lambda: f"id-{next(ids)}",
            "now": lambda: AT,
            "times": ConnectionTimes(close_s=0.5),
        }
        self.connection: TcsConnection = TcsConnection(dialling, **(arguments | changes))

    def publish(self, *tasks: Task) -> None:
        self.state = AgentState(instance=self.state.instance, tasks={task.arn: task for task in tasks})


# --- what is sent --------------------------------------------------------------------------------


async def test_it_connects_as_recorded_and_reports_at_once() -> None:
    async def serve(visit: Visit) -> None:
        await visit.accept()
        await visit.frame()
        await visit.websocket.close()

    rig = Rig(serve)
    await rig.run()
    (visit,) = rig.visits
    assert visit.request.path == CONNECT["path"]
    assert dict(visit.request.query) == CONNECT["query"]
    assert list(visit.request.query) == sorted(CONNECT["query"])
    assert visit.request.headers.keys() - {"Authorization", "User-Agent"} == CONNECT["headers"].keys() - {"User-Agent"}
    assert set(rig.signer.signed) == {rig.signer.signed[0]}, "frames are signed with the address of the connection"
    (frame,) = visit.frames
    assert frame.headers == {
        "authorization": "AWS4-HMAC-SHA256 y",
        "host": "h",
        "x-amz-date": "20261123T145920Z",
    }
    assert isinstance(frame.message, PublishMetrics)
    metadata = frame.message.metadata
    assert (metadata.cluster, metadata.container_instance, metadata.message_id) == ("default", INSTANCE, "id-1")
    assert (metadata.idle, metadata.fin, frame.message.task_metrics) == (True, True, ())


async def test_pages_of_metrics_then_health_then_the_status_once() -> None:
    async def serve(visit: Visit) -> None:
        await visit.accept()
        for _ in range(9):
            await visit.frame()
        await visit.websocket.close()

    rig = Rig(serve, times=ConnectionTimes(close_s=0.5, session=QUICK))
    rig.metrics.next = MetricsReading(is_idle=False, tasks=(METRIC,) * 11)
    rig.publish(a_task(a_container(known=ContainerStatus.RUNNING, health_check_is_docker=True)))
    await rig.run()
    messages = [frame.message for frame in rig.visits[0].frames]
    first, second, third = messages[:3], messages[3:7], messages[7:9]
    kinds = [PublishMetrics, PublishMetrics, PublishHealth]
    assert [type(message) for message in first] == kinds
    assert [type(message) for message in second] == [*kinds, PublishInstanceStatus]
    assert [type(message) for message in third] == kinds[:2]
    assert first[0].metadata.message_id == first[1].metadata.message_id  # type: ignore[union-attr]  # both metrics
    assert len({message.metadata.message_id for message in (first[0], first[2], second[0])}) == 3  # type: ignore[union-attr]


async def test_a_checked_status_is_sent_again_only_after_another_check() -> None:
    rig: Rig

    async def serve(visit: Visit) -> None:
        await visit.accept()
        while not isinstance((await visit.frame()).message, PublishInstanceStatus):
            pass
        for _ in range(3):
            assert not isinstance((await visit.frame()).message, PublishInstanceStatus)
        rig.status = InstanceStatus(
            health=InstanceHealth.OK,
            checked_at=AT + timedelta(seconds=9),
            previously_checked_at=AT,
            changed_at=AT + timedelta(seconds=9),
        )
        while not isinstance(message := (await visit.frame()).message, PublishInstanceStatus):
            pass
        assert message.statuses[0].status == "OK"
        await visit.websocket.close()

    rig = Rig(serve, times=ConnectionTimes(close_s=0.5, session=QUICK))
    await rig.run()


async def test_measurements_count_as_reported_once_they_are_sent() -> None:
    async def reads(visit: Visit) -> None:
        await visit.accept()
        await visit.frame()
        await visit.websocket.close()

    rig = Rig(reads)
    await rig.run()
    assert rig.metrics.times_reported == 1
    rig = Rig(reads)
    rig.signer.frame_failure = AwsCallFailed(a_failure(message="no credentials"))
    async with rig.running(), asyncio.timeout(20):
        await rig.done.wait()
    assert rig.metrics.times_reported == 0
    assert rig.waits == [1.0]


# --- how it ends, and begins anew ----------------------------------------------------------------


async def closes(visit: Visit, code: int = 1000) -> None:
    await visit.accept()
    await visit.websocket.close(code=code)


async def is_cut(visit: Visit) -> None:
    await visit.accept()
    visit.cut()


@pytest.mark.parametrize("serve", [closes, is_cut, partial(closes, code=1001), partial(closes, code=1011)])
async def test_after_a_clean_end_it_connects_at_once(serve: Serve) -> None:
    rig = Rig(serve, serve)
    await rig.run()
    assert rig.waits == [0.0, 0.0]


async def test_after_an_error_it_waits_longer_and_longer_up_to_a_minute() -> None:
    rig = Rig(*[partial(closes, code=4000), refusing(403, "AccessDeniedException: not allowed")] * 4)
    await rig.run()
    assert rig.waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


async def test_no_heartbeat_and_no_acknowledgement() -> None:
    async def serve(visit: Visit) -> None:
        await visit.accept()
        await visit.until_closed()

    rig = Rig(serve, times=ConnectionTimes(close_s=0.5, session=SessionTimes(heartbeat_s=0.1)))
    await rig.run()
    assert rig.visits[0].closed_with == (1000, "no heartbeat and no acknowledgement came in time")
    assert rig.waits == [1.0]


async def test_an_old_connection_is_closed_and_opened_anew_at_once() -> None:
    async def serve(visit: Visit) -> None:
        await visit.accept()
        for _ in range(3):
            await visit.frame()
            await visit.say(ServiceMessageKind.ACK_METRICS)
        await visit.until_closed()

    session = SessionTimes(publish_s=0.05, heartbeat_s=5.0, age_s=0.5)
    rig = Rig(serve, times=ConnectionTimes(close_s=0.5, session=session))
    await rig.run()
    assert rig.visits[0].closed_with == (1000, "ConnectionExpired: Reconnect to continue")
    assert rig.waits == [0.0]


async def test_what_cannot_be_read_is_dropped_and_complaints_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async def serve(visit: Visit) -> None:
        await visit.accept()
        for _ in range(3):
            await visit.websocket.send_str("nonsense")
            await visit.say(ServiceMessageKind.BAD_REQUEST, "x " * 4500)
        await visit.say(ServiceMessageKind.STOP_SESSION, "bye")
        for _ in range(4):
            await visit.frame()
        await visit.websocket.close()

    rig = Rig(serve, times=ConnectionTimes(close_s=0.5, session=QUICK))
    await rig.run()
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(said) == 2
    assert said[0].startswith("a message of the telemetry service was dropped: ")
    assert said[1].startswith("the telemetry service complains: BadRequestException: x x")
    assert len(said[1]) < 600


@pytest.mark.parametrize(
    "serve_badly",
    [
        lambda visit: visit.websocket.send_bytes(b"\x00"),
        lambda visit: visit.websocket.send_str("x" * (1024 * 1024 + 1)),
        lambda visit: asyncio.sleep(0, visit.cut(b"\xff\xff\xff\xff")),
    ],
    ids=["binary", "too large", "no frame"],
)
async def test_what_is_no_telemetry_ends_the_connection(serve_badly: Callable[[Visit], Awaitable[object]]) -> None:
    async def serve(visit: Visit) -> None:
        await visit.accept()
        await visit.frame()
        await serve_badly(visit)
        await visit.until_closed()

    rig = Rig(serve)
    await rig.run()
    assert rig.waits == [1.0]


async def test_the_code_of_a_close_counts_even_where_a_report_was_under_way() -> None:
    async def serve(visit: Visit) -> None:
        await visit.accept()
        await visit.frame()
        transport = visit.request.transport
        assert transport is not None
        transport.write(b"\x88\x02" + (4000).to_bytes(2, "big"))
        transport.write_eof()  # and goes on reading: a reset would take the close with it
        await visit.until_closed()

    rig = Rig(serve, serve, times=ConnectionTimes(close_s=0.5, session=SessionTimes(publish_s=0.0001)))
    await rig.run()
    assert rig.waits == [1.0, 2.0]


async def test_a_fault_of_ours_in_a_report_costs_the_connection_only(caplog: pytest.LogCaptureFixture) -> None:
    class Faulty(FakeMetrics):
        def reading(self) -> MetricsReading:
            raise KeyError("a secret")

    async def serve(visit: Visit) -> None:
        await visit.accept()
        await visit.until_closed()

    rig = Rig(serve, metrics=Faulty())
    await rig.run()
    assert rig.waits == [1.0]
    assert "KeyError in a report (please report this)" in caplog.text
    assert "a secret" not in caplog.text


async def test_a_server_that_does_not_read_is_given_up() -> None:
    async def serve(visit: Visit) -> None:
        await visit.accept()
        assert visit.request.transport is not None
        visit.request.transport.pause_reading()
        await rig.done.wait()

    large = MetricsReading(is_idle=False, tasks=(METRIC,) * 10)
    rig = Rig(serve, times=ConnectionTimes(write_s=0.2, close_s=0.2, session=SessionTimes(publish_s=0.0001)))
    rig.metrics.next = large
    await rig.run()
    assert rig.waits == [1.0]


# --- its own end ---------------------------------------------------------------------------------


async def test_stop_closes_the_connection_and_ends_the_run_and_it_may_run_again() -> None:
    async def serve(visit: Visit) -> None:
        await visit.accept()
        await visit.until_closed()

    rig = Rig(serve, serve, times=ConnectionTimes(close_s=0.5, session=QUICK))
    rig.connection.stop()
    for number in (1, 2):
        rig.metrics.times_reported = 0
        async with rig.running() as task, asyncio.timeout(10):
            while not rig.metrics.times_reported:
                await asyncio.sleep(0.01)
            rig.connection.stop()
            await task
            while rig.visits[-1].closed_with is None:
                await asyncio.sleep(0.01)
        assert len(rig.visits) == number
        rig.endpoint = ""
    assert [visit.closed_with for visit in rig.visits] == [(1001, ""), (1001, "")]
    assert rig.waits == []
