"""Amounts of host resources compare by content and survive being saved."""

from __future__ import annotations

import msgspec

from ecscope.model.resources import ContainerShare, HostResources, task_needs


def test_an_amount_is_nothing_unless_said() -> None:
    assert HostResources() == HostResources(cpu_units=0, memory_mib=0, ports_tcp=frozenset(), ports_udp=frozenset())


def test_an_amount_is_the_same_after_it_was_saved() -> None:
    amount = HostResources(cpu_units=1024, memory_mib=512, ports_tcp=frozenset({80}), ports_udp=frozenset({53, 54}))
    assert msgspec.json.decode(msgspec.json.encode(amount), type=HostResources) == amount


def test_what_is_added_can_be_taken_away_again() -> None:
    one = HostResources(cpu_units=1, memory_mib=2, ports_tcp=frozenset({80}), ports_udp=frozenset({53}))
    two = HostResources(cpu_units=3, memory_mib=4, ports_tcp=frozenset({81}), ports_udp=frozenset({54}))
    assert one.plus(two).minus(two) == one


def test_a_limit_of_the_task_counts_instead_of_its_containers() -> None:
    shares = [ContainerShare(cpu_units=10, memory_mib=64), ContainerShare(cpu_units=5, memory_mib=32)]
    assert task_needs(cpu_units=0, memory_mib=0, containers=shares) == HostResources(cpu_units=15, memory_mib=96)
    assert task_needs(cpu_units=256, memory_mib=512, containers=shares) == HostResources(cpu_units=256, memory_mib=512)


def test_a_reservation_counts_instead_of_the_limit() -> None:
    shares = [ContainerShare(memory_mib=64, memory_reservation_mib=16), ContainerShare(memory_mib=32)]
    assert task_needs(cpu_units=0, memory_mib=0, containers=shares).memory_mib == 48


def test_ports_count_when_they_are_asked_for_by_number() -> None:
    shares = [ContainerShare(host_ports=((80, "tcp"), (0, "tcp"))), ContainerShare(host_ports=((53, "udp"),))]
    needs = task_needs(cpu_units=0, memory_mib=0, containers=shares)
    assert needs == HostResources(ports_tcp=frozenset({80}), ports_udp=frozenset({53}))
