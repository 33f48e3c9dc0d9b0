"""A control plane for the judges, and the table of what they said (``scripts/judgetable.py``).

A test is one thing that is tried: the first line of its docstring says what. ``JUDGE`` in its module names the program,
and ``judge_version`` records which it was. A skip is a row too, NOT RUN. ``JUDGES_TABLE``, which `make judges` sets,
is the page that the table is written to.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import clients
import judgetable
from tests.contract.control.conftest import ecs, live

__all__ = ["ecs", "live"]

_TRIED = pytest.StashKey[list[tuple[str, str]]]()
_SEEN = pytest.StashKey[dict[tuple[str, str], judgetable.Row]]()


@pytest.fixture
def judge_version(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Call it with the version of the judge."""

    def record(version: str) -> None:
        record_property("judge_version", version)

    return record


@pytest.fixture(scope="session")
def judges_programs() -> Path:
    """The folder with ``ansible-playbook`` and the ``python`` that has luigi."""
    return _folder(clients.judges)


@pytest.fixture(scope="session")
def airflow_programs() -> Path:
    """The folder with the ``python`` that has Airflow."""
    return _folder(clients.airflow)


def _folder(install: Callable[[], Path]) -> Path:
    try:
        return install()
    except clients.Unavailable as error:
        pytest.skip(f"{judgetable.NOT_RUN}: {error}")


def _is_judgement(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and hasattr(item.module, "JUDGE")


def _key(item: pytest.Item) -> tuple[str, str]:
    assert isinstance(item, pytest.Function)
    assert item.function.__doc__, f"{item.name} must say what is tried"
    return str(item.module.JUDGE), item.function.__doc__.strip().splitlines()[0].rstrip(".")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Before ``-k`` takes some away: what is not tried this time keeps its row."""
    config.stash[_TRIED] = [_key(item) for item in items if _is_judgement(item)]
    config.stash[_SEEN] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if _is_judgement(item) and (report.when == "call" or not report.passed):
        key, seen = _key(item), item.config.stash[_SEEN]
        version = dict(report.user_properties).get("judge_version", "")
        result = _result(report)
        if key not in seen or result == "failed":
            seen[key] = judgetable.Row(key[0], str(version), key[1], result, datetime.now(UTC).date().isoformat())
    return report


def _result(report: pytest.TestReport) -> str:
    if not report.skipped:
        return report.outcome
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = " ".join(reason.removeprefix("Skipped: ").split()).replace("|", "/")
    return reason if reason.startswith(judgetable.NOT_RUN) else f"{judgetable.NOT_RUN}: {reason}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    seen = config.stash.get(_SEEN, {})
    if not seen:
        return
    terminalreporter.section("judges")
    terminalreporter.write(judgetable.table(seen.values()))
    terminalreporter.write_line(", ".join(f"{n} {result}" for result, n in judgetable.counts(seen.values()).items()))
    target = os.environ.get("JUDGES_TABLE")
    if target:
        path = Path(target)
        text = path.read_text()
        tried = config.stash[_TRIED]
        rows = judgetable.merged(judgetable.read(text), seen.values(), tried)
        path.write_text(judgetable.page(text, rows))
        terminalreporter.write_line(f"written to {target}")
