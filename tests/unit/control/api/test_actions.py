"""Every action has one function, and only actions of the model have any."""

from __future__ import annotations

from ecscope.control.api.actions import ACTIONS, Action


def test_actions_are_gathered() -> None:
    assert all(isinstance(action, Action) for action in ACTIONS.values())
