"""Whatever ECS and its websockets do wrong: no task is lost, nothing is told twice, the session goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from ecscope.agent.runtime.simulated.programs import Program
from fake_ecs import Backend, a_payload_task, payload_credentials, to_stop
from fake_ecs.facts import task_facts
from tests.builders import SAMPLE_IMAGE
from tests.contract.ecs.joined import joined
from tests.simulated_knobs import FakeRuntime


def a_runtime() -> FakeRuntime:
    runtime = FakeRuntime()
    runtime.add_local(SAMPLE_IMAGE)
    runtime.behave(Program(stop_exit_code=0), image=SAMPLE_IMAGE)
    return runtime


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with Backend() as started:
        yield started


async def is_well(backend: Backend, number: int) -> None:
    """A task comes and goes as if nothing had been."""
    task = a_payload_task(number=number)
    await backend.acked(await backend.push_tasks(task))
    await backend.state_change(task["arn"], "RUNNING")
    await backend.acked(await backend.push_tasks(to_stop(task)))
    await backend.state_change(task["arn"], "STOPPED")


def nothing_twice(backend: Backend) -> None:
    facts = task_facts(backend.lines())
    assert not {arn: found.oddities for arn, found in facts.items() if found.oddities}
    for arn, found in facts.items():
        assert found.statuses in {("RUNNING",), ("RUNNING", "STOPPED"), ("STOPPED",)}, arn


@pytest.mark.parametrize(
    "fault",
    [
        lambda backend: backend.fail("SubmitTaskStateChange", status=500, times=2),
        lambda backend: backend.fail("SubmitTaskStateChange", status=503, body=b"<html>", times=2),
        lambda backend: backend.fail("SubmitTaskStateChange", status=429, body=b"", times=2),
        lambda backend: backend.fail("SubmitTaskStateChange", status=403, body=b"Forbidden", times=2),
        lambda backend: backend.fail("SubmitTaskStateChange", code="ThrottlingException", times=2),
        lambda backend: backend.fail("SubmitTaskStateChange", code="AccessDeniedException", times=2),
        lambda backend: backend.fail("SubmitTaskStateChange", code="ExpiredTokenException", times=2),
        lambda backend: backend.drop("SubmitTaskStateChange", taken=False, times=2),
    ],
    ids=["500", "503", "429", "403", "throttled", "denied", "expired", "dropped"],
)
async def test_a_report_that_fails_is_made_again(
    tmp_path: Path, backend: Backend, fault: Callable[[Backend], None]
) -> None:
    async with joined(tmp_path, backend, runtime=a_runtime()):
        await backend.connected()
        fault(backend)
        await is_well(backend, 1)
    nothing_twice(backend)


async def test_a_report_whose_answer_was_lost_is_made_again_and_harms_nothing(tmp_path: Path, backend: Backend) -> None:
    task = a_payload_task()
    backend.drop("SubmitTaskStateChange")
    async with joined(tmp_path, backend, runtime=a_runtime()):
        await backend.push_tasks(task)
        await backend.state_change(task["arn"], "RUNNING", count=2)
        first, second = backend.state_changes(task["arn"])
        assert first.body == second.body


async def test_a_report_that_ecs_calls_invalid_is_not_made_again(tmp_path: Path, backend: Backend) -> None:
    task = a_payload_task()
    backend.fail("SubmitTaskStateChange", code="InvalidParameterException", times=1)
    async with joined(tmp_path, backend, runtime=a_runtime()):
        await backend.push_tasks(task)
        await backend.call("SubmitTaskStateChange")
        await backend.push_tasks(to_stop(task))
        await backend.state_change(task["arn"], "STOPPED")
    assert [call.body["status"] for call in backend.state_changes(task["arn"])] == ["STOPPED"]


async def test_what_happened_while_ecs_was_away_is_told_once(tmp_path: Path, backend: Backend) -> None:
    runtime = a_runtime()
    tasks = [a_payload_task(number=number) for number in range(1, 6)]
    for task in tasks:
        task["containers"][0]["name"] = f"of-{task['arn'][-1]}"
    async with joined(tmp_path, backend, runtime=runtime):
        for task in tasks:
            await backend.acked(await backend.push_tasks(task))
        await backend.running(5)
        await backend.away()
        for number in (3, 1, 5):
            runtime.kill(f"of-{number}", exit_code=number)
        await asyncio.sleep(1)
        await backend.back()
        await backend.reported("STOPPED", 3)
        await backend.connected(count=2)
        await is_well(backend, 9)
    for number in (1, 3, 5):
        running, stopped = backend.state_changes(tasks[number - 1]["arn"])
        assert (running.body["status"], stopped.body["status"]) == ("RUNNING", "STOPPED")
        assert [container["exitCode"] for container in stopped.body["containers"]] == [number]
    nothing_twice(backend)


ENDS: dict[str, Callable[[Backend], Awaitable[None]]] = {
    "1000": lambda backend: backend.close(1000),
    "1001": lambda backend: backend.close(1001),
    "1011": lambda backend: backend.close(1011),
    "4000": lambda backend: backend.close(4000),
    "cut": lambda backend: backend.close(1006),
    "mid-frame": lambda backend: backend.cut(),
    "reset mid-frame": lambda backend: backend.cut(reset=True),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_whatever_ends_the_connection_it_is_made_again(
    tmp_path: Path, backend: Backend, end: Callable[[Backend], Awaitable[None]]
) -> None:
    task = a_payload_task(number=1)
    async with joined(tmp_path, backend, runtime=a_runtime()):
        await backend.connected()
        await backend.acked(await backend.push_tasks(task))
        await end(backend)
        await backend.closed()
        await backend.connected(count=2)
        await is_well(backend, 2)
    assert [connect.query["sendCredentials"] for connect in backend.connects if connect.kind == "acs-connect"] == [
        "true",
        "false",
    ]
    nothing_twice(backend)


async def runs(backend: Backend, number: int) -> str:
    """ARN of a task that ECS knows to be running."""
    task = a_payload_task(number=number)
    await backend.acked(await backend.push_tasks(task))
    await backend.state_change(task["arn"], "RUNNING")
    return str(task["arn"])


def still_runs(backend: Backend, arn: str, runtime: FakeRuntime) -> None:
    """It is the one container of its task, and ECS has heard of it once."""
    told = [call.body["status"] for call in backend.state_changes(arn)]
    assert [status for status in told if status != "PENDING"] == ["RUNNING"]
    assert len([config for config in runtime.configs.values() if config.task_arn == arn]) == 1


@pytest.mark.parametrize("channel", ["acs", "tcs"])
async def test_ten_thousand_frames_of_garbage(tmp_path: Path, backend: Backend, channel: str) -> None:
    runtime = a_runtime()
    async with joined(tmp_path, backend, runtime=runtime):
        await backend.connected(channel)
        arn = await runs(backend, 1)
        await backend.push_garbage(10_000, channel=channel)
        await is_well(backend, 2)
        assert len(backend.connects) == len([connect for connect in backend.connects if connect.status == 101])
        assert not backend.closes_of(channel)
        still_runs(backend, arn, runtime)
    nothing_twice(backend)


@pytest.mark.parametrize("channel", ["acs", "tcs"])
async def test_a_frame_of_ten_megabytes(tmp_path: Path, backend: Backend, channel: str) -> None:
    runtime = a_runtime()
    async with joined(tmp_path, backend, runtime=runtime):
        await backend.connected(channel)
        arn = await runs(backend, 1)
        await backend.push_huge(10_000_000, channel=channel)
        await is_well(backend, 2)
        still_runs(backend, arn, runtime)
    nothing_twice(backend)


async def test_a_malformed_task_beside_a_good_one(tmp_path: Path, backend: Backend) -> None:
    good, bad = a_payload_task(number=1), a_payload_task(number=2, desiredStatus="RUNING")
    runtime = a_runtime()
    async with joined(tmp_path, backend, runtime=runtime):
        await backend.connected()
        arn = await runs(backend, 7)
        message_id = await backend.push_tasks(bad, good)
        refused = await backend.state_change(bad["arn"], "STOPPED")
        assert refused.body["reason"].startswith("UnrecogniedTaskError: Error loading task - ")
        await backend.state_change(good["arn"], "RUNNING")
        assert message_id in backend.unacked, "as officially: no acknowledgement for any of it"
        del backend.unacked[message_id]
        await is_well(backend, 3)
        still_runs(backend, arn, runtime)
    nothing_twice(backend)


async def test_payloads_twice_stale_and_out_of_order(tmp_path: Path, backend: Backend) -> None:
    task = a_payload_task(number=1)
    async with joined(tmp_path, backend, runtime=a_runtime()):
        await backend.connected()
        first = await backend.push_tasks(task)
        await backend.acked(first)
        await backend.state_change(task["arn"], "RUNNING")
        for seq_num in (backend.seq_num, 1, backend.seq_num + 50):
            await backend.acked(await backend.push_tasks(task, seq_num=seq_num))
        await backend.acked(await backend.push_tasks(to_stop(task), seq_num=2))
        await backend.state_change(task["arn"], "STOPPED")
        await backend.acked(await backend.push_tasks(task))  # too late: STOPPED is final
        await is_well(backend, 2)
    assert task_facts(backend.lines())[task["arn"]].statuses == ("RUNNING", "STOPPED")
    nothing_twice(backend)


async def test_a_manifest_behind_the_saved_sequence_number_is_ignored(tmp_path: Path, backend: Backend) -> None:
    task = a_payload_task()
    runtime = a_runtime()
    async with joined(tmp_path, backend, runtime=runtime):
        await backend.acked(await backend.push_tasks(task))
        await backend.state_change(task["arn"], "RUNNING")
        known = backend.seq_num
    async with joined(tmp_path, backend, runtime=runtime):
        await backend.connected(count=2)
        stale = await backend.push_manifest(timeline=known)
        fresh = await backend.push_manifest(timeline=known + 1)
        assert await backend.stop_candidates(fresh) == [task["arn"]]
        await backend.acked(fresh)
        await backend.confirm_stop(stale, task["arn"])  # to another question
        await backend.confirm_stop(fresh, task["arn"])
        await backend.state_change(task["arn"], "STOPPED")
    said = {frame.message.get("messageId") for frame in backend.acs_in}
    assert stale not in said


async def test_credentials_are_acknowledged_and_those_of_nobody_are_not(tmp_path: Path, backend: Backend) -> None:
    task = a_payload_task(roleCredentials=payload_credentials())
    async with joined(tmp_path, backend, runtime=a_runtime()):
        message_id = await backend.push_tasks(task)
        await backend.credentials_acked(message_id)
        await backend.acked(message_id)
        for arn, role_type in (
            ("arn:aws:ecs:us-west-2:012345678910:task/default/x", "TaskApplication"),
            (task["arn"], "X"),
        ):
            await backend.push_credentials(arn, payload_credentials(), role_type=role_type)
        renewed = payload_credentials(expiration="2031-01-01T00:00:00Z")
        message_id = await backend.push_credentials(task["arn"], renewed)
        ack = await backend.credentials_acked(message_id)
        assert ack.message["expiration"] == "2031-01-01T00:00:00Z"
    assert len([frame for frame in backend.acs_in if frame.type == "IAMRoleCredentialsAckRequest"]) == 2


async def test_a_role_that_is_taken_away_and_given_back(tmp_path: Path, backend: Backend) -> None:
    task = a_payload_task(number=1)
    async with joined(tmp_path, backend, runtime=a_runtime()):
        await backend.connected()
        await backend.acked(await backend.push_tasks(task))
        await backend.state_change(task["arn"], "RUNNING")
        backend.deny()
        await backend.close(1000)
        await backend.closed()
        await asyncio.sleep(0.5)
        backend.allow()
        await backend.connected(count=2)
        await is_well(backend, 2)
    nothing_twice(backend)


async def test_a_clock_that_is_off_for_a_while(tmp_path: Path, backend: Backend) -> None:
    """To ECS it is the same whose clock was set: nothing that is signed meanwhile is accepted."""
    task = a_payload_task(number=1)
    async with joined(tmp_path, backend, runtime=a_runtime()):
        await backend.acked(await backend.push_tasks(task))
        await backend.state_change(task["arn"], "RUNNING")
        refused = len(backend.calls)
        backend.clock_skew_s = 3600.0
        await backend.push_tasks(to_stop(task))
        await backend.call("SubmitTaskStateChange", count=3)
        backend.clock_skew_s = 0.0
        await backend.state_change(task["arn"], "STOPPED")
        assert backend.calls[refused].reply["__type"] == "InvalidSignatureException"
        await is_well(backend, 2)
    nothing_twice(backend)


@pytest.mark.parametrize("framed", [False, True], ids=["unframed", "framed"])
async def test_a_deregistered_instance_does_not_dial_again_at_once(
    tmp_path: Path, backend: Backend, framed: bool
) -> None:
    async with joined(tmp_path, backend, runtime=a_runtime()):
        await backend.connected()
        backend.refuse_upgrade("acs", framed=framed)
        await backend.close(1000)
        await backend.journal.wait(
            lambda: [connect for connect in backend.connects if connect.status == 400] or None, "the refusal", 30
        )
        await asyncio.sleep(1)
        assert len([connect for connect in backend.connects if connect.status == 400]) == 1
