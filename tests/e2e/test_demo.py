"""``make demo`` shows the example of the AWS documentation, through the ECS API, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.contract.aws_lines import AwsLine
from tests.e2e.agents import ROOT, containers_of, eventually

pytestmark = pytest.mark.timeout(240)

DEMO = ROOT / "scripts" / "demo"
CLUSTER = "ecscope-demo"


@pytest.fixture(autouse=True)
def free_place(docker_endpoint: str) -> None:
    """The demo is about the ports that everybody knows, and the folder of this checkout."""
    if not (ROOT / ".venv" / "bin" / "ecscope").exists():
        pytest.skip("the demo runs in .venv, which is not there")
    if (ROOT / "build" / "demo").exists():
        pytest.skip("a demo runs in this checkout")
    for port in (51677, 51678):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                pytest.skip(f"somebody on this machine uses port {port}")


def demo(output: Path, **variables: str) -> subprocess.Popen[bytes]:
    with output.open("wb") as file:
        return subprocess.Popen([sys.executable, str(DEMO)], env={**os.environ, **variables}, stdout=file, stderr=file)


def shown(output: str) -> list[dict[str, Any]]:
    """The tasks in what `curl` printed."""
    text = output.split("/v1/tasks\n", 1)[1]
    tasks: list[dict[str, Any]] = json.JSONDecoder().raw_decode(text)[0]["Tasks"]
    return tasks


def left() -> list[str]:
    return [container["Id"] for container in containers_of(CLUSTER)]


def test_once(tmp_path: Path) -> None:
    output = tmp_path / "output"
    assert demo(output, ONCE="1").wait(180) == 0, output.read_text()
    tasks = shown(output.read_text())
    assert sorted((t["Family"], t["Version"], t["DesiredStatus"], t["KnownStatus"]) for t in tasks) == [
        ("console-sample-app-static", "6", "RUNNING", "RUNNING"),
        ("console-sample-app-static", "6", "STOPPED", "STOPPED"),
    ]
    assert [sorted(c["Name"] for c in t["Containers"]) for t in tasks] == [["busybox", "simple-app"]] * 2
    for line in output.read_text().splitlines():
        if line.startswith("$ aws ecs"):
            AwsLine(line.removeprefix("$ "))
    assert left() == []
    assert not (ROOT / "build" / "demo").exists()


def test_after_one_that_was_killed(tmp_path: Path) -> None:
    killed = demo(tmp_path / "killed", ONCE="0")
    eventually((tmp_path / "killed").read_text, lambda text: "wait tasks-running" in text, "two tasks")
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    output = tmp_path / "output"
    assert demo(output, ONCE="1").wait(180) == 0, output.read_text()
    assert "ended what an earlier run had left running" in output.read_text()
    assert len(shown(output.read_text())) == 2
    assert left() == []
