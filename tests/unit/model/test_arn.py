"""ARNs are put together in the long form, and taken apart again."""

import pytest

from ecscope.model import arn

CLUSTER_ARN = "arn:aws:ecs:eu-west-1:111122223333:cluster/prod-a"


@pytest.mark.parametrize("cluster", ["prod-a", CLUSTER_ARN])
def test_arns_carry_the_short_name_of_the_cluster(cluster: str) -> None:
    place = {"region": "eu-west-1", "account": "111122223333", "cluster": cluster}
    assert arn.task_arn(**place, task_id="0a1b") == "arn:aws:ecs:eu-west-1:111122223333:task/prod-a/0a1b"
    assert (
        arn.container_instance_arn(**place, instance_id="0c2d")
        == "arn:aws:ecs:eu-west-1:111122223333:container-instance/prod-a/0c2d"
    )


@pytest.mark.parametrize(("given", "name"), [("prod-a", "prod-a"), (CLUSTER_ARN, "prod-a"), ("", "")])
def test_the_short_name_of_a_cluster(given: str, name: str) -> None:
    assert arn.cluster_name(given) == name


@pytest.mark.parametrize(
    "given",
    ["arn:aws:ecs:us-west-2:012345678910:task/default/0a1b", "arn:aws:ecs:us-west-2:012345678910:task/0a1b", "0a1b"],
)
def test_the_id_of_a_task_in_the_long_the_short_and_no_form(given: str) -> None:
    assert arn.task_id(given) == "0a1b"
