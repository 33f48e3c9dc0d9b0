"""docs/causes.md out of the results of the drills."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

from ecscope.agent.diagnosis import why
from tests.drills.drill import Result

HEAD = """# Causes

What `ecscope why` answers: each row is a task that was broken on purpose and carried out with real containers. Written
by `make drills`. Codes are never renamed.

| code | how it was broken | certainty | `ecscope why` |
| --- | --- | --- | --- |
"""


OTHERS = """
Further codes, each of which a test gives from recorded evidence:

"""
_RULES = Path(why.__path__[0])
_CODE = re.compile(
    r'"((?:image|create|start|resource|exit|restart|dependency|health|stop|pending|placement|deploy|link|agent|run|task)'
    r'\.[a-z_]+)"'
)


def document(results: Sequence[Result]) -> str:
    """The page, by code."""
    rows = sorted((result.code, result.drill.how, result.certainty, _cell(result)) for result in results)
    others = codes() - {result.code for result in results}
    listed = textwrap.fill(", ".join(f"`{code}`" for code in sorted(others)) + ".", 120, break_on_hyphens=False)
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows) + OTHERS + listed + "\n"


def codes() -> set[str]:
    """All that the rules can give."""
    found = {code for path in _RULES.glob("*.py") for code in _CODE.findall(path.read_text())}
    return found - {"start.port_taken"}  # stands for the two that say by whom


def _cell(result: Result) -> str:
    text = f"**WRONG**, {result.drill.code} expected: {result.sentence}" if result.error else result.sentence
    return text.replace("|", "\\|").replace("\n", " ")
