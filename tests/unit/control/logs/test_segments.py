"""What was written outlives the process; the oldest goes when the limit is reached; damage costs what is damaged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ecscope.control.logs.reading import Query, read_page
from ecscope.control.logs.segments import Pending, Segments
from ecscope.owned_files import UnsafeFile

KIB = 1024


@contextmanager
def opened(folder: Path, *, limit: int = 2**30, said: list[str] | None = None) -> Iterator[Segments]:
    segments = Segments(folder, limit_bytes=limit, warn=(said if said is not None else []).append)
    segments.open()
    try:
        yield segments
    finally:
        segments.close()


def batch(stream: int, first: int, *messages: str, ingested: int = 0) -> Pending:
    return Pending(stream, [first + at for at in range(len(messages))], messages, ingested)


def messages(segments: Segments, *streams: int) -> list[str]:
    return [event.message for event in read_page(segments, Query(streams=frozenset(streams))).events]


def fill(segments: Segments, count: int, *, first: int = 0) -> None:
    """A segment holds eight of these."""
    for number in range(first, first + count):
        segments.write([batch(number % 3, number, f"{number}:" + os.urandom(4 * KIB).hex(), ingested=number)])


def test_events_are_there_after_a_restart(tmp_path: Path) -> None:
    with opened(tmp_path) as segments:
        segments.write([batch(1, 10, "a", "b"), batch(2, 11, "c")])
        segments.write([batch(1, 12, "d")])
        spans = dict(segments.spans)
    with opened(tmp_path) as segments:
        assert messages(segments, 1, 2) == ["a", "c", "b", "d"] or messages(segments, 1, 2) == ["a", "b", "c", "d"]
        assert messages(segments, 2) == ["c"]
        assert segments.spans == spans
        segments.write([batch(2, 13, "e")])
        assert messages(segments, 2) == ["c", "e"]


def test_full_segments_have_an_index_and_do_without_it(tmp_path: Path) -> None:
    with opened(tmp_path, limit=1024 * KIB) as segments:
        fill(segments, 40)
        spans, listed = dict(segments.spans), len(segments.listed)
        all_of_them = messages(segments, 0, 1, 2)
    assert listed > 2
    assert len(list(tmp_path.glob("*.idx"))) == listed - 1
    indexes = sorted(tmp_path.glob("*.idx"))
    indexes[0].unlink()
    indexes[1].write_bytes(b"nonsense")
    with opened(tmp_path, limit=1024 * KIB) as segments:
        assert segments.spans == spans
        assert messages(segments, 0, 1, 2) == all_of_them
    assert len(list(tmp_path.glob("*.idx"))) == listed - 1


def test_the_oldest_goes_when_the_limit_is_reached(tmp_path: Path) -> None:
    limit = 256 * KIB
    with opened(tmp_path, limit=limit) as segments:
        fill(segments, 60)
        assert segments.drop_beyond_the_limit() > 0
        assert segments.size <= limit
        assert sum(path.stat().st_size for path in tmp_path.glob("*.log")) == segments.size
        numbers = [int(message.partition(":")[0]) for message in messages(segments, 0, 1, 2)]
        assert numbers == list(range(numbers[0], 60))
        assert numbers[0] > 0
        assert sum(span.count for span in segments.spans.values()) == len(numbers)
        assert segments.drop_beyond_the_limit() == 0


def test_damage_is_said_once_and_the_rest_is_read(tmp_path: Path) -> None:
    with opened(tmp_path) as segments:
        for number in range(5):
            segments.write([batch(1, number, f"message {number}" * 10)])
    (path,) = tmp_path.glob("*.log")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF  # in the middle one
    path.write_bytes(data)
    said: list[str] = []
    with opened(tmp_path, said=said) as segments:
        found = messages(segments, 1)
        assert [text[8] for text in found] == ["0", "1", "3", "4"]
        assert messages(segments, 1) == found
    (sentence,) = said
    assert str(path) in sentence
    assert "is damaged" in sentence


def test_what_a_dying_process_left_half_written_is_overwritten(tmp_path: Path) -> None:
    with opened(tmp_path) as segments:
        segments.write([batch(1, 1, "a")])
        segments.write([batch(1, 2, "b" * 200)])
    (path,) = tmp_path.glob("*.log")
    path.write_bytes(path.read_bytes()[:-3])
    said: list[str] = []
    with opened(tmp_path, said=said) as segments:
        segments.write([batch(1, 2, "c")])
        assert messages(segments, 1) == ["a", "c"]
    with opened(tmp_path, said=said) as segments:
        assert messages(segments, 1) == ["a", "c"]
    assert said == []


def test_a_batch_whose_answer_may_be_lost_is_taken_once(tmp_path: Path) -> None:
    with opened(tmp_path) as segments:
        segments.write([batch(1, 1, "old", ingested=1), batch(1, 2, "new", ingested=100_000)])
        assert segments.write([batch(1, 2, "new")])[0] is not None  # two that are the same, both answered
    with opened(tmp_path) as segments:
        assert segments.write([batch(1, 2, "new", ingested=200_000)]) == [None]
        assert segments.write([batch(1, 2, "other")])[0] is not None
        assert segments.write([batch(1, 2, "new")])[0] is not None  # sent once more: that is another one
        assert segments.write([batch(1, 1, "old")])[0] is not None  # long answered
        assert sorted(messages(segments, 1)) == ["new", "new", "new", "old", "old", "other"]


def test_a_batch_in_the_segment_before_may_not_have_been_answered_either(tmp_path: Path) -> None:
    last = batch(1, 9, os.urandom(70 * KIB).hex())
    with opened(tmp_path, limit=64 * KIB) as segments:
        segments.write([batch(1, 1, "old"), last])
        segments.write([batch(2, 9, "next")])
        assert len(segments.listed) == 2
    with opened(tmp_path, limit=64 * KIB) as segments:
        assert segments.write([last]) == [None]


@pytest.mark.parametrize("failing", ["write", "fdatasync"])
def test_what_cannot_be_written_whole_is_not_there(
    failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = os.write

    def half(fd: int, data: memoryview) -> int:
        if len(data) < 40:
            raise OSError(28, os.strerror(28))
        return written(fd, data[: len(data) // 2])

    def no(fd: int) -> None:
        raise OSError(28, os.strerror(28))

    with opened(tmp_path) as segments:
        segments.write([batch(1, 1, "a")])
        with monkeypatch.context() as patch:
            patch.setattr(os, failing, half if failing == "write" else no)
            with pytest.raises(OSError, match="No space"):
                segments.write([batch(1, 2, "b"), batch(1, 3, "c" * 500)])
        assert messages(segments, 1) == ["a"]
        segments.write([batch(1, 4, "d")])
        assert messages(segments, 1) == ["a", "d"]
    with opened(tmp_path) as segments:
        assert messages(segments, 1) == ["a", "d"]


def test_files_of_others_are_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(UnsafeFile), opened(tmp_path):
        pass
