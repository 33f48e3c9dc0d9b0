"""Telemetry is acknowledged, and becomes events where the core wants to know."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, WSServerHandshakeError

from ecscope.control.core.events import HealthReported, InstanceStatusReported
from ecscope.control.tcs.server import TcsServer
from ecscope.model.status import HealthStatus
from tests import traffic
from tests.agent_ends import INSTANCE, Ends, served, until


class Scene:
    """A server and a client that dials it."""

    def __init__(self, ends: Ends, server: TcsServer, client: ClientSession, url: str) -> None:
        self.ends = ends
        self.server = server
        self.client = client
        self.url = url

    async def dial(self, arn: str = INSTANCE.arn) -> ClientWebSocketResponse:
        return await self.client.ws_connect(self.url, params={"containerInstance": arn})


async def read(agent: ClientWebSocketResponse) -> dict[str, Any]:
    return json.loads(await asyncio.wait_for(agent.receive_str(), 5))


def recorded(kind: str) -> dict[str, Any]:
    return next(record for record in traffic.records("tcs-samples", "tcs-in") if record["type"] == kind)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    ends = Ends()
    server = TcsServer(
        state=lambda: ends.state,
        post=ends.events.append,
        permit=ends.permit,
        permit_frame=ends.permit_frame,
        now=ends.now,
        new_id=ends.new_id,
        heartbeat_s=0.2,
    )
    async with served(server.handle) as (client, url):
        yield Scene(ends, server, client, url)


async def test_health(scene: Scene) -> None:
    agent = await scene.dial()
    record = recorded("PublishHealthRequest")
    await agent.send_str(traffic.frame(record))
    assert await read(agent) == {"type": "AckPublishHealth", "message": {"message": ""}}
    (event,) = scene.ends.events
    assert isinstance(event, HealthReported)
    task = record["message"]["tasks"][0]
    assert event.instance_arn == INSTANCE.arn
    assert event.containers[0].task_arn == task["taskArn"]
    assert event.containers[0].health is HealthStatus(task["containers"][0]["healthStatus"])
    await agent.close()


async def test_the_status_of_the_runtime(scene: Scene) -> None:
    agent = await scene.dial()
    record = recorded("PublishInstanceStatusRequest")
    await agent.send_str(traffic.frame(record))
    assert (await read(agent))["type"] == "AckPublishInstanceStatus"
    (event,) = scene.ends.events
    assert isinstance(event, InstanceStatusReported)
    (detail,) = event.details
    told = record["message"]["statuses"][0]
    assert (detail.type, detail.status) == ("CONTAINER_RUNTIME", told["status"])
    assert detail.last_updated_at is not None
    assert detail.last_updated_at.timestamp() == pytest.approx(told["lastUpdated"])
    await agent.close()


async def test_metrics_are_acknowledged_and_no_event(scene: Scene) -> None:
    agent = await scene.dial()
    await agent.send_str(traffic.frame(recorded("PublishMetricsRequest")))
    assert (await read(agent))["type"] == "AckPublishMetric"
    assert (await read(agent))["type"] == "HeartbeatMessage"
    assert scene.ends.events == []
    await agent.close()


async def test_the_newest_connection_wins(scene: Scene) -> None:
    older = await scene.dial()
    newer = await scene.dial()
    end = await older.receive()
    assert (end.type, end.data) == (WSMsgType.CLOSE, 1008)
    scene.server.disconnect(INSTANCE.arn, "deregistered")
    end = await newer.receive()
    assert (end.type, end.data, end.extra) == (WSMsgType.CLOSE, 1000, "deregistered")


async def test_an_unknown_instance_is_refused(scene: Scene) -> None:
    with pytest.raises(WSServerHandshakeError) as refused:
        await scene.dial("unknown")
    assert refused.value.status == 400
    assert scene.ends.asked == [("StartTelemetrySession", "unknown")]


async def test_nonsense_is_told_so(scene: Scene) -> None:
    agent = await scene.dial()
    await agent.send_str(json.dumps({"type": "Nonsense", "message": {}}))
    assert (await read(agent))["type"] == "BadRequestException"
    await agent.close()


@pytest.mark.parametrize(("signature", "answer"), [("good", "AckPublishMetric"), ("bad", "BadRequestException")])
async def test_the_signature_of_a_frame(scene: Scene, signature: str, answer: str) -> None:
    agent = await scene.dial()
    await agent.send_str(f"Authorization: {signature}\r\n\r\n{traffic.frame(recorded('PublishMetricsRequest'))}")
    told = await read(agent)
    assert told["type"] == answer
    if signature == "bad":
        assert told["message"]["message"] == "InvalidSignatureException: it does not match"
    await agent.close()


async def test_the_end_of_the_control_plane(scene: Scene) -> None:
    agent = await scene.dial()
    await until(lambda: scene.server._sockets)
    scene.server.close()
    assert (await agent.receive()).data == 1001
