"""What goes over the TCS, signed frame by signed frame, has the form of the recorded messages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import dockerengine
from fake_ecs import Backend, a_payload_container, a_payload_task
from fake_ecs.facts import connects
from tests.contract.ecs.joined import joined, recording
from tests.session import TEST_PREFIX, containers
from tests.simulated_knobs import FakeRuntime

SAMPLES = recording("tcs-samples")
SEQUENCE = recording("sequence-start-to-stop")
NEXT_PUBLISH_S = 60.0
"""Metrics and health go every 20 s; a container needs two samples first."""


def recorded(kind: str, **members: object) -> Mapping[str, Any]:
    """The first recorded message of a type whose metadata are as given."""
    return next(
        line["message"]
        for line in SAMPLES
        if line["type"] == kind and all(line["message"]["metadata"].get(k) == v for k, v in members.items())
    )


def shape(value: Any) -> Any:
    """The members and the types of a message; of a list, of its first entry. A whole number is a number."""
    match value:
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case Mapping():
            return {name: shape(found) for name, found in sorted(value.items())}
        case list():
            return [shape(found) for found in value[:1]]
        case _:
            return type(value).__name__


def milliseconds(moment: float) -> bool:
    """Epoch seconds with at most three digits after the point."""
    return re.fullmatch(r"\d{10}(\.\d{1,3})?", str(moment)) is not None


async def test_an_idle_instance_says_so_at_once(tmp_path: Path) -> None:
    async with Backend(heartbeat_s=None) as backend, joined(tmp_path, backend, runtime=FakeRuntime()):
        connect = await backend.connected("tcs")
        frame = await backend.message("PublishMetricsRequest", channel="tcs")
        arn = await backend.registered()
    assert shape(frame.message) == shape(recorded("PublishMetricsRequest", idle=True))
    assert (frame.message["metadata"]["idle"], frame.message["metadata"]["fin"]) == (True, True)
    assert milliseconds(frame.message["timestamp"])
    assert frame.signed_headers == next(line["signed_headers"] for line in SAMPLES)
    assert connect.query["dockerVersion"] == "20.10.24-fake"
    assert connect.query["containerInstance"] == frame.message["metadata"]["containerInstance"] == arn
    assert connects(backend.lines(), "tcs") == connects(SEQUENCE, "tcs")
    assert not backend.problems


@pytest.mark.timeout(180)
async def test_what_runs_is_measured_and_its_health_told(
    tmp_path: Path, docker_endpoint: str, sample_image: str
) -> None:
    cluster = f"{TEST_PREFIX}telemetry"
    check = {"Test": ["CMD-SHELL", "exit 0"], "Interval": 2000000000, "Timeout": 1000000000, "Retries": 2}
    task = a_payload_task(
        a_payload_container("app", image=sample_image, config={"Healthcheck": check}, healthCheckType="docker"),
        family="tmds-sample",
        version="3",
    )
    engine = dockerengine.Engine(docker_endpoint.removeprefix("unix://"))
    try:
        async with (
            Backend(clusters=[cluster]) as backend,
            joined(tmp_path, backend, cluster=cluster, settings={"DOCKER_HOST": docker_endpoint}),
        ):
            await backend.connected("tcs")
            await backend.push_tasks(task)
            await backend.state_change(task["arn"], "RUNNING")

            def measured() -> Mapping[str, Any] | None:
                found = [f.message for f in backend.tcs_in if f.message.get("taskMetrics")]
                return found[0] if found else None

            metrics = await backend.journal.wait(measured, "metrics of the task", NEXT_PUBLISH_S)

            def healthy() -> Mapping[str, Any] | None:
                found = [f.message for f in backend.tcs_in if f.type == "PublishHealthRequest"]
                told = [m for m in found if m["tasks"][0]["containers"][0]["healthStatus"] == "HEALTHY"]
                return told[0] if told else None

            health = await backend.journal.wait(healthy, "health of the task", NEXT_PUBLISH_S)
            status = await backend.message("PublishInstanceStatusRequest", channel="tcs", timeout_s=NEXT_PUBLISH_S)
            assert not backend.problems
    finally:
        for container_id in containers(engine):
            engine.remove_container(container_id)
    expected = shape(recorded("PublishMetricsRequest", idle=False))
    assert shape(metrics) == expected
    told = metrics["taskMetrics"][0]
    assert (told["taskArn"], told["taskDefinitionFamily"], told["taskDefinitionVersion"]) == (
        task["arn"],
        "tmds-sample",
        "3",
    )
    assert shape(health) == shape(recorded("PublishHealthRequest"))
    assert milliseconds(health["tasks"][0]["containers"][0]["statusSince"])
    assert shape(status.message) == shape(recorded("PublishInstanceStatusRequest"))
    assert status.message["statuses"][0]["type"] == "ContainerRuntime"
