"""The back end's websockets, used by aiohttp's client: what is pushed, kept, checked, cut and refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
import yarl

from fake_ecs import Backend, a_payload_container, a_payload_task, payload_credentials, to_stop
from fake_ecs.observed import DEADLINE_S
from tests.contract.fake_ecs.clients import ARN, Agent, acs_url, signed, tcs_url, telemetry_frame


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with Backend() as started:
        yield started


async def test_a_payload_goes_out_until_it_is_acknowledged(backend: Backend) -> None:
    task = a_payload_task()
    message_id = await backend.push_tasks(task)  # nobody is there yet
    async with await Agent.dial(backend) as agent:
        first = await agent.receive()
    assert (await backend.closed()).code == 1000
    async with await Agent.dial(backend) as agent:
        again = await agent.receive()
        assert again == first
        assert (again["type"], again["message"]["messageId"]) == ("PayloadMessage", message_id)
        assert again["message"]["tasks"] == [task]
        await agent.ack(again["message"])
        assert (await backend.acked(message_id)).instance_arn == ARN
        later = await backend.push_tasks(to_stop(task))
        message = (await agent.receive())["message"]
        assert message["messageId"] == later
        assert message["seqNum"] == again["message"]["seqNum"] + 1
        assert message["containerInstanceArn"] == ARN
    assert not backend.unacked.keys() & {message_id}
    assert not backend.problems


async def test_a_task_has_the_form_of_the_recordings() -> None:
    task = a_payload_task(a_payload_container("c", config={"Tty": True}), number=7, cpu=0.25)
    recorded = Path(__file__).parents[2] / "fixtures/official-agent/traffic/sequence-start-to-stop.jsonl"
    payload = next(
        line["message"]["tasks"][0]
        for line in map(json.loads, recorded.read_text().splitlines())
        if line.get("type") == "PayloadMessage"
    )
    assert task.keys() - {"cpu"} == payload.keys()
    assert task["containers"][0].keys() == payload["containers"][0].keys()
    assert json.loads(task["containers"][0]["dockerConfig"]["hostConfig"]) == json.loads(
        payload["containers"][0]["dockerConfig"]["hostConfig"]
    )
    assert a_payload_task(number=7) == a_payload_task(number=7)


async def test_a_manifest_a_question_and_its_answer(backend: Backend) -> None:
    arns = [a_payload_task(number=n)["arn"] for n in (1, 2)]
    async with await Agent.dial(backend) as agent:
        await backend.connected()
        message_id = await backend.push_manifest(arns[0])
        manifest = (await agent.receive())["message"]
        assert [task["taskArn"] for task in manifest["tasks"]] == [arns[0]]
        assert manifest["timeline"] == backend.seq_num
        await agent.send("TaskStopVerificationMessage", messageId=message_id, stopCandidates=[{"taskArn": arns[1]}])
        assert await backend.stop_candidates(message_id) == [arns[1]]
        await backend.confirm_stop(message_id, arns[1])
        answer = await agent.receive()
        assert (answer["type"], answer["message"]["messageId"]) == ("TaskStopVerificationAck", message_id)
        assert [task["taskArn"] for task in answer["message"]["stopTasks"]] == [arns[1]]


async def test_credentials_go_again_to_an_agent_that_has_just_started(backend: Backend) -> None:
    task_arn = a_payload_task()["arn"]
    async with await Agent.dial(backend) as agent:
        await backend.connected()
        message_id = await backend.push_credentials(task_arn, payload_credentials())
        pushed = await agent.receive()
        await agent.send("IAMRoleCredentialsAckRequest", messageId=message_id, credentialsId="c", expiration="e")
        await backend.credentials_acked(message_id)
    async with await Agent.dial(backend, sendCredentials="false") as agent:
        await backend.connected(count=2)
        await backend.heartbeat()
        assert (await agent.receive())["type"] == "HeartbeatMessage"
    async with await Agent.dial(backend, sendCredentials="true") as agent:
        assert await agent.receive() == pushed


async def test_heartbeats_come_by_themselves() -> None:
    async with Backend(heartbeat_s=0.01) as backend, await Agent.dial(backend) as agent:
        beat = await agent.receive()
        assert beat["message"]["healthy"] is True
        await agent.send("HeartbeatAckRequest", messageId=beat["message"]["messageId"])
        await backend.message("HeartbeatAckRequest", messageId=beat["message"]["messageId"])
        async with await Agent.dial(backend, tcs_url(backend)) as telemetry:
            assert await telemetry.receive() == {"type": "HeartbeatMessage", "message": {"healthy": True}}


async def test_telemetry_is_verified_and_acknowledged(backend: Backend) -> None:
    url = tcs_url(backend)
    async with await Agent.dial(backend, url) as agent:
        await agent.websocket.send_str(telemetry_frame(backend, url, "PublishMetricsRequest", {"metadata": {}}))
        assert await agent.receive() == {"type": "AckPublishMetric", "message": {"message": ""}}
        received = await backend.message("PublishMetricsRequest", channel="tcs")
        assert received.signed_headers == ["Authorization", "Host", "X-Amz-Date"]
        assert backend.tcs_in == [received]
        assert not backend.problems
        frame = telemetry_frame(backend, url, "PublishHealthRequest", {"metadata": {}})
        for number, wrong in enumerate(
            (
                frame.replace('"metadata": {}', '"metadata": {"a": 1}'),
                frame.partition("\r\n\r\n")[2],
                frame.replace("Host: 127.0.0.1", "Host: 127.0.0.2"),
                "no frame at all",
            )
        ):
            await agent.websocket.send_str(wrong)
            await backend.journal.wait(lambda n=number: len(backend.tcs_in) == n + 2, "the frame", DEADLINE_S)
    assert [problem.split(":")[0] for problem in backend.problems] == ["TCS"] * 5
    assert [frame.type for frame in backend.tcs_in] == ["PublishMetricsRequest", "", "", "", ""]


async def test_an_upgrade_is_verified_with_its_whole_query(backend: Backend) -> None:
    url = acs_url(backend)
    for altered in (acs_url(backend, seqNum="2"), acs_url(backend, dockerVersion="DockerVersion: 20.10.24 dfsg1")):
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await session.ws_connect(yarl.URL(altered, encoded=True), headers=signed(backend, url))
            assert caught.value.status == 400
    assert [connect.status for connect in backend.connects] == [400, 400]
    as_official = url.replace("%20", "+")  # signed with %20, as AWS reads a plus
    async with aiohttp.ClientSession() as session:
        await session.ws_connect(yarl.URL(as_official, encoded=True), headers=signed(backend, url))
    backend.deny("ecs:Poll")
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await Agent.dial(backend)
    async with await Agent.dial(backend, tcs_url(backend)):
        await backend.connected("tcs")


@pytest.mark.parametrize("framed", [False, True])
async def test_an_upgrade_is_refused_in_both_forms(backend: Backend, framed: bool) -> None:
    backend.refuse_upgrade("acs", framed=framed, message="gone", times=1)
    url = acs_url(backend)
    headers = {**signed(backend, url), "Connection": "Upgrade", "Upgrade": "websocket"}
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        told = json.loads(await answer.read())
    framed_form = {"type": "InactiveInstanceException", "message": {"message": "gone"}}
    assert (answer.status, told) == (400, framed_form if framed else {"InactiveInstanceException": "gone"})
    async with await Agent.dial(backend):
        await backend.connected()


async def test_a_deregistered_instance_is_refused_and_an_unknown_one_is_not(backend: Backend) -> None:
    async with await Agent.dial(backend):
        await backend.connected()
    backend.deregister(ARN)
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await Agent.dial(backend)


async def test_an_upgrade_that_names_no_instance_is_refused_and_a_problem(backend: Backend) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await Agent.dial(backend, containerInstanceArn="")
    assert backend.problems == ["ACS: an upgrade that names no container instance"]


async def test_ends_of_every_kind(backend: Backend) -> None:
    for number, code in enumerate((1000, 1001, 1011, 4000), start=1):
        async with await Agent.dial(backend) as agent:
            await backend.connected(count=number)
            closing, _ = await asyncio.gather(agent.websocket.receive(), backend.close(code))
            assert closing.type is aiohttp.WSMsgType.CLOSE
            assert agent.websocket.close_code == code
    async with await Agent.dial(backend) as agent:
        await backend.connected(count=5)
        await backend.close(1006)
        assert (await agent.websocket.receive()).type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}
    for reset in (False, True):
        async with await Agent.dial(backend) as agent:
            await backend.connected(count=6 + reset)
            await backend.cut(reset=reset)
            assert (await agent.websocket.receive()).type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}
    await backend.closed(count=7)


async def test_the_newest_connection_of_an_instance_stays(backend: Backend) -> None:
    async with await Agent.dial(backend) as older, await Agent.dial(backend) as newer:
        await backend.connected(count=2)
        await backend.heartbeat()
        assert (await newer.receive())["type"] == "HeartbeatMessage"
        assert (await older.websocket.receive()).type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}


async def test_garbage_and_huge_frames_arrive(backend: Backend) -> None:
    async with await Agent.dial(backend) as agent:
        await backend.connected()
        await backend.push_garbage(16)
        for _ in range(16):
            assert (await agent.websocket.receive()).type is aiohttp.WSMsgType.TEXT
        await backend.push_huge(1_000_000)
        assert len((await agent.receive())["message"]["padding"]) == 1_000_000


async def test_what_no_agent_sends_is_a_problem(backend: Backend) -> None:
    async with await Agent.dial(backend) as agent:
        await agent.send("Hello")
        await agent.websocket.send_str("{")
        await agent.websocket.send_bytes(b"{}")
        await backend.journal.wait(lambda: len(backend.problems) == 3, "three problems", DEADLINE_S)


async def test_a_recording_has_the_form_of_those_of_the_official_agent(tmp_path: Path) -> None:
    async with Backend(record=tmp_path / "ours.jsonl") as backend:
        async with await Agent.dial(backend) as agent:
            await backend.connected()
            await backend.push_tasks(a_payload_task())
            await agent.ack((await agent.receive())["message"])
        await backend.closed()
    lines = [json.loads(line) for line in (tmp_path / "ours.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["acs-connect", "acs-out", "acs-in", "acs-close"]
    assert lines[0]["query"]["dockerVersion"] == "DockerVersion: 20.10.24+dfsg1"
    assert "Signature=..." in lines[0]["headers"]["Authorization"]
    assert all({"n", "t"} <= line.keys() for line in lines)


async def test_expired_credentials_are_refused_for_upgrades_too(backend: Backend) -> None:
    backend.principal.expires_at = datetime.now(UTC) - timedelta(seconds=1)
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await Agent.dial(backend)
