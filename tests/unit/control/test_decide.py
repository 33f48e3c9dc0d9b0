"""The one door changes nothing it is not asked to."""

from __future__ import annotations

from ecscope.control.core.events import TimePassed
from ecscope.control.core.state import ControlState
from ecscope.control.decide import decide
from tests.control_builders import AT


def test_time_that_passes_over_nothing_changes_nothing() -> None:
    state = ControlState()
    assert decide(state, TimePassed(id="0" * 32, at=AT)).state is state
