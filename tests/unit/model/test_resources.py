"""Amounts of host resources compare by content and survive being saved."""

from __future__ import annotations

from typing import Any

import msgspec

from ecscope.model.network import NetworkMode
from ecscope.model.resources import ContainerShare, HostResources, Lack, lacks, task_needs
from tests.tables import each_row


def needs_of(**fields: Any) -> HostResources:
    return task_needs(**{"launch_type": "EC2", "network_mode": NetworkMode.BRIDGE, **fields})


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
    assert needs_of(cpu_units=0, memory_mib=0, containers=shares) == HostResources(cpu_units=15, memory_mib=96)
    assert needs_of(cpu_units=256, memory_mib=512, containers=shares) == HostResources(cpu_units=256, memory_mib=512)


def test_a_reservation_counts_instead_of_the_limit() -> None:
    shares = [ContainerShare(memory_mib=64, memory_reservation_mib=16), ContainerShare(memory_mib=32)]
    assert needs_of(cpu_units=0, memory_mib=0, containers=shares).memory_mib == 48


def test_ports_count_when_they_are_asked_for_by_number() -> None:
    shares = [ContainerShare(host_ports=((80, "tcp"), (0, "tcp"))), ContainerShare(host_ports=((53, "udp"),))]
    needs = needs_of(cpu_units=0, memory_mib=0, containers=shares)
    assert needs == HostResources(ports_tcp=frozenset({80}), ports_udp=frozenset({53}))


def test_ports_of_a_network_of_its_own_are_not_the_hosts() -> None:
    share = ContainerShare(cpu_units=1, host_ports=((80, "tcp"),))
    needs = needs_of(network_mode=NetworkMode.AWSVPC, cpu_units=0, memory_mib=0, containers=[share])
    assert needs == HostResources(cpu_units=1)


def test_a_task_on_fargate_takes_nothing_of_an_instance() -> None:
    share = ContainerShare(cpu_units=1, memory_mib=1, host_ports=((80, "tcp"),))
    assert needs_of(launch_type="FARGATE", cpu_units=256, memory_mib=512, containers=[share]) == HostResources()


NEEDS = HostResources(cpu_units=10, memory_mib=10, ports_tcp=frozenset({80}), ports_udp=frozenset({53}))


@each_row(
    "taken, lack",
    [
        (HostResources(), None),
        (HostResources(cpu_units=1), Lack(kind="CPU", needed=10, free=9)),
        (HostResources(memory_mib=11), Lack(kind="MEMORY", needed=10, free=0)),
        (HostResources(ports_tcp=frozenset({80, 1})), Lack(kind="PORTS", protocol="TCP", ports=frozenset({80}))),
        (HostResources(ports_udp=frozenset({53})), Lack(kind="PORTS", protocol="UDP", ports=frozenset({53}))),
        (HostResources(ports_udp=frozenset({80}), ports_tcp=frozenset({53})), None),
    ],
)
def test_what_is_taken_is_lacking(taken: HostResources, lack: Lack | None) -> None:
    host = HostResources(cpu_units=10, memory_mib=10)
    assert list(lacks(NEEDS, host=host, taken=taken)) == ([lack] if lack else [])


def test_a_reserved_port_is_nobodys() -> None:
    host = HostResources(cpu_units=10, memory_mib=10, ports_tcp=frozenset({80}))
    (lack,) = lacks(NEEDS, host=host, taken=HostResources())
    assert lack == Lack(kind="PORTS", protocol="TCP", ports=frozenset({80}), is_reserved=True)
