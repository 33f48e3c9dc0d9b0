"""Whatever has an ARN can be tagged, and says so in ECS's words when it is not there."""

from __future__ import annotations

import pytest

from ecscope.control.core.errors import ApiError
from ecscope.control.core.records import Record
from tests.control_builders import (
    PREFIX,
    a_cluster,
    a_control_step,
    a_control_task,
    a_service,
    a_task_definition,
    an_instance,
    asked,
)
from tests.tables import each_row

RECORDS = (a_cluster(), a_cluster("other"), a_service(), a_control_task(), an_instance(), a_task_definition())
ARNS = [record.arn for record in (RECORDS[0], *RECORDS[2:]) if hasattr(record, "arn")]
SHORT = [f"{PREFIX}:service/web", f"{PREFIX}:task/{1:032x}", f"{PREFIX}:container-instance/{1:032x}"]


@each_row("arn", [*ARNS, *SHORT])
def test_tags_come_and_go(arn: str) -> None:
    step = a_control_step(*RECORDS)
    assert asked(step, "ListTagsForResource", resourceArn=arn) == {"tags": []}
    tags = [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}]
    assert asked(step, "TagResource", resourceArn=arn, tags=tags) == {}
    assert asked(step, "TagResource", resourceArn=arn, tags=[{"key": "b", "value": "3"}]) == {}
    assert asked(step, "ListTagsForResource", resourceArn=arn)["tags"] == [
        {"key": "a", "value": "1"},
        {"key": "b", "value": "3"},
    ]
    assert asked(step, "UntagResource", resourceArn=arn, tagKeys=["a", "c"]) == {}
    assert asked(step, "ListTagsForResource", resourceArn=arn)["tags"] == [{"key": "b", "value": "3"}]
    records: dict[str, Record] = {}
    for table in step.decision().records.values():
        records.update({key: record for key, record in table.items() if isinstance(record, Record)})
    assert len(records) == 1


@each_row(
    "arn, code, words",
    [
        (f"{PREFIX}:cluster/none", "ClusterNotFoundException", "Cluster not found."),
        (f"{PREFIX}:service/none:1", "ServiceNotFoundException", "Service not found."),
        (f"{PREFIX}:service/none/web", "ServiceNotFoundException", "Service not found."),
        (f"{PREFIX}:task-definition/none:1", "ClientException", "Unable to describe task definition."),
        (f"{PREFIX}:task/default/0", "InvalidParameterException", "The referenced task was not found."),
        (
            f"{PREFIX}:container-instance/default/0",
            "InvalidParameterException",
            "The referenced container instance was not found.",
        ),
        (f"{PREFIX}:capacity-provider/FARGATE", "InvalidParameterException", "have no tags"),
        (f"{PREFIX}:daemon/x", "InvalidParameterException", "'daemon' has no tags"),
        ("web", "InvalidParameterException", "by its ARN"),
    ],
)
def test_what_cannot_be_tagged(arn: str, code: str, words: str) -> None:
    with pytest.raises(ApiError, match=words) as caught:
        asked(a_control_step(*RECORDS), "TagResource", resourceArn=arn, tags=[])
    assert caught.value.code == code


def test_tags_of_aws_stay() -> None:
    step = a_control_step(a_cluster(tags={"aws:x": "1"}))
    with pytest.raises(ApiError, match="cannot be removed"):
        asked(step, "UntagResource", resourceArn=a_cluster().arn, tagKeys=["aws:x"])
