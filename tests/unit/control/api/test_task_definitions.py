"""Task definitions are registered, found, listed in order, and go away in steps."""

from __future__ import annotations

from typing import Any

import pytest

from ecscope.control.core.errors import ApiError
from ecscope.control.core.step import Step
from tests.control_builders import AT, PREFIX, PRINCIPAL, a_control_step, asked

CONTAINERS = [{"name": "app", "image": "busybox", "memory": 64}]
TAGS = [{"key": "a", "value": "1"}]


def registered(step: Step, family: str = "sample", **members: Any) -> Any:
    return asked(step, "RegisterTaskDefinition", family=family, containerDefinitions=CONTAINERS, **members)


def arns(step: Step, **body: Any) -> list[str]:
    found: list[str] = asked(step, "ListTaskDefinitions", **body)["taskDefinitionArns"]
    return [arn.removeprefix(f"{PREFIX}:task-definition/") for arn in found]


def test_a_definition_is_registered_and_described() -> None:
    step = a_control_step()
    answer = registered(step, tags=TAGS)
    definition = answer["taskDefinition"]
    assert answer["tags"] == TAGS
    assert definition["taskDefinitionArn"] == f"{PREFIX}:task-definition/sample:1"
    assert (definition["family"], definition["revision"], definition["status"]) == ("sample", 1, "ACTIVE")
    assert definition["requiresAttributes"] == [{"name": "com.amazonaws.ecs.capability.docker-remote-api.1.17"}]
    assert definition["compatibilities"] == ["EC2", "EXTERNAL"]
    assert (definition["registeredAt"], definition["registeredBy"]) == (AT.timestamp(), PRINCIPAL)
    assert definition["volumes"] == definition["placementConstraints"] == []
    assert not {"cpu", "memory", "networkMode", "requiresCompatibilities", "tags", "deregisteredAt"} & set(definition)
    described = asked(step, "DescribeTaskDefinition", taskDefinition="sample", include=["TAGS"])
    assert described == answer
    assert asked(step, "DescribeTaskDefinition", taskDefinition="sample:1")["tags"] == []


def test_a_definition_is_not_found() -> None:
    with pytest.raises(ApiError, match=r"^Unable to describe task definition\.$") as caught:
        asked(a_control_step(), "DescribeTaskDefinition", taskDefinition="sample")
    assert caught.value.code == "ClientException"


def test_a_definition_goes_away_in_steps() -> None:
    step = a_control_step()
    registered(step)
    registered(step)
    gone = asked(step, "DeregisterTaskDefinition", taskDefinition="sample:2")["taskDefinition"]
    assert (gone["status"], gone["deregisteredAt"]) == ("INACTIVE", AT.timestamp())
    assert asked(step, "DeregisterTaskDefinition", taskDefinition="sample:2")["taskDefinition"] == gone
    assert asked(step, "DescribeTaskDefinition", taskDefinition="sample")["taskDefinition"]["revision"] == 1
    answer = asked(step, "DeleteTaskDefinitions", taskDefinitions=["sample:2"])
    assert [each["status"] for each in answer["taskDefinitions"]] == ["DELETE_IN_PROGRESS"]
    assert answer["taskDefinitions"][0]["deleteRequestedAt"] == AT.timestamp()
    assert asked(step, "DeleteTaskDefinitions", taskDefinitions=["sample:2"]) == answer
    with pytest.raises(ApiError, match="being deleted"):
        asked(step, "DeregisterTaskDefinition", taskDefinition="sample:2")
    assert registered(step)["taskDefinition"]["revision"] == 3
    assert arns(step, status="DELETE_IN_PROGRESS") == ["sample:2"]


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("sample", "Revision is missing."),
        ("sample:foo", "Invalid revision number. Number: foo"),
        ("sample:1", "Unable to describe task definition."),
    ],
)
def test_only_a_revision_is_deregistered(reference: str, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        asked(a_control_step(), "DeregisterTaskDefinition", taskDefinition=reference)
    assert caught.value.message == message


def test_what_cannot_be_deleted_is_told() -> None:
    step = a_control_step()
    arn = registered(step)["taskDefinition"]["taskDefinitionArn"]
    answer = asked(step, "DeleteTaskDefinitions", taskDefinitions=["sample:1", "sample", "sample:9"])
    assert answer["taskDefinitions"] == []
    assert answer["failures"] == [
        {
            "arn": arn,
            "reason": "The specified task definition is still in ACTIVE status."
            " Please deregister the target and try again.",
        },
        {
            "arn": "sample",
            "reason": "The specified task definition identifier is invalid. Specify a valid name or ARN and try again.",
        },
        {
            "arn": "sample:9",
            "reason": "The specified task definition does not exist."
            " Specify a valid account, family, revision and try again.",
        },
    ]
    with pytest.raises(ApiError, match="from 1 to 10"):
        asked(step, "DeleteTaskDefinitions", taskDefinitions=["sample:1"] * 11)


def test_definitions_are_listed_by_family_and_revision() -> None:
    step = a_control_step()
    for _ in range(11):
        registered(step, "b")
    registered(step, "ab")
    asked(step, "DeregisterTaskDefinition", taskDefinition="b:1")
    ordered = ["ab:1", *(f"b:{number}" for number in range(2, 12))]
    assert arns(step) == ordered
    assert arns(step, sort="DESC") == ordered[::-1]
    assert arns(step, familyPrefix="b", maxResults=2) == ["b:2", "b:3"]
    assert arns(step, familyPrefix="a") == []
    assert arns(step, status="INACTIVE") == ["b:1"]


def test_families_are_listed() -> None:
    step = a_control_step()
    for family in ("web", "batch", "old"):
        registered(step, family)
    asked(step, "DeregisterTaskDefinition", taskDefinition="old:1")

    def families(**body: Any) -> Any:
        return asked(step, "ListTaskDefinitionFamilies", **body)["families"]

    assert families() == ["batch", "web"]
    assert families(status="INACTIVE") == ["old"]
    assert families(status="ALL") == ["batch", "old", "web"]
    assert families(familyPrefix="w") == ["web"]
