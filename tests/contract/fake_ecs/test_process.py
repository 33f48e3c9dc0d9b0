"""The back end as a process: it can be driven from without a loop, killed, and started again on its port."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fake_ecs import Principal, a_payload_task
from fake_ecs.process import BackendProcess, ControlFailed
from tests.contract.fake_ecs.clients import Agent, Ecs


@pytest.fixture
def backend() -> Iterator[BackendProcess]:
    with BackendProcess() as started:
        yield started


class There:
    """What the clients need to know of a back end that is another process."""

    region = "us-west-2"

    def __init__(self, process: BackendProcess) -> None:
        self.url = process.url
        environment = process.environment()
        self.principal = Principal(
            access_key_id=environment["AWS_ACCESS_KEY_ID"], secret_access_key=environment["AWS_SECRET_ACCESS_KEY"]
        )


async def test_payloads_go_out_and_reports_come_with_the_time_of_their_arrival(backend: BackendProcess) -> None:
    tasks = [a_payload_task(number=number) for number in range(20)]
    async with await Agent.dial(There(backend)) as agent, Ecs(There(backend)) as ecs:
        await asyncio.to_thread(backend.connected)
        begun_s = time.monotonic()
        sent_s = await asyncio.to_thread(backend.push_each, *tasks)
        for task in tasks:
            message = (await agent.receive())["message"]
            assert message["tasks"] == [task]
            await agent.ack(message)
            await ecs.call("submit_task_state_change", task=task["arn"], status="RUNNING")
        reports = await asyncio.to_thread(backend.reported, "RUNNING", 20)
        assert set(reports) == {task["arn"] for task in tasks}
        assert begun_s < sent_s < min(reports.values()) < max(reports.values()) < time.monotonic()
        assert await asyncio.to_thread(backend.ask, "unacked") == {}
        assert await asyncio.to_thread(backend.ask, "problems") == []
        kinds = {call["action"] for call in await asyncio.to_thread(backend.ask, "calls")}
        assert kinds == {"SubmitTaskStateChange"}


async def test_faults_are_ordered_from_outside(backend: BackendProcess) -> None:
    def ordered() -> None:
        backend.ask("fail", "RegisterContainerInstance", code="ThrottlingException", times=1)
        backend.ask("set", clock_skew_s=0.0)

    await asyncio.to_thread(ordered)
    async with Ecs(There(backend)) as ecs:
        with pytest.raises(ecs.error, match="ThrottlingException"):
            await ecs.register()
        assert await ecs.register() == await asyncio.to_thread(backend.ask, "registered")


def test_a_wait_that_ends_and_a_method_that_is_not_there(backend: BackendProcess) -> None:
    with pytest.raises(TimeoutError, match="ACS connection 1 did not come within"):
        backend.connected(timeout_s=0.01)
    with pytest.raises(ControlFailed, match="no method nonsense"):
        backend.ask("nonsense")


def test_killed_and_started_again_it_has_its_port(tmp_path: Path) -> None:
    with BackendProcess(record=tmp_path / "first.jsonl") as first:
        url, port = first.url, int(first.url.rpartition(":")[2])
        first.kill()
        with BackendProcess(port=port, arguments=("--seq-num", "7", "--no-cluster")) as again:
            assert again.url == url
            assert again.ask("seq_num") == 6
            occupied = BackendProcess(port=port)
            with pytest.raises(ControlFailed):
                occupied.start()
            occupied.stop()


async def test_a_recording_is_replayed(tmp_path: Path) -> None:
    recording = tmp_path / "recording.jsonl"
    lines = [
        {"kind": "acs-out", "t": 5.0, "type": "PayloadMessage", "message": {"messageId": "one", "seqNum": 3,
         "clusterArn": "then", "tasks": [a_payload_task(number=1)]}},
        {"kind": "acs-out", "t": 5.1, "type": "HeartbeatMessage", "message": {"messageId": "beat"}},
        {"kind": "acs-out", "t": 5.2, "type": "TaskManifestMessage", "message": {"messageId": "two", "timeline": 9,
         "clusterArn": "then", "containerInstanceArn": "then", "tasks": []}},
    ]  # fmt: skip
    recording.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with BackendProcess(arguments=("--replay", str(recording))) as backend:
        async with await Agent.dial(There(backend)) as agent:
            payload, manifest = await agent.receive(), await agent.receive()
    assert (payload["message"]["messageId"], payload["message"]["seqNum"]) == ("one", 3)
    assert (manifest["type"], manifest["message"]["timeline"]) == ("TaskManifestMessage", 9)
    assert manifest["message"]["containerInstanceArn"] == payload["message"]["containerInstanceArn"] != "then"
