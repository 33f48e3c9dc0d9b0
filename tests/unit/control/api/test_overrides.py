"""Overrides are checked, and what is not supported is refused by name."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ecscope.control.api.overrides import overrides_of
from ecscope.control.core.errors import ApiError
from ecscope.control.core.overrides import merged
from tests.control_builders import a_task_definition
from tests.tables import each_row

DEFINITION = a_task_definition()


def app(**members: Any) -> dict[str, Any]:
    return {"containerOverrides": [{"name": "app", **members}]}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),
        ({"cpu": "1 vCPU", "memory": "0.5 GB"}, {"cpu": "1024", "memory": "512"}),
        ({"cpu": "", "taskRoleArn": ""}, {}),
        ({"executionRoleArn": "arn:e", "containerOverrides": []}, {"executionRoleArn": "arn:e"}),
        (app(command=[]), app(command=[])),
    ],
)
def test_what_can_be_overridden_is_kept(given: dict[str, Any], expected: dict[str, Any]) -> None:
    assert overrides_of(given, DEFINITION) == expected


@each_row(
    "given, code, text",
    [
        (
            {"containerOverrides": [{"name": "nope"}]},
            "InvalidParameterException",
            "Override for container named nope is not a container in the TaskDefinition.",
        ),
        ({"containerOverrides": [{}]}, "ClientException", "Container.name should not be null or empty."),
        ({"containerOverrides": [{"name": "app"}] * 2}, "InvalidParameterException", "Two overrides"),
        ({"cpu": "much"}, "ClientException", "Invalid 'cpu' setting for task"),
        (app(memoryReservation=65), "ClientException", "must not be less than memoryReservation"),
        ({"memory": "0"}, "ClientException", "Invalid 'memory' setting for task"),
        ({"inferenceAcceleratorOverrides": [{}]}, "UnsupportedFeatureException", "inferenceAcceleratorOverrides"),
        ({"ephemeralStorage": {"sizeInGiB": 20}}, "ClientException", "ephemeralStorage must be from 21 to 200 GiB"),
        (
            app(environmentFiles=[{"value": "arn:s3"}]),
            "UnsupportedFeatureException",
            "environmentFiles of",
        ),
        (app(resourceRequirements=[{}]), "UnsupportedFeatureException", "resourceRequirements of container app"),
        (app(cpu=-1), "ClientException", "Invalid 'cpu' setting for container 'app'"),
        (app(memory=5), "ClientException", "Invalid 'memory' setting for container 'app'"),
        (app(memoryReservation=-1), "ClientException", "Invalid 'memoryReservation' setting for container 'app'"),
        (app(environment=[{"value": "1"}]), "ClientException", "has no name"),
    ],
)
def test_the_rest_is_refused(given: dict[str, Any], code: str, text: str) -> None:
    with pytest.raises(ApiError) as raised:
        overrides_of(given, DEFINITION)
    assert raised.value.code == code
    assert text in raised.value.message


def test_zeros_override_nothing() -> None:
    """Terraform's ``aws_ecs_task_execution`` sends them for whatever was not written."""
    given = app(command=["true"], cpu=0, memory=0, memoryReservation=0)
    definition = msgspec.structs.replace(
        DEFINITION,
        body={
            **DEFINITION.body,
            "containerDefinitions": [{**DEFINITION.body["containerDefinitions"][0], "cpu": 7, "memory": 64}],
        },
    )
    (container,) = merged(definition.body, overrides_of(given, definition))["containerDefinitions"]
    assert (container["command"], container["cpu"], container["memory"]) == (["true"], 7, 64)
