"""The table of docs/judges.md: the last result of each check that a judge made of the control plane.

A judge is a third-party program written for ECS, without changes for ecscope. Each check has one row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

BEGIN = "<!-- written by `make judges`; do not edit below -->"
HEADER = ("judge", "version", "what is tried", "result", "date")
NOT_RUN = "NOT RUN"
_EMPTY = "–"


@dataclass(frozen=True)
class Row:
    """``result``: ``passed``, ``failed`` or ``NOT RUN: why``; ``date`` as ISO 8601 writes it."""

    judge: str
    version: str
    tried: str
    result: str
    date: str

    @property
    def is_run(self) -> bool:
        return not self.result.startswith(NOT_RUN)


def read(text: str) -> list[Row]:
    """The rows of the page ``text``; other lines are ignored."""
    _, _, table = text.partition(BEGIN)
    cells = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table.splitlines() if "|" in line]
    return [Row(*("" if text == _EMPTY else text for text in cell)) for cell in cells[2:] if len(cell) == len(HEADER)]


def merged(known: Iterable[Row], seen: Iterable[Row], tried: Iterable[tuple[str, str]]) -> list[Row]:
    """The newest row of each check in ``tried`` (judge, what is tried), in that order; one without a row is left out.

    A judge that cannot run here does not overwrite an earlier result: that row stays, with its date.
    """
    rows: dict[tuple[str, str], Row] = {(row.judge, row.tried): row for row in known}
    for row in seen:
        key = (row.judge, row.tried)
        if row.is_run or not (key in rows and rows[key].is_run):
            rows[key] = row
    return [rows[key] for key in tried if key in rows]


def table(rows: Iterable[Row]) -> str:
    """As Markdown."""
    lines = [HEADER, ("---",) * len(HEADER)]
    lines += [(row.judge, row.version, row.tried, row.result, row.date) for row in rows]
    return "".join(f"| {' | '.join(cell or _EMPTY for cell in line)} |\n" for line in lines)


def page(text: str, rows: Iterable[Row]) -> str:
    """``text`` with ``rows`` after the line ``BEGIN``. Raises ``ValueError`` if that line is missing."""
    before, mark, _ = text.partition(BEGIN)
    if not mark:
        raise ValueError(f"the page lacks the line {BEGIN}")
    return f"{before}{mark}\n\n{table(rows)}"


def counts(rows: Iterable[Row]) -> Mapping[str, int]:
    """How many passed, failed and were not run."""
    found = {"passed": 0, "failed": 0, NOT_RUN: 0}
    for row in rows:
        found[row.result if row.is_run else NOT_RUN] += 1
    return found
