"""Programs that people read logs with: both generations of the AWS CLI, and awslogs."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import debianpackage
from tests.contract.control.live import LivePlane, Programs

pytestmark = pytest.mark.timeout(400)  # the first one installs the programs
GROUP = "/ecs/web"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePlane]:
    """With a group of two streams that have a line each."""
    with LivePlane(tmp_path_factory.mktemp("live"), agents=0) as live:
        logs = live.client("logs")
        logs.create_log_group(logGroupName=GROUP)
        for name in ("web/app/1", "web/side/1"):
            logs.create_log_stream(logGroupName=GROUP, logStreamName=name)
            put(live, name, f"hello from {name}")
        yield live


def put(live: LivePlane, stream: str, message: str) -> None:
    event = {"timestamp": int(time.time() * 1000), "message": message}
    live.client("logs").put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=[event])


def aws(live: LivePlane, programs: Programs, *arguments: str) -> Any:
    output = programs.output("aws", "logs", *arguments, "--endpoint-url", live.plane.url, "--output", "json")
    return json.loads(output) if output else None


def test_the_aws_cli_reads_and_writes(live: LivePlane, programs: Programs) -> None:
    where = ("--log-group-name", GROUP, "--log-stream-name", "cli")
    assert aws(live, programs, "create-log-stream", *where) is None
    event = json.dumps([{"timestamp": int(time.time() * 1000), "message": "from the shell"}])
    aws(live, programs, "put-log-events", *where, "--log-events", event)
    found = aws(live, programs, "filter-log-events", "--log-group-name", GROUP, "--filter-pattern", "?shell ?side")
    assert [each["message"] for each in found["events"]] == ["hello from web/side/1", "from the shell"]


def test_awslogs_shows_streams_and_lines(live: LivePlane, programs: Programs) -> None:
    endpoint = ("--aws-endpoint-url", live.plane.url)
    assert "web/side/1" in programs.output("awslogs", "streams", GROUP, *endpoint).split()
    shown = programs.output("awslogs", "get", GROUP, "web/app.*", "-s", "1h", "--no-color", *endpoint)
    assert shown == f"{GROUP} web/app/1 hello from web/app/1\n"


def test_aws_cli_2_of_debian_follows(live: LivePlane, tmp_path: Path) -> None:
    try:
        command, environment = debianpackage.python_program("aws", "awscli")
    except debianpackage.Unavailable as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))
    environment |= live.environment(home=tmp_path)
    command += [
        "logs",
        "tail",
        GROUP,
        "--endpoint-url",
        live.plane.url,
        "--format",
        "short",
        "--since",
        "1h",
        "--log-stream-name-prefix",
        "web",
    ]
    following = subprocess.Popen(
        [*command, "--follow"], env={**environment, "PYTHONUNBUFFERED": "1"}, stdout=subprocess.PIPE, text=True
    )
    try:
        assert following.stdout is not None
        assert [following.stdout.readline().split(" ", 1)[1] for _ in range(2)] == [
            "hello from web/app/1\n",
            "hello from web/side/1\n",
        ]
        put(live, "web/app/1", "and later")
        assert following.stdout.readline().split(" ", 1)[1] == "and later\n"
    finally:
        following.kill()
        following.communicate()
