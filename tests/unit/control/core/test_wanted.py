"""What a wanted task needs is what its agent will count."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given, settings

from ecscope.agent.core.host_resources import needs_of
from ecscope.control.core.payloads import payload_task
from ecscope.control.core.records import Task, TaskDefinition
from ecscope.control.core.task_definitions import register
from ecscope.control.core.tasks import start
from ecscope.model.resources import HostResources
from ecscope.wire.acs.payload import PayloadTask
from ecscope.wire.acs.to_task import to_task
from tests.control_builders import AT, a_cluster, a_control_step, a_task_definition, a_wanted, an_instance
from tests.examples import examples


def a_definition(*containers: dict[str, Any], **body: Any) -> TaskDefinition:
    return a_task_definition(body={"containerDefinitions": list(containers), **body})


APP = {"name": "app", "image": "i", "cpu": 10, "memory": 64}
SIDE = {"name": "side", "image": "i", "cpu": 5, "memory": 64, "memoryReservation": 32}
MAPPINGS = [{"containerPort": 80, "hostPort": 8080}, {"containerPort": 53, "hostPort": 0, "protocol": "udp"}]


@pytest.mark.parametrize(
    ("definition", "overrides", "needs"),
    [
        (a_definition(APP, SIDE), {}, HostResources(cpu_units=15, memory_mib=96)),
        (a_definition(APP, cpu="256", memory="512"), {}, HostResources(cpu_units=256, memory_mib=512)),
        (a_definition(APP, cpu="256"), {"cpu": "128", "memory": "32"}, HostResources(cpu_units=128, memory_mib=32)),
        (
            a_definition(APP, SIDE),
            {"containerOverrides": [{"name": "app", "cpu": 1, "memory": 8}, {"name": "side", "memoryReservation": 1}]},
            HostResources(cpu_units=6, memory_mib=9),
        ),
        (
            a_definition({**APP, "portMappings": MAPPINGS}),
            {},
            HostResources(cpu_units=10, memory_mib=64, ports_tcp=frozenset({8080})),
        ),
        (
            a_definition({**APP, "portMappings": MAPPINGS}, networkMode="host"),
            {},
            HostResources(cpu_units=10, memory_mib=64, ports_tcp=frozenset({80}), ports_udp=frozenset({53})),
        ),
        (
            a_definition({**APP, "portMappings": MAPPINGS}, networkMode="awsvpc"),
            {},
            HostResources(cpu_units=10, memory_mib=64),
        ),
    ],
    ids=["containers", "task", "task-overrides", "container-overrides", "ports", "host-ports", "awsvpc"],
)
def test_needs(definition: TaskDefinition, overrides: dict[str, Any], needs: HostResources) -> None:
    assert a_wanted(definition=definition, overrides=overrides).needs() == needs


def test_a_role_of_the_request_wins() -> None:
    definition = a_definition(APP, taskRoleArn="arn:t", executionRoleArn="arn:e")
    assert a_wanted(definition=definition).members.task_role_arn == "arn:t"
    members = a_wanted(definition=definition, overrides={"taskRoleArn": "arn:u", "executionRoleArn": "arn:f"}).members
    assert (members.task_role_arn, members.execution_role_arn) == ("arn:u", "arn:f")
    assert a_wanted(definition=a_definition(APP)).members.execution_role_arn == ""


amounts = st.sampled_from([None, 6, 64, 100])


@st.composite
def some_containers(draw: st.DrawFn, mode: str) -> list[dict[str, Any]]:
    made = []
    for name in ("a", "b")[: draw(st.integers(1, 2))]:
        reservation = draw(amounts)
        container: dict[str, Any] = {"name": name, "image": "i", "memory": draw(st.integers(100, 900))}
        if reservation:
            container["memoryReservation"] = reservation
        if draw(st.booleans()):
            container["cpu"] = draw(st.integers(0, 60))
        port = 80 if name == "a" else 81
        host_port = port if mode == "host" else draw(st.sampled_from([0, 8000 + port]))
        if mode != "none" and draw(st.booleans()):
            protocol = draw(st.sampled_from(["tcp", "udp"]))
            container["portMappings"] = [{"containerPort": port, "hostPort": host_port, "protocol": protocol}]
        made.append(container)
    return made


@given(st.data())
@settings(max_examples=examples(150), deadline=None)
def test_the_agent_counts_the_same(data: st.DataObject) -> None:
    """An instance that is over-committed would queue the task in silence, and every later one behind it."""
    mode = data.draw(st.sampled_from(["bridge", "host", "none"]))
    members: dict[str, Any] = {"containerDefinitions": data.draw(some_containers(mode)), "networkMode": mode}
    members |= data.draw(st.sampled_from([{}, {"cpu": "0.25 vCPU", "memory": "2 GB"}, {"memory": "2048"}]))
    step = a_control_step(a_cluster(), an_instance(resources=HostResources(cpu_units=9999, memory_mib=9999)))
    registered = register(step, {"family": "sample", **members}, {})
    definition = msgspec.structs.replace(registered, requires_attributes=())
    overrides: dict[str, Any] = data.draw(st.sampled_from([{}, {"cpu": "128"}, {"memory": "4096"}]))
    if data.draw(st.booleans()):
        overrides["containerOverrides"] = [
            {"name": "a", "cpu": data.draw(st.integers(1, 99)), "memory": 900, "memoryReservation": 50}
        ]
    task = start(step, a_wanted(definition=definition, overrides=overrides))
    assert isinstance(task, Task)
    payload = msgspec.convert(payload_task(step.decision().state, task), PayloadTask)
    assert needs_of(to_task(payload, suffixes=lambda: "0" * 20, received_at=AT)) == task.needs
