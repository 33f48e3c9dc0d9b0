"""``eventually``: which errors of a reading mean "not yet"."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import dockerengine
from tests.e2e.agents import eventually


def answers(*given: object) -> Callable[[], object]:
    """A reading that gives or raises one after the other."""
    left = list(given)

    def read() -> object:
        answer = left.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    return read


def test_nobody_answering_and_an_unknown_id_mean_not_yet() -> None:
    gone = dockerengine.EngineError(404, "No such container: 0123")
    read = answers(ConnectionRefusedError(), gone, "no", "yes")
    assert eventually(read, lambda value: value == "yes", "a yes", within_s=5) == "yes"


def test_any_other_refusal_of_the_engine_ends_the_wait() -> None:
    read = answers(dockerengine.EngineError(500, "out of disk"), "yes")
    with pytest.raises(dockerengine.EngineError, match="out of disk"):
        eventually(read, lambda value: value == "yes", "a yes", within_s=5)


def test_a_wait_in_vain_names_the_last_error() -> None:
    gone = dockerengine.EngineError(404, "No such container: 0123")
    with pytest.raises(AssertionError, match=r"a yes did not come within 0 s; .*No such container: 0123"):
        eventually(answers(gone), lambda value: value == "yes", "a yes", within_s=0)
