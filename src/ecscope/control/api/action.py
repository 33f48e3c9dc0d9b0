"""What an action of the API is: a function of a step and a checked request.

Source: control-plane.md §3.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ecscope.control.core.records import Json
from ecscope.control.core.step import Step

Function = Callable[[Step, Json], Json]
"""Takes the checked input and gives the output, or raises ``ApiError``; a reader leaves the step as it is."""


class Action(msgspec.Struct, frozen=True):
    """One action of the API."""

    function: Function
    is_reader: bool = False
