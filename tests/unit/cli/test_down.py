"""``ecscope down`` ends what runs, after its time without waiting for tasks; stand-ins hold the lock."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ecscope.cli import down
from ecscope.cli.main import build_parser
from ecscope.sqlitefile.lock import holder_of

HOLD = """
import signal, sys, time
from pathlib import Path
from ecscope.sqlitefile.errors import Owner
from ecscope.sqlitefile.lock import DataDirLock
left = int(sys.argv[2])
def count(*_):
    global left
    left -= 1
signal.signal(signal.SIGTERM, count)
DataDirLock(Path(sys.argv[1]), Owner(name="up", data_dir_setting="")).acquire()
print("held", flush=True)
while left > 0:
    time.sleep(0.05)
"""


@contextmanager
def an_up(folder: Path, *, signals: int) -> Iterator[subprocess.Popen[str]]:
    """One that ends after so many SIGTERM."""
    folder.chmod(0o700)
    command = [sys.executable, "-c", HOLD, str(folder), str(signals)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def run(folder: Path, timeout: float = 30) -> int:
    return down.run(build_parser().parse_args(["down", f"--timeout={timeout}", f"--data-dir={folder}"]))


def test_what_runs_is_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with an_up(tmp_path, signals=1):
        assert run(tmp_path) == 0
        assert holder_of(tmp_path) is None
    assert capsys.readouterr().err == ""


def test_tasks_that_take_too_long(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with an_up(tmp_path, signals=2):
        assert run(tmp_path, timeout=0.2) == 1
        assert holder_of(tmp_path) is None
    assert "tasks did not stop within 0.2 s" in capsys.readouterr().err


def test_one_that_does_not_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(down, "_HURRY_S", 0.2)
    with an_up(tmp_path, signals=9):
        assert run(tmp_path, timeout=0.2) == 1
    assert "does not end" in capsys.readouterr().err


def test_none_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path) == 0
    assert "no `ecscope up` runs" in capsys.readouterr().err
