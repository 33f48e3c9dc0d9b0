"""The engines that ``make engines`` tries, what came of it, and the table of that in docs/engines.md."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "engines.md"
BEGIN, END = "<!-- table: written by `make engines` -->", "<!-- end of the table -->"
NOT_RUN = "NOT RUN"


@dataclass(frozen=True)
class Variant:
    """One engine in one setting. ``codename``: the release of Debian that it is of; ``None``: this machine's own."""

    name: str
    codename: str | None
    environment: Mapping[str, str] = field(default_factory=dict)
    features: Mapping[str, bool] = field(default_factory=dict)


VARIANTS = (
    Variant("machine", None),
    Variant("26.1", "trixie"),
    Variant("28.5", "sid"),
    Variant("28.5-api-1.44", "sid", environment={"DOCKER_MIN_API_VERSION": "1.44"}),
    Variant("28.5-containerd", "sid", features={"containerd-snapshotter": True}),
)

SUITES = {
    "integration": ("tests/integration",),
    "conformance": ("tests/conformance",),
    "restart loop": ("tests/e2e/test_restart_around_start.py",),
    "README": ("tests/contract/test_readme.py", "tests/e2e/test_demo.py"),
}
"""What runs on each of them: pytest's arguments. ``README``: its session with ECS line by line, and ``make demo``."""

COUNTS = {"ECSCOPE_TEST_SIGTERMS": "20", "ECSCOPE_TEST_KILLS": "50"}
"""How often the restart loop ends the agent; by itself it does so a few times only."""

HEAD = ("variant", "engine", "API", "storage", "cgroups", *SUITES, "on")


@dataclass(frozen=True)
class Result:
    """What came of one suite. ``problem``: it gave no result, and why."""

    passed: int = 0
    skipped: int = 0
    failed: tuple[str, ...] = ()
    problem: str = ""

    def __str__(self) -> str:
        if self.problem:
            return self.problem
        parts = [f"{self.passed} passed"]
        if self.failed:
            parts.append(f"**{len(self.failed)} failed**")
        if self.skipped:
            parts.append(f"{self.skipped} skipped")
        return ", ".join(parts)

    @property
    def is_good(self) -> bool:
        return not self.problem and not self.failed and self.passed > 0


def read_result(report: Path, exit_code: int) -> Result:
    """A suite's result out of pytest's JUnit file; without one, the exit code is all there is."""
    try:
        tree = ElementTree.parse(report)  # pytest wrote it, on our order
    except (OSError, ElementTree.ParseError):
        return Result(problem=f"exit code {exit_code}")
    passed, skipped, failed = 0, 0, []
    for case in tree.iter("testcase"):
        kinds = {child.tag for child in case}
        if kinds & {"failure", "error"}:
            failed.append(f"{case.get('classname', '').replace('.', '/')}::{case.get('name')}")
        elif "skipped" in kinds:
            skipped += 1
        else:
            passed += 1
    if not failed and exit_code != 0:
        return Result(passed, skipped, problem=f"exit code {exit_code}")
    return Result(passed, skipped, tuple(dict.fromkeys(failed)))


@dataclass(frozen=True)
class Engine:
    """What an engine says of itself."""

    version: str
    api: str
    minimum_api: str
    storage: str
    cgroups: str


def row(variant: Variant, engine: Engine, results: Mapping[str, Result], day: str) -> tuple[str, ...]:
    """A variant's row of the table."""
    api = f"{engine.minimum_api} to {engine.api}"
    shown = [str(results[suite]) if suite in results else NOT_RUN for suite in SUITES]
    return (variant.name, engine.version, api, engine.storage, f"version {engine.cgroups}", *shown, day)


def row_not_run(variant: Variant, reason: str, day: str) -> tuple[str, ...]:
    """The row of a variant that could not be had."""
    return (variant.name, f"{NOT_RUN}: {reason}", *[""] * (len(HEAD) - 3), day)


def with_rows(document: str, rows: Mapping[str, tuple[str, ...]]) -> str:
    """``document`` with these rows (variant's name → row) in its table; the other variants keep the rows they have."""
    before, rest = document.split(BEGIN)
    table, after = rest.split(END)
    kept = {cells[0]: cells for line in table.splitlines() if (cells := _cells(line))}
    kept |= rows
    known = [variant.name for variant in VARIANTS]
    lines = [_line(HEAD), _line(("---",) * len(HEAD))]
    lines += [_line(kept.get(name, (name, NOT_RUN, *[""] * (len(HEAD) - 2)))) for name in known]
    return f"{before}{BEGIN}\n\n" + "\n".join(lines) + f"\n\n{END}{after}"


def _cells(line: str) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1])


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(re.sub(r"(?<!\\)\|", r"\|", cell.replace("\n", " ")) for cell in cells) + " |"
