"""The state of the agent is one frozen value that survives being encoded."""

from __future__ import annotations

import msgspec
import pytest

from ecscope.agent.core.state import AgentState, PullBehavior, Settings
from tests.builders import a_container, a_task, a_volume
from tests.unit.agent.core.scenes import running
from tests.world import INSTANCE


def test_a_busy_state_is_the_same_after_it_was_encoded() -> None:
    world = running(a_task(a_container("web"), a_container("db"), volumes=(a_volume(docker_name="ecs-data"),)))
    assert msgspec.json.decode(msgspec.json.encode(world.state), type=AgentState) == world.state


def test_a_state_is_replaced_and_never_changed() -> None:
    with pytest.raises(AttributeError):
        AgentState(instance=INSTANCE).reconciled = True  # type: ignore[misc]


def test_pull_behaviors_are_spelled_as_in_the_configuration() -> None:
    """engine.md §4.1."""
    assert [b.value for b in PullBehavior] == ["default", "always", "once", "prefer-cached"]


def test_defaults_are_the_official_ones() -> None:
    """engine.md §2.1, §3.1, §11 and §14."""
    settings = Settings()
    assert settings.pull_behavior is PullBehavior.DEFAULT
    assert settings.stop_timeout_s == 30
    assert settings.cleanup_wait_s == 3 * 3600
    assert (settings.steady_check_s, settings.steady_check_jitter_s) == (300, 30)
    assert settings.image_cleanup_interval_s == 30 * 60
    assert settings.image_minimum_age_s == 3600
    assert settings.images_per_cycle == 5
