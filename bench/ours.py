"""Our agent as a process: started as users start it, over folders of its own."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import ROOT
from bench.needs import Missing
from bench.place import PORT, Place

CLUSTER = "ecscope-bench"
"""By it (label ``com.amazonaws.ecs.cluster``) everything in Docker is found again."""
NO_ENGINE = "unix:///nonexistent/ecscope-bench.sock"
ADDRESS = "127.0.0.1"
POLL_S = 0.0005
_KEPT_S = 1.0
"""The agent may close a connection that nobody uses."""


def command() -> list[str]:
    """The agent's command line, without its arguments. Raises ``Missing``."""
    for folder in (Path(sys.executable).parent, ROOT / ".venv" / "bin"):
        if (folder / "ecscope").exists():
            return [str(folder / "ecscope")]
    raise Missing("the command ecscope is not installed; run make .venv")


class Agent:
    """One agent process. ``start`` and ``stop`` may alternate; the data directory stays."""

    def __init__(self, *, folder: Path, place: Place, docker_host: str) -> None:
        self.tasks_dir = folder / "tasks"
        self.data_dir = folder / "data"
        self.log = folder / "agent.log"
        self.tasks_dir.mkdir(exist_ok=True)
        self._drafts = folder / "drafts"
        self._drafts.mkdir(exist_ok=True)
        self._place = place
        self._docker_host = docker_host
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: http.client.HTTPConnection | None = None
        self._asked_at = 0.0

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def url(self) -> str:
        return f"http://{ADDRESS}:{PORT}"

    def start(self, limit_s: float = 60.0) -> float:
        """Seconds from the exec to the first 200 on port 51678."""
        arguments = self._place.command([*command(), "agent", "--tasks", str(self.tasks_dir)])
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.data_dir.parent),
            "ECS_CLUSTER": CLUSTER,
            "ECS_DATADIR": str(self.data_dir),
            "ECS_IMAGE_PULL_BEHAVIOR": "prefer-cached",
            "ECS_LOGLEVEL": "warn",
            "AWS_DEFAULT_REGION": "us-west-2",
            "DOCKER_HOST": self._docker_host,
        }
        with self.log.open("ab") as log:
            begun = time.perf_counter()
            self._process = subprocess.Popen(
                arguments, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        while True:
            answered = self._answers()
            taken_s = time.perf_counter() - begun
            if answered:
                return taken_s
            if self._process.poll() is not None or taken_s > limit_s:
                self.stop()
                raise Missing(f"the agent does not answer on port {PORT}: {self.last_words()}")
            time.sleep(POLL_S)

    def stop(self) -> None:
        """SIGTERM, then SIGKILL after 10 s."""
        self._hang_up()
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def tasks(self) -> list[dict[str, object]]:
        """What it says of its tasks, over a connection that is kept while it is asked often."""
        if time.monotonic() - self._asked_at > _KEPT_S:
            self._hang_up()
        self._asked_at = time.monotonic()
        if self._connection is None:
            self._connection = http.client.HTTPConnection(ADDRESS, PORT)
            self._connection.sock = self._place.connect(ADDRESS, PORT, 10.0)
        self._connection.request("GET", "/v1/tasks")
        answer = json.loads(self._connection.getresponse().read())
        return answer["Tasks"] or []

    def get(self, target: str) -> bytes:
        """One answer's body."""
        connection = http.client.HTTPConnection(ADDRESS, PORT)
        connection.sock = self._place.connect(ADDRESS, PORT, 10.0)
        try:
            connection.request("GET", target)
            return connection.getresponse().read()
        finally:
            connection.close()

    def drop_task_files(self, definitions: dict[str, dict[str, object]]) -> float:
        """Write task files elsewhere, rename them into the folder; when (``perf_counter``) the first one was."""
        for name, definition in definitions.items():
            (self._drafts / name).write_text(json.dumps(definition))
        begun = time.perf_counter()
        for name in definitions:
            (self._drafts / name).rename(self.tasks_dir / name)
        return begun

    def remove_task_files(self) -> None:
        for path in self.tasks_dir.iterdir():
            path.unlink()

    def last_words(self) -> str:
        """The end of its log, in one line."""
        return " ".join(self.log.read_text(errors="replace").split())[-400:] or "it said nothing"

    def _answers(self) -> bool:
        try:
            with self._place.connect(ADDRESS, PORT, 5.0) as connection:
                connection.sendall(b"GET /v1/tasks HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return connection.recv(64).startswith(b"HTTP/1.1 200 ")
        except OSError:
            return False

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@contextmanager
def agent(place: Place, *, docker_host: str = NO_ENGINE, saved_tasks: int = 0) -> Iterator[Agent]:
    """An agent that is not started yet, over fresh folders; stopped and removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="ecscope-bench-"))
    ours = Agent(folder=folder, place=place, docker_host=docker_host)
    try:
        if saved_tasks:
            from bench.saved_state import write  # noqa: PLC0415  # needs the agent's own libraries

            write(ours.data_dir, saved_tasks)
        yield ours
    finally:
        ours.stop()
        shutil.rmtree(folder, ignore_errors=True)
