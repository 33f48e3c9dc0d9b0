"""Each call of the agent, and each upgrade, answered wrongly or never: tasks run on, and all is told in the end.

The loop is hurried, so what is waited for is the agent's own time-out (agent-protocol.md §2.5, §4.1).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fake_ecs import Backend, a_payload_container, a_payload_task
from fake_ecs.facts import task_facts
from tests.builders import SAMPLE_IMAGE
from tests.contract.ecs.joined import joined
from tests.contract.ecs.test_faults import a_runtime, is_well, nothing_twice, runs, still_runs
from tests.hurried import hurried

Fault = Callable[[Backend, str], None]

FAULTS: dict[str, Fault] = {
    "400": lambda backend, call: backend.fail(
        call, status=400, body=b"Bad Request", content_type="text/plain", times=2
    ),
    "403": lambda backend, call: backend.fail(call, status=403, code="AccessDeniedException", times=2),
    "429": lambda backend, call: backend.fail(call, status=429, body=b"", times=2),
    "500": lambda backend, call: backend.fail(call, status=500, body=b"<html>", content_type="text/html", times=2),
    "time-out": lambda backend, call: backend.hang(call, times=1),
}
each_fault = pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)


@each_fault
@hurried
async def test_the_default_cluster_is_made_all_the_same(tmp_path: Path, fault: Fault) -> None:
    async with Backend(clusters=()) as backend:
        fault(backend, "CreateCluster")
        async with joined(tmp_path, backend, runtime=a_runtime(), cluster=None):
            await is_well(backend, 1)
        assert len(backend.operations.instances) == 1
    nothing_twice(backend)


@each_fault
@pytest.mark.parametrize("call", ["RegisterContainerInstance", "DiscoverPollEndpoint"])
@hurried
async def test_what_ran_before_a_restart_is_taken_up_however_long_the_start_takes(
    tmp_path: Path, call: str, fault: Fault
) -> None:
    async with Backend() as backend:
        runtime = a_runtime()
        async with joined(tmp_path, backend, runtime=runtime):
            arn = await runs(backend, 1)
        fault(backend, call)
        async with joined(tmp_path, backend, runtime=runtime):
            await backend.connected(count=2)
            await is_well(backend, 2)
            still_runs(backend, arn, runtime)
        assert len(backend.operations.instances) == 1
        nothing_twice(backend)


@each_fault
@hurried
async def test_a_report_is_made_until_it_is_taken(tmp_path: Path, fault: Fault) -> None:
    async with Backend() as backend:
        runtime = a_runtime()
        async with joined(tmp_path, backend, runtime=runtime):
            arn = await runs(backend, 1)
            fault(backend, "SubmitTaskStateChange")
            await is_well(backend, 2)
            still_runs(backend, arn, runtime)
        nothing_twice(backend)


@each_fault
@pytest.mark.parametrize("channel", ["ACS", "TCS"])
@hurried
async def test_a_websocket_is_opened_again(tmp_path: Path, channel: str, fault: Fault) -> None:
    async with Backend() as backend:
        runtime = a_runtime()
        async with joined(tmp_path, backend, runtime=runtime):
            await backend.connected(channel.lower())
            arn = await runs(backend, 1)
            fault(backend, channel)
            await backend.close(1000, channel=channel.lower())
            await backend.closed(channel.lower())
            await backend.connected(channel.lower(), count=2)
            await is_well(backend, 2)
            still_runs(backend, arn, runtime)
        nothing_twice(backend)


@each_fault
@hurried
async def test_the_end_is_not_held_up_by_a_drain(tmp_path: Path, fault: Fault) -> None:
    async with Backend() as backend:
        runtime = a_runtime()
        fault(backend, "UpdateContainerInstancesState")
        async with joined(tmp_path, backend, runtime=runtime, settings={"ECSCOPE_DRAIN_ON_SIGTERM": "true"}):
            arn = await runs(backend, 1)
        assert len(backend.calls_of("UpdateContainerInstancesState")) == 1
        async with joined(tmp_path, backend, runtime=runtime):
            await backend.connected(count=2)
            await is_well(backend, 2)
            still_runs(backend, arn, runtime)
        nothing_twice(backend)


@each_fault
@hurried
async def test_an_ecr_login_that_fails_costs_one_task(tmp_path: Path, fault: Fault) -> None:
    async with Backend() as backend:
        backend.operations.ecr["012345678910"] = "AWS:token"
        auth = {
            "type": "ecr",
            "ecrAuthData": {"registryId": "012345678910", "region": backend.region, "endpointOverride": backend.url},
        }
        container = a_payload_container("app", image=SAMPLE_IMAGE, registryAuthentication=auth)
        runtime = a_runtime()
        runtime.add_pullable(SAMPLE_IMAGE)
        async with joined(tmp_path, backend, runtime=runtime, settings={"ECS_IMAGE_PULL_BEHAVIOR": "always"}):
            arn = await runs(backend, 9)
            fault(backend, "GetAuthorizationToken")
            task = a_payload_task(container, number=1)
            await backend.push_tasks(task)
            await backend.call("GetAuthorizationToken")
            await backend.state_change(task["arn"], "STOPPED")
            backend.heal()
            other = a_payload_task(container, number=2)
            await backend.push_tasks(other)
            await backend.state_change(other["arn"], "RUNNING")
            assert all(config.task_arn != task["arn"] for config in runtime.configs.values())
            still_runs(backend, arn, runtime)
        assert not any(facts.oddities for facts in task_facts(backend.lines()).values())
