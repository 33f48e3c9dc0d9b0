"""``ecscope up`` says what is wrong in one line and ends with an exit code. How it lives: ``tests/e2e/test_up.py``."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from ecscope.cli import up
from ecscope.cli.main import build_parser


def parsed(*arguments: str) -> argparse.Namespace:
    return build_parser().parse_args(["up", *arguments])


def test_the_defaults() -> None:
    args = parsed()
    assert (args.port, args.data_dir, args.region, args.cluster, args.iam) == (51677, None, None, "default", None)
    assert not args.keep
    assert not args.no_agent
    assert not args.live_delays


@pytest.mark.parametrize("port", ["-1", "65536", "http", ""])
def test_a_port_that_is_none(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed(f"--port={port}")
    assert ended.value.code == 2
    assert "is no port" in capsys.readouterr().err


def test_rights_in_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert up.run(parsed("--data-dir", str(tmp_path), "--iam", str(tmp_path / "none.json"))) == 2
    assert "there is no such file" in capsys.readouterr().err


def test_a_cluster_that_cannot_be(tmp_path: Path) -> None:
    arguments = ("--data-dir", str(tmp_path), "--port", "0", "--no-agent", "--cluster", "a b")
    command = [sys.executable, "-m", "ecscope.cli.main", "up", *arguments]
    # A process of its own, since it makes the process's log and garbage collection its own.
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "cannot make the cluster 'a b': The cluster name must have" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_data_directory_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert up.run(parsed("--data-dir", str(tmp_path / "file" / "below"))) == 2
    assert "give another --data-dir" in capsys.readouterr().err
