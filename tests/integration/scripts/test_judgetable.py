"""The table of the judges: a run replaces the rows of what it ran, and what is NOT RUN overwrites no result."""

from __future__ import annotations

import pytest

import judgetable
from judgetable import Row

PAGE = f"# Judges\n\n| a | b |\n\n{judgetable.BEGIN}\n"
OLD = Row("luigi", "3.7", "a task", "passed", "2026-11-01")
FAILED = Row("luigi", "3.8", "a task", "failed", "2026-12-01")
ABSENT = Row("luigi", "", "a task", "NOT RUN: no index", "2026-12-01")
TRIED = [("luigi", "a task"), ("ansible", "a cluster")]


def test_what_is_written_is_read_again() -> None:
    text = judgetable.page(PAGE, [OLD, ABSENT])
    assert text.startswith(PAGE)
    assert judgetable.page(text, judgetable.read(text)) == text
    assert judgetable.read(text) == [OLD, ABSENT]
    assert judgetable.read(PAGE) == []


def test_a_page_without_the_mark_is_not_written() -> None:
    with pytest.raises(ValueError, match="lacks the line"):
        judgetable.page("# Judges\n", [OLD])


@pytest.mark.parametrize(
    ("known", "seen", "told"),
    [
        ([], [ABSENT], [ABSENT]),
        ([OLD], [ABSENT], [OLD]),
        ([ABSENT], [OLD], [OLD]),
        ([OLD], [FAILED], [FAILED]),
        ([OLD], [], [OLD]),
        ([Row("luigi", "3.7", "not tried any more", "passed", "2026-11-01")], [FAILED], [FAILED]),
    ],
)
def test_not_run_overwrites_no_result(known: list[Row], seen: list[Row], told: list[Row]) -> None:
    assert judgetable.merged(known, seen, TRIED) == told


def test_rows_are_counted_by_their_result() -> None:
    assert judgetable.counts([OLD, FAILED, ABSENT, ABSENT]) == {"passed": 1, "failed": 1, "NOT RUN": 2}
