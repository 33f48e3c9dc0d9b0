"""``ecscope up`` as a process, over a folder of its own: the control plane alone, or with its agent."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from bench.needs import Missing
from bench.ours import CLUSTER, command
from bench.signed_calls import CallFailed, Key, SignedCalls

REGION = "us-west-2"
SETTINGS = {
    "ECS_IMAGE_PULL_BEHAVIOR": "prefer-cached",
    "ECS_ENABLE_TASK_CPU_MEM_LIMIT": "false",
    "ECS_AVAILABLE_LOGGING_DRIVERS": '["json-file","none"]',
    "ECS_LOGLEVEL": "warn",
}
"""Of the agent: the same wherever one is measured in a cluster."""
_POLL_S = 0.001
_START_S = 60.0


class ControlPlane:
    """One process. ``start`` and ``stop`` may alternate; port, state and keys stay."""

    def __init__(self, folder: Path, docker_host: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.log = folder / "up.log"
        self._command = [*command(), "up", "--data-dir", str(folder / "data"), "--port", str(self.port)]
        self._command += ["--region", REGION, "--cluster", CLUSTER, *([] if docker_host else ["--no-agent"])]
        self._environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(folder),
            "DOCKER_HOST": docker_host,
            **SETTINGS,
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        return self._process is not None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def key(self, name: str = "administrator") -> Key:
        """``administrator`` or ``ecsInstanceRole``. Raises ``Missing`` before the first start."""
        try:
            found = msgspec.json.decode((self.folder / "data" / "keys.json").read_bytes())[name]
        except (OSError, KeyError) as error:
            raise Missing(f"the control plane made no key {name}: {error}") from error
        return Key(found["access_key_id"], found["secret_access_key"], found.get("session_token", ""))

    def start(self) -> float:
        """When it was started (``perf_counter``). It may not answer yet: see ``answers``."""
        with self.log.open("ab") as log:
            begun = time.perf_counter()
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        return begun

    async def answers(self, action: str = "ListTasks", **body: object) -> None:
        """Return once it has answered a signed call. Raises ``Missing``."""
        end = time.monotonic() + _START_S
        while True:
            try:
                calls = SignedCalls(self.port, self.key(), region=REGION)
                try:
                    await calls.call(action, cluster=CLUSTER, **body)
                finally:
                    calls.close()
                return
            except (OSError, EOFError, CallFailed, Missing) as error:
                assert self._process is not None
                if self._process.poll() is not None or time.monotonic() > end:
                    words = " ".join(self.log.read_text(errors="replace").split())[-400:]
                    raise Missing(f"the control plane does not answer: {error}; it said: {words}") from error
            await asyncio.sleep(_POLL_S)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """SIGTERM (or whatever is given), then SIGKILL after 10 s."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def control_plane(docker_host: str = "") -> Iterator[ControlPlane]:
    """Not started yet, over a fresh folder; stopped and removed afterwards. ``""``: without an agent of its own."""
    folder = Path(tempfile.mkdtemp(prefix="ecscope-bench-"))
    plane = ControlPlane(folder, docker_host)
    try:
        yield plane
    finally:
        plane.stop()
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
