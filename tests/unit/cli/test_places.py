"""Where agents keep their state, and which of them runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ecscope.cli.places import is_of_up, places, running
from ecscope.sqlitefile.errors import Owner
from ecscope.sqlitefile.lock import DataDirLock


def test_a_directory_of_up_leads_to_its_agent(tmp_path: Path) -> None:
    assert places(str(tmp_path)) == [tmp_path]
    (tmp_path / "control.db").touch()
    assert places(str(tmp_path)) == [tmp_path / "agent", tmp_path]
    assert is_of_up(tmp_path / "agent") and not is_of_up(tmp_path)


def test_the_usual_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECS_DATADIR", "/data/ecs")
    monkeypatch.setenv("HOME", "/home/me")
    assert places(None, port=1) == [Path("/data/ecs"), Path("/var/lib/ecscope"), Path("/home/me/.ecscope/agent")]


def test_the_one_that_runs(tmp_path: Path) -> None:
    lock = DataDirLock(tmp_path, Owner(name="agent", data_dir_setting="x"))
    assert running([tmp_path]) is None
    lock.acquire()
    assert running([tmp_path / "none", tmp_path]) == (tmp_path, os.getpid())
    lock.release()


def test_the_agent_that_answers_is_looked_at_where_no_usual_place_is_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECS_DATADIR", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    code = (
        "import socket, time; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True);"
        " time.sleep(60)"
    )
    environment = {**os.environ, "ECS_DATADIR": str(tmp_path / "elsewhere")}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment) as listening:
        assert listening.stdout is not None
        port = int(listening.stdout.readline())
        assert places(None, port=port)[0] == tmp_path / "elsewhere"
        listening.kill()
    assert tmp_path / "elsewhere" not in places(None, port=port)
