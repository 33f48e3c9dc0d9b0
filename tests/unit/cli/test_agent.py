"""``ecscope agent`` says what is wrong and ends with an exit code, or runs until it is told to stop."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from ecscope.agent.app import AgentError, TerminalError, WrongSetting
from ecscope.cli import agent
from ecscope.cli.main import build_parser
from tests.commands import commands

ABSENT_ENGINE = "unix:///nonexistent/docker.sock"


@pytest.fixture(autouse=True)
def the_name_of_this_process() -> Iterator[None]:
    """``agent.run`` gives the process another one."""
    name = Path("/proc/self/comm")
    was = name.read_text()
    yield
    name.write_text(was)


class Ended(Protocol):
    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ended]:
    """``ecscope agent`` in a process of its own, to its end."""
    with commands(tmp_path_factory.mktemp("output")) as run_command:
        yield lambda *arguments: run_command("agent", *arguments, environment=environment())


def parsed(*arguments: str) -> argparse.Namespace:
    return build_parser().parse_args(["agent", *arguments])


def test_without_a_region_it_says_what_to_give(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    assert agent.run(parsed()) == 2
    assert "AWS_DEFAULT_REGION" in capsys.readouterr().err


def test_without_tasks_the_settings_are_those_of_a_cluster(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECS_EXTERNAL", "true")
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    assert agent.run(parsed()) == 2
    assert "AWS_DEFAULT_REGION has to be set when running on external capacity" in capsys.readouterr().err


def test_the_command_line_gives_settings() -> None:
    assert agent.overrides_of(
        parsed("--cluster", "prod", "--data-dir", "/d", "--log-level", "warn", "--log-format", "json")
    ) == {
        "cluster": ("--cluster", "prod"),
        "data_dir": ("--data-dir", "/d"),
        "log_level": ("--log-level", "warn"),
        "log_format": ("--log-format", "json"),
    }
    assert agent.overrides_of(parsed()) == {}


def test_a_simulated_agent_is_on_no_machine() -> None:
    assert agent.overrides_of(parsed("--simulated")) == {
        "imds_disabled": ("--simulated", "true"),
        "task_cpu_mem_limit": ("--simulated", "false"),
        "task_iam_role_enabled": ("--simulated", "true"),
        "task_iam_role_enabled_for_network_host": ("--simulated", "true"),
    }


def test_a_simulated_agent_joins_no_cluster_of_aws(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.delenv("ECS_BACKEND_HOST", raising=False)
    assert agent.run(parsed("--simulated")) == 2
    said = capsys.readouterr().err
    assert "--simulated cannot join a cluster of AWS" in said
    assert "ECS_BACKEND_HOST" in said


def test_a_supervisor_can_tell_what_cannot_heal() -> None:
    assert agent.exit_code_of(AgentError("no room")) == 1
    assert agent.exit_code_of(TerminalError("refused")) == 5
    assert agent.exit_code_of(WrongSetting("a link")) == 2


def test_wrong_settings_are_all_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ECS_INSTANCE_ATTRIBUTES", "{no json")
    monkeypatch.setenv("ECS_AVAILABLE_LOGGING_DRIVERS", '["no-such-driver"]')
    assert agent.run(parsed("--tasks", str(tmp_path))) == 2
    said = capsys.readouterr().err
    assert "ECS_INSTANCE_ATTRIBUTES" in said
    assert "ECS_AVAILABLE_LOGGING_DRIVERS" in said


def test_a_data_dir_that_cannot_be_used_is_one_sentence(tmp_path: Path, run: Ended) -> None:
    (tmp_path / "file").touch()
    ended = run("--tasks", str(tmp_path), "--data-dir", str(tmp_path / "file"))
    assert ended.returncode == 1
    assert ended.stderr.startswith("ecscope agent: ")
    assert "Traceback" not in ended.stderr


def test_a_data_dir_in_which_others_may_write_is_not_used(tmp_path: Path, run: Ended) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o777)
    ended = run("--tasks", str(tmp_path), "--data-dir", str(tmp_path / "data"))
    assert ended.returncode == 2
    assert f"{tmp_path}/data: other users may write in this directory (mode 0777)" in ended.stderr
    assert "ECS_DATADIR names the data directory" in ended.stderr
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.parametrize("name", ["ecscope.db", "ecscope.lock"])
def test_a_link_in_the_data_dir_is_not_followed(tmp_path: Path, name: str, run: Ended) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).symlink_to(tmp_path / "target")
    ended = run("--tasks", str(tmp_path), "--data-dir", str(tmp_path / "data"))
    assert ended.returncode == 2
    assert f"{tmp_path}/data/{name}: it is a symbolic link" in ended.stderr
    assert not (tmp_path / "target").exists()


def test_it_runs_until_sigterm(tmp_path: Path) -> None:
    process = subprocess.Popen(
        command("--tasks", str(tmp_path), "--data-dir", str(tmp_path / "data")), env=environment()
    )
    try:
        deadline = time.monotonic() + 20
        while not (tmp_path / "data" / "ecscope.db").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert Path(f"/proc/{process.pid}/comm").read_text() == "agent\n"  # by which `pgrep agent` finds it
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "ecscope.cli.main", "agent", *arguments]


def environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("ECS_", "ECSCOPE_"))}
    # the documentation's own address range: bound on no machine, so 51678 of this one is left alone
    return {**kept, "DOCKER_HOST": ABSENT_ENGINE, "ECSCOPE_INTROSPECTION_ADDRESS": "192.0.2.1"}
