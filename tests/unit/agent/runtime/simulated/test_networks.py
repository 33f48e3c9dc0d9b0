"""Networks of a simulated engine do not overlap, and are kept while a container is connected to them."""

from __future__ import annotations

import msgspec
import pytest

from ecscope.agent.runtime.interface import NetworkSpec, RuntimeFailure
from ecscope.agent.runtime.simulated.networks import Networks
from ecscope.model.arn import DockerId

SPEC = NetworkSpec(name="a", bridge="a", subnet="10.0.0.0/20", gateway="10.0.0.1", labels={})
replace = msgspec.structs.replace


def test_from_create_to_removal() -> None:
    networks = Networks()
    assert networks.create(SPEC)
    assert not networks.create(SPEC)
    assert networks.subnets == {"a": ("10.0.0.0/20",)}
    with pytest.raises(RuntimeFailure, match="has the subnet"):
        networks.create(replace(SPEC, subnet="10.1.0.0/20"))
    with pytest.raises(RuntimeFailure, match="Pool overlaps"):
        networks.create(replace(SPEC, name="b", subnet="10.0.8.0/24"))
    with pytest.raises(RuntimeFailure, match="active endpoints"):
        networks.remove("a", users=[DockerId("d")])
    networks.remove("a", users=[])
    networks.remove("a", users=[])
    assert "a" not in networks
