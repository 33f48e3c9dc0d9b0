"""The settings, short for one machine or as in ECS."""

from __future__ import annotations

from ecscope.control.core.state import Settings, live_delays


def test_delays_are_short_unless_they_are_to_be_those_of_ecs() -> None:
    short = Settings(region="eu-west-1")
    assert (short.healthy_after_s, short.start_backoff_cap_s) == (5, 60)
    live = live_delays(short)
    assert (live.healthy_after_s, live.start_backoff_cap_s) == (40, 900)
    assert live.region == "eu-west-1"
