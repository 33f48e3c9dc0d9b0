"""``ecscope up`` answers beside more silent clients than a soft limit of open files would let in."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

SILENT = 1140


def exported(output: str) -> dict[str, str]:
    """What the shell is told to export."""
    lines = (line.removeprefix("export ") for line in output.splitlines() if line.startswith("export "))
    return dict(pair.split("=", 1) for line in lines for pair in line.split())


def test_silent_clients_stop_nothing(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4 * SILENT:
        pytest.skip(f"the hard limit of open files is {hard}")
    with ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))  # the usual one, which the process inherits
        process = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", "ecscope.cli.main", "up", "--no-agent", "--port=0", f"--data-dir={tmp_path}"],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            )
        )
        assert process.stdout is not None
        assert process.stderr is not None
        told = ""
        while "aws ecs" not in told:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            told += line
        settings = exported(told)
        url = settings["AWS_ENDPOINT_URL_ECS"]
        address = ("127.0.0.1", int(url.rpartition(":")[2]))
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        silent = [stack.enter_context(socket.create_connection(address, timeout=30)) for _ in range(SILENT)]
        client = boto3.client(
            "ecs",
            region_name=settings["AWS_REGION"],
            endpoint_url=url,
            aws_access_key_id=settings["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=settings["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"total_max_attempts": 1}, read_timeout=10),
        )
        assert client.list_clusters()["clusterArns"] == ["arn:aws:ecs:us-east-1:000000000000:cluster/default"]
        assert [each.recv(1) for each in silent] == [b""] * SILENT
        process.send_signal(signal.SIGTERM)
        said = process.stderr.read()
        assert process.wait(20) == 0
    assert "cannot be accepted" not in said
    assert "Traceback" not in (tmp_path / "control.log").read_text()
