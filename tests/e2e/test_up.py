"""``ecscope up`` as a user has it, and what a kill of either end, or of both, leaves: nothing is lost or runs twice."""

from __future__ import annotations

import os
import random
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.agents import eventually
from tests.e2e.disks import a_small_disk, fill
from tests.e2e.ups import Up, an_up

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def up(tmp_path: Path, docker_endpoint: str, sample_image: str) -> Iterator[Up]:
    with an_up(tmp_path, docker_endpoint) as up:
        yield up


def test_from_the_start_to_ctrl_c(up: Up) -> None:
    up.start()
    assert f"export AWS_ENDPOINT_URL_ECS=http://127.0.0.1:{up.port}\n" in up.output()
    assert "the agent is registered as container instance" in up.output()
    assert up.command("wait", "--timeout=0").returncode == 0
    told = up.command("env")
    assert told.stdout in up.output()
    printed = [line for line in up.output().splitlines() if not line.startswith("ecscope up: ")]
    assert {line.split(" ")[0] for line in printed if line} == {"export", "unset", "#"}, "it can be sourced"
    up.register()
    arns = up.run_tasks(2)
    up.await_tasks("RUNNING", "RUNNING")
    assert up.containers() == sorted(arns)
    assert Path(f"/proc/{up.agent_pid()}/comm").read_text() == "agent\n"
    assert up.end(signal.SIGINT) == 0
    assert up.containers() == []
    assert "stopping 2 tasks" in up.output()
    assert up.command("env").returncode == 1
    with pytest.raises(ProcessLookupError):
        os.kill(up.agent_pid(), 0)
    up.start()
    told = up.call("describe_tasks", cluster=up.cluster, tasks=arns)["tasks"]
    assert {(task["lastStatus"], task["stoppedReason"]) for task in told} == {("STOPPED", "ecscope up was stopped")}
    up.run_tasks(1)
    up.await_tasks("RUNNING", "STOPPED", "STOPPED")
    ended = up.command("down")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert up.process is not None
    assert up.process.wait(timeout=1) == 0
    up.process = None
    assert up.containers() == []


def test_tasks_that_are_kept_are_taken_up_again(up: Up) -> None:
    up.start("--keep")
    up.register()
    arns = up.run_tasks(2)
    up.await_tasks("RUNNING", "RUNNING")
    assert up.end() == 0
    assert up.containers() == sorted(arns)
    assert "2 tasks keep running" in up.output()
    up.start()
    assert "2 tasks of an earlier run go on" in up.output()
    assert set(up.await_tasks("RUNNING", "RUNNING")) == set(arns)
    assert up.containers() == sorted(arns)
    assert up.end() == 0
    assert up.containers() == []


def test_a_second_ctrl_c_waits_for_no_task(up: Up) -> None:
    """It was told to stop all the same, and the next start does not count it among those that go on."""
    up.start()
    stubborn = {
        "name": "app",
        "image": "ecscope-sample:latest",
        "memory": 16,
        "command": ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"],
        "stopTimeout": 8,
    }
    up.call("register_task_definition", family=up.family, containerDefinitions=[stubborn])
    up.run_tasks(1)
    up.await_tasks("RUNNING")
    assert up.process is not None
    up.process.send_signal(signal.SIGINT)
    eventually(up.output, lambda output: "stopping 1 task; Ctrl-C again" in output, "the stop")
    assert up.end(signal.SIGINT) == 0
    assert "not waiting for 1 task to stop; the next `ecscope up` sees to it" in up.output()
    up.start()
    assert "of an earlier run" not in up.output()
    up.await_tasks("STOPPED")
    assert up.end() == 0


def test_the_control_plane_is_killed_while_tasks_start(up: Up) -> None:
    """Its agent goes on; the next start takes its place, and what was promised is there, once."""
    up.start()
    up.register()
    arns = up.run_tasks(5)
    up.end(signal.SIGKILL)
    orphan = up.agent_pid()
    os.kill(orphan, 0)
    up.start()
    assert f"process {orphan}) goes on; taking its place" in up.output()
    assert set(up.await_tasks(*["RUNNING"] * 5)) == set(arns)
    assert up.containers() == sorted(arns)
    up.call("stop_task", cluster=up.cluster, task=arns[0])
    up.await_tasks("STOPPED", *["RUNNING"] * 4)
    assert up.end() == 0


def test_the_agent_is_killed(up: Up) -> None:
    up.start()
    up.register()
    arns = up.run_tasks(2)
    up.await_tasks("RUNNING", "RUNNING")
    killed = up.agent_pid()
    os.kill(killed, signal.SIGKILL)
    eventually(up.agent_pid, lambda pid: pid != killed, "another agent")
    eventually(lambda: _is_connected(up), bool, "the agent to come back")
    arns += up.run_tasks(1)
    up.await_tasks(*["RUNNING"] * len(arns))
    assert up.containers() == sorted(arns)
    assert "the agent was killed by SIGKILL; it is started again" in up.output()
    assert up.end() == 0
    assert "Ctrl-C" not in up.output(), "it is of no use to the sender of SIGTERM"


def test_both_are_killed(up: Up) -> None:
    up.start()
    up.register()
    arns = up.run_tasks(3)
    os.kill(up.agent_pid(), signal.SIGKILL)
    up.end(signal.SIGKILL)
    up.start()
    assert set(up.await_tasks(*["RUNNING"] * 3)) == set(arns)
    assert up.containers() == sorted(arns)
    assert up.end() == 0
    assert up.containers() == []


def test_a_service_goes_on_at_the_next_start(up: Up) -> None:
    up.start()
    up.register()
    up.call("create_service", cluster=up.cluster, serviceName="web", taskDefinition=up.family, desiredCount=2)
    eventually(lambda: len(up.containers()), lambda count: count == 2, "two containers")
    assert up.end() == 0
    assert up.containers() == []
    up.start()
    eventually(lambda: len(up.containers()), lambda count: count == 2, "two containers again")
    assert up.end() == 0


@pytest.mark.timeout(300)
def test_kills_during_deployments(up: Up) -> None:
    """Either end dies again and again while a service is rolled over; it arrives, with its tasks and no others."""
    chance = random.Random(20261126)
    up.start()
    up.register()
    up.call("create_service", cluster=up.cluster, serviceName="web", taskDefinition=up.family, desiredCount=3)
    for _ in range(6):
        up.call("update_service", cluster=up.cluster, service="web", forceNewDeployment=True)
        time.sleep(chance.uniform(0.0, 1.0))  # the moment of the kill is what is tried here
        if chance.random() < 0.4:
            os.kill(up.agent_pid(), signal.SIGKILL)
        if chance.random() < 0.8:
            up.end(signal.SIGKILL)
            up.start()
    service = eventually(lambda: _service(up), _is_stable, "a steady state", within_s=120.0)
    running = [arn for arn, status in up.tasks().items() if status == "RUNNING"]
    assert up.containers() == sorted(running)
    assert len(running) == service["runningCount"] == 3
    assert up.end() == 0
    assert up.containers() == []


def _service(up: Up) -> dict[str, Any]:
    return up.call("describe_services", cluster=up.cluster, services=["web"])["services"][0]


def _is_stable(service: dict[str, Any]) -> bool:
    return len(service["deployments"]) == 1 and service["runningCount"] == 3 and service["pendingCount"] == 0


def test_a_second_one_is_told_in_one_line(up: Up) -> None:
    up.start("--no-agent")
    before = up.output()
    assert up.launch().wait(30) == 1
    assert up.process is not None
    assert f"another control plane (process {up.process.pid}) uses the data directory" in up.output()
    assert "Traceback" not in up.output()
    assert len(up.output().splitlines()) == len(before.splitlines()) + 1
    assert up.end() == 0


def test_a_port_that_is_taken(up: Up, tmp_path: Path) -> None:
    up.start("--no-agent")
    other = Up(tmp_path / "..", docker_host="unix:///nonexistent")
    other.data_dir = tmp_path / "other"
    other.port = up.port
    assert other.launch("--no-agent").wait(30) == 1
    assert (
        f"port {up.port} of 127.0.0.1 is taken: end what listens there, or give another with --port" in other.output()
    )
    assert up.end() == 0


def test_nobody_is_sent_to_the_port_of_another_agent(up: Up) -> None:
    with socket.create_server(("127.0.0.1", 51678)):
        up.start()
        assert "port 51678 belongs to something else, which curl and `ecscope tasks` would ask" in up.output()
        assert "curl http" not in up.output()
        assert up.end() == 0
    up.start()
    assert "port 51678" not in up.output()
    assert "curl http://localhost:51678/v1/tasks" in up.output()
    assert up.end() == 0


def test_without_docker(tmp_path: Path) -> None:
    with_none = Up(tmp_path, docker_host="unix:///nonexistent/docker.sock")
    assert with_none.launch().wait(60) == 1
    assert "waiting for Docker at unix:///nonexistent/docker.sock" in with_none.output()
    assert "Start it, or set DOCKER_HOST; --no-agent does without" in with_none.output()
    assert "Traceback" not in with_none.output()


def test_a_full_disk_refuses_and_heals(tmp_path: Path) -> None:
    with a_small_disk(tmp_path / "up") as disk, an_up(tmp_path) as up:
        up.start("--no-agent")
        up.call("create_cluster", clusterName="before")
        ballast = disk / "ballast"
        fill(ballast)
        tags = [{"key": f"k{number}", "value": "v" * 250} for number in range(50)]
        with pytest.raises(ClientError, match="there is no room left on the disk") as refused:
            for number in range(20):  # pages that are free in the files hold some
                up.call("create_cluster", clusterName=f"during-{number}", tags=tags)
        assert refused.value.response["Error"]["Code"] == "ServerException"
        told = up.call("list_clusters")["clusterArns"]
        assert any(arn.endswith("/before") for arn in told)
        ballast.unlink()
        eventually(lambda: _can_create(up), bool, "the end of the trouble")
        assert up.end() == 0
        up.start("--no-agent")
        assert set(told) < set(up.call("list_clusters")["clusterArns"])
        assert up.end() == 0


@pytest.mark.parametrize("is_hopeless", [False, True])
def test_a_damaged_state_file_is_told_of_and_what_is_good_stays(tmp_path: Path, *, is_hopeless: bool) -> None:
    with an_up(tmp_path) as up:
        up.start("--no-agent")
        up.register()
        made = {up.call("create_cluster", clusterName=f"c{number}")["cluster"]["clusterArn"] for number in range(20)}
        assert up.end() == 0
        path = up.data_dir / "control.db"
        content = path.read_bytes()
        if is_hopeless:
            path.write_bytes(b"garbage" * (len(content) // 7))
        else:
            path.write_bytes(b"\xee" * 100 + content[100:])
        up.start("--no-agent")
        (kept,) = up.data_dir.glob("control.db.damaged-*Z")
        assert "the state file control.db was damaged (file is not a database)" in up.output()
        assert str(kept) in up.output()
        assert "Traceback" not in up.output()
        left = set(up.call("list_clusters")["clusterArns"])
        assert (left & made) == (set() if is_hopeless else made)
        families = up.call("list_task_definition_families")["families"]
        assert families == ([] if is_hopeless else [up.family])
        assert up.end() == 0


def _can_create(up: Up) -> bool:
    try:
        up.call("create_cluster", clusterName="after")
    except ClientError:
        return False
    return True


def _is_connected(up: Up) -> bool:
    arns = up.call("list_container_instances", cluster=up.cluster)["containerInstanceArns"]
    told = up.call("describe_container_instances", cluster=up.cluster, containerInstances=arns)
    return bool(told["containerInstances"][0]["agentConnected"])
