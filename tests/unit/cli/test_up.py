"""``ecscope up`` says what is wrong in one line and ends with an exit code. How it lives: ``tests/e2e/test_up.py``."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from ecscope.cli import up
from ecscope.cli.main import build_parser
from ecscope.up.running import await_ready
from tests.commands import commands
from tests.e2e.agents import eventually
from tests.e2e.disks import a_small_disk, fill

NO_DOCKER = "unix:///nonexistent"


class EndedUp(Protocol):
    def __call__(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture(scope="module")
def ended_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EndedUp]:
    """``ecscope up`` in a process of its own, since it makes the process's log and garbage collection its own."""
    with commands(tmp_path_factory.mktemp("output")) as run:

        def up(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
            return run("up", *arguments, environment={**os.environ, **environment})

        yield up


@pytest.fixture(scope="module")
def without_docker(
    tmp_path_factory: pytest.TempPathFactory, ended_up: EndedUp
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A data directory whose state file was damaged, and what ended an ``ecscope up`` over it: no Docker."""
    data_dir = tmp_path_factory.mktemp("used") / "data"
    data_dir.mkdir(mode=0o700)
    (data_dir / "control.db").write_bytes(b"garbage" * 1000)
    return data_dir, ended_up("--data-dir", str(data_dir), "--port", "0", DOCKER_HOST=NO_DOCKER)


@pytest.fixture
def used_dir(without_docker: tuple[Path, object], tmp_path: Path) -> Path:
    """A copy of a data directory that was used before."""
    return shutil.copytree(without_docker[0], tmp_path / "data", symlinks=True)


def parsed(*arguments: str) -> argparse.Namespace:
    return build_parser().parse_args(["up", *arguments])


def test_the_defaults() -> None:
    args = parsed()
    assert (args.port, args.data_dir, args.region, args.cluster, args.iam) == (51677, None, None, "default", None)
    assert not args.keep
    assert not args.no_agent
    assert not args.live_delays
    assert not args.any_architecture


@pytest.mark.parametrize("port", ["-1", "65536", "http", ""])
def test_a_port_that_is_none(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed(f"--port={port}")
    assert ended.value.code == 2
    assert "is not a port" in capsys.readouterr().err


def test_in_the_background(tmp_path: Path, cli: Callable[..., tuple[int, str, str]]) -> None:
    """``--detach``, ``wait``, ``env``, ``GET /health`` and ``down``, as a CI job has them."""
    data = f"--data-dir={tmp_path}/up"
    assert cli("down", data)[0] == 0
    code, out, err = cli("wait", data, "--timeout=0")
    assert (code, out) == (1, "")
    assert "not ready: no `ecscope up` runs with the data directory" in err
    code, out, err = cli("up", "--detach", "--no-agent", "--port=0", data)
    try:
        assert (code, err) == (0, "")
        assert out.startswith("export AWS_ENDPOINT_URL_ECS=http://127.0.0.1:")
        assert cli("env", data) == (0, out, "")
        assert cli("wait", data) == (0, "", "")
        url = out.split("=", 1)[1].split("\n")[0]
        with urllib.request.urlopen(f"{url}/health") as answer:
            assert json.load(answer) == {"status": "ready"}
        key = out.split("AWS_SECRET_ACCESS_KEY=")[1].split("\n")[0]
        log = tmp_path / "up" / "up.log"
        assert "the ECS API answers at" in log.read_text()
        assert key not in log.read_text()
        assert log.stat().st_mode & 0o777 == 0o600
        code, out, err = cli("up", "--detach", "--no-agent", "--port=0", data)
        assert (code, out) == (1, "")
        assert "uses the data directory" in err
        assert cli("wait", data) == (0, "", "")
    finally:
        assert cli("down", data) == (0, "", "")
    assert cli("env", data)[:2] == (1, "false\n")


def test_quietly(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ecscope.cli.main", "up", "--quiet", "--no-agent", "--port=0"]
    with subprocess.Popen(
        [*command, f"--data-dir={tmp_path}/up"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert await_ready(tmp_path / "up", timeout_s=60) == ""
        process.terminate()
        assert process.communicate(timeout=30) == ("", "")
    wrong = subprocess.run([*command, "--region=mars"], capture_output=True, text=True, check=False)
    assert "is not the name of a region" in wrong.stderr


@pytest.fixture
def cli() -> Callable[..., tuple[int, str, str]]:
    """``ecscope …``: its exit code, and what it prints."""

    def run(*arguments: str) -> tuple[int, str, str]:
        command = [sys.executable, "-m", "ecscope.cli.main", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout, done.stderr

    return run


def test_local_images(capsys: pytest.CaptureFixture[str]) -> None:
    assert parsed().image == []
    args = parsed("--image", "r.example/a/b=b:dev", "--image=web:1=web:2")
    assert args.image == [("r.example/a/b", "b:dev"), ("web:1", "web:2")]
    for wrong, said in (("web", "must be REPOSITORY=LOCAL"), ("web=", "has a bad name"), ("Web=web", "has a bad name")):
        with pytest.raises(SystemExit):
            parsed(f"--image={wrong}")
        assert said in capsys.readouterr().err


def test_rights_in_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert up.run(parsed("--data-dir", str(tmp_path), "--iam", str(tmp_path / "none.json"))) == 2
    assert "the file does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["up", "agent", "config"])
@pytest.mark.parametrize("cluster", ["a b", "", "x" * 256, "a/b"])
def test_a_cluster_that_cannot_be(command: str, cluster: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_args([command, f"--cluster={cluster}"])
    assert ended.value.code == 2
    assert "is not the name of a cluster" in capsys.readouterr().err


def test_an_agent_takes_a_cluster_by_arn_too() -> None:
    arn = "arn:aws:ecs:us-east-1:111122223333:cluster/web"
    assert build_parser().parse_args(["agent", "--cluster", arn]).cluster == arn


def test_a_region_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for region in ("x y", "mars", "eu-west", "EU-WEST-1", "1", "us-east-1/"):
        assert up.run(parsed("--data-dir", str(tmp_path / "d"), "--region", region)) == 2
        assert f"{region!r} is not the name of a region" in capsys.readouterr().err
    assert not (tmp_path / "d").exists()


def test_rights_with_a_mistake(tmp_path: Path, ended_up: EndedUp) -> None:
    (tmp_path / "iam.json").write_text("{")
    ended = ended_up("--data-dir", str(tmp_path), "--port", "0", "--iam", str(tmp_path / "iam.json"))
    assert ended.returncode == 2
    assert "is not JSON" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_region_that_the_state_is_not_of(ended_up: EndedUp, used_dir: Path) -> None:
    ended = ended_up("--data-dir", str(used_dir), "--port", "0", "--region", "eu-west-2", DOCKER_HOST=NO_DOCKER)
    assert ended.returncode == 2
    assert "is of region us-east-1, and --region is eu-west-2" in ended.stderr


def test_a_damaged_state_file_is_reported_once_and_in_plain_words(
    without_docker: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    data_dir, ended = without_docker
    assert ended.returncode == 1
    assert all(line.startswith("ecscope up: ") for line in ended.stderr.splitlines())
    assert ended.stderr.count("damaged (") == 1
    assert "the state file control.db was damaged (file is not a database)" in ended.stderr
    assert {path.name: path.stat().st_mode & 0o077 for path in data_dir.glob("*.log")} == {"control.log": 0}


def test_a_data_directory_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert up.run(parsed("--data-dir", str(tmp_path / "file" / "below"))) == 2
    assert "give another --data-dir" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name",
    [
        "keys.json", "control.log", "control.db", "control.db-wal", "ecscope.lock", "agent.log", "agent",
        "agent/ecscope.lock",
    ],
)  # fmt: skip
def test_a_link_in_the_data_directory_is_not_followed(tmp_path: Path, name: str, ended_up: EndedUp) -> None:
    data_dir, target = tmp_path / "data", tmp_path / "target"
    (data_dir / name).parent.mkdir(mode=0o700, parents=True)
    if name != "agent":
        target.write_text("mine")
    (data_dir / name).symlink_to(target)
    if name == "agent":
        target.mkdir(mode=0o777)
        target.chmod(0o777)
    ended = ended_up("--data-dir", str(data_dir), "--port", "0", DOCKER_HOST=NO_DOCKER)
    assert ended.returncode == 2, ended.stderr
    assert str(data_dir / name) in ended.stderr
    assert "symbolic link" in ended.stderr or "other users may write in this directory" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert (data_dir / name).is_symlink()
    assert target.is_dir() or target.read_text() == "mine"


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o720])
def test_a_data_directory_in_which_others_may_write(tmp_path: Path, mode: int, ended_up: EndedUp) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(mode)
    ended = ended_up("--data-dir", str(tmp_path / "data"), "--port", "0")
    assert (ended.returncode, list((tmp_path / "data").iterdir())) == (2, [])
    assert f"other users may write in this directory (mode {mode:04o})" in ended.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("name", ["", "keys.json", "control.db", "agent"])
def test_what_is_another_users_is_not_taken(name: str, ended_up: EndedUp, used_dir: Path) -> None:
    os.chown(used_dir / name, 12345, 12345)
    ended = ended_up("--data-dir", str(used_dir), "--port", "0", DOCKER_HOST=NO_DOCKER)
    assert ended.returncode == 2, ended.stderr
    assert str(used_dir / name) in ended.stderr
    assert "belongs to user 12345" in ended.stderr


def test_rights_in_a_file_that_is_a_link(tmp_path: Path, ended_up: EndedUp) -> None:
    (tmp_path / "rights.json").write_text("{}")
    (tmp_path / "iam.json").symlink_to(tmp_path / "rights.json")
    ended = ended_up("--data-dir", str(tmp_path / "data"), "--port", "0", "--iam", str(tmp_path / "iam.json"))
    assert ended.returncode == 2
    assert "it is a symbolic link" in ended.stderr


def test_a_full_disk_is_said_once_on_the_terminal_and_so_is_its_end(tmp_path: Path) -> None:
    full, room = "there is no room left", "there is room again"
    with a_small_disk(tmp_path / "disk") as disk:
        command = [sys.executable, "-m", "ecscope.cli.main", "up", "--no-agent", "--port=0"]
        command.append(f"--data-dir={disk / 'data'}")
        output = tmp_path / "output"
        with (
            output.open("w") as said,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True) as process,
        ):
            assert process.stdout is not None
            while "aws ecs" not in process.stdout.readline():
                assert process.poll() is None
            fill(disk / "ballast")
            eventually(output.read_text, lambda text: full in text, "a line about the full disk")
            (disk / "ballast").unlink()
            eventually(output.read_text, lambda text: room in text, "a line about the room")
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
    assert [output.read_text().count(what) for what in (full, room)] == [1, 1]
