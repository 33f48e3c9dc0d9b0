"""What follows from a task's network mode, row by row."""

from __future__ import annotations

import pytest

from ecscope.model.network import NetworkMode, network_mode

PROPERTIES = (
    "is_bridge", "publishes_ports", "shares_host_ports", "reserves_host_ports", "has_own_network", "has_task_address",
)  # fmt: skip


@pytest.mark.parametrize(
    ("mode", "true"),
    [
        ("", {"is_bridge", "publishes_ports", "reserves_host_ports", "has_own_network"}),
        ("bridge", {"is_bridge", "publishes_ports", "reserves_host_ports", "has_own_network"}),
        ("host", {"shares_host_ports", "reserves_host_ports"}),
        ("none", {"reserves_host_ports"}),
        ("awsvpc", {"has_own_network", "has_task_address"}),
    ],
)
def test_what_follows_from_a_mode(mode: str, true: set[str]) -> None:
    """engine.md §2.2, §7, §8; agent-protocol.md §5.3."""
    found = network_mode(mode)
    assert found is NetworkMode(mode)
    assert {name for name in PROPERTIES if getattr(found, name)} == true


def test_a_mode_is_named_exactly() -> None:
    assert network_mode(None) is NetworkMode.DEFAULT
    assert network_mode("Bridge") is None
    assert network_mode("default") is None
