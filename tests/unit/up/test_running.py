"""Other commands find the ``ecscope up`` that runs, and only that one; what it exports is what a shell takes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from ecscope.owned_files import UnsafeFile
from ecscope.sqlitefile.errors import Owner
from ecscope.sqlitefile.lock import DataDirLock
from ecscope.up.running import NotRunning, Running, exports, find, publish, withdraw

RUNNING = Running(
    pid=os.getpid(),
    url="http://127.0.0.1:51677",
    region="eu-west-1",
    cluster="default",
    access_key_id="AKIA",
    secret_access_key="it's $HOME",
)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "up"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def held(data_dir: Path) -> Iterator[Path]:
    """By this process, as if it were the ``up``."""
    lock = DataDirLock(data_dir, Owner(name="ecscope up", data_dir_setting="--data-dir"))
    lock.acquire()
    yield data_dir
    lock.release()


def test_the_one_that_runs(held: Path) -> None:
    publish(held, RUNNING)
    assert find(held) == RUNNING
    assert (held / "up.json").stat().st_mode & 0o777 == 0o600
    assert "HOME" not in repr(RUNNING)


def test_what_a_killed_one_left_is_not_believed(data_dir: Path) -> None:
    publish(data_dir, RUNNING)
    with pytest.raises(NotRunning, match=r"no `ecscope up` runs with the data directory .*up --data-dir"):
        find(data_dir)


@pytest.mark.parametrize("left", [b"", b"{}", msgspec.json.encode(msgspec.structs.replace(RUNNING, pid=1)), None])
def test_one_that_does_not_answer_yet(held: Path, left: bytes | None) -> None:
    publish(held, RUNNING)
    withdraw(held)
    withdraw(held)
    if left is not None:
        (held / "up.json").write_bytes(left)
        (held / "up.json").chmod(0o600)
    with pytest.raises(NotRunning, match="is starting or ending"):
        find(held)


def test_keys_that_others_could_read_are_not_used(held: Path) -> None:
    publish(held, RUNNING)
    (held / "up.json").chmod(0o644)
    with pytest.raises(UnsafeFile):
        find(held)


@pytest.mark.parametrize("every_service", [False, True])
def test_a_shell_takes_what_it_exports(every_service: bool) -> None:
    script = exports(RUNNING, every_service=every_service) + "env"
    told = subprocess.run(
        ["sh", "-eu", "-c", script],
        env={"PATH": os.environ["PATH"], "AWS_SESSION_TOKEN": "old", "AWS_PROFILE": "other"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = dict(line.split("=", 1) for line in told.stdout.splitlines() if line.startswith("AWS_"))
    everywhere = {"AWS_ENDPOINT_URL": RUNNING.url} if every_service else {}
    assert found == everywhere | {
        "AWS_ENDPOINT_URL_ECS": RUNNING.url,
        "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": RUNNING.url,
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "AKIA",
        "AWS_SECRET_ACCESS_KEY": "it's $HOME",
    }
