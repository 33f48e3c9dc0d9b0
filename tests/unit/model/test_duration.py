"""Durations are read and written as Go does, over the whole range and for every wrong form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecscope.model.duration import format_go_duration, parse_go_duration
from tests.tables import each_row


@each_row(
    "text, seconds",
    [
        ("0", 0.0),
        ("0s", 0.0),
        ("300ms", 0.3),
        ("10s", 10.0),
        ("1m30s", 90.0),
        ("3h", 10800.0),
        ("1h0m1s", 3601.0),
        ("1.5h", 5400.0),
        (".5s", 0.5),
        ("1.s", 1.0),
        ("-1m", -60.0),
        ("+2s", 2.0),
        ("3us", 3e-6),
        ("3µs", 3e-6),
        ("3μs", 3e-6),
        ("7ns", 7e-9),
        ("30s1m", 90.0),
        ("0000000000000000001s", 1.0),
        ("2562047h47m16.854775807s", 9223372036.854775807),
    ],
)
def test_go_forms_are_read(text: str, seconds: float) -> None:
    assert parse_go_duration(text) == pytest.approx(seconds, rel=1e-12)


@each_row(
    "text",
    ["", "10", "s", ".s", "-", "+", "1 s", " 1s", "1s ", "1d", "1m30", "1,5s", "1..5s", "--1s", "2562047h47m17s"],
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as 300ms, 10s, 1m30s or 3h"):
        parse_go_duration(text)


def test_a_number_of_absurd_length_is_refused() -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_go_duration("9" * 5000 + "s")


@each_row(
    "seconds, text",
    [
        (0, "0s"),
        (180, "3m0s"),
        (240, "4m0s"),
        (10800, "3h0m0s"),
        (7200.5, "2h0m0.5s"),
        (1, "1s"),
        (1.5, "1.5s"),
        (0.3, "300ms"),
        (0.0015, "1.5ms"),
        (0.000001, "1µs"),
        (7e-9, "7ns"),
        (-90, "-1m30s"),
        (60, "1m0s"),
        (59.999999999, "59.999999999s"),
    ],
)
def test_go_forms_are_written(seconds: float, text: str) -> None:
    assert format_go_duration(seconds) == text


@given(st.integers(min_value=-(2**50), max_value=2**50))
def test_what_is_written_is_read_back(nanoseconds: int) -> None:
    seconds = nanoseconds / 1_000_000_000
    assert parse_go_duration(format_go_duration(seconds)) == seconds
