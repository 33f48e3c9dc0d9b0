"""Pages show every event once, in the order of time, however batches of many streams lie in however many segments."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecscope.control.logs.reading import Event, Query, read_page
from ecscope.control.logs.segments import Pending, Segments
from tests.examples import examples

batches = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.lists(st.integers(0, 60), min_size=1, max_size=8).map(sorted),
    ),
    max_size=12,
)


def opened(folder: str, listed: list[tuple[int, list[int]]], *, roll_every: int = 3) -> Segments:
    segments = Segments(Path(folder), limit_bytes=2**30, warn=pytest.fail)
    segments.open()
    for number, (stream, times) in enumerate(listed):
        if number and number % roll_every == 0:
            segments._roll(segments.listed[-1])
        segments.write([Pending(stream, times, [f"{number}.{at}" for at in range(len(times))], 0)])
    return segments


def whole(segments: Segments, **query: object) -> list[Event]:
    found: list[Event] = []
    after = None
    while True:
        page = read_page(segments, Query(after=after, **query))
        found += page.events
        if page.ends_at is None:
            return found
        assert page.ends_at != after
        after = page.ends_at


@settings(max_examples=examples(25))
@given(batches, st.booleans(), st.integers(1, 5), st.integers(0, 60), st.integers(0, 60), st.sets(st.integers(0, 3)))
def test_all_pages_together_are_what_is_there(
    listed: list[tuple[int, list[int]]], is_forward: bool, limit: int, first: int, last: int, streams: set[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        segments = opened(folder, listed)
        found = whole(
            segments, streams=streams, first_ms=first, last_ms=last, is_forward=is_forward, limit=limit,
        )  # fmt: skip
        segments.close()
    expected = [
        (at, number, index)
        for number, (stream, times) in enumerate(listed)
        for index, at in enumerate(times)
        if stream in streams and first <= at <= last
    ]
    shown = [(event.timestamp_ms, *map(int, event.message.split("."))) for event in found]
    assert shown == sorted(expected, reverse=not is_forward)
    assert [event.position for event in found] == sorted((event.position for event in found), reverse=not is_forward)


def test_a_page_ends_at_a_mebibyte_and_after_much_that_does_not_match() -> None:
    with tempfile.TemporaryDirectory() as folder:
        segments = opened(folder, [])
        for number in range(40):
            segments.write([Pending(1, [number], [f"{number:02d}" + "x" * 1_000_000], 0)])
        page = read_page(segments, Query(streams={1}))
        assert len(page.events) == 1
        none = read_page(segments, Query(streams={1}, matches=lambda message: message.startswith("39")))
        assert none.events == []
        assert none.ends_at is not None
        found = whole(segments, streams={1}, matches=lambda message: message.startswith("39"))
        assert [event.timestamp_ms for event in found] == [39]
        segments.close()


def test_a_segment_that_is_dropped_meanwhile_is_passed_over() -> None:
    with tempfile.TemporaryDirectory() as folder:
        segments = opened(folder, [(1, [1]), (1, [2])], roll_every=1)
        first = segments.listed[0]
        first.path.unlink()
        assert [event.timestamp_ms for event in whole(segments, streams={1})] == [2]
        segments.close()
