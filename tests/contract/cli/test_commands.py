"""The command as a process, against the official agent's recorded answers: what scripts and people get."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.cli.answering import Answers, a_task, captured, nobody, official_agent, serving

SOURCE = str(Path(__file__).parents[3] / "src")
COMMAND = [sys.executable, "-m", "ecscope.cli.main"]
HEEDS_CTRL_C = ("env", "--default-signal=INT")
"""A shell that starts these tests in the background has it ignored, and children inherit that."""


def environment(**extra: str) -> dict[str, str]:
    """The process environment without anything that the command reads, and with ``extra``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ECS", "NO_COLOR", "DOCKER"))}
    return {**kept, "PYTHONPATH": SOURCE, "TERM": "xterm", "COLUMNS": "200", **extra}


def ecscope(*words: str, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words], env=environment(**extra), capture_output=True, text=True, timeout=30, check=False
    )


@pytest.fixture
def agent() -> Iterator[Answers]:
    with serving(official_agent()) as answers:
        yield answers


def test_every_exit_code(agent: Answers, tmp_path: Path) -> None:
    here = {"ECSCOPE_ENDPOINT": agent.endpoint}
    assert ecscope("tasks", **here).returncode == 0
    assert ecscope("tasks", "--endpoint", nobody(), **here).returncode == 1
    assert ecscope("tasks", "--nope", **here).returncode == 2
    assert ecscope("tasks", "--status", "up", **here).returncode == 2
    assert ecscope("tasks", "--family", "nope", **here).returncode == 3
    assert ecscope("task", "nope", **here).returncode == 3
    assert ecscope("task", "console", **here).returncode == 4
    assert ecscope("config", "--tasks", "x", ECS_INSTANCE_ATTRIBUTES="{").returncode == 2
    assert ecscope("agent").returncode == 2


@pytest.mark.parametrize("words", [["tasks"], ["task", "x"], ["metadata"]])
def test_an_absent_agent_is_one_sentence(words: list[str]) -> None:
    done = ecscope(*words, "--endpoint", nobody())
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "start one with `ecscope up` or `ecscope agent --tasks PATH`" in done.stderr


@pytest.mark.parametrize("words", [["tasks"], ["task", "x"], ["metadata"]])
def test_garbage_is_one_sentence(words: list[str]) -> None:
    with serving(Answers({"/v1/tasks": (200, b"<html>"), "/v1/metadata": (200, b"<html>")})) as answers:
        done = ecscope(*words, "--endpoint", answers.endpoint)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "is not an ECS agent" in done.stderr


def test_a_pipe_gets_plain_text_and_json_gets_the_official_objects(agent: Answers) -> None:
    table = ecscope("tasks", "--all", "--endpoint", agent.endpoint)
    assert "\x1b" not in table.stdout
    assert len(table.stdout.splitlines()) == 3
    shown = json.loads(ecscope("tasks", "--json", "--endpoint", agent.endpoint).stdout)
    official = json.loads(captured("tasks")[1])
    assert sorted(shown["Tasks"], key=str) == sorted(official["Tasks"], key=str)
    assert json.loads(ecscope("metadata", "--json", "--endpoint", agent.endpoint).stdout) == json.loads(
        captured("metadata")[1]
    )


def test_a_reader_that_has_had_enough_is_fine() -> None:
    answers = Answers()
    answers.tasks(*(a_task(number) for number in range(5000)))
    with serving(answers):
        done = subprocess.run(
            [
                "bash",
                "-c",
                f"{' '.join(COMMAND)} tasks --endpoint {answers.endpoint} | head -1; echo ${{PIPESTATUS[0]}}",
            ],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.stderr == ""
    assert done.stdout.splitlines()[0].startswith("TASK ")
    assert done.stdout.splitlines()[1] == "0"


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_failure(agent: Answers, closed: str) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{' '.join(COMMAND)} tasks --endpoint {agent.endpoint} {closed}"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0
    assert done.stderr == ""


def test_a_locale_without_unicode_is_no_traceback() -> None:
    answers = Answers()
    answers.tasks(a_task(Family="größe"))
    with serving(answers):
        done = ecscope("tasks", "--endpoint", answers.endpoint, PYTHONIOENCODING="ascii", LC_ALL="C")
    assert done.returncode == 0
    assert "gr\\xf6\\xdfe:1" in done.stdout


def read_terminal(words: list[str], until: bytes, **extra: str) -> tuple[bytes, int]:
    """Run on a pseudo terminal, press Ctrl-C when ``until`` has been written; output and exit code."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [*HEEDS_CTRL_C, *COMMAND, *words],
        env=environment(**extra),
        stdout=follower,
        stderr=follower,
        stdin=follower,
    )
    os.close(follower)
    output = b""
    interrupted = False
    try:
        while select.select([leader], [], [], 30)[0]:
            try:
                piece = os.read(leader, 65536)
            except OSError:  # the other end of a pseudo terminal is closed
                break
            output += piece
            if until in output and not interrupted:
                interrupted = True
                process.send_signal(signal.SIGINT)
        return output, process.wait(timeout=30)
    finally:
        process.kill()
        process.wait()
        os.close(leader)


def test_watching_ends_with_ctrl_c_and_code_0(agent: Answers) -> None:
    output, code = read_terminal(["tasks", "--watch", "--endpoint", agent.endpoint], until=b"\x1b[J")
    assert code == 0
    assert output.startswith(b"\x1b[H")
    assert b"\x1b[32mRUNNING" in output
    assert b"Traceback" not in output


@pytest.mark.parametrize(("extra", "is_coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colour_on_a_terminal(agent: Answers, extra: dict[str, str], is_coloured: bool) -> None:
    output, code = read_terminal(["tasks", "--endpoint", agent.endpoint], until=b"never", **extra)
    assert code == 0
    assert (b"\x1b[" in output) is is_coloured


def test_a_silent_agent_can_be_interrupted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = subprocess.Popen(
            [*HEEDS_CTRL_C, *COMMAND, "tasks", "--endpoint", f"127.0.0.1:{silent.getsockname()[1]}"],
            env=environment(),
            stderr=subprocess.PIPE,
        )
        connection, _ = silent.accept()
        with connection:
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == b""
