"""Docker absent, gone, hanging, restarted; containers killed and removed by hand: said, seen, recovered."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecscope.agent.store.reader import read_history
from tests.e2e.agents import an_agent, containers_of, engine, eventually
from tests.e2e.between import DockerInBetween

FOREVER = "trap 'exit 0' TERM; sleep 1000 & wait"


@pytest.fixture
def between(tmp_path: Path, docker_endpoint: str) -> Iterator[DockerInBetween]:
    proxy = DockerInBetween(tmp_path / "docker.sock", docker_endpoint.removeprefix("unix://"))
    try:
        yield proxy
    finally:
        proxy.end()


def _known(tasks: list[dict]) -> list[str]:
    return [t["KnownStatus"] for t in tasks]


def test_docker_absent_at_start_is_said_once_and_waited_for(
    tmp_path: Path, between: DockerInBetween, sample_image: str
) -> None:
    with an_agent(tmp_path, docker_host=between.endpoint) as agent:
        agent.write_task("one", FOREVER)
        agent.start()
        eventually(agent.tasks, lambda tasks: _known(tasks) == ["PENDING"], "a waiting task")
        eventually(agent.log, lambda log: "Docker cannot be used" in log, "a word about Docker")
        between.open()
        eventually(agent.tasks, lambda tasks: _known(tasks) == ["RUNNING"], "RUNNING")
        assert agent.log().count("Docker cannot be used") == 1


def test_docker_gone_for_a_while_costs_nothing(tmp_path: Path, between: DockerInBetween, sample_image: str) -> None:
    between.open()
    with an_agent(tmp_path, docker_host=between.endpoint) as agent:
        agent.write_task("stays", FOREVER)
        agent.write_task("ends", "trap 'exit 9' TERM; sleep 1000 & wait", name="ends")
        agent.start()
        tasks = eventually(agent.tasks, lambda tasks: _known(tasks) == ["RUNNING"] * 2, "both RUNNING")
        between.close()
        eventually(agent.log, lambda log: "Docker cannot be used" in log, "a word about Docker")
        ends = next(c["DockerId"] for t in tasks for c in t["Containers"] if c["Name"] == "ends")
        engine().request("POST", f"/containers/{ends}/stop")
        agent.write_task("later", FOREVER)
        eventually(agent.tasks, lambda tasks: len(tasks) == 3, "the new task accepted")
        between.open()
        eventually(
            agent.tasks, lambda tasks: sorted(_known(tasks)) == ["RUNNING", "RUNNING", "STOPPED"], "all as they should"
        )
        assert len(containers_of(agent.cluster)) == 3


def test_docker_cut_in_the_middle_of_starts_doubles_nothing(
    tmp_path: Path, between: DockerInBetween, sample_image: str
) -> None:
    between.open()
    with an_agent(tmp_path, docker_host=between.endpoint) as agent:
        agent.start()
        eventually(agent.tasks, lambda tasks: tasks == [], "an answer")
        for number in range(8):
            agent.write_task(f"task-{number}", FOREVER)
        for _ in range(4):
            time.sleep(0.3)  # the moment of the cut is what is tried here
            between.close()
            between.open()
        eventually(agent.tasks, lambda tasks: _known(tasks) == ["RUNNING"] * 8, "all RUNNING", within_s=60)
        assert len(containers_of(agent.cluster)) == 8


def test_a_hanging_docker_does_not_stop_answers(tmp_path: Path, between: DockerInBetween, sample_image: str) -> None:
    between.open()
    with an_agent(tmp_path, docker_host=between.endpoint) as agent:
        agent.write_task("one", FOREVER)
        agent.start()
        eventually(agent.tasks, lambda tasks: _known(tasks) == ["RUNNING"], "RUNNING")
        between.hang()
        agent.write_task("two", FOREVER)
        eventually(agent.tasks, lambda tasks: _known(tasks) == ["RUNNING", "PENDING"], "the second waiting")
        between.go_on()
        eventually(agent.tasks, lambda tasks: _known(tasks) == ["RUNNING", "RUNNING"], "both RUNNING")


@pytest.mark.parametrize("by_hand", ["kill", "remove"])
def test_a_container_ended_by_hand_is_seen_within_a_second(
    tmp_path: Path, docker_endpoint: str, sample_image: str, by_hand: str
) -> None:
    with an_agent(tmp_path, docker_host=docker_endpoint) as agent:
        agent.write_task("one", FOREVER)
        agent.start()
        [task] = eventually(agent.tasks, lambda tasks: _known(tasks) == ["RUNNING"], "RUNNING")
        docker_id = task["Containers"][0]["DockerId"]
        if by_hand == "kill":
            engine().request("POST", f"/containers/{docker_id}/kill")
        else:
            engine().remove_container(docker_id)
        # one second after Docker has done it: a limit of the agent's own, so no patience here
        eventually(agent.tasks, lambda tasks: _known(tasks) == ["STOPPED"], "STOPPED", within_s=1.0)

        entries = read_history(agent.data_dir, task["Arn"], limit=100)
        stopped = [e for e in entries if e.container_name == "app" and e.detail.get("to") == "STOPPED"]
        assert [e.detail["exitCode"] for e in stopped] == [137]
        assert "reason" not in stopped[0].detail
