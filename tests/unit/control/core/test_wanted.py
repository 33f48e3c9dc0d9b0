"""What a wanted task needs is what its agent will count."""

from __future__ import annotations

from typing import Any

import pytest

from ecscope.control.core.records import TaskDefinition
from ecscope.model.resources import HostResources
from tests.control_builders import a_task_definition, a_wanted


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
    assert a_wanted(definition=definition).task_role_arn == "arn:t"
    wanted = a_wanted(definition=definition, overrides={"taskRoleArn": "arn:u", "executionRoleArn": "arn:f"})
    assert (wanted.task_role_arn, wanted.execution_role_arn) == ("arn:u", "arn:f")
    assert a_wanted(definition=a_definition(APP)).execution_role_arn == ""
