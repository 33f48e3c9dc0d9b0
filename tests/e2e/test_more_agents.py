"""Further agents join ``ecscope up``: they share the tasks, and one that is gone for good is replaced by another."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.e2e.agents import ROOT, eventually
from tests.e2e.ups import Up, an_up

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    with an_up(tmp_path) as up:
        up.start("--no-agent")
        yield up
        assert up.end() == 0


@contextmanager
def a_simulated_agent(up: Up, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """As the README has it: what ``ecscope up`` told to export, and ``ECS_BACKEND_HOST``; it has joined."""
    exported = dict(re.findall(r"(AWS_\w+)=(\S+)", up.output()))
    environment = {
        **exported,
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "src"),
        "ECS_BACKEND_HOST": exported["AWS_ENDPOINT_URL_ECS"],
        "ECS_AGENT_CONFIG_FILE_PATH": str(up.data_dir / "no-such.json"),
        "ECSCOPE_INTROSPECTION_ADDRESS": "192.0.2.1",  # bound on no machine: 51678 of this one is left alone
    }
    options = ["--simulated", "--cluster", up.cluster, "--data-dir", str(up.data_dir / name)]
    log_path = up.data_dir / f"{name}.log"
    before = _connected(up)
    with log_path.open("wb") as log:
        agent = subprocess.Popen(
            [sys.executable, "-m", "ecscope.cli.main", "agent", *options],
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        eventually(lambda: _connected(up) - before, bool, f"{name} to join")
        assert "SIMULATED: no container runs here" in log_path.read_text()
        yield agent
    except BaseException:
        print(log_path.read_text()[-8000:])
        raise
    finally:
        agent.terminate()
        agent.wait(20)


def test_two_share_the_tasks_of_a_service(up: Up) -> None:
    with a_simulated_agent(up, "one"), a_simulated_agent(up, "two"):
        up.register()
        up.call("create_service", cluster=up.cluster, serviceName="web", taskDefinition=up.family, desiredCount=6)
        shares = eventually(lambda: _shares(up), lambda shares: sum(shares.values()) == 6, "six tasks that run")
        assert sorted(shares.values()) == [3, 3]
        for instance in _instances(up):
            assert {"name": "ecscope.simulated", "value": "true"} in instance["attributes"]
            assert instance["versionInfo"]["dockerVersion"] == "DockerVersion: simulated"
        real_only = {"type": "memberOf", "expression": "attribute:ecscope.simulated != true"}
        made = up.call("run_task", cluster=up.cluster, taskDefinition=up.family, placementConstraints=[real_only])
        assert made["tasks"] == []
        assert {failure["reason"] for failure in made["failures"]} == {"MemberOf placement constraint unsatisfied."}


def test_one_that_is_gone_for_good(up: Up) -> None:
    """Away, it costs no task; deregistered by force, its tasks end in the books and start on the other one."""
    with a_simulated_agent(up, "stays"), a_simulated_agent(up, "goes") as goes:
        up.register()
        up.call("create_service", cluster=up.cluster, serviceName="web", taskDefinition=up.family, desiredCount=4)
        eventually(lambda: _shares(up), lambda shares: sorted(shares.values()) == [2, 2], "two tasks on each")
        goes.kill()
        goes.wait()
        (gone,) = eventually(
            lambda: {i["containerInstanceArn"] for i in _instances(up)} - _connected(up), bool, "one that is away"
        )
        assert sorted(_shares(up).values()) == [2, 2], "nobody knows yet that it does not come back"
        with pytest.raises(ClientError, match="running tasks"):
            up.call("deregister_container_instance", cluster=up.cluster, containerInstance=gone)
        up.call("deregister_container_instance", cluster=up.cluster, containerInstance=gone, force=True)
        shares = eventually(lambda: _shares(up), lambda shares: list(shares.values()) == [4], "four on the other")
        assert gone not in shares
        ended = [task for task in _tasks(up) if task["containerInstanceArn"] == gone]
        assert {(task["lastStatus"], task["stopCode"]) for task in ended} == {("STOPPED", "TerminationNotice")}
        assert len(ended) == 2


def test_what_is_simulated_ends_with_its_process(up: Up) -> None:
    """Started again it is the same instance, as after a power cut: the old tasks are gone, the service has new ones."""
    with a_simulated_agent(up, "one") as agent:
        up.register()
        up.call("create_service", cluster=up.cluster, serviceName="web", taskDefinition=up.family, desiredCount=2)
        before = eventually(lambda: _running(up), lambda arns: len(arns) == 2, "two tasks")
        (instance,) = _connected(up)
        agent.kill()
        agent.wait()
        eventually(lambda: _connected(up), lambda arns: not arns, "its leave")
    with a_simulated_agent(up, "one"):
        assert _connected(up) == {instance}
        after = eventually(lambda: _running(up), lambda arns: len(arns - before) == 2, "two others")
        assert not after & before


def test_a_client_that_tries_again_runs_its_tasks_once(up: Up) -> None:
    """The control plane is killed at some moment of RunTask; the same token asks again, and each task is there once."""
    chance = random.Random(20261127)
    with a_simulated_agent(up, "one"):
        up.register()
        for number in range(4):
            members: dict[str, Any] = {"clientToken": f"try-{number}", "count": 2, "group": f"g{number}"}
            told: list[list[str]] = []
            first = threading.Thread(target=_run_whatever_comes, args=(up, members, told))
            first.start()
            time.sleep(chance.uniform(0.0, 0.05))  # the moment of the kill is what is tried here
            up.end(signal.SIGKILL)
            first.join()
            up.start("--no-agent")
            eventually(lambda: _connected(up), bool, "the agent to come back")
            answers = [up.call("run_task", cluster=up.cluster, taskDefinition=up.family, **members) for _ in range(2)]
            arns = [sorted(task["taskArn"] for task in answer["tasks"]) for answer in answers]
            assert arns[0] == arns[1]
            assert told in ([], [arns[0]]), "what was answered before the kill still holds"
            assert sorted(task["taskArn"] for task in _tasks(up) if task["group"] == f"g{number}") == arns[0]
            assert len(arns[0]) == 2
        up.await_tasks(*["RUNNING"] * 8)


def _run_whatever_comes(up: Up, members: dict[str, Any], told: list[list[str]]) -> None:
    """``told`` gets the tasks of an answer, if there is one."""
    with suppress(BotoCoreError, ClientError):  # its connection was cut, or nobody listened any more
        made = up.call("run_task", cluster=up.cluster, taskDefinition=up.family, **members)
        told.append(sorted(task["taskArn"] for task in made["tasks"]))


def _instances(up: Up) -> list[dict[str, Any]]:
    arns = up.call("list_container_instances", cluster=up.cluster)["containerInstanceArns"]
    if not arns:
        return []
    told = up.call("describe_container_instances", cluster=up.cluster, containerInstances=arns)
    return list(told["containerInstances"])


def _connected(up: Up) -> set[str]:
    return {str(i["containerInstanceArn"]) for i in _instances(up) if i["agentConnected"]}


def _tasks(up: Up) -> list[dict[str, Any]]:
    arns = list(up.tasks())
    return list(up.call("describe_tasks", cluster=up.cluster, tasks=arns)["tasks"]) if arns else []


def _running(up: Up) -> set[str]:
    return {arn for arn, status in up.tasks().items() if status == "RUNNING"}


def _shares(up: Up) -> Counter[str]:
    """Container instance → how many of its tasks are RUNNING."""
    return Counter(task["containerInstanceArn"] for task in _tasks(up) if task["lastStatus"] == "RUNNING")
