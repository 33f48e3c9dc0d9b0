"""lazy-ecs in a terminal: through its menus to a task, a forced deployment and a stopped task; and all that it reads.

Not tried: logs (CloudWatch), metrics (CloudWatch) and its links into the AWS console.
"""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.contract.control.live import APP, LivePlane, Programs

pytestmark = pytest.mark.timeout(400)  # the first one installs the clients

READS = Path(__file__).parents[2] / "clients" / "lazy_ecs_reads.py"
ENTER = "\r"
FAILING = ["sh", "-c", "exit 3"]


@pytest.fixture(scope="module", autouse=True)
def _service(live: LivePlane) -> None:
    live.behave(*FAILING, run_for_s=0.05, exit_code=3)
    ecs = live.client()
    container = {**APP, "environment": [{"name": "A", "value": "one"}], "portMappings": [{"containerPort": 80}]}
    mounted = {"mountPoints": [{"sourceVolume": "data", "containerPath": "/data"}]}
    volumes = [{"name": "data", "host": {"sourcePath": "/srv/data"}}]
    ecs.register_task_definition(family="web", containerDefinitions=[{**container, **mounted}], volumes=volumes)
    ecs.register_task_definition(family="web", containerDefinitions=[{**APP, "memory": 32}])
    ecs.create_service(serviceName="web", taskDefinition="web:1", desiredCount=2)
    live.until_stable("web")


class Terminal:
    """A program in a terminal: what it has shown since it was last looked at, without colours and moves."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._shown = ""

    def until(self, text: str, within_s: float = 20.0) -> str:
        """What was shown up to ``text``, which is taken; raises ``AssertionError`` when it does not come."""
        end_s = time.monotonic() + within_s
        while text not in self._shown:
            if time.monotonic() > end_s or not self._read():
                raise AssertionError(f"no {text!r} in:\n{self._shown}")
        before, found, self._shown = self._shown.partition(text)
        return before + found

    def press(self, *keys: str) -> None:
        for key in keys:
            os.write(self._descriptor, key.encode())

    def _read(self) -> bool:
        """``False``: it has ended."""
        if not select.select([self._descriptor], [], [], 0.1)[0]:
            return True
        try:
            raw = os.read(self._descriptor, 65536)
        except OSError:
            return False
        if b"\x1b[6n" in raw:  # where is the cursor?
            self.press("\x1b[1;1R")
        self._shown += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", raw.decode(errors="replace"))
        return True


@contextmanager
def in_terminal(program: Path, environment: Mapping[str, str]) -> Iterator[Terminal]:
    pid, descriptor = pty.fork()
    if pid == 0:
        os.execve(program, [program.name], {**environment, "TERM": "xterm", "COLUMNS": "160", "LINES": "60"})
    try:
        yield Terminal(descriptor)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(descriptor)


@contextmanager
def at_the_service(programs: Programs) -> Iterator[Terminal]:
    with in_terminal(programs.folder / "lazy-ecs", programs.environment) as terminal:
        terminal.until("1) default")
        terminal.press(ENTER)
        terminal.until("Browse services")
        terminal.press(ENTER)
        terminal.until("1) ✅ web (2/2)")
        terminal.press(ENTER)
        terminal.until("Select action for service 'web'")
        yield terminal


def test_down_to_a_variable_of_a_container(programs: Programs) -> None:
    with at_the_service(programs) as terminal:
        terminal.until("Force new deployment")
        terminal.press(ENTER)
        details = terminal.until("Select a feature for this task")
        assert "Status: RUNNING" in details
        assert "Version: ✅ Desired version" in details
        terminal.until("(q)")
        terminal.press("7", ENTER)
        terminal.until("one")


def test_a_deployment_is_forced(programs: Programs, live: LivePlane, ecs: Any) -> None:
    before = set(ecs.list_tasks(serviceName="web")["taskArns"])
    with at_the_service(programs) as terminal:
        terminal.until("Force new deployment")
        terminal.press("6", ENTER)
        terminal.until("?")
        terminal.press("y")
        terminal.until("Successfully")
    live.until_stable("web")
    assert not before & set(ecs.list_tasks(serviceName="web")["taskArns"])


def test_all_that_it_reads(programs: Programs, live: LivePlane, ecs: Any) -> None:
    ecs.register_task_definition(family="failing", containerDefinitions=[{**APP, "command": FAILING}])
    ecs.create_service(serviceName="failing", taskDefinition="failing", desiredCount=1)
    live.until(lambda: ecs.list_tasks(serviceName="failing", desiredStatus="STOPPED")["taskArns"], "its end")
    shown = json.loads(programs.output("python", str(READS), "default", "web"))
    assert shown["clusters"] == ["default"]
    by_name = {service["service_name"]: service for service in shown["services"]}
    assert (by_name["web"]["status"], by_name["web"]["running_count"]) == ("HEALTHY", 2)
    assert [task["is_desired"] for task in shown["tasks"]] == [True, True]
    assert shown["details"]["task_status"] == "RUNNING"
    assert shown["details"]["started_at"]
    assert (shown["environment"], shown["secrets"], shown["log"]) == ({"A": "one"}, {}, None)
    assert shown["ports"] == [{"containerPort": 80, "hostPort": 0, "protocol": "tcp"}]
    assert [mount["host_path"] for mount in shown["mounts"]] == ["/srv/data"]
    assert set(shown["events"]) <= {"scaling", "deployment"}
    assert ["RUNNING", None, "✅ Task is currently running"] in shown["history"]
    assert shown["revisions"] == [2, 1]
    assert {change["type"] for change in shown["changes"]} >= {"container_memory_changed", "env_removed"}
    ended = [(code, said) for status, code, said in shown["history"] if status == "STOPPED"]
    assert ("EssentialContainerExited", "🔴 Container 'app' failed with exit code 3") in ended
