"""Whose the saved state is, and who an agent is after it: agent-protocol.md §1.4."""

from __future__ import annotations

import pytest

from ecscope.agent.core.identity import (
    StateOfAnotherAgent,
    cluster_instance,
    other_ec2_instance,
    standalone_instance,
    taken_over,
    to_save,
)
from ecscope.model.container_instance import ContainerInstance

REGISTERED = {
    "registered-cluster": "web",
    "registered-container-instance-arn": "arn:1",
    "availability-zone": "us-west-2a",
    "container-instance-inactive": "yes",
    "acs-manifest-sequence": "7",
    "attachments": "[]",
}
FRESH = "arn:aws:ecs:us-east-1:000000000000:container-instance/web/" + "f" * 32
SAVED = FRESH.replace("f" * 32, "a" * 32)


@pytest.mark.parametrize(
    ("saved", "here", "other"),
    [("", "", ""), ("i-1", "", ""), ("", "i-1", ""), ("i-1", "i-1", ""), ("i-1", "i-2", "i-1")],
    ids=["never on EC2", "not known now", "not known then", "the same", "made from its disk"],
)
def test_the_state_is_that_of_another_ec2_instance_only_when_both_are_known(saved: str, here: str, other: str) -> None:
    assert other_ec2_instance({"ec2-instance-id": saved} if saved else {}, ec2_instance_id=here) == other


def test_nothing_of_another_ec2_instance_is_left() -> None:
    after = REGISTERED | {"ec2-instance-id": "i-1", "agent-version": "x"} | taken_over(ec2_instance_id="i-2")
    assert {key for key, value in after.items() if value} == {"ec2-instance-id", "agent-version"}
    assert other_ec2_instance(after, ec2_instance_id="i-2") == ""
    assert cluster_instance(after, cluster="another", agent_version="v").arn == ""


def test_a_registered_instance_is_who_it_was() -> None:
    assert cluster_instance(REGISTERED, cluster="web", agent_version="v") == ContainerInstance(
        cluster="web", arn="arn:1", agent_version="v", availability_zone="us-west-2a", is_inactive=True
    )


def test_an_instance_that_never_registered_may_join_any_cluster() -> None:
    assert cluster_instance({}, cluster="web", agent_version="v") == ContainerInstance(
        cluster="web", arn="", agent_version="v"
    )


def test_the_state_of_another_cluster_is_refused() -> None:
    with pytest.raises(StateOfAnotherAgent, match=r"of cluster web, and this agent is to join db \(ECS_CLUSTER"):
        cluster_instance(REGISTERED, cluster="db", agent_version="v")


def test_an_agent_with_a_cluster_and_one_without_do_not_take_each_others_state() -> None:
    with pytest.raises(StateOfAnotherAgent, match="an agent that ran tasks from files"):
        cluster_instance({"container-instance-arn": SAVED}, cluster="web", agent_version="v")
    with pytest.raises(StateOfAnotherAgent, match="an agent that was in cluster web"):
        standalone_instance(REGISTERED, cluster="web", agent_version="v", fresh_arn=FRESH)


@pytest.mark.parametrize(
    ("saved", "cluster", "arn"),
    [
        ("", "web", FRESH),
        (SAVED, "web", SAVED),
        (SAVED, "arn:aws:ecs:us-east-1:0:cluster/web", SAVED),
        (SAVED, "db", FRESH),
    ],
    ids=["new", "as saved", "the cluster named by its ARN", "called otherwise now"],
)
def test_a_standalone_instance_keeps_its_arn_while_its_cluster_is_called_the_same(
    saved: str, cluster: str, arn: str
) -> None:
    metadata = {"container-instance-arn": saved} if saved else {}
    instance = standalone_instance(metadata, cluster=cluster, agent_version="v", fresh_arn=FRESH)
    assert instance == ContainerInstance(cluster=cluster, arn=arn, agent_version="v")


def test_what_is_saved_at_a_start_is_what_the_next_is_judged_by() -> None:
    standalone = ContainerInstance(cluster="web", arn=SAVED, agent_version="v")
    facts = to_save(standalone, joins_cluster=False, ec2_instance_id="")
    assert standalone_instance(facts, cluster="web", agent_version="v", fresh_arn=FRESH) == standalone
    registered = ContainerInstance(cluster="web", arn="arn:1", agent_version="v")
    assert to_save(registered, joins_cluster=True, ec2_instance_id="i-1") == {"ec2-instance-id": "i-1"}
    assert to_save(registered, joins_cluster=True, ec2_instance_id="") == {}
