"""Messages that come in another order than they were meant, or that ask for what this agent does not do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from fake_ecs import Backend, a_payload_task, to_stop
from tests.contract.ecs.joined import joined
from tests.contract.ecs.test_faults import a_runtime, is_well, nothing_twice


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with Backend() as started:
        yield started


def told(backend: Backend, task: Mapping[str, Any]) -> list[str]:
    return [call.body["status"] for call in backend.state_changes(task["arn"])]


# --- order ------------------------------------------------------------------------------------------


async def test_a_stop_that_overtakes_its_start(tmp_path: Path, backend: Backend) -> None:
    """Nothing of the task is ever made; it is told STOPPED, and stays so."""
    task, other = a_payload_task(number=1), a_payload_task(number=2)
    runtime = a_runtime()
    async with joined(tmp_path, backend, runtime=runtime):
        await backend.acked(await backend.push_tasks(other))
        await backend.state_change(other["arn"], "RUNNING")
        newest = backend.seq_num
        await backend.acked(await backend.push_tasks(to_stop(task), seq_num=newest + 2))
        await backend.state_change(task["arn"], "STOPPED")
        await backend.acked(await backend.push_tasks(task, seq_num=newest + 1))
        await is_well(backend, 3)
        assert told(backend, task) == ["STOPPED"]
        assert told(backend, other) == ["RUNNING"]
        assert task["arn"] not in {config.task_arn for config in runtime.configs.values()}
    nothing_twice(backend)


async def test_start_and_stop_of_one_task_in_one_payload_the_wrong_way_round(tmp_path: Path, backend: Backend) -> None:
    task = a_payload_task(number=1)
    async with joined(tmp_path, backend, runtime=a_runtime()):
        await backend.connected()
        await backend.acked(await backend.push_tasks(to_stop(task), task))
        await backend.state_change(task["arn"], "STOPPED")
        await is_well(backend, 2)
        assert told(backend, task)[-1] == "STOPPED"
    nothing_twice(backend)


async def test_stops_before_starts_of_many_tasks_with_falling_numbers(tmp_path: Path, backend: Backend) -> None:
    tasks = [a_payload_task(number=number) for number in range(1, 6)]
    async with joined(tmp_path, backend, runtime=a_runtime()):
        await backend.acked(await backend.push_tasks(*tasks))
        await backend.running(5)
        newest = backend.seq_num
        for back, task in enumerate(tasks[:3]):
            await backend.push_tasks(to_stop(task), seq_num=newest - back)
            await backend.push_tasks(task, seq_num=newest - back - 10)
        await backend.reported("STOPPED", 3)
        await is_well(backend, 9)
        assert [told(backend, task) for task in tasks] == [["RUNNING", "STOPPED"]] * 3 + [["RUNNING"]] * 2
        assert backend.unacked == {}
    nothing_twice(backend)


async def test_a_confirmation_that_overtakes_its_manifest_stops_nothing(tmp_path: Path, backend: Backend) -> None:
    task = a_payload_task(number=1)
    async with joined(tmp_path, backend, runtime=a_runtime()):
        await backend.acked(await backend.push_tasks(task))
        await backend.state_change(task["arn"], "RUNNING")
        await backend.confirm_stop("not-asked-yet", task["arn"])
        asked = await backend.push_manifest(message_id="not-asked-yet")
        assert await backend.stop_candidates(asked) == [task["arn"]]
        await is_well(backend, 2)
        assert told(backend, task) == ["RUNNING"]
        await backend.confirm_stop(asked, task["arn"])
        await backend.state_change(task["arn"], "STOPPED")
    nothing_twice(backend)


async def test_a_saved_sequence_number_ahead_of_the_servers(tmp_path: Path) -> None:
    """ECS has lost its count: its manifests count for nothing until they are newer, its payloads always do."""
    runtime = a_runtime()
    task, other = a_payload_task(number=1), a_payload_task(number=2)
    async with Backend(seq_num=5_000) as backend, joined(tmp_path, backend, runtime=runtime):
        await backend.acked(await backend.push_tasks(task))
        await backend.state_change(task["arn"], "RUNNING")
    async with Backend(seq_num=1) as backend, joined(tmp_path, backend, runtime=runtime):
        await backend.connected()
        stale = await backend.push_manifest()
        await backend.acked(await backend.push_tasks(other))
        await backend.state_change(other["arn"], "RUNNING")
        await backend.confirm_stop(stale, task["arn"])
        await is_well(backend, 3)
        assert stale not in {frame.message.get("messageId") for frame in backend.acs_in}
        assert told(backend, task) == [], "it runs on, and was told to be running by the agent before"
        fresh = await backend.push_manifest(other["arn"], timeline=5_001)
        assert await backend.stop_candidates(fresh) == [task["arn"]]
        await backend.confirm_stop(fresh, task["arn"])
        await backend.state_change(task["arn"], "STOPPED")
        assert told(backend, other) == ["RUNNING"]
        nothing_twice(backend)


# --- what this agent does not do ------------------------------------------------------------------

INTERFACE = {
    "macAddress": "0e:00:00:00:00:01",
    "ec2Id": "eni-1",
    "attachmentArn": "arn:aws:ecs:us-west-2:012345678910:attachment/one",
    "ipv4Addresses": [{"privateAddress": "10.0.0.2", "primary": True}],
    "subnetGatewayIpv4Address": "10.0.0.1/24",
}
VOLUME = {"attachmentArn": "arn:aws:ecs:us-west-2:012345678910:attachment/two", "attachmentType": "amazonebs"}
TASK = {"taskArn": a_payload_task(number=7)["arn"], "taskClusterArn": a_payload_task()["taskClusterArn"]}
UPDATE = {"location": "https://updates.test/agent.tar", "signature": "0" * 64}

ANSWERED: dict[str, tuple[dict[str, Any], str, str]] = {
    "StageUpdateMessage": ({"updateInfo": UPDATE}, "NackRequest", "Updates are disabled"),
    "PerformUpdateMessage": ({"updateInfo": UPDATE}, "NackRequest", "Cannot perform update; update not downloaded"),
    "AttachTaskNetworkInterfacesMessage": (
        {**TASK, "waitTimeoutMs": 300_000, "elasticNetworkInterfaces": [INTERFACE]},
        "AckRequest",
        "",
    ),
    "AttachInstanceNetworkInterfacesMessage": (
        {"waitTimeoutMs": 300_000, "elasticNetworkInterfaces": [INTERFACE]},
        "AckRequest",
        "",
    ),
    "ConfirmAttachmentMessage": ({**TASK, "waitTimeoutMs": 300_000, "attachment": VOLUME}, "AckRequest", ""),
}
"""Type → members, type and reason of the answer. Source: agent-protocol.md §4.4, §4.8, §4.9."""

UNANSWERED = (
    "CloseMessage",
    "ErrorMessage",
    "ServerException",
    "BadRequestException",
    "InvalidClusterException",
    "InvalidInstanceException",
    "AccessDeniedException",
    "InactiveInstanceException",
    "NobodyKnowsThisMessage",
)


async def test_each_message_for_what_we_lack_amid_a_session(tmp_path: Path, backend: Backend) -> None:
    task = a_payload_task(number=1)
    async with joined(tmp_path, backend, runtime=a_runtime()):
        await backend.connected()
        await backend.acked(await backend.push_tasks(task))
        await backend.state_change(task["arn"], "RUNNING")
        for number, (kind, (members, answer, words)) in enumerate(ANSWERED.items(), start=10):
            for message_id in (f"{kind}-1", f"{kind}-2"):  # the second finds what the first left
                await backend.push_message(kind, {**backend.address(), "messageId": message_id, **members})
                frame = await backend.message(answer, messageId=message_id)
                assert frame.message.get("reason", "") == words
            await is_well(backend, number)
        for number, kind in enumerate(UNANSWERED, start=50):
            await backend.push_message(kind, {"message": "as told by a test"})
            await is_well(backend, number)
        answered = [f"{kind}-{turn}" for kind in ANSWERED for turn in (1, 2)]
        ids = [frame.message.get("messageId") for frame in backend.acs_in]
        assert all(ids.count(message_id) == 1 for message_id in answered)
        assert not backend.closes_of("acs")
        assert told(backend, task) == ["RUNNING"]
        assert not backend.problems
    nothing_twice(backend)
