"""docs/causes.md out of the results of the drills."""

from __future__ import annotations

from collections.abc import Sequence

from tests.drills.drill import Result

HEAD = """# Causes

What `ecscope why` answers: each row is a task that was broken on purpose and carried out with real containers. Written
by `make drills`. Codes are never renamed.

| code | how it was broken | certainty | `ecscope why` |
| --- | --- | --- | --- |
"""


def document(results: Sequence[Result]) -> str:
    """The page, by code."""
    rows = sorted((result.code, result.drill.how, result.certainty, _cell(result)) for result in results)
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _cell(result: Result) -> str:
    text = f"**WRONG**, {result.drill.code} expected: {result.sentence}" if result.error else result.sentence
    return text.replace("|", "\\|").replace("\n", " ")
