"""What Docker's log driver is told: ECS's prefix becomes a stream, and what is not given has ECS's default."""

from __future__ import annotations

import msgspec

from ecscope.taskdefinition.definition import ContainerDefinition
from ecscope.taskdefinition.log_options import LogDefaults, log_options
from tests.tables import each_row

ARN = "arn:aws:ecs:eu-west-1:1:task/default/0123"
GROUP = {"awslogs-group": "g"}


@each_row(
    "driver, given, told",
    [
        ("awslogs", GROUP, {**GROUP, "awslogs-region": "r", "mode": "non-blocking"}),
        (
            "awslogs",
            {
                **GROUP,
                "awslogs-stream-prefix": "p",
                "mode": "blocking",
                "awslogs-region": "x",
                "awslogs-create-group": "true",
            },
            {
                **GROUP,
                "awslogs-stream": "p/web/0123",
                "mode": "blocking",
                "awslogs-region": "x",
                "awslogs-create-group": "true",
            },
        ),
        ("json-file", {"awslogs-stream-prefix": "p"}, {"awslogs-stream-prefix": "p"}),
    ],
)
def test_options(driver: str, given: dict[str, str], told: dict[str, str]) -> None:
    written = {"name": "web", "image": "x", "logConfiguration": {"logDriver": driver, "options": given}}
    container = msgspec.convert(written, ContainerDefinition)
    assert log_options(container, task_arn=ARN, defaults=LogDefaults(region="r", mode="non-blocking")) == told


def test_no_log_configuration_has_none() -> None:
    assert log_options(ContainerDefinition(name="web", image="x"), task_arn=ARN, defaults=LogDefaults(mode="x")) == {}
