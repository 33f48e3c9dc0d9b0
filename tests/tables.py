"""Tables of many small rows in one test: all rows are tried, and each that fails is listed with its name.

A row gets a case of its own (``pytest.mark.parametrize``) where it has a name and a meaning of its own, or needs
fixtures. Where a table has hundreds of rows, the cases cost more than what they prove.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import pytest

LISTED = 20
"""So many failures are shown in full; of more there is the number."""


def each_row(
    names: str, rows: Iterable[Any], *, name: Callable[[Any], object] = repr
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The decorated test for every row, as one case.

    ``names`` are the parameters that a row fills, with commas; a row of several is a tuple. ``name`` names a row in
    the list of failures. The test may have no fixtures: they would be shared by the rows.
    """
    parameters = [part.strip() for part in names.split(",")]
    table = [(row if len(parameters) > 1 else (row,), row) for row in rows]
    if not table:
        raise ValueError("a table without rows proves nothing")
    if any(hasattr(row, "marks") for _, row in table):
        raise TypeError("a row is its values; pytest.param is for cases of their own")

    def decorated(test: Callable[..., None]) -> Callable[..., None]:
        others = [part for key, part in inspect.signature(test).parameters.items() if key not in parameters]
        if any(part.name != "self" for part in others) or inspect.iscoroutinefunction(test):
            raise TypeError(f"{test.__name__}: a test of a table takes its row and nothing else, and has no loop")

        @wraps(test)
        def all_rows(*self: object) -> None:
            failures = []
            for values, row in table:
                try:
                    test(*self, **dict(zip(parameters, values, strict=True)))
                except (Exception, pytest.fail.Exception) as error:
                    failures.append(f"{name(row)}: {type(error).__name__}: {error}")
            if failures:
                listed = "\n".join(failures[:LISTED])
                pytest.fail(f"{len(failures)} of {len(table)} rows fail\n{listed}", pytrace=len(failures) == 1)

        all_rows.__signature__ = inspect.Signature(others)  # type: ignore[attr-defined]  # what pytest asks for fixtures
        return all_rows

    return decorated
