"""A failure reads as a sentence: which call, AWS's code, AWS's words."""

from __future__ import annotations

from tests.builders import a_failure


def test_a_failure_names_the_call_the_code_and_the_words() -> None:
    assert str(a_failure(message="No.")) == "SubmitTaskStateChange: InvalidParameterException: No."


def test_a_failure_without_an_answer_has_no_code() -> None:
    assert str(a_failure(code="", message="connection refused")) == "SubmitTaskStateChange: connection refused"
