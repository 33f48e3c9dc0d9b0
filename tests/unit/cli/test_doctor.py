"""What `ecscope doctor` prints, and its exit codes."""

from __future__ import annotations

from ecscope.agent.diagnosis.doctor.findings import Finding, Severity
from ecscope.cli.doctor import exit_code_of, lines_of

FINE = Finding(check="docker", severity=Severity.OK, text="it answers")
UNKNOWN = Finding(check="clock", severity=Severity.NOT_KNOWN, text="no answer within 1.5 s")
WARNED = Finding(check="proxy", severity=Severity.WARNING, text="a\x1b[2J", fix="do b")
BROKEN = Finding(check="dns", severity=Severity.ERROR, text="no name", fix="do c")


def test_the_exit_code_is_that_of_the_worst_finding() -> None:
    assert [exit_code_of(found) for found in ([FINE], [FINE, UNKNOWN], [UNKNOWN, WARNED], [WARNED, BROKEN])] == [
        0,
        0,
        10,
        11,
    ]


def test_the_worst_comes_first_with_what_to_do_and_nothing_reaches_the_terminal_raw() -> None:
    assert lines_of([FINE, UNKNOWN, WARNED, BROKEN], verbose=False, colour=False, took_s=0.21) == [
        "ERROR       dns     no name",
        "                    → do c",
        "WARNING     proxy   a\\x1b[2J",
        "                    → do b",
        "NOT KNOWN   clock   no answer within 1.5 s",
        "",
        "4 checks in 0.2 s: 1 ok, 1 not known, 1 warning, 1 error",
    ]
    assert lines_of([FINE], verbose=False, colour=False, took_s=0.21) == ["1 check in 0.2 s: 1 ok"]
    assert (
        lines_of([FINE], verbose=True, colour=True, took_s=0.21)[0] == "\x1b[32mok        \x1b[0m  docker  it answers"
    )
