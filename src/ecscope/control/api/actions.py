"""Which function answers which action, and whether it only reads.

An action that only reads is answered from the published state; every other one goes through the one writer.
"""

from __future__ import annotations

from collections.abc import Mapping

from ecscope.control.api import (
    account_settings,
    agent_calls,
    attributes,
    clusters,
    container_instances,
    execute_command,
    service_deployments,
    services,
    tags,
    task_definitions,
    task_protection,
    tasks,
)
from ecscope.control.api.action import Action, Function

__all__ = ["ACTIONS", "Action", "Function"]


def _gather(*groups: Mapping[str, Action]) -> Mapping[str, Action]:
    actions: dict[str, Action] = {}
    for group in groups:
        assert not actions.keys() & group.keys(), "an action has one function"
        actions.update(group)
    return actions


ACTIONS: Mapping[str, Action] = _gather(
    account_settings.ACTIONS,
    agent_calls.ACTIONS,
    attributes.ACTIONS,
    clusters.ACTIONS,
    container_instances.ACTIONS,
    execute_command.ACTIONS,
    service_deployments.ACTIONS,
    services.ACTIONS,
    tags.ACTIONS,
    task_definitions.ACTIONS,
    task_protection.ACTIONS,
    tasks.ACTIONS,
)
"""By name. Each module of this package has its own ``ACTIONS``."""
