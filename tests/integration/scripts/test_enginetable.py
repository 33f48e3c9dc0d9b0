"""The table of engines holds what pytest reported, and a run of one engine keeps the rows of the others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import enginetable
from enginetable import BEGIN, END, SUITES, VARIANTS, Engine, Result, read_result

ENGINE = Engine(version="26.1.5", api="1.45", minimum_api="1.24", storage="overlay2", cgroups="1")
REPORT = """\
<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite name="pytest" errors="1" failures="1" skipped="1" tests="4">
<testcase classname="tests.integration.test_a" name="test_good" time="0.1" />
<testcase classname="tests.integration.test_a" name="test_bad" time="0.1"><failure message="no">no</failure></testcase>
<testcase classname="tests.integration.test_a" name="test_torn" time="0.1"><error message="no">no</error></testcase>
<testcase classname="tests.integration.test_a" name="test_not" time="0.1"><skipped message="no" /></testcase>
</testsuite></testsuites>
"""


def rows_of(document: str) -> dict[str, list[str]]:
    lines = [line for line in document.split(BEGIN)[1].split(END, 1)[0].splitlines() if line][2:]
    return {
        cells[0]: cells for cells in ([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines)
    }


def test_a_report_is_counted(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT)
    result = read_result(report, 1)
    assert str(result) == "1 passed, **2 failed**, 1 skipped"
    assert result.failed == ("tests/integration/test_a::test_bad", "tests/integration/test_a::test_torn")
    assert not result.is_good


@pytest.mark.parametrize("content", [None, "<testsuites><testsu"])
def test_a_run_that_left_no_report_is_no_good_one(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "report.xml").write_text(content)
    result = read_result(tmp_path / "report.xml", 137)
    assert str(result) == "exit code 137"
    assert not result.is_good


def test_a_run_that_failed_beside_its_tests_is_no_good_one(tmp_path: Path) -> None:
    """An interrupted one, say: the report has those that passed."""
    (tmp_path / "report.xml").write_text('<testsuite><testcase classname="a" name="b" /></testsuite>')
    assert read_result(tmp_path / "report.xml", 0).is_good
    assert not read_result(tmp_path / "report.xml", 2).is_good
    (tmp_path / "report.xml").write_text("<testsuite></testsuite>")
    assert not read_result(tmp_path / "report.xml", 0).is_good, "it ran no test"


def test_one_engines_row_is_renewed_and_the_others_stay() -> None:
    good = dict.fromkeys(SUITES, Result(passed=3))
    first, second = VARIANTS[:2]
    document = f"before\n{BEGIN}\n{END}\nafter\n"
    document = enginetable.with_rows(
        document,
        {
            first.name: enginetable.row_not_run(first, "no dockerd | here", "2026-01-01"),
            second.name: enginetable.row(second, ENGINE, good, "2026-01-01"),
        },
    )
    again = enginetable.with_rows(document, {second.name: enginetable.row(second, ENGINE, good, "2026-01-02")})
    assert again == document.replace("3 passed | 2026-01-01", "3 passed | 2026-01-02")
    rows = rows_of(again)
    assert list(rows) == [variant.name for variant in VARIANTS]
    assert rows[second.name][1:5] == ["26.1.5", "1.24 to 1.45", "overlay2", "version 1"]
    assert rows[second.name][5:-1] == ["3 passed"] * len(SUITES)
    assert rows[first.name][1] == r"NOT RUN: no dockerd \| here"
    assert rows[VARIANTS[-1].name][1] == "NOT RUN"
    assert again.startswith("before\n")
    assert again.endswith("\nafter\n")


def test_the_document_has_a_row_for_each_engine() -> None:
    rows = rows_of(enginetable.DOCUMENT.read_text())
    assert list(rows) == [variant.name for variant in VARIANTS]
    assert {len(row) for row in rows.values()} == {len(enginetable.HEAD)}


def test_what_each_suite_names_is_there() -> None:
    root = enginetable.DOCUMENT.parents[1]
    assert [path for paths in SUITES.values() for path in paths if not (root / path).exists()] == []
