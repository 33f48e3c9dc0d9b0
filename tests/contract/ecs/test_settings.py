"""What an operator sets, and what only time brings, as ECS and the log see it."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from fake_ecs import Backend, a_payload_container, a_payload_task
from tests.contract.ecs.joined import joined
from tests.contract.ecs.test_faults import a_runtime, is_well, nothing_twice
from tests.contract.ecs.test_gate import opened, reason
from tests.hurried import hurried

A_MINUTE_S = 60


async def runs(backend: Backend, task: dict[str, Any]) -> None:
    await backend.acked(await backend.push_tasks(task))
    await backend.state_change(task["arn"], "RUNNING")


async def test_tags_and_attributes_of_the_instance(tmp_path: Path) -> None:
    """Attributes of one's own go along once: later they are ECS's to change (agent-protocol.md §3.2)."""
    settings = {
        "ECS_CONTAINER_INSTANCE_TAGS": '{"team": "web", "env": "test"}',
        "ECS_INSTANCE_ATTRIBUTES": '{"rack": "7"}',
    }
    async with Backend() as backend:
        for count in (1, 2):
            async with joined(tmp_path, backend, runtime=a_runtime(), settings=settings):
                await backend.connected(count=count)
        first, again = (call.body for call in backend.calls_of("RegisterContainerInstance"))
        assert not backend.problems
    assert {tag["key"]: tag["value"] for tag in first["tags"]} == {"team": "web", "env": "test"}
    assert first["attributes"][0] == {"name": "rack", "value": "7"}
    assert "rack" not in {attribute["name"] for attribute in again["attributes"]}


@hurried
async def test_without_metrics_the_instance_counts_as_idle_and_telemetry_is_open(tmp_path: Path) -> None:
    task = a_payload_task(number=1)
    settings = {"ECS_DISABLE_METRICS": "true"}
    async with Backend() as backend, joined(tmp_path, backend, runtime=a_runtime(), settings=settings):
        await backend.connected("tcs")
        await runs(backend, task)
        await asyncio.sleep(1.2 * A_MINUTE_S)
        told = [frame.message for frame in backend.tcs_in if frame.type == "PublishMetricsRequest"]
        assert len(told) > 2
        assert all(message["metadata"]["idle"] and "taskMetrics" not in message for message in told)
        assert not backend.problems


@hurried
async def test_news_of_a_container_goes_by_itself_after_half_a_minute(tmp_path: Path) -> None:
    """No state change of its task takes it along (agent-protocol.md §3.5)."""
    task = a_payload_task(a_payload_container("app"), a_payload_container("beside", essential=False), number=1)
    runtime = a_runtime()
    async with Backend() as backend, joined(tmp_path, backend, runtime=runtime):
        await runs(backend, task)
        runtime.kill("beside", exit_code=4)
        await asyncio.sleep(5)
        assert len(backend.state_changes(task["arn"])) == 1
        drained = await backend.state_change(task["arn"], "RUNNING", count=2)
        assert [(c["containerName"], c["status"], c["exitCode"]) for c in drained.body["containers"]] == [
            ("beside", "STOPPED", 4)
        ]
        await is_well(backend, 2)
    nothing_twice(backend)


@hurried
async def test_the_log_tells_once_what_keeps_the_instance_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with Backend() as backend:
        backend.deny("ecs:RegisterContainerInstance")
        async with joined(tmp_path, backend, runtime=a_runtime()) as agent:
            await reason(agent, "AccessDenied")
            await asyncio.sleep(1.5 * A_MINUTE_S)
            tries = len(backend.calls_of("RegisterContainerInstance"))
            backend.allow()
            await opened(agent)
    assert tries > 5
    assert len([r for r in caplog.records if "AWS denies ecs:RegisterContainerInstance" in r.getMessage()]) == 1
