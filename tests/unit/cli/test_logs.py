"""``ecscope logs``: whose lines, from where, how they are shown, and what is said where there are none."""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecscope.cli.docker_logs import Line
from ecscope.cli.exit_codes import EXIT_AMBIGUOUS, EXIT_FAILED, EXIT_FINE, EXIT_NO_MATCH, EXIT_USAGE
from ecscope.cli.logs import Printer, Problem, run, since_ns
from ecscope.cli.main import build_parser
from tests.unit.cli.answering import Answers, a_container, a_task, serving
from tests.unit.cli.test_docker_logs import frame

TASK = 0xF00D
ALL = "stdout=1&stderr=1&timestamps=1&follow=0&tail=all&since=0.000000000"


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    with serving(Answers()) as answers:
        monkeypatch.setenv("DOCKER_HOST", answers.endpoint.replace("http", "tcp"))
        yield answers


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    """With one task of two containers."""
    monkeypatch.setenv("HOME", str(tmp_path))
    answers = Answers()
    answers.tasks(a_task(TASK, Containers=[a_container(DockerId="1"), a_container(2, Name="side", DockerId="2")]))
    with serving(answers):
        yield answers


def has(docker: Answers, which: str, *lines: tuple[str, bytes], driver: str = "json-file", query: str = ALL) -> None:
    described = {
        "Id": which,
        "State": {"Running": False},
        "Config": {"Tty": False},
        "HostConfig": {"LogConfig": {"Type": driver, "Config": {}}},
    }
    docker.by_target[f"/containers/{which}/json"] = (200, json.dumps(described).encode())
    stamped = (frame(1, text + b"\n").replace(b"05:00:00.123456789", at.encode()) for at, text in lines)
    docker.by_target[f"/containers/{which}/logs?{query}"] = (200, b"".join(stamped))


def arguments(agent: Answers, *words: str) -> argparse.Namespace:
    return build_parser().parse_args(["logs", "--endpoint", agent.endpoint, *words])


def test_lines_of_all_containers_are_in_the_order_of_time(
    agent: Answers, docker: Answers, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    has(docker, "1", ("05:00:00.000000001", b"first"), ("05:00:02.000000000", b"\xfflast"))
    has(docker, "2", ("05:00:00.000000002", b"between"))
    assert run(arguments(agent, "f00d")) == EXIT_FINE
    assert capfdbinary.readouterr().out == b"app  | first\nside | between\napp  | \xfflast\n"
    assert run(arguments(agent, "f00d", "--container", "side")) == EXIT_FINE
    assert capfdbinary.readouterr().out == b"between\n"


def test_docker_is_asked_for_the_newest_lines_since_a_moment(
    agent: Answers, docker: Answers, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    query = "stdout=1&stderr=1&timestamps=1&follow=0&tail=3&since=5.000000000"
    has(docker, "1", ("05:00:00.000000001", b"line"), query=query)
    assert run(arguments(agent, "web", "--container", "app", "--tail", "3", "--since", "5")) == EXIT_FINE
    assert capfdbinary.readouterr().out == b"line\n"


def test_where_there_are_no_lines_it_is_said_and_the_others_are_shown(
    agent: Answers, docker: Answers, capfd: pytest.CaptureFixture[str]
) -> None:
    has(docker, "2", ("05:00:00.000000001", b"line"))
    docker.by_target["/containers/1/json"] = (404, b"{}")
    assert run(arguments(agent, "f00d")) == EXIT_FINE
    said = capfd.readouterr()
    assert said.out == "side | line\n"
    assert "the container of app (1) was removed, and its lines with it" in said.err
    has(docker, "1", driver="none")
    assert run(arguments(agent, "f00d", "--container", "app")) == EXIT_FAILED
    assert "app has the log driver none: its lines are kept nowhere" in capfd.readouterr().err
    has(docker, "1", driver="gelf")
    docker.by_target[f"/containers/1/logs?{ALL}"] = (501, b'{"message": "does not support reading"}')
    assert run(arguments(agent, "f00d", "--container", "app")) == EXIT_FAILED
    assert "which go to the log driver gelf: does not support reading" in capfd.readouterr().err


def test_mistakes_are_explained(agent: Answers, docker: Answers, capsys: pytest.CaptureFixture[str]) -> None:
    for words, code, said in (
        (["webb"], EXIT_NO_MATCH, "has 'webb'; did you mean web"),
        (["zzz"], EXIT_NO_MATCH, "`ecscope tasks` lists them"),
        (["f00d", "--container", "nginx"], EXIT_NO_MATCH, "has no container 'nginx'; it has app, side"),
        (["f00d", "--since", "soon"], EXIT_USAGE, "--since 'soon' is not a time: write 10m"),
        ([" "], EXIT_USAGE, "TASK is empty"),
    ):
        assert run(arguments(agent, *words)) == code
        assert said in capsys.readouterr().err
    agent.tasks(a_task(1), a_task(2))
    with pytest.raises(SystemExit) as caught:
        run(arguments(agent, "web"))
    assert caught.value.code == EXIT_AMBIGUOUS
    assert "matches 2 tasks" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "at_s"),
    [("10m", 99_400), ("1h30m", 94_600), ("1d", 13_600), ("30s", 99_970), ("5", 5), ("1970-01-01T00:01:00Z", 60)],
)
def test_since_is_a_duration_or_a_moment(text: str, at_s: int) -> None:
    assert since_ns(text, now=100_000.0) == at_s * 10**9


@pytest.mark.parametrize("text", ["", "m", "-1m", "1w", "1m2h", "٣m"])
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(Problem, match="is not a time"):
        since_ns(text, now=0.0)


def test_a_terminal_gets_colours_and_no_other_control_characters() -> None:
    out = io.BytesIO()
    printer = Printer(out, ["a", "bb"], is_terminal=True, has_colour=True)
    printer.show("a", Line(0, b"\x1b[31mred\x1b]0;title\x07 \ttab \xc2\x9b2J \xc3\xa9"))
    printer.show("bb", Line(0, b"plain"))
    printer.flush()
    first, second = out.getvalue().splitlines()
    assert first == (b"\x1b[36ma  |\x1b[0m \x1b[31mred\\x1b]0;title\\x07 \ttab \\x9b2J \xc3\xa9\x1b[0m")
    assert second == b"\x1b[33mbb |\x1b[0m plain"
