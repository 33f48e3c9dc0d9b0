"""How many examples hypothesis draws, in one place: ``ECSCOPE_EXAMPLES=10`` draws ten times as many in every test."""

from __future__ import annotations

import os

from hypothesis import settings

VARIABLE = "ECSCOPE_EXAMPLES"
_USUAL = 100


def examples(number: int) -> int:
    """For ``max_examples`` of a test: ``number`` times the setting, at least one."""
    text = os.environ.get(VARIABLE, "1")
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0 < factor < float("inf"):
        raise ValueError(f"{VARIABLE}={text}: must be a number above 0, such as 10 for ten times as many examples")
    return max(1, round(number * factor))


def load_profile() -> None:
    """For tests that say nothing else: so many examples, and no limit of time for one, as a machine may be busy."""
    settings.register_profile("ecscope", max_examples=examples(_USUAL), deadline=None)
    settings.load_profile("ecscope")
