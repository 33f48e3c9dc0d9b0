"""Amounts of host resources compare by content and survive being saved."""

from __future__ import annotations

import msgspec

from ecscope.model.resources import ContainerInstance, HostResources


def test_an_amount_is_nothing_unless_said() -> None:
    assert HostResources() == HostResources(cpu_units=0, memory_mib=0, ports_tcp=frozenset(), ports_udp=frozenset())


def test_an_amount_is_the_same_after_it_was_saved() -> None:
    amount = HostResources(cpu_units=1024, memory_mib=512, ports_tcp=frozenset({80}), ports_udp=frozenset({53, 54}))
    assert msgspec.json.decode(msgspec.json.encode(amount), type=HostResources) == amount


def test_an_instance_keeps_its_cluster_as_configured() -> None:
    instance = ContainerInstance(cluster="arn:aws:ecs:us-west-2:012345678910:cluster/a", arn="x", agent_version="y")
    assert msgspec.json.decode(msgspec.json.encode(instance), type=ContainerInstance) == instance
