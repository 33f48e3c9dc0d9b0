"""``ecscope logs`` with a real engine: over containers and restarts, nothing missing and nothing twice."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.agents import ROOT, eventually
from tests.e2e.ups import Up, an_up

pytestmark = pytest.mark.timeout(120)
LONG = 40_000
TWICE = f"""
echo "run $(cat /proc/uptime)"
head -c {LONG} /dev/zero | tr '\\0' x; echo
for line in 1 2 3; do echo "$line $(cat /proc/uptime)"; sleep 0.2; done
echo broken >&2
exit 1
"""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, docker_endpoint: str, sample_image: str) -> Iterator[Up]:
    with an_up(tmp_path_factory.mktemp("up"), docker_endpoint) as up:
        up.start()
        yield up
        assert up.end() == 0


def follow(up: Up, which: str, output: Path) -> subprocess.Popen[bytes]:
    with output.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "ecscope.cli.main", "logs", which, "--follow", "--data-dir", str(up.data_dir)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
            stdout=file,
            stderr=subprocess.PIPE,
        )


def test_lines_are_followed_over_containers_and_restarts_until_the_task_stops(up: Up, tmp_path: Path) -> None:
    containers = [
        {
            "name": "app",
            "image": "ecscope-sample:latest",
            "memory": 16,
            "essential": False,
            "command": ["sh", "-c", TWICE],
            "restartPolicy": {"enabled": True, "restartAttemptPeriod": 60},
        },
        {
            "name": "side",
            "image": "ecscope-sample:latest",
            "memory": 16,
            "command": ["sh", "-c", "trap 'echo bye; exit 0' TERM; echo hello; while :; do sleep 0.1; done"],
            "dependsOn": [{"containerName": "app", "condition": "START"}],
            "stopTimeout": 5,
        },
    ]
    up.call("register_task_definition", family=up.family, containerDefinitions=containers)
    (arn,) = up.run_tasks(1)
    which = arn.rpartition("/")[2]
    up.await_tasks("RUNNING")
    output = tmp_path / "followed"
    following = follow(up, which, output)
    try:
        eventually(output.read_bytes, lambda text: b"side | hello" in text and b"app  | 3 " in text, "all lines")
        up.call("stop_task", cluster=up.cluster, task=arn)
        _, said = following.communicate(timeout=60)
    finally:
        following.kill()
        following.wait()
    assert (following.returncode, said) == (0, b"")
    followed = output.read_bytes().splitlines()
    assert b"side | bye" in followed
    once = up.command("logs", which)
    assert once.returncode == 0, once.stderr
    lines = once.stdout.encode().splitlines()
    assert sorted(lines) == sorted(followed)
    runs = sum(line.startswith(b"app  | run ") for line in lines)
    assert sum(line == b"app  | broken" for line in lines) <= runs
    marked = [line for line in followed if line.startswith((b"app  | run", b"app  | 1", b"app  | 2", b"app  | 3"))]
    assert len(set(marked)) == len(marked), "each of them has its moment: none is there twice"
    assert b"app  | " + b"x" * LONG in lines
    newest = up.command("logs", which, "--container", "app", "--tail", "1")
    assert (
        newest.stdout.encode().rstrip(b"\n") == [one for one in lines if one.startswith(b"app ")][-1][len(b"app  | ") :]
    )
