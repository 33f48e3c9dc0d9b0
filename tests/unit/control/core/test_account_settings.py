"""The account's settings decide, else ECS's own defaults."""

from __future__ import annotations

import msgspec

from ecscope.control.core.account_settings import default_log_driver_mode
from ecscope.control.core.restore import restored_state
from ecscope.control.core.state import Settings


def test_the_mode_of_a_log_driver() -> None:
    state = restored_state(settings=Settings())
    assert default_log_driver_mode(state) == "non-blocking"
    chosen = msgspec.structs.replace(state, account_settings={"default/defaultLogDriverMode": "blocking"})
    assert default_log_driver_mode(chosen) == "blocking"
