"""The recorded outcomes on a real engine: for the same payloads ECS is told the same, to the letter."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from pathlib import Path
from typing import Any

import pytest

import dockerengine
from fake_ecs import Backend, a_payload_container, a_payload_task, to_stop
from fake_ecs.facts import TaskFacts, differences, task_facts
from fake_ecs.replay import with_image
from tests.contract.ecs.joined import joined, recording
from tests.session import TEST_PREFIX, containers

OUTCOMES = recording("outcomes-state-changes")
EXPECTED = task_facts(OUTCOMES)
PAYLOADS: dict[str, dict[str, Any]] = {
    line["message"]["tasks"][0]["family"]: line["message"]["tasks"][0]
    for line in OUTCOMES
    if line["kind"] == "acs-out" and line["message"]["tasks"][0]["desiredStatus"] == "RUNNING"
}
CLUSTER = f"{TEST_PREFIX}outcomes"
HELD_PORT = 8080
SETTLED_S = 60.0
"""The drain of a container's news takes 30 s at most, the tries of a pull as long."""


def last_statuses() -> dict[str, tuple[str, int]]:
    """Task ARN → the status that was reported last, and how often that status was reported."""
    found: dict[str, tuple[str, int]] = {}
    for line in OUTCOMES:
        if line["kind"] == "api":
            arn, status = line["body"]["task"], line["body"]["status"]
            found[arn] = (status, found[arn][1] + 1 if arn in found and found[arn][0] == status else 1)
    return found


def as_it_was_recorded(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The words of the recordings' engine, 20.10: newer ones say the same with more in front, and runc with less.

    They were made where ``localhost`` is 127.0.0.1 first; on other hosts it is ::1.
    """
    told = json.dumps(lines)
    told = told.replace("failed to create task for container: failed to create shim", "failed to create shim")
    told = told.replace("dial tcp [::1]:", "dial tcp 127.0.0.1:")
    told = told.replace("error during container init: exec: ", "exec: ")
    return json.loads(re.sub(r"(no such file or directory|not found in \$PATH)(?!: unknown)", r"\1: unknown", told))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.timeout(240)
async def test_the_recorded_outcomes(tmp_path: Path, docker_endpoint: str, sample_image: str) -> None:
    port = free_port()
    as_here = with_image(sample_image)
    holder = a_payload_task(
        a_payload_container("holder", image=sample_image, portMappings=[{"containerPort": 1, "hostPort": port}]),
        number=1,
    )
    first = [task for family, task in PAYLOADS.items() if family not in {"port-conflict", "restarts-once"}]
    conflict, behind = PAYLOADS["port-conflict"], PAYLOADS["restarts-once"]
    conflict = json.loads(json.dumps(conflict).replace(f'"hostPort": {HELD_PORT}', f'"hostPort": {port}'))
    engine = dockerengine.Engine(docker_endpoint.removeprefix("unix://"))
    settings = {"DOCKER_HOST": docker_endpoint}
    last = last_statuses()
    try:
        async with (
            Backend(clusters=[CLUSTER]) as backend,
            joined(tmp_path, backend, cluster=CLUSTER, settings=settings),
        ):
            await backend.connected(timeout_s=30)
            await backend.push_tasks(holder)
            await backend.state_change(holder["arn"], "RUNNING", timeout_s=30)
            for task in first:
                await backend.push_tasks(as_here(task))
            for task in first:
                status, count = last[task["arn"]]
                await backend.state_change(task["arn"], status, count=count, timeout_s=SETTLED_S)
            await backend.push_tasks(as_here(conflict))
            await backend.push_tasks(as_here(behind))
            await asyncio.sleep(1)  # nothing may come of them, and nothing says so
            assert not backend.state_changes(conflict["arn"]) + backend.state_changes(behind["arn"])
            await backend.push_tasks(as_here(to_stop(behind)))
            await backend.state_change(behind["arn"], "STOPPED", timeout_s=30)
            got = {
                arn: facts for arn, facts in task_facts(as_it_was_recorded(backend.lines())).items() if arn in EXPECTED
            }
            await backend.push_tasks(*(as_here(to_stop(task)) for task in (*PAYLOADS.values(), holder)))
            await backend.state_change(holder["arn"], "STOPPED", timeout_s=30)
            assert not backend.problems
    finally:
        for container_id in containers(engine):
            engine.remove_container(container_id)
    expected = {arn: facts for arn, facts in EXPECTED.items() if arn in {task["arn"] for task in PAYLOADS.values()}}
    assert "\n".join(differences(expected, got)) == ""


@pytest.mark.timeout(120)
async def test_the_recorded_stop_of_a_task_with_all_it_can_have(
    tmp_path: Path, docker_endpoint: str, sample_image: str
) -> None:
    stop = next(
        line["message"]["tasks"][0]
        for line in OUTCOMES
        if line["kind"] == "acs-out" and line["message"]["tasks"][0]["family"] == "tmds-sample"
    )
    task = with_image(sample_image)(stop)
    engine = dockerengine.Engine(docker_endpoint.removeprefix("unix://"))
    try:
        async with (
            Backend(clusters=[CLUSTER]) as backend,
            joined(tmp_path, backend, cluster=CLUSTER, settings={"DOCKER_HOST": docker_endpoint}),
        ):
            await backend.connected(timeout_s=30)
            message_id = await backend.push_tasks({**task, "desiredStatus": "RUNNING"})
            ack = await backend.credentials_acked(message_id)
            await backend.state_change(task["arn"], "RUNNING", timeout_s=30)
            message_id = await backend.push_tasks(task)
            again = await backend.credentials_acked(message_id)
            await backend.state_change(task["arn"], "STOPPED", timeout_s=60)
            got = task_facts(backend.lines())[task["arn"]]
            assert not backend.problems
    finally:
        for container_id in containers(engine):
            engine.remove_container(container_id)
    recorded_ack = next(line["message"] for line in OUTCOMES if line.get("type") == "IAMRoleCredentialsAckRequest")
    assert ack.message.keys() == again.message.keys() == recorded_ack.keys()
    for member in ("credentialsId", "expiration"):
        assert again.message[member] == recorded_ack[member]
    assert differences(EXPECTED[task["arn"]], only("STOPPED", got)) == []


def only(status: str, facts: TaskFacts) -> TaskFacts:
    """The part that the recording has of this task: it begins with the stop."""
    return TaskFacts(
        statuses=tuple(found for found in facts.statuses if found == status),
        reasons={status: facts.reasons[status]},
        times={status: facts.times[status]},
        containers={
            name: tuple(fact for fact in told if fact.status == status) for name, told in facts.containers.items()
        },
        oddities=facts.oddities,
    )
