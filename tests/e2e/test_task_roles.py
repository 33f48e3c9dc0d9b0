"""The credentials of a task's role on their way from the control plane into a container, in each network mode."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config

from ecscope.model.names import CONTAINER_NAME_LABEL
from tests.aws import a_client
from tests.e2e.agents import containers_of, engine, eventually
from tests.e2e.ups import TASK_LABEL, Up, an_up

pytestmark = pytest.mark.timeout(180)
ASK = "wget -q -O - http://169.254.170.2$AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
STAY = "trap 'exit 0' TERM; while :; do sleep 0.1; done"
ROLE = "arn:aws:iam::000000000000:role/app"


@pytest.fixture
def up(tmp_path: Path, docker_endpoint: str, sample_image: str) -> Iterator[Up]:
    if not firewall():
        pytest.skip("needs root, and iptables: the way from containers to the agent is a rule of the firewall")
    with an_up(tmp_path, docker_endpoint) as up:
        up.start()
        yield up


def run(up: Up, command: str, **members: Any) -> str:
    """The ARN of a task of one container."""
    container = {"name": "app", "image": "ecscope-sample:latest", "memory": 16, "command": ["sh", "-c", command]}
    up.call("register_task_definition", family=up.family, containerDefinitions=[container], **members)
    (arn,) = up.run_tasks(1)
    return arn


def said(up: Up, arn: str, lines: int = 1) -> str:
    """What the container of a task wrote, once it has written so many lines."""

    def read() -> str:
        of_task = [one for one in containers_of(up.cluster) if one["Labels"][TASK_LABEL] == arn]
        found = [one["Id"] for one in of_task if not one["Labels"][CONTAINER_NAME_LABEL].startswith("~internal~")]
        return "".join(map(written, found))

    return eventually(read, lambda text: text.count("\n") >= lines, "what the container says")


def written(container_id: str) -> str:
    """Docker puts eight bytes before each piece, the last four of them its length."""
    raw = engine().request("GET", f"/containers/{container_id}/logs", stdout="1")
    text = b""
    while raw:
        end = 8 + int.from_bytes(raw[4:8])
        text, raw = text + raw[8:end], raw[end:]
    return text.decode()


def firewall() -> str:
    """All rules; ``""``: they cannot be read."""
    told = []
    for table in ("nat", "filter"):
        with suppress(OSError):
            command = ["iptables", "-w", "-t", table, "-S"]
            told.append(subprocess.run(command, check=False, capture_output=True, text=True).stdout)
    return "".join(told)


@pytest.mark.parametrize("network_mode", ["bridge", "host"])
def test_a_container_gets_the_credentials_of_its_role_and_may_use_them(up: Up, network_mode: str) -> None:
    arn = run(up, f"{ASK}; echo; {STAY}", taskRoleArn=ROLE, networkMode=network_mode)
    got = json.loads(said(up, arn))
    assert list(got) == ["RoleArn", "AccessKeyId", "SecretAccessKey", "Token", "Expiration"]
    assert got["RoleArn"] == ROLE
    ecs = a_client(
        "ecs",
        region_name="us-east-1",
        endpoint_url=f"http://127.0.0.1:{up.port}",
        aws_access_key_id=got["AccessKeyId"],
        aws_secret_access_key=got["SecretAccessKey"],
        aws_session_token=got["Token"],
        config=Config(retries={"total_max_attempts": 1}),
    )
    assert ecs.list_tasks(cluster=up.cluster)["taskArns"] == [arn]
    audit = (up.data_dir / "agent" / "audit.log").read_text().split("\n")[0]
    assert f'"/v2/credentials" "Wget" {arn} GetCredentials 2 {up.cluster} ' in audit
    up.call("stop_task", cluster=up.cluster, task=arn)
    up.await_tasks("STOPPED")
    assert up.end(signal.SIGINT) == 0
    assert "ecscope" not in firewall()


def test_another_agent_answers_its_containers_again(up: Up) -> None:
    """Credentials are not saved: after a kill they come again from the control plane, under the same address."""
    loop = f"trap 'exit 0' TERM; while :; do {ASK} 2>/dev/null && echo; sleep 0.2; done"
    arn = run(up, loop, taskRoleArn=ROLE)
    said(up, arn)
    killed = up.agent_pid()
    os.kill(killed, signal.SIGKILL)
    assert "ecscope" in firewall()
    before = said(up, arn).count("\n")
    after = said(up, arn, lines=before + 3)
    assert up.agent_pid() != killed
    assert {json.loads(line)["RoleArn"] for line in after.splitlines()} == {ROLE}
    assert up.end(signal.SIGINT) == 0
    assert "ecscope" not in firewall()


def test_a_container_without_a_role_is_told_of_none(up: Up) -> None:
    arn = run(up, f'echo "<$AWS_CONTAINER_CREDENTIALS_RELATIVE_URI>"; {STAY}')
    assert said(up, arn) == "<>\n"
