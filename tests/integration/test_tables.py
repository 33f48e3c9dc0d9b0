"""A table in one test tries every row, and hides none that fails."""

from __future__ import annotations

import inspect

import pytest

from tests.tables import each_row


def test_every_row_is_tried_and_each_that_fails_is_named() -> None:
    seen = []

    @each_row("number, word", [(1, "a"), (2, "b"), (3, "c"), (4, "d")])
    def table(number: int, word: str) -> None:
        seen.append((number, word))
        assert number != 2
        if number == 3:
            pytest.fail("three")

    with pytest.raises(pytest.fail.Exception) as caught:
        table()
    assert seen == [(1, "a"), (2, "b"), (3, "c"), (4, "d")]
    assert "2 of 4 rows fail" in str(caught.value)
    assert "(2, 'b'): AssertionError" in str(caught.value)
    assert "(3, 'c'): Failed: three" in str(caught.value)
    assert not inspect.signature(table).parameters


def test_what_proves_nothing_or_would_share_a_fixture_is_refused() -> None:
    async def with_a_loop(row: int) -> None: ...

    with pytest.raises(ValueError, match="without rows"):
        each_row("row", [])
    with pytest.raises(TypeError, match=r"pytest\.param"):
        each_row("row", [pytest.param(1)])
    with pytest.raises(TypeError, match="takes its row and nothing else"):
        each_row("row", [1])(lambda row, tmp_path: None)
    with pytest.raises(TypeError, match="has no loop"):
        each_row("row", [1])(with_a_loop)  # type: ignore[arg-type]
