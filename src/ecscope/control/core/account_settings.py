"""Account settings that decide what becomes of a task. How they are set: ``control/api/account_settings.py``.

Source: ECS Developer Guide, "Account settings".
"""

from __future__ import annotations

from ecscope.control.core.state import ControlState

LOG_DRIVER_MODE = "defaultLogDriverMode"
NON_BLOCKING = "non-blocking"
"""What ECS has by default, since June 2025."""


def default_log_driver_mode(state: ControlState) -> str:
    """The mode of ``awslogs`` where a definition names none: the account's, independent of who runs the task."""
    return state.account_settings.get(f"default/{LOG_DRIVER_MODE}", NON_BLOCKING)
