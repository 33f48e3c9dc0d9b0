"""Patterns fit what Python's fit, in a time that no pattern can stretch."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecscope.control.core.patterns import LONGEST_VALUE, Pattern, PatternError

_ATOMS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\d", r"\.", "(?:)", "[]a]", "{", "1"])
_TIMES = st.sampled_from(["*", "+", "?", "*?", "{2}", "{1,}", "{,2}", "{0,2}", "{2,3}", "{0}"])
PATTERNS = st.recursive(
    _ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("|".join),
        inner.map("({})".format),
        st.tuples(inner.map("(?:{})".format), _TIMES).map("".join),
    ),
    max_leaves=8,
)


@given(pattern=PATTERNS, value=st.text("ab.1{", max_size=8))
def test_a_pattern_fits_what_pythons_fits(pattern: str, value: str) -> None:
    assert Pattern(pattern).fits(value) is (re.fullmatch(pattern, value) is not None)


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        (r"^t2\..*$", "t2.small"),
        (r"(t2|m5)\.(small|2?xlarge)", "m5.2xlarge"),
        (r"\w+-\d{1,3}", "rack-12"),
        (r"\x41\u0042", "AB"),
        (r"[\]]", "]"),
        ("", ""),
        ("$", ""),
        ("a{", "a{"),
        ("a{}", "a{}"),
        ("ä+", "ää"),
    ],
)
def test_these_fit(pattern: str, value: str) -> None:
    assert Pattern(pattern).fits(value)
    assert not Pattern(pattern).fits(value + "\n")


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+b", "(a|a)*b", "(a*)*b", "a?" * 100 + "a" * 100 + "b", "a*" * 90 + "b", "(.*)*(.*)*(.*)*b", ".*" * 40 + "b"],
)
def test_no_pattern_takes_long(pattern: str) -> None:
    begun_s = time.process_time()
    assert not Pattern(pattern).fits("a" * LONGEST_VALUE)
    assert time.process_time() - begun_s < 5  # Python's own would take years


def test_a_value_beyond_all_measure_fits_nothing() -> None:
    assert Pattern("a*").fits("a" * LONGEST_VALUE)
    assert not Pattern("a*").fits("a" * (LONGEST_VALUE + 1))


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("(", "is no regular expression"),
        ("a{99999999999}", "is no regular expression"),
        (r"(a)\1", r"has \\1, which is not known here"),
        (r"a\b", r"has \\b, which"),
        ("a^b", r"has \^b, which"),
        ("a$b", r"has \$b, which"),
        ("(?=a)a", r"has \(\?=a…, and of these only"),
        ("(?i)a", "has"),
        ("a*+", "possessive"),
        ("(a{0,1000}){0,1000}", "too many ways"),
        ("(a{1000}){1000}", "too many ways"),
        ("(?:){2000000000}", "too many ways"),
        ("((?:){9000}){9000}", "too many ways"),
        ("(" * 900 + "a" + ")" * 900, "is no regular expression"),
        (".{0,300}", "too many ways"),
    ],
)
def test_what_cannot_be_followed_is_refused_by_name(pattern: str, problem: str) -> None:
    with pytest.raises(PatternError, match=problem):
        Pattern(pattern)
