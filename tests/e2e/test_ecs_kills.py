"""In a cluster, the agent or ECS is killed at the worst moments: no task is lost, none runs twice, all is told."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fake_ecs import a_payload_container, a_payload_task, to_stop
from fake_ecs.process import BackendProcess
from tests.e2e.agents import AgentProcess, an_agent, containers_of, engine, eventually

TASK_LABEL = "com.amazonaws.ecs.task-arn"
PAYLOADS = 20
KILLS = 12


@contextmanager
def a_cluster(folder: Path, docker_host: str) -> Iterator[tuple[BackendProcess, AgentProcess]]:
    """A back end as a process, and an agent of it that is not started yet."""
    with BackendProcess() as backend:
        environment = {**backend.environment(), "ECS_EXTERNAL": "true", "TEST_TASKS": ""}
        del environment["ECS_CLUSTER"]
        with an_agent(folder, docker_host=docker_host, **environment) as agent:
            agent.data_dir.mkdir(exist_ok=True)
            backend.ask("make_cluster", agent.cluster)
            yield backend, agent


def a_task(agent: AgentProcess, number: int) -> dict[str, Any]:
    return a_payload_task(a_payload_container("app", memory=16), number=number, cluster=agent.cluster)


def containers_by_task(agent: AgentProcess) -> Counter[str]:
    return Counter(found["Labels"][TASK_LABEL] for found in containers_of(agent.cluster))


def statuses_told(backend: BackendProcess) -> dict[str, list[str]]:
    """Task ARN → its statuses as ECS has them, in the order in which they came, repeated ones once."""
    told: dict[str, list[str]] = {}
    for call in backend.ask("state_changes"):
        statuses = told.setdefault(call["body"]["task"], [])
        if statuses[-1:] != [call["body"]["status"]]:
            statuses.append(call["body"]["status"])
    return told


@pytest.mark.timeout(300)
def test_kills_while_payloads_come_in(tmp_path: Path, docker_endpoint: str, sample_image: str) -> None:
    """Between accept and acknowledgement, between acknowledgement and start, between start and report."""
    chance = random.Random(20261126)
    with a_cluster(tmp_path, docker_endpoint) as (backend, agent):
        tasks = [a_task(agent, number) for number in range(PAYLOADS)]
        waiting = list(tasks)
        for _ in range(KILLS):
            agent.start()
            backend.ask("connected", count=1)
            for _ in range(chance.randint(1, 3)):
                if waiting:
                    backend.ask("push_tasks", waiting.pop())
                    time.sleep(chance.uniform(0.0, 0.15))  # the moment of the kill is what is tried here
            time.sleep(chance.uniform(0.0, 0.6))
            agent.kill()
        agent.start()
        for task in waiting:
            backend.ask("push_tasks", task)
        arns = {task["arn"] for task in tasks}
        assert set(backend.reported("RUNNING", PAYLOADS, timeout_s=90)) == arns
        eventually(lambda: backend.ask("unacked"), lambda left: left == {}, "every acknowledgement")
        assert containers_by_task(agent) == Counter(dict.fromkeys(arns, 1))
        assert statuses_told(backend) == {arn: ["RUNNING"] for arn in arns}
        assert len({call["reply"]["containerInstance"]["containerInstanceArn"] for call in registrations(backend)}) == 1
        assert backend.ask("problems") == []


def registrations(backend: BackendProcess) -> list[dict[str, Any]]:
    return [call for call in backend.ask("calls_of", "RegisterContainerInstance") if call["reply_status"] == 200]


@pytest.mark.timeout(180)
def test_killed_between_the_act_and_its_report(tmp_path: Path, docker_endpoint: str, sample_image: str) -> None:
    with a_cluster(tmp_path, docker_endpoint) as (backend, agent):
        task = a_task(agent, 1)
        agent.start()
        backend.connected()
        backend.ask("hang", "SubmitTaskStateChange")
        backend.ask("push_tasks", task)
        backend.ask("call", "SubmitTaskStateChange")  # it runs, and ECS does not know
        agent.kill()
        backend.ask("heal")
        agent.start()
        backend.ask("state_change", task["arn"], "RUNNING")
        backend.ask("hang", "SubmitTaskStateChange")
        backend.ask("push_tasks", to_stop(task))
        backend.ask("call", "SubmitTaskStateChange", count=3)  # it has stopped, and ECS does not know
        agent.kill()
        backend.ask("heal")
        agent.start()
        backend.ask("state_change", task["arn"], "STOPPED")
        assert statuses_told(backend) == {task["arn"]: ["RUNNING", "STOPPED"]}
        assert containers_by_task(agent) == {task["arn"]: 1}


@pytest.mark.timeout(180)
def test_ecs_is_killed_and_comes_back(tmp_path: Path, docker_endpoint: str, sample_image: str) -> None:
    """It has forgotten all but its address and its count; the agent goes on with its tasks and its ARN."""
    with a_cluster(tmp_path, docker_endpoint) as (backend, agent):
        kept, ends = a_task(agent, 1), a_task(agent, 2)
        agent.start()
        backend.connected()
        backend.push_each(kept, ends)
        backend.reported("RUNNING", 2, timeout_s=90)
        arn = backend.ask("instance_arn")
        port = int(backend.url.rpartition(":")[2])
        next_number = str(backend.ask("seq_num") + 1)
        backend.kill()
        ended = next(c for c in containers_of(agent.cluster) if c["Labels"][TASK_LABEL] == ends["arn"])
        engine().remove_container(ended["Id"])
        with BackendProcess(port=port, arguments=("--seq-num", next_number)) as again:
            again.ask("make_cluster", agent.cluster)
            again.ask("state_change", ends["arn"], "STOPPED", timeout_s=60)
            again.connected(timeout_s=60)
            assert again.ask("instance_arn") == arn
            manifest = again.ask("push_manifest")  # it knows of nothing that runs here
            assert again.ask("stop_candidates", manifest) == [kept["arn"]]
            again.ask("confirm_stop", manifest, kept["arn"])
            again.ask("state_change", kept["arn"], "STOPPED")
            assert statuses_told(again) == {kept["arn"]: ["STOPPED"], ends["arn"]: ["STOPPED"]}
