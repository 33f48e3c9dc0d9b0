"""Lines come out whole, however the bytes are cut."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ecscope.agent.runtime.docker.lines import LineSplitter


def test_a_line_is_given_when_it_is_complete() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"one\ntw") == [b"one"]
    assert splitter.feed(b"o") == []
    assert splitter.feed(b"\r\n\n\nthree\n") == [b"two", b"three"]
    assert splitter.close() == []


def test_what_is_left_comes_at_the_end() -> None:
    splitter = LineSplitter()
    splitter.feed(b"one\nrest")
    assert splitter.close() == [b"rest"]
    assert splitter.close() == []


@given(st.binary(max_size=200), st.lists(st.integers(0, 200)))
def test_cuts_change_nothing(data: bytes, cuts: list[int]) -> None:
    whole = LineSplitter()
    expected = whole.feed(data) + whole.close()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    splitter = LineSplitter()
    found = [line for a, b in pairwise(edges) for line in splitter.feed(data[a:b])]
    assert found + splitter.close() == expected
