"""``ecscope env`` prints lines to ``eval``, and where there is nothing to export the ``eval`` fails too."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecscope.cli import env
from ecscope.cli.main import build_parser
from ecscope.sqlitefile.errors import Owner
from ecscope.sqlitefile.lock import DataDirLock
from ecscope.up.running import Running, publish


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Path]:
    lock = DataDirLock(tmp_path, Owner(name="ecscope up", data_dir_setting="--data-dir"))
    lock.acquire()
    publish(
        tmp_path,
        Running(
            pid=os.getpid(),
            url="http://127.0.0.1:1",
            region="eu-west-1",
            cluster="web",
            access_key_id="AKIA",
            secret_access_key="secret",
        ),
    )
    yield tmp_path
    lock.release()


def test_of_the_running_one(running: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert env.run(build_parser().parse_args(["env", "--data-dir", str(running)])) == 0
    plain = capsys.readouterr().out
    assert "export AWS_ENDPOINT_URL_ECS=http://127.0.0.1:1\n" in plain
    assert "AWS_ENDPOINT_URL=" not in plain
    assert env.run(build_parser().parse_args(["env", "--all", "--data-dir", str(running)])) == 0
    assert "export AWS_ENDPOINT_URL=http://127.0.0.1:1\n" in capsys.readouterr().out


def test_there_is_none(tmp_path: Path) -> None:
    command = f'eval "$({sys.executable} -m ecscope.cli.main env --data-dir {tmp_path}/none)"'
    ended = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "no `ecscope up` runs" in ended.stderr


def test_keys_that_others_could_have_put_there(running: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (running / "up.json").chmod(0o666)
    assert env.run(build_parser().parse_args(["env", "--data-dir", str(running)])) == 2
    told = capsys.readouterr()
    assert told.out == "false\n"
    assert "chmod" in told.err
