"""A program in a container finds AWS at the API's port, and so does nobody else from outside of this host."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.agents import containers_of, eventually
from tests.e2e.test_task_roles import said
from tests.e2e.ups import TASK_LABEL, Up, an_up
from tests.session import TEST_PREFIX

pytestmark = pytest.mark.timeout(180)
ASK = """
env | grep AWS_ | grep -v -e CREDENTIALS -e EXECUTION | sort
wget -O - --post-data '{}' $AWS_ENDPOINT_URL_ECS/ 2>&1
sleep 1000
"""

PRIVATE = "registry.example/team/app"
ASK_FROM_OUTSIDE = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 10) as client:
    try:
        client.sendall(b"GET /nothing HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
        print(client.recv(12).decode() or "closed unread", end="")
    except ConnectionError:
        print("closed unread", end="")
"""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, docker_endpoint: str, sample_image: str) -> Iterator[Up]:
    with an_up(tmp_path_factory.mktemp("up"), docker_endpoint) as up:
        up.start("--image", f"{PRIVATE}=ecscope-sample:latest", "--image=r.example/b=not-built:dev")
        assert "--image r.example/b=not-built:dev: Docker has no image not-built:dev" in up.output()
        assert "Docker has no image ecscope-sample" not in up.output()
        yield up
        assert up.end() == 0


@pytest.mark.parametrize("mode", ["bridge", "host"])
def test_the_endpoint_is_reached(up: Up, mode: str) -> None:
    container = {"name": "app", "image": "ecscope-sample:latest", "memory": 16, "command": ["sh", "-c", ASK]}
    up.call("register_task_definition", family=up.family, networkMode=mode, containerDefinitions=[container])
    (arn,) = up.run_tasks(1)
    told = said(up, arn, lines=7)
    found = dict(line.split("=", 1) for line in told.splitlines() if line.startswith("AWS_"))
    address = "127.0.0.1" if mode == "host" else docker0()
    url = f"http://{address}:{up.port}"
    assert found == {
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": url,
        "AWS_ENDPOINT_URL_ECS": url,
        "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": url,
    }
    assert "400 Bad Request" in told, "it answers, and misses the signature"


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("ip"), reason="a host of its own needs root and iproute2")
def test_nobody_else_is_answered(up: Up) -> None:
    """A network namespace on another wire is another host; it asks each address of this one that it reaches."""
    other = f"{TEST_PREFIX}{secrets.token_hex(3)}"
    try:
        for command in (
            f"netns add {other}",
            f"link add {other[-6:]} type veth peer name wire netns {other}",
            f"address add 10.98.0.1/24 dev {other[-6:]}",
            f"link set {other[-6:]} up",
            f"-n {other} address add 10.98.0.2/24 dev wire",
            f"-n {other} link set wire up",
            f"-n {other} route add default via 10.98.0.1",
        ):
            subprocess.run(["ip", *command.split()], check=True)
        for address, host in (("10.98.0.1", other), (docker0(), other), ("10.98.0.1", "")):
            ask = [sys.executable, "-c", ASK_FROM_OUTSIDE, address, str(up.port)]
            within = ["ip", "netns", "exec", host] if host else []
            told = subprocess.run([*within, *ask], capture_output=True, text=True, check=True, timeout=30).stdout
            assert told == ("closed unread" if host else "HTTP/1.1 404"), (address, host)
    finally:
        subprocess.run(["ip", "netns", "delete", other], check=False)


def test_a_local_image_stands_in_for_one_of_a_private_registry(up: Up) -> None:
    container = {"name": "app", "image": f"{PRIVATE}:v7", "memory": 16, "command": ["sleep", "1000"]}
    up.call("register_task_definition", family=up.family, containerDefinitions=[container])
    (arn,) = up.run_tasks(1)

    def task() -> Any:
        return up.call("describe_tasks", cluster=up.cluster, tasks=[arn])["tasks"][0]

    found = eventually(task, lambda one: one["lastStatus"] in ("RUNNING", "STOPPED"), "the task")
    assert (found["lastStatus"], found["containers"][0]["image"]) == ("RUNNING", f"{PRIVATE}:v7")
    (docker,) = [one for one in containers_of(up.cluster) if one["Labels"][TASK_LABEL] == arn]
    assert docker["Image"] == "ecscope-sample:latest"


def docker0() -> str:
    shown = subprocess.run(["ip", "-4", "-o", "addr", "show", "docker0"], capture_output=True, text=True, check=True)
    return shown.stdout.split("inet ")[1].split("/")[0]
