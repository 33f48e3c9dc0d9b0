"""The newest API version that both know; an engine that is too new is spoken to all the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ecscope.agent.runtime.docker.api_version import OLDEST, ApiVersion, chosen, is_tested, parsed, text_of
from tests.tables import each_row

ENGINES = Path(__file__).parents[4] / "fixtures" / "docker-engine"


@each_row(
    "oldest, newest, spoken, tested",
    [
        ((1, 12), (1, 24), (1, 24), True),
        ((1, 24), (1, 41), (1, 41), True),
        ((1, 45), (1, 51), (1, 51), True),
        ((1, 50), (1, 60), (1, 51), True),
        ((1, 52), (1, 60), (1, 52), False),
        ((2, 0), (2, 3), (2, 0), False),
    ],
)
def test_what_is_spoken_with_an_engine(
    oldest: ApiVersion, newest: ApiVersion, spoken: ApiVersion, tested: bool
) -> None:
    assert chosen(oldest=oldest, newest=newest) == spoken
    assert is_tested(spoken) is tested


def test_an_engine_can_be_too_old() -> None:
    assert chosen(oldest=(1, 12), newest=(OLDEST[0], OLDEST[1] - 1)) is None


@pytest.mark.parametrize(("engine", "spoken"), [("20.10.24", "1.41"), ("26.1.5", "1.45"), ("28.5.2", "1.51")])
def test_the_engines_that_are_tested_are_spoken_to_in_their_newest(engine: str, spoken: str) -> None:
    version = json.loads((ENGINES / engine / "version.json").read_text())
    found = chosen(oldest=parsed(version["MinAPIVersion"]), newest=parsed(version["ApiVersion"]))
    assert found is not None
    assert text_of(found) == spoken
    assert is_tested(found)


@pytest.mark.parametrize("text", ["", "new", "1", "1.x"])
def test_what_is_no_version(text: str) -> None:
    with pytest.raises(ValueError):
        parsed(text)
