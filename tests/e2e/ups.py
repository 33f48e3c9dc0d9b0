"""``ecscope up`` as a process, with botocore as its client, for tests that kill either end."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from botocore.config import Config

import dockerengine
from ecscope.agent.servers.taskmetadata.redirect import BridgeRedirect, Redirect
from ecscope.up.network import bridge_of
from tests.aws import a_client
from tests.e2e.agents import PATIENCE_S, ROOT, containers_of, engine, eventually, remove_containers
from tests.session import TEST_PREFIX

NO_DOCKER = "unix:///nonexistent/docker.sock"
TASK_LABEL = "com.amazonaws.ecs.task-arn"


class Up:
    """One data directory, over which it may be started again and again."""

    def __init__(self, folder: Path, *, docker_host: str) -> None:
        self.data_dir = folder / "up"
        self.cluster = f"{TEST_PREFIX}{secrets.token_hex(4)}"
        self.family = f"{TEST_PREFIX}web"
        self.port = _free_port()
        self._folder = folder
        self._docker_host = docker_host
        self.process: subprocess.Popen[bytes] | None = None
        self.environment: dict[str, str] = {}
        """Further variables of the process."""

    def start(self, *arguments: str, wait: bool = True) -> None:
        """``wait``: until it has said what to export."""
        self._output().write_bytes(b"")
        self.process = self.launch(*arguments)
        if wait:
            eventually(
                lambda: self.output() if self.process and self.process.poll() is None else "ended\n" + self.output(),
                lambda output: "AWS_SECRET_ACCESS_KEY" in output or output.startswith("ended"),
                "what to export",
            )
            assert self.process.poll() is None, self.output()

    def launch(self, *arguments: str, port: int | None = None) -> subprocess.Popen[bytes]:
        """Start one, whatever becomes of it."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._folder),
            "PYTHONPATH": str(ROOT / "src"),
            "DOCKER_HOST": self._docker_host,
            "ECSCOPE_INTROSPECTION_ADDRESS": "127.0.0.1",
            "ECS_AGENT_CONFIG_FILE_PATH": str(self._folder / "no-such.json"),
            **self.environment,
        }
        command = [sys.executable, "-m", "ecscope.cli.main", "up", f"--port={port or self.port}"]
        with self._output().open("ab") as output:
            return subprocess.Popen(
                [*command, "--data-dir", str(self.data_dir), "--cluster", self.cluster, *arguments],
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=output,
            )

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """``ecscope ARGUMENTS --data-dir …``, run to its end."""
        command = [sys.executable, "-m", "ecscope.cli.main", *arguments, "--data-dir", str(self.data_dir)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Exit code; negative: the signal."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(timeout=PATIENCE_S + 60)
        self.process = None
        return code

    def agent_pid(self) -> int:
        return int((self.data_dir / "agent" / "ecscope.lock").read_text())

    def output(self) -> str:
        return self._output().read_text(errors="replace")

    def logs(self) -> str:
        """Everything that it left, for a test that fails."""
        names = ("control.log", "agent.log")
        found = [self.data_dir / name for name in names if (self.data_dir / name).exists()]
        return self.output() + "".join(path.read_text(errors="replace")[-8000:] for path in found)

    # --- as a user ---------------------------------------------------------------------------------

    def call(self, operation: str, **members: Any) -> Any:
        """Of ECS."""
        return getattr(self.client("ecs"), operation)(**members)

    def client(self, service: str) -> Any:
        """botocore's, of the administrator."""
        exported = dict(re.findall(r"(AWS_\w+)=(\S+)", self.output()))
        return a_client(
            service,
            region_name=exported["AWS_REGION"],
            endpoint_url=exported["AWS_ENDPOINT_URL_ECS"],
            aws_access_key_id=exported["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=exported["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"total_max_attempts": 1}),
        )

    def register(self) -> None:
        container = {
            "name": "app",
            "image": "ecscope-sample:latest",
            "memory": 16,
            "command": ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"],
            "stopTimeout": 5,
        }
        self.call("register_task_definition", family=self.family, containerDefinitions=[container])

    def run_tasks(self, count: int, **members: Any) -> list[str]:
        made = self.call("run_task", cluster=self.cluster, taskDefinition=self.family, count=count, **members)
        assert made["failures"] == []
        return [task["taskArn"] for task in made["tasks"]]

    def tasks(self) -> dict[str, str]:
        """ARN → last status, of all that are known."""
        arns = [
            arn
            for desired in ("RUNNING", "STOPPED")
            for arn in self.call("list_tasks", cluster=self.cluster, desiredStatus=desired)["taskArns"]
        ]
        if not arns:
            return {}
        told = self.call("describe_tasks", cluster=self.cluster, tasks=arns)
        return {task["taskArn"]: task["lastStatus"] for task in told["tasks"]}

    def await_tasks(self, *statuses: str, within_s: float = PATIENCE_S) -> dict[str, str]:
        wanted = sorted(statuses)
        return eventually(
            self.tasks, lambda tasks: sorted(tasks.values()) == wanted, f"tasks that are {wanted}", within_s
        )

    def containers(self) -> list[str]:
        """The task of each container that runs."""
        return sorted(
            found["Labels"][TASK_LABEL] for found in containers_of(self.cluster) if found["State"] == "running"
        )

    def _output(self) -> Path:
        return self._folder / "up.out"


@contextmanager
def an_up(folder: Path, docker_host: str = NO_DOCKER) -> Iterator[Up]:
    """Not started yet; afterwards both processes are ended and everything of its cluster is removed."""
    folder.mkdir(exist_ok=True)
    up = Up(folder, docker_host=docker_host)
    try:
        yield up
    except BaseException:
        print(up.logs())
        raise
    finally:
        if up.process is not None:
            up.process.kill()
            up.process.wait()
        _end_orphan(up)
        if docker_host != NO_DOCKER:
            remove_containers(up.cluster)
            with suppress(dockerengine.EngineError):
                _remove_task_network(bridge_of(up.data_dir))
            if os.geteuid() == 0:  # an agent that was killed could not
                asyncio.run(Redirect(port=51679).remove())


def _remove_task_network(bridge: str) -> None:
    """Of the awsvpc tasks: the rule of the firewall that a killed agent leaves, and the network."""
    network = json.loads(engine().request("GET", f"/networks/{bridge}"))
    if os.geteuid() == 0:
        address = network["IPAM"]["Config"][0]["Gateway"]
        asyncio.run(BridgeRedirect(bridge=bridge, address=address, port=51679).remove())
    engine().request("DELETE", f"/networks/{bridge}")


def _end_orphan(up: Up) -> None:
    from ecscope.sqlitefile.lock import holder_of  # noqa: PLC0415

    holder = holder_of(up.data_dir / "agent")
    if holder is not None:
        os.kill(holder, signal.SIGKILL)
        eventually(lambda: holder_of(up.data_dir / "agent"), lambda found: found is None, "the agent's end")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
