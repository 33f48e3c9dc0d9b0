"""Over ACS an agent is told what effects want, what it says becomes events, and the newest connection counts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, WSServerHandshakeError

from ecscope.control.acs.server import AcsServer
from ecscope.control.core.effects import ConfirmStop, Disconnect, SendManifest
from ecscope.control.core.events import (
    AgentConnected,
    AgentDisconnected,
    MessageAcknowledged,
    StopVerificationAsked,
)
from ecscope.wire.acs.server_session import ServerTimes
from tests.agent_ends import INSTANCE, Ends, served, until


class Scene:
    """A server and a client that dials it."""

    def __init__(self, ends: Ends, server: AcsServer, client: ClientSession, url: str) -> None:
        self.ends = ends
        self.server = server
        self.client = client
        self.url = url

    async def dial(self, arn: str = INSTANCE.arn, **query: str) -> ClientWebSocketResponse:
        before = len(self.ends.events)
        query = {"containerInstanceArn": arn, "agentVersion": "1.2", "dockerVersion": "DockerVersion: 26", **query}
        agent = await self.client.ws_connect(self.url, params=query)
        await until(lambda: len(self.ends.events) > before)
        return agent

    def connected(self) -> list[AgentConnected]:
        return [event for event in self.ends.events if isinstance(event, AgentConnected)]


async def read(agent: ClientWebSocketResponse) -> dict[str, Any]:
    return json.loads(await asyncio.wait_for(agent.receive_str(), 5))


async def tell(agent: ClientWebSocketResponse, kind: str, **message: object) -> None:
    await agent.send_str(json.dumps({"type": kind, "message": message}))


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    ends = Ends()
    server = AcsServer(
        state=lambda: ends.state,
        post=ends.events.append,
        permit=ends.permit,
        now=ends.now,
        new_id=ends.new_id,
        times=ServerTimes(heartbeat_s=0.1, most_unanswered=2),
    )
    async with served(server.handle) as (client, url):
        yield Scene(ends, server, client, url)


def a_manifest(message_id: str = "m") -> SendManifest:
    return SendManifest(instance_arn=INSTANCE.arn, message_id=message_id, timeline=1, task_arns=())


async def test_a_connection_from_its_beginning_to_its_end(scene: Scene) -> None:
    agent = await scene.dial(sendCredentials="true")
    (event,) = scene.connected()
    assert event.instance_arn == INSTANCE.arn
    assert event.version_info == {"agentVersion": "1.2", "dockerVersion": "DockerVersion: 26"}
    assert event.wants_credentials
    assert scene.ends.asked == [("Poll", INSTANCE.arn)]
    await agent.close()
    await until(lambda: scene.ends.of(AgentDisconnected))
    end = scene.ends.events[-1]
    assert isinstance(end, AgentDisconnected)
    assert end.connection_id == event.connection_id


async def test_what_the_agent_says_becomes_events(scene: Scene) -> None:
    agent = await scene.dial()
    await tell(agent, "AckRequest", messageId="m1")
    await tell(agent, "TaskStopVerificationMessage", messageId="m2", stopCandidates=[{"taskArn": "t"}])
    await until(lambda: len(scene.ends.events) == 3)
    acknowledged, asked = scene.ends.events[1:]
    assert isinstance(acknowledged, MessageAcknowledged)
    assert (acknowledged.instance_arn, acknowledged.message_id) == (INSTANCE.arn, "m1")
    assert isinstance(asked, StopVerificationAsked)
    assert (asked.message_id, asked.task_arns) == ("m2", ("t",))
    await agent.close()


async def test_effects_become_frames(scene: Scene) -> None:
    agent = await scene.dial()
    scene.server.act(a_manifest())
    scene.server.act(ConfirmStop(instance_arn=INSTANCE.arn, message_id="m", task_arns=()))
    assert [(await read(agent))["type"] for _ in range(2)] == ["TaskManifestMessage", "TaskStopVerificationAck"]
    await agent.close()


async def test_an_absent_agent_is_told_nothing(scene: Scene) -> None:
    scene.server.act(a_manifest())
    scene.server.act(Disconnect(instance_arn=INSTANCE.arn, connection_id="", reason="x"))


async def test_the_newest_connection_is_spoken_to(scene: Scene) -> None:
    older, newer = await scene.dial(), await scene.dial()
    first, second = scene.connected()
    scene.server.act(Disconnect(instance_arn=INSTANCE.arn, connection_id=first.connection_id, reason="a newer one"))
    scene.server.act(a_manifest())
    assert (await read(newer))["type"] == "TaskManifestMessage"
    end = await older.receive()
    assert (end.type, end.data, end.extra) == (WSMsgType.CLOSE, 1008, "a newer one")
    await until(lambda: scene.ends.of(AgentDisconnected))
    assert second.connection_id != first.connection_id
    scene.server.act(Disconnect(instance_arn=INSTANCE.arn, connection_id="", reason="deregistered"))
    end = await newer.receive()
    assert (end.type, end.data, end.extra) == (WSMsgType.CLOSE, 1000, "deregistered")


async def test_the_silent_are_dropped(scene: Scene) -> None:
    agent = await scene.dial()
    assert (await read(agent))["type"] == "HeartbeatMessage"
    assert (await read(agent))["type"] == "HeartbeatMessage"
    end = await asyncio.wait_for(agent.receive(), 5)
    assert (end.type, end.data) == (WSMsgType.CLOSE, 1001)


async def test_who_answers_heartbeats_stays(scene: Scene) -> None:
    agent = await scene.dial()
    for _ in range(4):
        beat = await read(agent)
        await tell(agent, "HeartbeatAckRequest", messageId=beat["message"]["messageId"])
    await agent.close()


@pytest.mark.parametrize("arn", ["", "unknown"])
async def test_an_unknown_instance_is_refused(scene: Scene, arn: str) -> None:
    with pytest.raises(WSServerHandshakeError) as refused:
        await scene.client.ws_connect(scene.url, params={"containerInstanceArn": arn})
    assert refused.value.status == 400
    assert scene.ends.events == []


async def test_a_frame_that_cannot_be_made_costs_itself(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    agent = await scene.dial()
    scene.ends.state = type(scene.ends.state)(instances=scene.ends.state.instances)  # its cluster is missing
    scene.server.act(a_manifest())
    await until(lambda: "cannot be made" in caplog.text)
    assert (await read(agent))["type"] == "HeartbeatMessage"
    await agent.close()


async def test_the_end_of_the_control_plane(scene: Scene) -> None:
    agent = await scene.dial()
    scene.server.close()
    end = await agent.receive()
    assert (end.type, end.data) == (WSMsgType.CLOSE, 1001)
