"""Amounts of host resources compare by content and survive being saved."""

from __future__ import annotations

import msgspec

from ecscope.model.resources import HostResources


def test_an_amount_is_nothing_unless_said() -> None:
    assert HostResources() == HostResources(cpu_units=0, memory_mib=0, ports_tcp=frozenset(), ports_udp=frozenset())


def test_an_amount_is_the_same_after_it_was_saved() -> None:
    amount = HostResources(cpu_units=1024, memory_mib=512, ports_tcp=frozenset({80}), ports_udp=frozenset({53, 54}))
    assert msgspec.json.decode(msgspec.json.encode(amount), type=HostResources) == amount
