"""Other people's programs in containers of ``ecscope up`` find their task, its role and its figures."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import clients
from tests.e2e.test_task_roles import STAY, firewall, said
from tests.e2e.ups import Up, an_up

pytestmark = pytest.mark.timeout(400)  # the first one installs them
ROLE = "arn:aws:iam::000000000000:role/app"
PROGRAMS = Path(__file__).parents[1] / "clients"
ACCOUNT = "arn:aws:ecs:us-east-1:000000000000"


@pytest.fixture(scope="module")
def seen(
    tmp_path_factory: pytest.TempPathFactory, docker_endpoint: str, sample_image: str
) -> Iterator[tuple[Up, str, list[Any]]]:
    """The ``up``, the ARN of the task, and what each program wrote there.

    The programs are this machine's, which the container has under ``/host``: it is its network and its environment
    that count.
    """
    if not firewall():
        pytest.skip("needs root, and iptables: the way from containers to the agent is a rule of the firewall")
    try:
        programs = (
            [clients.task_metadata() / "python", PROGRAMS / "task_metadata.py"],
            [clients.container_exporter() / "python", PROGRAMS / "container_exporter.py"],
            ["/usr/bin/env", f"NODE_PATH={clients.node() / 'node_modules'}", "node", clients.NODE / "metadata.cjs"],
        )
    except clients.Unavailable as missing:
        pytest.skip(str(missing))
    command = "; ".join(f"chroot /host {' '.join(map(str, program))}" for program in programs)
    container = {
        "name": "app",
        "image": "ecscope-sample:latest",
        "memory": 256,
        "command": ["sh", "-c", f"{command}; {STAY}"],
        "mountPoints": [{"sourceVolume": "machine", "containerPath": "/host", "readOnly": True}],
        "environment": [{"name": "PYTHONDONTWRITEBYTECODE", "value": "1"}, {"name": "PATH", "value": a_path()}],
    }
    with an_up(tmp_path_factory.mktemp("up"), docker_endpoint) as up:
        up.start()
        container["environment"].append({"name": "TEST_CLUSTER", "value": up.cluster})
        up.call(
            "register_task_definition",
            family=up.family,
            taskRoleArn=ROLE,
            cpu="256",
            memory="256",
            containerDefinitions=[container],
            volumes=[{"name": "machine", "host": {"sourcePath": "/"}}],
        )
        (arn,) = up.run_tasks(1)
        yield up, arn, [json.loads(line) for line in said(up, arn, lines=3).splitlines()]
        assert up.end() == 0


def a_path() -> str:
    """For this machine's programs and those of the image."""
    return f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


def test_libraries_of_python(seen: tuple[Up, str, list[Any]]) -> None:
    up, arn, (found, *_) = seen
    attributes = found["opentelemetry"]
    assert attributes["aws.ecs.task.arn"] == arn
    assert attributes["aws.ecs.cluster.arn"] == f"{ACCOUNT}:cluster/{up.cluster}"
    assert attributes["aws.ecs.container.arn"].startswith(f"{ACCOUNT}:container/{up.cluster}/")
    assert (attributes["aws.ecs.launchtype"], attributes["aws.ecs.task.family"]) == ("ec2", up.family)
    assert found["ecs-metadata"]["name"] == "app"
    assert found["ecs-metadata"]["addresses"][0].startswith("172.")
    assert found["newrelic"]["ecsDockerId"] == attributes["container.id"]
    assert found["boto3"]["method"] == "container-role"
    assert found["boto3"]["tasks"] == [arn]


def test_an_exporter_of_metrics(seen: tuple[Up, str, list[Any]]) -> None:
    metrics = seen[2][1]
    assert metrics["exporter_status "] == 1.0
    assert metrics["mem_limit app"] == 256
    assert 0 < metrics["mem_usage app"] < 256 * 2**20
    assert {"cpu_kernelmode app", "cpu_throttle_periods app"} <= metrics.keys(), sorted(metrics)


def test_libraries_of_node(seen: tuple[Up, str, list[Any]]) -> None:
    up, arn, (*_, found) = seen
    attributes = found["attributes"]
    assert attributes["cloud.platform"] == "aws_ecs"
    assert attributes["aws.ecs.task.arn"] == arn
    assert attributes["aws.ecs.cluster.arn"] == f"{ACCOUNT}:cluster/{up.cluster}"
    assert attributes["container.id"] == seen[2][0]["newrelic"]["ecsDockerId"]
    credentials = found["credentials"]
    assert (credentials["hasToken"], credentials["isLater"]) == (True, True)
    assert credentials["accessKeyId"] == seen[2][0]["boto3"]["key"]
