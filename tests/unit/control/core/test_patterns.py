"""Patterns fit what Python's fit, in a time that no pattern can stretch."""

from __future__ import annotations

import re
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecscope.control.core.patterns import LONGEST_VALUE, Pattern, PatternError
from tests.tables import each_row

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


@each_row(
    "pattern, value",
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


@each_row(
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


def test_what_has_more_states_than_can_be_kept_is_matched_all_the_same() -> None:
    """The states of ``(a|b)*a(a|b){n}`` double with each n: RE2 forgets them, and goes on slower."""
    pattern = Pattern("(a|b)*a(a|b){200}")
    value = ("ab" * 500)[:799] + "a" + "b" * 200
    begun_s = time.process_time()
    assert pattern.fits(value)
    assert not pattern.fits(value[1:] + "a" * 2)
    assert time.process_time() - begun_s < 5


@each_row(
    "pattern, value, fits",
    [
        (r"\w+", "ä", False),  # as in Java, \w and \d are of ASCII
        ("(?i)T2.*", "t2.small", True),
        (r"\bt2\b.*", "t2.small", True),
        ("a^b", "ab", False),
        (r"\Qt2.small\E", "t2.small", True),
        (r"[\u0041-\u0043{,2}]+", "ABC{,2}", True),
        (r"[\u0041-\u0043{,2}]+", "0", False),
        (r"\\u0041", r"\u0041", True),
        ("a{,2}", "aa", True),
        (r"a\{,2}", "a{,2}", True),
        ("a.b", "a\nb", False),
        (".{0,300}", "a" * 300, True),
    ],
)
def test_where_it_differs_from_python_and_where_not(pattern: str, value: str, fits: bool) -> None:
    assert Pattern(pattern).fits(value) is fits


@each_row(
    "pattern, problem",
    [
        ("(", r"supported here: missing \): \("),
        ("a{99999999999}", "99999999999 repetitions are too many"),
        ("(?:){2000000000}", "2000000000 repetitions are too many"),
        (r"(a)\1", r"supported here: invalid escape sequence: \\1"),
        ("(?=a)a", r"supported here: invalid perl operator: \(\?="),
        ("a*+", "supported here: bad repetition operator"),
        ("(a{0,1000}){0,1000}", "supported here: invalid repetition size"),
        ("(a{1000}){1000}", "supported here: invalid repetition size"),
        ("((?:){900}){900}", "supported here: invalid repetition size"),
        (".{1000}" * 50, "supported here: pattern too large"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(pattern: str, problem: str) -> None:
    with pytest.raises(PatternError, match=problem):
        Pattern(pattern)


def test_nothing_of_it_is_loaded_before_it_is_needed() -> None:
    """2.8 MB that only the first ``=~`` needs."""
    command = "import sys, ecscope.control.decide; sys.exit('re2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0
