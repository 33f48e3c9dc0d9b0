"""The host's address on a bridge is what its containers are given."""

from __future__ import annotations

from ecscope.agent.servers.bridge import address_of


def test_the_kernel_is_asked() -> None:
    assert address_of("lo") == "127.0.0.1"
    assert address_of("none-such") == ""
