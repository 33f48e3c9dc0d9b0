"""Amounts of host resources compare by content and survive being saved."""

from __future__ import annotations

import msgspec

from ecscope.model.resources import HostResources


def test_an_amount_is_nothing_unless_said() -> None:
    assert HostResources() == HostResources(cpu_units=0, memory_mib=0, ports_tcp=frozenset(), ports_udp=frozenset())


def test_an_amount_is_the_same_after_it_was_saved() -> None:
    amount = HostResources(cpu_units=1024, memory_mib=512, ports_tcp=frozenset({80}), ports_udp=frozenset({53, 54}))
    assert msgspec.json.decode(msgspec.json.encode(amount), type=HostResources) == amount


def test_what_is_added_can_be_taken_away_again() -> None:
    one = HostResources(cpu_units=1, memory_mib=2, ports_tcp=frozenset({80}), ports_udp=frozenset({53}))
    two = HostResources(cpu_units=3, memory_mib=4, ports_tcp=frozenset({81}), ports_udp=frozenset({54}))
    assert one.plus(two).minus(two) == one
