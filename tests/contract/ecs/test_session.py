"""The recorded session, step by step, against this agent: the same answers to the same messages, the same reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ecscope.agent.runtime.simulated.programs import Program
from fake_ecs import Backend, a_payload_task
from fake_ecs.facts import answers, connects, differences, task_facts
from fake_ecs.replay import send_again
from tests.contract.ecs.joined import joined, recording
from tests.simulated_knobs import FakeRuntime

SEQUENCE = recording("sequence-start-to-stop")
IMAGE = "busybox:latest"


def a_runtime() -> FakeRuntime:
    """Docker as it was for the recording: the image is there without a digest, the program heeds SIGTERM."""
    runtime = FakeRuntime()
    runtime.add_local(IMAGE)
    runtime.behave(Program(stop_exit_code=0), image=IMAGE)
    return runtime


def pushed(kind: str) -> list[dict[str, Any]]:
    """The recorded back end's messages of one type."""
    return [line for line in SEQUENCE if line["kind"] == "acs-out" and line["type"] == kind]


async def test_the_recorded_session(tmp_path: Path) -> None:
    run, again, stop, second = pushed("PayloadMessage")
    manifest, empty_manifest = pushed("TaskManifestMessage")
    (confirmation,) = pushed("TaskStopVerificationAck")
    one, two = (line["message"]["tasks"][0]["arn"] for line in (run, second))
    async with Backend(clusters=(), seq_num=1) as backend, joined(tmp_path, backend, runtime=a_runtime(), cluster=None):
        await backend.connected()
        for line, reported in ((run, (one, "RUNNING")), (again, None), (manifest, None), (stop, (one, "STOPPED"))):
            await backend.acked(await send_again(backend, line))
            if reported is not None:
                await backend.state_change(*reported)
        await backend.acked(await send_again(backend, second))
        await backend.state_change(two, "RUNNING")
        asked = await backend.stop_candidates(await send_again(backend, empty_manifest))
        assert asked == [two]
        await send_again(backend, confirmation)
        await backend.state_change(two, "STOPPED")
        await backend.close(1000)
        await backend.connected(count=2)
        await backend.close(1006)
        await backend.connected(count=3)
    ours = backend.lines()
    assert differences(task_facts(SEQUENCE), task_facts(ours)) == []
    assert differences(answers(SEQUENCE), answers(ours)) == []
    assert connects(ours, "acs") == connects(SEQUENCE, "acs")
    assert not backend.problems


async def test_the_query_says_what_the_recorded_one_says_of_build_and_engine(tmp_path: Path) -> None:
    async with Backend() as backend, joined(tmp_path, backend, runtime=a_runtime()):
        acs = await backend.connected()
        arn = await backend.registered()
    assert acs.query["dockerVersion"] == "DockerVersion: 20.10.24-fake"
    assert acs.query["containerInstanceArn"] == arn


async def test_a_heartbeat_is_answered(tmp_path: Path) -> None:
    async with Backend(heartbeat_s=None) as backend, joined(tmp_path, backend, runtime=a_runtime()):
        await backend.connected()
        message_id = await backend.heartbeat()
        answer = await backend.message("HeartbeatAckRequest", messageId=message_id)
        assert answer.message == {"messageId": message_id}


async def test_a_restart_reports_nothing_twice_and_what_was_missed_once(tmp_path: Path) -> None:
    runtime = a_runtime()
    kept, ends = (a_payload_task(number=number) for number in (1, 2))
    for task in (kept, ends):
        task["containers"][0]["image"] = IMAGE
        task["containers"][0]["name"] = f"of-{task['arn'][-1]}"
    async with Backend() as backend:
        async with joined(tmp_path, backend, runtime=runtime):
            await backend.connected()
            for task in (kept, ends):
                await backend.acked(await backend.push_tasks(task))
            await backend.running(2)
        runtime.kill("of-2", exit_code=9)
        async with joined(tmp_path, backend, runtime=runtime):
            await backend.connected(count=2)
            stopped = await backend.state_change(ends["arn"], "STOPPED")
            message_id = await backend.push_tasks(kept)
            await backend.acked(message_id)
        assert [call.body["status"] for call in backend.state_changes(kept["arn"])] == ["RUNNING"]
        assert [call.body["status"] for call in backend.state_changes(ends["arn"])] == ["RUNNING", "STOPPED"]
        assert [(c["status"], c["exitCode"]) for c in stopped.body["containers"]] == [("STOPPED", 9)]
        assert [query["sendCredentials"] for query in connects(backend.lines(), "acs")] == ["true", "true"]
        assert not backend.problems
