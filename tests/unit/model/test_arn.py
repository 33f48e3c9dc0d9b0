"""ARNs have the long form that ECS gives them, and give back the parts that others show."""

from __future__ import annotations

import pytest

from ecscope.model.arn import cluster_name, container_instance_arn, task_arn, task_id

CLUSTER_ARN = "arn:aws:ecs:us-west-2:012345678910:cluster/prod-a"


@pytest.mark.parametrize("cluster", ["prod-a", CLUSTER_ARN])
def test_a_task_arn_carries_the_cluster_name_whether_a_name_or_an_arn_is_configured(cluster: str) -> None:
    arn = task_arn(region="us-west-2", account="012345678910", cluster=cluster, task_id="0" * 32)
    assert arn == "arn:aws:ecs:us-west-2:012345678910:task/prod-a/" + "0" * 32


@pytest.mark.parametrize("cluster", ["prod-a", CLUSTER_ARN])
def test_a_container_instance_arn_carries_the_cluster_name_too(cluster: str) -> None:
    arn = container_instance_arn(region="eu-west-1", account="012345678910", cluster=cluster, instance_id="a" * 32)
    assert arn == "arn:aws:ecs:eu-west-1:012345678910:container-instance/prod-a/" + "a" * 32


@pytest.mark.parametrize(("cluster", "name"), [("default", "default"), (CLUSTER_ARN, "prod-a"), ("", "")])
def test_a_cluster_is_known_by_its_short_name(cluster: str, name: str) -> None:
    assert cluster_name(cluster) == name


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:ecs:us-west-2:012345678910:task/default/abc123",
        "arn:aws:ecs:us-west-2:012345678910:task/abc123",  # the short form of old accounts
        "abc123",
    ],
)
def test_the_task_id_is_the_last_part_of_any_form(arn: str) -> None:
    assert task_id(arn) == "abc123"
