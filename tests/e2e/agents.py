"""An agent process, its task folder and its containers, for tests that kill, starve and surprise it."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import dockerengine
from tests.session import TEST_PREFIX

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
PATIENCE_S = float(os.environ.get("ECSCOPE_TEST_PATIENCE_S", "30"))
"""How long a slow machine may take for what takes a second on a quiet one."""


def eventually(read: Callable[[], T], wanted: Callable[[T], bool], what: str, within_s: float = PATIENCE_S) -> T:
    """Read until it is as wanted; fail with the last reading otherwise.

    Nobody answering, and Docker not knowing an ID that it has just listed (HTTP 404), count as a reading that is not as
    wanted. Any other error ends the wait.
    """
    deadline = time.monotonic() + within_s
    while True:
        try:
            value = read()
        except OSError as error:
            value = error  # type: ignore[assignment]
        except dockerengine.EngineError as error:
            if error.status != 404:
                raise
            value = error  # type: ignore[assignment]
        else:
            if wanted(value):
                return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come within {within_s} s; last seen: {value!r}")
        time.sleep(0.02)


class AgentProcess:
    """One agent, which may be killed and started again over the same data and tasks."""

    def __init__(self, folder: Path, *, docker_host: str, **environment: str) -> None:
        self.tasks_dir = folder / "tasks"
        self.tasks_dir.mkdir(exist_ok=True)
        self.data_dir = folder / "data"
        self.log_path = folder / "agent.log"
        self.cluster = f"{TEST_PREFIX}{secrets.token_hex(4)}"
        self.port = _free_port()
        self.diagnostics_port = _free_port()
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
            "ECS_CLUSTER": self.cluster,
            "ECS_DATADIR": str(self.data_dir),
            "ECS_IMAGE_PULL_BEHAVIOR": "prefer-cached",
            "ECS_AGENT_CONFIG_FILE_PATH": str(folder / "no-such.json"),
            "DOCKER_HOST": docker_host,
            "TEST_TASKS": str(self.tasks_dir),
            "TEST_PORT": str(self.port),
            "TEST_DIAGNOSTICS_PORT": str(self.diagnostics_port),
            **environment,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.e2e.agent_main"],
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
            )

    def kill(self, number: int = signal.SIGKILL) -> int:
        """End the process and say how it ended."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(timeout=PATIENCE_S)
        self.process = None
        return code

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    # --- what is asked of it -----------------------------------------------------------------------

    def write_task(self, name: str, command: str, /, *, family: str = f"{TEST_PREFIX}task", **more: Any) -> Path:
        """Put a task file in place in one step. ``more`` goes into the container definition."""
        definition = {
            "family": family,
            "containerDefinitions": [
                {
                    "name": "app",
                    "image": "ecscope-sample:latest",
                    "essential": True,
                    "memory": 16,
                    "command": ["sh", "-c", command],
                    "stopTimeout": 5,
                    **more,
                }
            ],
        }
        return self.write(name, definition)

    def write(self, name: str, definition: dict[str, Any]) -> Path:
        path = self.tasks_dir / f"{name}.json"
        draft = self.tasks_dir / f".{name}.draft"
        draft.write_text(json.dumps(definition))
        draft.rename(path)
        return path

    # --- what it says ------------------------------------------------------------------------------

    def tasks(self) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v1/tasks", timeout=10) as answer:
            tasks: list[dict[str, Any]] = json.load(answer)["Tasks"]
            return tasks

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")


@contextmanager
def a_lone_agent(folder: Path, *, docker_host: str, **environment: str) -> Iterator[AgentProcess]:
    """An agent, not started yet, which is ended afterwards; its containers are left to the owner of the engine."""
    agent = AgentProcess(folder, docker_host=docker_host, **environment)
    try:
        yield agent
    except BaseException:
        print(agent.log()[-20_000:] if agent.log_path.exists() else "(no log)")
        raise
    finally:
        if agent.process is not None:
            agent.process.kill()
            agent.process.wait()


@contextmanager
def an_agent(folder: Path, *, docker_host: str, **environment: str) -> Iterator[AgentProcess]:
    """An agent, not started yet; afterwards it is ended and everything of its cluster is removed."""
    with ExitStack() as stack:
        agent = stack.enter_context(a_lone_agent(folder, docker_host=docker_host, **environment))
        stack.callback(remove_containers, agent.cluster)
        yield agent


def engine() -> dockerengine.Engine:
    return dockerengine.configured()


def containers_of(cluster: str) -> list[dict[str, Any]]:
    """All containers of a cluster, as Docker lists them."""
    filters = json.dumps({"label": [f"com.amazonaws.ecs.cluster={cluster}"]})
    listed: list[dict[str, Any]] = json.loads(engine().request("GET", "/containers/json", all="1", filters=filters))
    return listed


def remove_containers(cluster: str) -> None:
    for container in containers_of(cluster):
        engine().remove_container(container["Id"])
    for volume in json.loads(engine().request("GET", "/volumes"))["Volumes"] or []:
        if volume["Name"].startswith(f"ecs-{TEST_PREFIX}"):
            engine().remove_volume(volume["Name"])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
