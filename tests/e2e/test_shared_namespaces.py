"""Containers of a task that share a PID and an IPC namespace, which a pause container holds, and what its end means."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.agents import containers_of, engine, eventually
from tests.e2e.ups import TASK_LABEL, Up, an_up

pytestmark = pytest.mark.timeout(180)

ORPHANS = "while :; do (sleep 0.05 & ); sleep 0.1; done"
"""Leaves a process behind again and again, which then belongs to process 1."""
STUBBORN = "trap '' TERM; while :; do sleep 0.1; done"


@pytest.fixture
def up(tmp_path: Path, docker_endpoint: str, sample_image: str) -> Iterator[Up]:
    with an_up(tmp_path, docker_endpoint) as up:
        up.start()
        yield up


def test_the_containers_of_a_task_see_each_others_processes(up: Up) -> None:
    sample = {"image": "ecscope-sample:latest", "memory": 16, "essential": True, "stopTimeout": 2}
    up.call(
        "register_task_definition",
        family=up.family,
        pidMode="task",
        ipcMode="task",
        containerDefinitions=[
            {**sample, "name": "orphans", "command": ["sh", "-c", ORPHANS]},
            {**sample, "name": "stubborn", "command": ["sh", "-c", STUBBORN]},
        ],
    )
    (arn,) = up.run_tasks(1)
    up.await_tasks("RUNNING")
    pause, *others = sorted(of_task(up, arn), key=lambda found: found["Image"] != "ecscope-pause:1")
    assert (pause["Image"], len(others)) == ("ecscope-pause:1", 2)
    seen = processes(pause["Id"])
    assert seen[0] == "/pause"
    assert any(STUBBORN in one for one in seen), seen
    assert any(ORPHANS in one for one in seen), seen
    eventually(lambda: processes(pause["Id"]), lambda found: not any("defunct" in one for one in found), "no zombies")
    (task,) = up.call("describe_tasks", cluster=up.cluster, tasks=[arn])["tasks"]
    assert [one["name"] for one in task["containers"]] == ["orphans", "stubborn"], "no pause container is reported"

    engine().remove_container(pause["Id"])
    up.await_tasks("STOPPED")
    (task,) = up.call("describe_tasks", cluster=up.cluster, tasks=[arn])["tasks"]
    assert task["stoppedReason"] == (
        "The pause container of the task, which holds its PID or IPC namespace, was stopped or removed: it exited with"
        " 137"
    )
    assert {one["exitCode"] for one in task["containers"]} == {137}

    engine().request("DELETE", "/images/ecscope-pause:1", force="1")
    up.run_tasks(1)
    up.await_tasks("RUNNING", "STOPPED")
    assert up.end() == 0
    assert containers_of(up.cluster) == []


def of_task(up: Up, arn: str) -> list[dict[str, Any]]:
    return [found for found in containers_of(up.cluster) if found["Labels"][TASK_LABEL] == arn]


def processes(docker_id: str) -> list[str]:
    """Commands of all processes in the PID namespace of a container, by their number in it."""
    host_pid = json.loads(engine().request("GET", f"/containers/{docker_id}/json"))["State"]["Pid"]
    namespace = Path(f"/proc/{host_pid}/ns/pid").readlink()
    found = []
    for process in sorted(int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()):
        try:
            if Path(f"/proc/{process}/ns/pid").readlink() != namespace:
                continue
            status = dict(line.split(":\t", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
            command = Path(f"/proc/{process}/cmdline").read_bytes().decode().replace("\0", " ").strip()
        except (FileNotFoundError, PermissionError, ProcessLookupError, ValueError):
            continue
        found.append((int(status["NSpid"].split()[-1]), command or f"{status['Name']} (defunct)"))
    return [command for _, command in sorted(found)]
