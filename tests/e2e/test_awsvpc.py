"""awsvpc tasks as a user has them: addresses, names, ports and metadata of their own, and nothing left of them."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ecscope.up.network import bridge_of
from tests.e2e.agents import containers_of, engine, eventually
from tests.e2e.test_task_roles import firewall, written
from tests.e2e.ups import TASK_LABEL, Up, an_up

pytestmark = pytest.mark.timeout(240)

SERVE = "mkdir /w; hostname > /w/index.html; exec httpd -f -p 80 -h /w"
LOOK = r"""
ask() { wget -q -O - "$1"; }
until ask http://127.0.0.1/ >/dev/null; do sleep 0.1; done
echo "localhost $(ask http://127.0.0.1/)"
echo "hosts $(grep "$(hostname)" /etc/hosts | tr '\t' ' ')"
echo "search $(grep ^search /etc/resolv.conf)"
echo "metadata $(ask $ECS_CONTAINER_METADATA_URI_V4)"
echo "api $(ask $AWS_ENDPOINT_URL/ready)"
trap 'exit 0' TERM; while :; do sleep 0.1; done
"""

NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}


@pytest.fixture
def up(tmp_path: Path, docker_endpoint: str, sample_image: str) -> Iterator[Up]:
    if not firewall():
        pytest.skip("needs root, and iptables: the way from containers to the agent is a rule of the firewall")
    with an_up(tmp_path, docker_endpoint) as up:
        up.start()
        register(up)
        yield up


def register(up: Up) -> None:
    sample = {"image": "ecscope-sample:latest", "memory": 16, "stopTimeout": 2}
    web = {**sample, "name": "web", "command": ["sh", "-c", SERVE], "portMappings": [{"containerPort": 80}]}
    look = {**sample, "name": "look", "command": ["sh", "-c", LOOK], "dnsSearchDomains": ["x.internal"]}
    up.call("register_task_definition", family=up.family, networkMode="awsvpc", containerDefinitions=[web, look])


def run(up: Up, count: int) -> list[dict[str, Any]]:
    arns = up.run_tasks(count, networkConfiguration=NETWORK)
    eventually(lambda: {up.tasks()[arn] for arn in arns}, lambda found: found == {"RUNNING"}, "running tasks")
    described: list[dict[str, Any]] = up.call("describe_tasks", cluster=up.cluster, tasks=arns)["tasks"]
    return described


def address(task: dict[str, Any]) -> str:
    return str(task["containers"][0]["networkInterfaces"][0]["privateIpv4Address"])


def binding(task: dict[str, Any]) -> dict[str, Any]:
    (web,) = (container for container in task["containers"] if container["name"] == "web")
    (found,) = web["networkBindings"]
    return dict(found)


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode().strip()


def said(up: Up, task: dict[str, Any]) -> dict[str, str]:
    """What its container ``look`` wrote, by the first word of each line."""
    (look,) = (one for one in pauses_and_others(up, task) if "-look-" in one["Names"][0])
    text = eventually(lambda: written(look["Id"]), lambda text: "\napi " in text, "what the container sees")
    return dict(line.split(" ", 1) for line in text.splitlines() if " " in line)


def pauses_and_others(up: Up, task: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in containers_of(up.cluster) if one["Labels"][TASK_LABEL] == task["taskArn"]]


def pause_of(up: Up, task: dict[str, Any]) -> str:
    (pause,) = (one for one in pauses_and_others(up, task) if one["Image"] == "ecscope-pause:1")
    return str(pause["Id"])


def is_connected(up: Up) -> bool:
    arns = up.call("list_container_instances", cluster=up.cluster)["containerInstanceArns"]
    found = up.call("describe_container_instances", cluster=up.cluster, containerInstances=arns)
    return all(instance["agentConnected"] for instance in found["containerInstances"])


def networks() -> list[str]:
    return [network["Name"] for network in json.loads(engine().request("GET", "/networks"))]


def test_two_tasks_with_the_same_port_beside_each_other(up: Up) -> None:
    tasks = run(up, 2)
    assert len({address(task) for task in tasks}) == 2
    assert len({binding(task)["hostPort"] for task in tasks}) == 2
    for task in tasks:
        details = {one["name"]: one["value"] for one in task["attachments"][0]["details"]}
        seen, name = said(up, task), details["privateDnsName"]
        assert get(f"http://{address(task)}/") == name, "from the host"
        assert binding(task)["bindIP"] == "127.0.0.1"
        assert get(f"http://127.0.0.1:{binding(task)['hostPort']}/") == name
        shown = f"127.0.0.1:{binding(task)['hostPort']}->80/tcp"
        eventually(up.output, lambda text, shown=shown: f": web {shown}\n" in text, "its port on the terminal")
        assert shown in up.command("task", task["taskArn"]).stdout
        assert seen["localhost"] == name
        assert seen["hosts"].split()[:2] == [address(task), name]
        assert seen["search"] == "search x.internal"
        (shown,) = json.loads(seen["metadata"])["Networks"]
        assert (shown["NetworkMode"], shown["IPv4Addresses"]) == ("awsvpc", [address(task)])
        assert (shown["MACAddress"], shown["PrivateDNSName"]) == (details["macAddress"], name)
        settings = json.loads(engine().request("GET", f"/containers/{pause_of(up, task)}/json"))["NetworkSettings"]
        assert settings["Networks"][bridge_of(up.data_dir)]["MacAddress"] == details["macAddress"]

    first, second = tasks
    engine().request("POST", f"/containers/{pause_of(up, first)}/kill")
    ended = eventually(
        lambda: up.call("describe_tasks", cluster=up.cluster, tasks=[first["taskArn"]])["tasks"][0],
        lambda task: task["lastStatus"] == "STOPPED",
        "the end of the task",
    )
    assert ended["stoppedReason"] == (
        "The pause container of the task, which holds its network namespace, was stopped or removed: it exited with 137"
    )
    assert get(f"http://{address(second)}/"), "the other one goes on"
    (third,) = run(up, 1)
    assert address(third) not in {address(first), address(second)}, "the address that was given longest ago"

    killed = up.agent_pid()
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: up.agent_pid() != killed and is_connected(up), bool, "the agent's restart")
    (fourth,) = run(up, 1)
    assert said(up, fourth)["localhost"]
    assert get(f"http://{address(second)}/"), "it was taken over"
    assert up.end() == 0
    assert containers_of(up.cluster) == []
    assert bridge_of(up.data_dir) not in networks()
    assert bridge_of(up.data_dir) not in firewall()


def test_two_ups_beside_each_other_and_one_after_a_kill(up: Up, tmp_path: Path, docker_endpoint: str) -> None:
    with an_up(tmp_path / "other", docker_endpoint) as other:
        other.start()
        register(other)
        (here,), (there,) = run(up, 1), run(other, 1)
        for one, task in ((up, here), (other, there)):
            seen = said(one, task)
            assert json.loads(seen["metadata"])["Labels"]["com.amazonaws.ecs.cluster"] == one.cluster
        assert {bridge_of(up.data_dir), bridge_of(other.data_dir)} <= {*networks()}

        assert up.process is not None
        up.process.kill()
        up.process.wait()
        os.kill(up.agent_pid(), signal.SIGKILL)
        assert get(f"http://{address(there)}/")
        up.start()
        assert up.end() == 0
        assert bridge_of(up.data_dir) not in networks()
        assert bridge_of(up.data_dir) not in firewall()
        assert containers_of(up.cluster) == []
        assert said(other, run(other, 1)[0])["localhost"], "the other one lost nothing"
        assert other.end() == 0
    assert "ecscope ecs-" not in firewall()


def test_a_kill_at_any_step_of_the_namespace_leaves_nothing(up: Up) -> None:
    """After the pause container was created, started, and after the first of the containers that share it."""
    for event in ("create", "start", "create-of-app"):
        (arn,) = up.run_tasks(1, networkConfiguration=NETWORK)
        eventually(lambda arn=arn: seen(up, arn), lambda found, event=event: event in found, event)
        killed = up.agent_pid()
        os.kill(killed, signal.SIGKILL)
        eventually(lambda killed=killed: up.agent_pid() != killed and is_connected(up), bool, "the agent's restart")
        eventually(lambda arn=arn: up.tasks()[arn], lambda status: status == "RUNNING", "the task in spite of it")
        names = [one["Image"] for one in containers_of(up.cluster) if one["Labels"][TASK_LABEL] == arn]
        assert len(names) == 3, "two containers and one pause container"
    assert up.end() == 0
    assert containers_of(up.cluster) == []
    assert bridge_of(up.data_dir) not in networks()
    assert bridge_of(up.data_dir) not in firewall()
    assert not Path("/sys/class/net", bridge_of(up.data_dir)).exists()


def seen(up: Up, arn: str) -> set[str]:
    """How far the containers of a task have come."""
    found = [one for one in containers_of(up.cluster) if one["Labels"][TASK_LABEL] == arn]
    pauses = [one for one in found if one["Image"] == "ecscope-pause:1"]
    return {
        *(["create"] if pauses else []),
        *(["start"] if any(one["State"] == "running" for one in pauses) else []),
        *(["create-of-app"] if len(found) > len(pauses) else []),
    }
