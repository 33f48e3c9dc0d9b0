"""IDs sort by time, then by acceptance; tokens lead back to them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecscope.control.core.errors import ApiError
from ecscope.control.logs.positions import (
    TIME_SHIFT,
    backward_token,
    base_of,
    before,
    event_id,
    forward_token,
    page_token,
    read_page_token,
    read_token,
    time_of,
)
from tests.examples import examples

places = st.tuples(st.integers(0, 2**43), st.integers(0, 2**39), st.integers(0, 2**31), st.integers(0, 9999))


def position(place: tuple[int, int, int, int]) -> int:
    at, segment, offset, index = place
    return (at << TIME_SHIFT) + base_of(segment, offset) + index


@settings(max_examples=examples(50))
@given(places, places)
def test_ids_sort_as_events_do(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> None:
    assert (event_id(position(one)) < event_id(position(other))) == (one < other)
    assert len(event_id(position(one))) == 56
    assert time_of(position(one)) == one[0]
    assert before(one[0]) < position(one)


@settings(max_examples=examples(20))
@given(places)
def test_tokens_lead_back(place: tuple[int, int, int, int]) -> None:
    at = position(place)
    assert read_token(forward_token(at)) == (True, at)
    assert read_token(backward_token(at)) == (False, at)
    assert read_page_token(page_token(at, is_forward=True)) == (True, at)
    assert read_page_token(page_token(at, is_forward=False)) == (False, at)


@pytest.mark.parametrize("token", ["", "f/1/s", "x/" + "0" * 56 + "/s", "f-1", "f/" + "٣" * 56 + "/s"])
def test_other_tokens_are_invalid(token: str) -> None:
    for read in (read_token, read_page_token):
        with pytest.raises(ApiError, match="The specified nextToken is invalid"):
            read(token)
