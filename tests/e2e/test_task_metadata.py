"""What containers of ``ecscope up`` are answered about themselves: metadata, stats, tags and protection."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.agents import containers_of, engine, eventually
from tests.e2e.test_task_roles import STAY, firewall, said
from tests.e2e.ups import TASK_LABEL, Up, an_up

pytestmark = pytest.mark.timeout(180)
ROLE = "arn:aws:iam::000000000000:role/app"
ASK = (
    """
for path in "" /task /taskWithTags /stats /task/stats; do wget -q -O - $ECS_CONTAINER_METADATA_URI_V4$path; echo; done
wget -q -O - $ECS_CONTAINER_METADATA_URI; echo
wget -q -O - $ECS_AGENT_URI/task-protection/v1/state; echo
path=${ECS_AGENT_URI#http://169.254.170.2}/task-protection/v1/state
body='{"ProtectionEnabled":true,"ExpiresInMinutes":7}'
wget -q -O - http://169.254.170.2/v2/metadata || printf null; echo
echo "\\"${ECS_AGENT_URI##*/}\\""
{ printf "PUT $path HTTP/1.0\\r\\nContent-Length: ${#body}\\r\\n\\r\\n$body"; sleep 1; } | nc 169.254.170.2 80 | tail -1
echo
"""
    + STAY
)
ANSWERS = (
    "container",
    "task",
    "tagged",
    "stats",
    "task stats",
    "version 3",
    "protection",
    "version 2",
    "own ID",
    "changed protection",
)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, docker_endpoint: str, sample_image: str) -> Iterator[Up]:
    if not firewall():
        pytest.skip("needs root, and iptables: the way from containers to the agent is a rule of the firewall")
    with an_up(tmp_path_factory.mktemp("up"), docker_endpoint) as up:
        up.start()
        yield up
        for mode in ("bridge", "host", "awsvpc"):
            up.call("delete_service", cluster=up.cluster, service=f"of-{mode}", force=True)
        assert up.end() == 0


def run(up: Up, command: str, *, service: str = "", **members: Any) -> str:
    """The ARN of a task of one container; ``service``: whose, ``""``: of none."""
    container = {
        "name": "app",
        "image": "ecscope-sample:latest",
        "memory": 16,
        "command": ["sh", "-c", command],
        "dockerLabels": {"team": "ops"},
    }
    up.call("register_task_definition", family=up.family, containerDefinitions=[container], **members)
    if not service:
        (arn,) = up.run_tasks(1)
        return arn
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    has_address = members.get("networkMode") == "awsvpc"
    up.call(
        "create_service",
        cluster=up.cluster,
        serviceName=service,
        taskDefinition=up.family,
        desiredCount=1,
        **({"networkConfiguration": network} if has_address else {}),
    )
    (arn,) = eventually(
        lambda: up.call("list_tasks", cluster=up.cluster, serviceName=service)["taskArns"], bool, "the service's task"
    )
    return arn


def environment_of(up: Up, arn: str) -> dict[str, str]:
    """Of the container of a task, once it runs."""
    (found,) = eventually(
        lambda: [
            one["Id"]
            for one in containers_of(up.cluster)
            if one["Labels"][TASK_LABEL] == arn and one["State"] == "running"
        ],
        bool,
        "the container",
    )
    shown = json.loads(engine().request("GET", f"/containers/{found}/json"))
    return dict(entry.split("=", 1) for entry in shown["Config"]["Env"])


@pytest.mark.parametrize("mode", ["bridge", "host", "awsvpc"])
def test_a_container_learns_about_itself(up: Up, mode: str) -> None:
    arn = run(up, ASK, service=f"of-{mode}", networkMode=mode, taskRoleArn=ROLE)
    answers = dict(zip(ANSWERS, map(json.loads, said(up, arn, lines=len(ANSWERS)).splitlines()), strict=True))
    container, task, stats = answers["container"], answers["task"], answers["stats"]
    assert (container["Name"], container["KnownStatus"], container["Labels"]["team"]) == ("app", "RUNNING", "ops")
    assert container["Limits"] == {"CPU": 2, "Memory": 16}
    (network,) = container["Networks"]
    assert network["NetworkMode"] == mode
    assert bool(network["IPv4Addresses"][0]) is (mode != "host")
    assert (task["TaskARN"], task["Cluster"], task["LaunchType"]) == (arn, up.cluster, "EC2")
    assert task["ServiceName"] == f"of-{mode}"
    assert [one for one in task["Containers"] if one["Type"] == "NORMAL"] == [container]
    assert {**answers["tagged"], "Containers": []} == {**task, "Containers": []}, "without tags they are the same"
    assert stats["id"] == container["DockerId"]
    assert stats["cpu_stats"]["cpu_usage"]["total_usage"] > 0
    assert stats["read"] > "2", "a container that has just started waits for its first sample"
    assert ("networks" in stats) is (mode != "host")
    assert answers["task stats"].keys() == {one["DockerId"] for one in task["Containers"]}
    assert answers["version 3"]["Networks"][0]["IPv4Addresses"] == network["IPv4Addresses"]
    if mode == "awsvpc":
        assert [one["Type"] for one in task["Containers"]].count("CNI_PAUSE") == 1
        assert network["SubnetGatewayIpv4Address"].endswith("/20")
        refused = ask(f"/v4/{answers['own ID']}")
        assert refused.startswith("V4 container metadata handler"), "this host is not the task"
        assert answers["version 2"]["TaskARN"] == arn
    assert answers["protection"] == {"protection": {"ExpirationDate": None, "ProtectionEnabled": False, "TaskArn": arn}}
    assert answers["changed protection"]["protection"]["ProtectionEnabled"] is True
    (shown,) = up.call("get_task_protection", cluster=up.cluster, tasks=[arn])["protectedTasks"]
    assert shown["protectionEnabled"] is True


def test_nothing_of_it_reaches_a_container_without_a_network(up: Up) -> None:
    arn = run(up, STAY, networkMode="none")
    assert not [name for name in environment_of(up, arn) if "METADATA" in name or "AGENT" in name]


def test_an_id_works_as_long_as_its_task_is_known(up: Up) -> None:
    arn = run(up, STAY)
    environment = environment_of(up, arn)
    path = environment["ECS_CONTAINER_METADATA_URI_V4"].removeprefix("http://169.254.170.2")
    assert ask(path)["KnownStatus"] == "RUNNING"
    up.call("stop_task", cluster=up.cluster, task=arn)
    ended = eventually(lambda: ask(path), lambda shown: shown["KnownStatus"] == "STOPPED", "the end of the container")
    assert ended["ExitCode"] == 0
    assert ask(path + "/stats").startswith("Unable to get container stats for: ")
    assert ask("/v4/guess").startswith("V4 container metadata handler: unable to get container ID")


def ask(path: str) -> Any:
    """The agent's answer to this host."""
    connection = http.client.HTTPConnection("127.0.0.1", 51679, timeout=10)
    try:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()
