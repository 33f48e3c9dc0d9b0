"""Who this instance is, and whose the saved state is: its own, that of another EC2 instance, or of another agent. Pure.

Source: agent-protocol.md §1.4.
"""

from __future__ import annotations

from collections.abc import Mapping

from ecscope.agent.core.state import (
    ATTACHMENTS_KEY,
    AVAILABILITY_ZONE_KEY,
    CLUSTER_KEY,
    EC2_INSTANCE_KEY,
    INACTIVE_KEY,
    INSTANCE_ARN_KEY,
    MANIFEST_SEQUENCE_KEY,
)
from ecscope.model.arn import cluster_name
from ecscope.model.container_instance import ContainerInstance

STANDALONE_ARN_KEY = "container-instance-arn"
"""Under which an agent without a cluster saves the ARN that it made up."""

_OF_THE_INSTANCE = (
    *(CLUSTER_KEY, INSTANCE_ARN_KEY, INACTIVE_KEY, AVAILABILITY_ZONE_KEY),
    *(MANIFEST_SEQUENCE_KEY, ATTACHMENTS_KEY),
)
"""Under which is saved what another instance has no use for."""


class StateOfAnotherAgent(Exception):
    """The saved state cannot be gone on with; the message says whose it is."""


def other_ec2_instance(saved: Mapping[str, str], *, ec2_instance_id: str) -> str:
    """The EC2 instance that saved this state, from whose disk this one was made; ``""``: none but this one.

    ``ec2_instance_id``: this one; ``""``: not on EC2, or not known.
    """
    was = saved.get(EC2_INSTANCE_KEY, "")
    return was if ec2_instance_id and was != ec2_instance_id else ""


def taken_over(*, ec2_instance_id: str) -> dict[str, str]:
    """What to save over the facts of another EC2 instance, together with the removal of its tasks and images.

    Gone as one: a start that ends in between must not find the one's state under the other's name.
    """
    return dict.fromkeys(_OF_THE_INSTANCE, "") | {EC2_INSTANCE_KEY: ec2_instance_id}


def cluster_instance(saved: Mapping[str, str], *, cluster: str, agent_version: str) -> ContainerInstance:
    """The container instance of ``cluster`` that this agent was, or is to become.

    Raises ``StateOfAnotherAgent`` where the state is that of another cluster, or of an agent without one.
    """
    if saved.get(STANDALONE_ARN_KEY):
        raise StateOfAnotherAgent(
            "is that of an agent that ran tasks from files. Set ECS_DATADIR to another directory, or remove that state"
        )
    was = saved.get(CLUSTER_KEY) or cluster
    if cluster != was:
        raise StateOfAnotherAgent(
            f"is that of a container instance of cluster {was}, and this agent is to join {cluster} (ECS_CLUSTER,"
            " --cluster). Set it back, give another data directory, or remove that state to register again"
        )
    return ContainerInstance(
        cluster=cluster,
        arn=saved.get(INSTANCE_ARN_KEY, ""),
        agent_version=agent_version,
        availability_zone=saved.get(AVAILABILITY_ZONE_KEY, ""),
        is_inactive=bool(saved.get(INACTIVE_KEY)),
    )


def standalone_instance(
    saved: Mapping[str, str], *, cluster: str, agent_version: str, fresh_arn: str
) -> ContainerInstance:
    """The instance of an agent without a cluster: as saved, unless the cluster is called otherwise now.

    Raises ``StateOfAnotherAgent`` where the state is that of an agent in a cluster. ``fresh_arn``: for a new instance.
    """
    if saved.get(CLUSTER_KEY):
        raise StateOfAnotherAgent(
            f"is that of an agent that was in cluster {saved[CLUSTER_KEY]}. Set ECS_DATADIR to another directory, or"
            " remove that state"
        )
    arn = saved.get(STANDALONE_ARN_KEY, "")
    if f":container-instance/{cluster_name(cluster)}/" not in arn:
        arn = fresh_arn
    return ContainerInstance(cluster=cluster, arn=arn, agent_version=agent_version)


def to_save(instance: ContainerInstance, *, joins_cluster: bool, ec2_instance_id: str) -> dict[str, str]:
    """The facts that the next start is judged by. What ECS gave is saved when it is registered."""
    facts = {} if joins_cluster else {STANDALONE_ARN_KEY: instance.arn}
    return facts | ({EC2_INSTANCE_KEY: ec2_instance_id} if ec2_instance_id else {})
