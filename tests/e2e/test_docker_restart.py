"""A real dockerd is stopped, killed and started under the agent: said once, recovered alone, nothing lost or twice."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ecscope.agent.store.reader import read_history
from tests.e2e.agents import AgentProcess, a_lone_agent, eventually
from tests.e2e.daemons import Daemon, a_daemon
from tests.session import TEST_PREFIX

FOREVER = "trap 'exit 7' TERM; sleep 1000 & wait"
SAID = "Docker cannot be used"
SIGNALS = [pytest.param(signal.SIGTERM, id="stopped"), pytest.param(signal.SIGKILL, id="killed")]


def _write(agent: AgentProcess, name: str, command: str = FOREVER) -> None:
    agent.write(
        name,
        {
            "family": f"{TEST_PREFIX}{name}",
            "networkMode": "host",
            "containerDefinitions": [
                {
                    "name": "app",
                    "image": "ecscope-sample:latest",
                    "memory": 16,
                    "command": ["sh", "-c", command],
                    "stopTimeout": 5,
                }
            ],
        },
    )


def _known(tasks: list[dict[str, Any]]) -> list[str]:
    return [task["KnownStatus"] for task in tasks]


def _running(agent: AgentProcess, count: int = 1) -> list[dict[str, Any]]:
    return eventually(agent.tasks, lambda tasks: _known(tasks) == ["RUNNING"] * count, f"{count} RUNNING")


def _exit_codes(agent: AgentProcess, arn: str) -> list[object]:
    entries = read_history(agent.data_dir, arn, limit=100)
    return [entry.detail.get("exitCode") for entry in entries if entry.detail.get("to") == "STOPPED"]


def _starts(daemon: Daemon) -> dict[str, str]:
    return {box["Id"]: box["State"]["StartedAt"] for box in daemon.containers()}


@pytest.mark.parametrize("how", SIGNALS)
def test_docker_restarted_takes_its_containers_along(tmp_path: Path, how: signal.Signals) -> None:
    """Without live-restore: the tasks end, each with what Docker says of it, and new ones run."""
    with a_daemon() as daemon, a_lone_agent(tmp_path, docker_host=daemon.engine.endpoint) as agent:
        _write(agent, "one")
        agent.start()
        [before] = _running(agent)
        daemon.end(how)
        eventually(agent.log, lambda log: SAID in log, "a word about Docker")
        assert [task["Arn"] for task in agent.tasks()] == [before["Arn"]], "it answers meanwhile"
        _write(agent, "two")
        eventually(agent.tasks, lambda tasks: len(tasks) == 2, "the new task accepted")
        daemon.start()
        tasks = eventually(
            agent.tasks, lambda tasks: sorted(_known(tasks)) == ["RUNNING", "STOPPED"], "the old ended, the new runs"
        )
        stopped = next(task for task in tasks if task["KnownStatus"] == "STOPPED")
        assert stopped["Arn"] == before["Arn"]
        [ended] = [box for box in daemon.containers() if not box["State"]["Running"]]
        assert ended["Id"] == stopped["Containers"][0]["DockerId"]
        if how == signal.SIGTERM:
            assert ended["State"]["ExitCode"] == 7
        assert [code for code in _exit_codes(agent, before["Arn"]) if code is not None] == [ended["State"]["ExitCode"]]
        assert len(daemon.containers()) == 2
        assert agent.log().count(SAID) <= 3, "once per reason: gone, not there yet, not ready yet"
        assert agent.is_alive


@pytest.mark.parametrize("how", SIGNALS)
def test_docker_restarted_keeps_its_containers(tmp_path: Path, how: signal.Signals) -> None:
    """With live-restore: the tasks do not notice; what ended meanwhile keeps the exit code that Docker knows.

    Docker 20.10 keeps it; from 26.1 on its containerd clears away a container that ended meanwhile, and says 255.
    """
    with (
        a_daemon("--live-restore") as daemon,
        a_lone_agent(tmp_path, docker_host=daemon.engine.endpoint) as agent,
    ):
        _write(agent, "one")
        _write(agent, "two")
        agent.start()
        one, two = sorted(_running(agent, 2), key=lambda task: task["Family"])
        before = _starts(daemon)
        [pid] = [box["State"]["Pid"] for box in daemon.containers() if box["Id"] == two["Containers"][0]["DockerId"]]
        daemon.end(how)
        eventually(agent.log, lambda log: SAID in log, "a word about Docker")
        os.kill(pid, signal.SIGTERM)
        daemon.start()
        _write(agent, "three")
        tasks = eventually(
            agent.tasks, lambda tasks: sorted(_known(tasks)) == ["RUNNING", "RUNNING", "STOPPED"], "all at their aim"
        )
        assert {task["Arn"]: task["KnownStatus"] for task in tasks if task["Family"] != f"{TEST_PREFIX}three"} == {
            one["Arn"]: "RUNNING",
            two["Arn"]: "STOPPED",
        }
        [ended] = [box for box in daemon.containers() if box["Id"] == two["Containers"][0]["DockerId"]]
        assert ended["State"]["ExitCode"] in (7, 255)
        assert [code for code in _exit_codes(agent, two["Arn"]) if code is not None] == [ended["State"]["ExitCode"]]
        after = _starts(daemon)
        assert {box: after[box] for box in before} == before, "none was started again"
        assert sorted(after) == sorted(task["Containers"][0]["DockerId"] for task in tasks)


@pytest.mark.parametrize("how", SIGNALS)
def test_docker_restarted_in_the_middle_of_starts_doubles_nothing(tmp_path: Path, how: signal.Signals) -> None:
    with a_daemon() as daemon, a_lone_agent(tmp_path, docker_host=daemon.engine.endpoint) as agent:
        agent.start()
        eventually(agent.tasks, lambda tasks: tasks == [], "an answer")
        written = 0
        for _ in range(2):
            for _ in range(4):
                written += 1
                _write(agent, f"task-{written}")
            time.sleep(0.4)  # the moment of the end is what is tried here
            daemon.end(how)
            daemon.start()
        _write(agent, "last")
        tasks = eventually(
            agent.tasks,
            lambda tasks: len(tasks) == written + 1 and set(_known(tasks)) <= {"RUNNING", "STOPPED"},
            "every task at its aim or ended",
            within_s=60,
        )
        assert next(task for task in tasks if task["Family"].endswith("-last"))["KnownStatus"] == "RUNNING"
        families = Counter(task["Family"] for task in tasks)
        assert max(families.values()) == 1
        boxes = daemon.containers()
        known = {
            box["DockerId"]: task["KnownStatus"] for task in tasks for box in task["Containers"] if box["DockerId"]
        }
        assert sorted(box["Id"] for box in boxes) == sorted(known), "no container without a task, none twice"
        for box in boxes:
            assert (known[box["Id"]] == "RUNNING") == box["State"]["Running"], box["State"]


@pytest.mark.parametrize("agent_first", [True, False], ids=["agent first", "docker first"])
def test_a_host_that_goes_down_and_comes_up(tmp_path: Path, agent_first: bool) -> None:
    """The power goes: no process is left. The first answer shows the tasks; they end; the next ones run."""
    with a_daemon() as daemon, a_lone_agent(tmp_path, docker_host=daemon.engine.endpoint) as agent:
        _write(agent, "one")
        _write(agent, "two")
        agent.start()
        before = _running(agent, 2)
        agent.kill()
        daemon.cut_power()
        if not agent_first:
            daemon.start()
        agent.start()
        first = eventually(agent.tasks, lambda _: True, "an answer")
        assert [task["Arn"] for task in first] == [task["Arn"] for task in before]
        if agent_first:
            assert first == before
            eventually(agent.log, lambda log: SAID in log, "a word about Docker")
            daemon.start()
        eventually(agent.tasks, lambda tasks: _known(tasks) == ["STOPPED"] * 2, "both ended")
        _write(agent, "three")
        tasks = eventually(agent.tasks, lambda tasks: _known(tasks) == ["STOPPED", "STOPPED", "RUNNING"], "the third")
        boxes = daemon.containers()
        assert sorted(box["Id"] for box in boxes) == sorted(task["Containers"][0]["DockerId"] for task in tasks)
        assert len([box for box in boxes if box["State"]["Running"]]) == 1
        for task in before:
            [code] = {box["State"]["ExitCode"] for box in boxes if box["Id"] == task["Containers"][0]["DockerId"]}
            assert code in _exit_codes(agent, task["Arn"])
