"""The entry point: help, version and usage errors, what is loaded for which command, and how it ends."""

import subprocess
import sys
from pathlib import Path

import pytest

from ecscope import __version__
from ecscope.cli.main import build_parser, main
from tests.unit.cli.answering import Answers, nobody

SOURCE = str(Path(__file__).parents[3] / "src")
COMMANDS = ("agent", "tasks", "task", "metadata", "config")


def loaded_by(code: str) -> set[str]:
    """The modules that are loaded after ``code`` has run in a Python of its own."""
    program = f"import sys; sys.path.insert(0, {SOURCE!r}); {code}; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_help_shows_commands_exit_codes_and_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert all(f"    {command} " in out for command in COMMANDS)
    assert "exit codes:" in out
    assert "examples:" in out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_shows_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert f"examples:\n  ecscope {command}" in out
    assert "  4  more than one task matches" in out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    name, number, commit = capsys.readouterr().out.split()
    assert (name, number) == ("ecscope", __version__)
    assert len(commit) == len("(01234567)")


def test_no_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: ecscope")


@pytest.mark.parametrize(
    "words",
    [["nope"], ["tasks", "x"], ["task"], ["tasks", "--fam", "x"], ["task", "x", "--events", "-1"], ["agent", "--x"]],
)
def test_wrong_words_are_usage_errors(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "usage: ecscope" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "usage", "says"),
    [
        (["taks"], "usage: ecscope [", "there is no command 'taks'; did you mean 'tasks'?"),
        (["xyzzy"], "usage: ecscope [", "there is no command 'xyzzy'\n"),
        (["help", "tsak"], "usage: ecscope [", "there is no command 'tsak'; did you mean 'task'?"),
        (["up", "--deatch"], "usage: ecscope up [", "unrecognized arguments: --deatch; did you mean '--detach'?"),
        (["tasks", "--familiy=web"], "usage: ecscope tasks [", "did you mean '--family'?"),
        (["tasks", "web"], "usage: ecscope tasks [", "unrecognized arguments: web\n"),
    ],
)
def test_a_mistake_names_what_was_meant(
    words: list[str], usage: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    err = capsys.readouterr().err
    assert (ended.value.code, err.startswith(usage), says in err) == (2, True, True), err


@pytest.mark.parametrize(
    ("words", "begins"),
    [
        (["help"], "usage: ecscope ["),
        (["help", "why"], "usage: ecscope why ["),
        (["version"], f"ecscope {__version__} ("),
    ],
)
def test_help_and_version_are_words_too(words: list[str], begins: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(begins)


def test_each_command_is_carried_out(agent: Answers, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks", "--endpoint", agent.endpoint]) == 0
    assert main(["task", "e01d", "--endpoint", agent.endpoint, "--events", "0"]) == 0
    assert main(["metadata", "--endpoint", agent.endpoint]) == 0
    assert main(["config", "--tasks", "x"]) == 0
    assert main(["tasks", "--endpoint", nobody()]) == 1
    assert "SETTING" in capsys.readouterr().out


def test_the_agent_s_options() -> None:
    args = build_parser().parse_args(["agent", "--tasks", "t", "--data-dir", "d", "--log-level", "debug"])
    assert (args.tasks, args.data_dir, args.log_level) == ("t", "d", "debug")
    args = build_parser().parse_args(["agent"])
    assert (args.tasks, args.data_dir, args.log_level) == (None, None, None)


def test_ctrl_c_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("ecscope.cli.metadata.run", interrupted)
    assert main(["metadata"]) == 130


def test_help_loads_no_command_and_no_library() -> None:
    loaded = loaded_by("from ecscope.cli.main import build_parser; build_parser()")
    assert not {name for name in loaded if name.startswith("ecscope.")} - {
        "ecscope.cli",
        "ecscope.cli.exit_codes",
        "ecscope.cli.main",
    }
    assert not loaded & {"msgspec", "http.client", "asyncio", "logging", "json", "pathlib"}


def test_the_agent_loads_nothing_of_the_client_commands() -> None:
    loaded = loaded_by("import ecscope.cli.main, ecscope.cli.agent")
    assert "ecscope.agent.config.settings" in loaded
    assert not loaded & {
        "http.client",
        "logging.handlers",
        "importlib.metadata",
        "ssl",
        "aiohttp",
        "ecscope.cli.client",
        "ecscope.cli.table",
        "ecscope.cli.tasks",
    }
