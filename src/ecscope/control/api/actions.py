"""Which function answers which action, and whether it only reads.

An action that only reads is answered from the published state; every other one goes through the one writer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from ecscope.control.core.records import Json
from ecscope.control.core.step import Step

Function = Callable[[Step, Json], Json]
"""Takes the checked input and gives the output, or raises ``ApiError``; a reader leaves the step as it is."""


class Action(msgspec.Struct, frozen=True):
    """One action of the API."""

    function: Function
    is_reader: bool = False


def _gather(*groups: Mapping[str, Action]) -> Mapping[str, Action]:
    actions: dict[str, Action] = {}
    for group in groups:
        assert not actions.keys() & group.keys(), "an action has one function"
        actions.update(group)
    return actions


ACTIONS: Mapping[str, Action] = _gather()
"""By name. Each module of this package has its own ``ACTIONS``."""
