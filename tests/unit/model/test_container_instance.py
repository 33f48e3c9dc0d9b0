"""A container instance is what was configured, also after it was saved."""

from __future__ import annotations

import msgspec

from ecscope.model.container_instance import ContainerInstance


def test_an_instance_keeps_its_cluster_as_configured() -> None:
    instance = ContainerInstance(cluster="arn:aws:ecs:us-west-2:012345678910:cluster/a", arn="x", agent_version="y")
    assert msgspec.json.decode(msgspec.json.encode(instance), type=ContainerInstance) == instance
