"""What a restart of the agent keeps: the first answer, exit codes of the time between, and who ran what."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from ecscope.agent.store.reader import read_history
from tests.e2e.agents import an_agent, containers_of, engine, eventually

FOREVER = "trap 'exit 0' TERM; sleep 1000 & wait"


def _is(known: str):
    return lambda tasks: [t["KnownStatus"] for t in tasks] == [known]


def test_the_first_answer_after_a_restart_shows_the_restored_tasks(
    tmp_path: Path, docker_endpoint: str, sample_image: str
) -> None:
    with an_agent(tmp_path, docker_host=docker_endpoint) as agent:
        agent.write_task("one", FOREVER)
        agent.start()
        before = eventually(agent.tasks, _is("RUNNING"), "RUNNING")
        agent.kill()
        agent.start()
        first = eventually(agent.tasks, lambda _: True, "an answer")
        assert first == before


def test_a_container_that_exits_while_the_agent_is_away_keeps_its_exit_code(
    tmp_path: Path, docker_endpoint: str, sample_image: str
) -> None:
    with an_agent(tmp_path, docker_host=docker_endpoint) as agent:
        agent.write_task("one", "trap 'exit 7' TERM; sleep 1000 & wait")
        agent.start()
        eventually(agent.tasks, _is("RUNNING"), "RUNNING")
        agent.kill()
        [box] = containers_of(agent.cluster)
        engine().request("POST", f"/containers/{box['Id']}/stop")
        agent.start()
        eventually(agent.tasks, _is("STOPPED"), "STOPPED")
        agent.kill(signal.SIGTERM)
        assert '"exitCode":7' in _history(agent.data_dir)


def test_a_file_changed_while_the_agent_is_away_replaces_its_task(
    tmp_path: Path, docker_endpoint: str, sample_image: str
) -> None:
    with an_agent(tmp_path, docker_host=docker_endpoint) as agent:
        agent.write_task("one", FOREVER)
        agent.start()
        [old] = eventually(agent.tasks, _is("RUNNING"), "RUNNING")
        agent.kill()
        agent.write_task("one", FOREVER + "; true")
        agent.start()
        tasks = eventually(
            agent.tasks,
            lambda tasks: sorted(t["KnownStatus"] for t in tasks) == ["RUNNING", "STOPPED"],
            "the old stopped, the new running",
        )
        new = next(t for t in tasks if t["KnownStatus"] == "RUNNING")
        assert new["Arn"] != old["Arn"]
        assert (old["Version"], new["Version"]) == ("1", "2")


def test_containers_keep_running_while_the_agent_is_down(
    tmp_path: Path, docker_endpoint: str, sample_image: str
) -> None:
    with an_agent(tmp_path, docker_host=docker_endpoint) as agent:
        agent.write_task("one", FOREVER)
        agent.start()
        eventually(agent.tasks, _is("RUNNING"), "RUNNING")
        assert agent.kill(signal.SIGTERM) == 0
        [box] = containers_of(agent.cluster)
        assert box["State"] == "running"


def _history(data_dir: Path) -> str:

    entries = read_history(data_dir, None, limit=1000)
    return json.dumps([dict(entry.detail) for entry in entries], separators=(",", ":"))
