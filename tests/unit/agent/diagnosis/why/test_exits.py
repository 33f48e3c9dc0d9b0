"""Exit codes, signals, stop requests and memory: each cause, and what looks like it and is another."""

from __future__ import annotations

import pytest

from ecscope.agent.diagnosis.why.engine import answer
from ecscope.agent.diagnosis.why.exits import decoded
from ecscope.model import history as h
from ecscope.model.history import HistoryEntry
from tests.unit.agent.diagnosis.why.stories import DOCKER_ID, a_story, died, entry, ns, started, stopped, stopping

OOM = entry(5, h.ContainerOutOfMemory(time_ns=ns(5)))
KERNEL = ((DOCKER_ID, "Memory cgroup out of memory: Killed process 99 (java)"),)


def code_of(*entries: HistoryEntry, container: str = "", **observed: object) -> tuple[str, str]:
    verdict = answer(a_story(started(), *entries, **observed), container).verdict
    return verdict.code, verdict.certainty.value


def test_137_in_six_ways() -> None:
    assert code_of(OOM, died(5.01, 137), stopped(6, 137)) == ("exit.oom_container", "proven")
    assert code_of(died(5, 137, signal=9), stopped(6, 137)) == ("exit.killed_by_hand", "proven")
    assert code_of(died(5, 137), stopped(6, 137), kernel_kills=()) == ("exit.killed_by_hand", "likely")
    after_stop = (stopping(3, grace_s=2), died(5.05, 137, signal=9), stopped(6, 137))
    assert code_of(*after_stop, container="app") == ("exit.killed_after_stop_timeout", "proven")
    # the flag alone: believed only where the kernel's log cannot be read, and never proof
    assert code_of(died(5, 137), stopped(6, 137, oom_killed=True)) == ("exit.oom_container", "likely")
    assert code_of(died(5, 137), stopped(6, 137, oom_killed=True), kernel_kills=()) == ("exit.killed_by_hand", "likely")


def test_a_child_that_the_kernel_killed() -> None:
    found = answer(a_story(started(), OOM, died(9, 1), stopped(9, 1))).verdict
    assert (found.code, found.certainty.value) == ("exit.oom_child", "proven")
    assert code_of(died(9, 1), stopped(9, 1), kernel_kills=KERNEL) == ("exit.oom_child", "likely")
    # killed long before the end: that kill was not the end
    assert code_of(OOM, died(60, 1), stopped(60, 1))[0] == "exit.oom_child"


def test_143_in_two_ways() -> None:
    asked = (stopping(3), died(3.2, 143, signal=15), stopped(4, 143))
    assert code_of(*asked, container="app") == ("exit.terminated_on_stop", "proven")
    assert code_of(died(5, 143, signal=15), stopped(6, 143)) == ("exit.terminated_by_hand", "proven")


def test_a_word_in_the_log_is_no_kill() -> None:
    assert code_of(died(5, 1), stopped(5, 1), log_tails={"app": "Killed\n"})[0] == "exit.error"


@pytest.mark.parametrize(
    ("code", "log", "expected"),
    [
        (0, "done", "exit.zero_essential"),
        (3, "boom", "exit.error"),
        (139, "", "exit.segfault"),
        (134, "Aborted", "exit.abort"),
        (132, "", "exit.illegal_instruction"),
        (135, "", "exit.bus_error"),
        (129, "", "exit.other_signal"),
        (127, "sh: frob: not found", "exit.command_not_found"),
        (1, "java.lang.OutOfMemoryError: Java heap space", "exit.heap_exhausted"),
        (1, "AccessDeniedException: User x is not authorized to perform: s3:GetObject", "exit.aws_denied"),
        (1, "dial tcp: lookup db: no such host", "exit.dns"),
        (1, "x509: certificate has expired", "exit.tls"),
        (1, "Error: listen EADDRINUSE: address already in use :::80", "exit.port_bind"),
        (1, "write /data/x: no space left on device", "exit.disk_full"),
        (1, "OSError: Read-only file system", "exit.read_only"),
        (1, "accept: too many open files", "exit.limits"),
        (1, "psycopg2: could not connect to server: Connection refused", "exit.dependency_unreachable"),
        (1, "KeyError: 'DATABASE_URL'", "exit.usage_or_config"),
    ],
)
def test_codes_and_logs(code: int, log: str, expected: str) -> None:
    assert code_of(died(3, code), stopped(3, code), log_tails={"app": log})[0] == expected


def test_near_misses() -> None:
    # a missing variable is blamed only when the program ended at once
    late = (died(600, 1), stopped(600, 1))
    assert code_of(*late, log_tails={"app": "KeyError: 'DATABASE_URL'"})[0] == "exit.error"
    # 127 without a word of a command is likely, not proven
    assert code_of(died(3, 127), stopped(3, 127), log_tails={"app": ""}) == ("exit.command_not_found", "likely")


def test_values_of_variables_are_not_shown() -> None:
    log = "missing environment variable: PASSWORD=hunter2 is invalid"
    found = answer(a_story(started(), died(2, 1), stopped(2, 1), log_tails={"app": log}))
    assert "hunter2" not in found.verdict.sentence


def test_removed_by_hand_comes_before_its_exit_code() -> None:
    gone = entry(5, h.ContainerVanished(why="gone", time_ns=ns(5)))
    assert code_of(died(5, 137, signal=9), gone, stopped(6, 137)) == ("stop.removed_by_hand", "proven")


def test_what_is_decoded_in_one_line() -> None:
    (app,) = a_story(started(), stopping(3, grace_s=2), died(5.05, 137, signal=9), stopped(6, 137)).containers
    assert decoded(app) == "137: SIGKILL by the agent, 2.0 s after SIGTERM"
    (app,) = a_story(started(), died(5, 3), stopped(5, 3)).containers
    assert decoded(app) == "3"


def test_a_kill_while_there_was_time_left_is_not_the_stop_timeout() -> None:
    by_hand = (stopping(3, grace_s=30), died(4, 137, signal=9), stopped(5, 137))
    assert code_of(*by_hand, container="app")[0] == "exit.killed_by_hand"
    memory = (stopping(4.6, grace_s=30), OOM, died(5.01, 137), stopped(6, 137))
    assert code_of(*memory, container="app") == ("exit.oom_container", "proven")
    before = (died(2.8, 137, signal=9), stopping(3.1, grace_s=0), stopped(4, 137))
    assert code_of(*before, container="app")[0] == "exit.killed_by_hand"


def test_a_clock_that_was_set_back_proves_nothing() -> None:
    entries = (stopping(3600, grace_s=2), died(2, 137), stopped(3602, 137))
    found = answer(a_story(started(), *entries), "app").verdict
    assert "-" not in found.sentence.replace("app", "")
    assert (found.code, found.certainty.value) != ("exit.killed_after_stop_timeout", "proven")


def test_a_crash_after_the_stop_was_asked_is_a_crash() -> None:
    assert code_of(stopping(3), died(3.1, 139), stopped(4, 139), container="app")[0] == "exit.segfault"


def test_a_kill_by_hand_after_a_child_ran_out_of_memory() -> None:
    assert code_of(OOM, died(6, 137, signal=9), stopped(7, 137)) == ("exit.killed_by_hand", "proven")


def test_a_kernel_log_that_cannot_be_read_is_said() -> None:
    found = answer(a_story(started(), died(5, 3), stopped(5, 3), kernel_kills=None))
    assert any("could not be read" in one.why_not for one in found.considered)


@pytest.mark.parametrize(
    "line",
    [
        "DB_PASSWORD=hunter2",
        'password: "hunter2"',
        "connect postgres://app:hunter2@db/x failed",
        "api-key=hunter2&x=1",
        'config {"token": "hunter2"}',
        "STRIPE=hunter2",
    ],
)
def test_no_secret_of_a_log_is_shown(line: str) -> None:
    found = answer(a_story(started(), died(5, 3), stopped(5, 3), log_tails={"app": f"{line}\n"}))
    assert "hunter2" not in str(found)
