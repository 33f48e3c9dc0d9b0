"""Secrets reach a task under ``ecscope up``, and its log reaches CloudWatch Logs by Docker's own driver."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

import clients
from tests.aws import a_client
from tests.e2e.agents import containers_of, engine, eventually
from tests.e2e.test_task_roles import firewall
from tests.e2e.ups import TASK_LABEL, Up, an_up

pytestmark = pytest.mark.timeout(600)  # the first one installs moto
PASSWORD, TOKEN = "hunter2-and-more", "swordfish\nand more"
ROLE = "arn:aws:iam::000000000000:role/execution"
SHOW = 'printf "%s\\n" "$PASSWORD" "$TOKEN" | tr a-z n-za-m; sleep 1000'
"""The values are written in another alphabet: they are searched for in all that is left behind."""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, docker_endpoint: str, sample_image: str) -> Iterator[Up]:
    if not firewall():
        pytest.skip("needs root, and iptables: the way from containers to the agent is a rule of the firewall")
    with an_up(tmp_path_factory.mktemp("up"), docker_endpoint) as up:
        up.environment = {"ECSCOPE_MOTO_PYTHON": str(clients.moto() / "python")}
        up.start()
        yield up


def client(up: Up, service: str) -> Any:
    exported = dict(re.findall(r"(AWS_\w+)=(\S+)", up.output()))
    return a_client(
        service,
        region_name=exported["AWS_REGION"],
        endpoint_url=exported["AWS_ENDPOINT_URL_ECS"],
        aws_access_key_id=exported["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=exported["AWS_SECRET_ACCESS_KEY"],
    )


def test_secrets_reach_the_container_and_its_log_the_api(up: Up) -> None:
    arn = client(up, "secretsmanager").create_secret(Name="db", SecretString=json.dumps({"password": PASSWORD}))["ARN"]
    client(up, "ssm").put_parameter(Name="/app/token", Value=TOKEN, Type="SecureString")
    client(up, "logs").create_log_group(logGroupName="app")
    task = run(up, executionRoleArn=ROLE, secrets=[
        {"name": "PASSWORD", "valueFrom": f"{arn}:password::"}, {"name": "TOKEN", "valueFrom": "/app/token"},
    ])  # fmt: skip
    stream = f"p/app/{task.rpartition('/')[2]}"
    lines = [line.translate(OTHER) for line in (PASSWORD, *TOKEN.split("\n"))]
    eventually(lambda: messages(up, stream), lambda found: found == lines, "the log")
    (found,) = [one for one in containers_of(up.cluster) if one["Labels"][TASK_LABEL] == task]
    options = json.loads(engine().request("GET", f"/containers/{found['Id']}/json"))["HostConfig"]["LogConfig"]
    assert options["Config"]["mode"] == "non-blocking"
    assert options["Config"]["max-buffer-size"] == "10m"
    left = [path for path in up.data_dir.rglob("*") if path.is_file() and "moto" not in path.parts]
    shown = [up.output(), json.dumps(up.call("describe_tasks", cluster=up.cluster, tasks=[task]), default=str)]
    for value in (PASSWORD, "swordfish"):
        assert [path for path in left if value.encode() in path.read_bytes()] == []
        assert value not in "".join(shown)


def test_a_missing_secret_is_the_reason_of_the_task(up: Up) -> None:
    task = run(up, executionRoleArn=ROLE, secrets=[{"name": "A", "valueFrom": "/no/such"}])
    stopped = eventually(lambda: described(up, task), lambda one: one["lastStatus"] == "STOPPED", "the end")
    assert stopped["stoppedReason"] == (
        "Fetching secret data from SSM Parameter Store in us-east-1: invalid parameters: /no/such"
    )
    assert stopped["stopCode"] == "TaskFailedToStart"


def test_without_an_execution_role_it_logs_as_the_instance(up: Up) -> None:
    task = run(up, prefix=False)
    docker_id = eventually(lambda: described(up, task)["containers"][0].get("runtimeId"), bool, "its Docker ID")
    eventually(lambda: messages(up, docker_id), lambda found: found is not None, "the log")


OTHER = str.maketrans("abcdefghijklmnopqrstuvwxyz", "nopqrstuvwxyzabcdefghijklm")


def run(up: Up, *, prefix: bool = True, secrets: Any = (), **members: Any) -> str:
    options = {"awslogs-group": "app", **({"awslogs-stream-prefix": "p"} if prefix else {})}
    container = {
        "name": "app",
        "image": "ecscope-sample:latest",
        "memory": 16,
        "command": ["sh", "-c", SHOW],
        "secrets": list(secrets),
        "logConfiguration": {"logDriver": "awslogs", "options": options},
    }
    up.call("register_task_definition", family=up.family, containerDefinitions=[container], **members)
    (arn,) = up.run_tasks(1)
    return arn


def described(up: Up, task: str) -> Any:
    return up.call("describe_tasks", cluster=up.cluster, tasks=[task])["tasks"][0]


def messages(up: Up, stream: str) -> list[str] | None:
    """``None``: there is no such stream yet."""
    logs = client(up, "logs")
    try:
        found = logs.get_log_events(logGroupName="app", logStreamName=stream, startFromHead=True)["events"]
    except logs.exceptions.ResourceNotFoundException:
        return None
    return [event["message"] for event in found]
