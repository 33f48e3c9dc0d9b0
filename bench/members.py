"""An agent as a member of the test back end's cluster: ours, or the official one by the same environment."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.control_plane import SETTINGS
from bench.needs import Missing
from bench.ours import CLUSTER, command
from bench.place import PORT, is_free
from fake_ecs.process import BackendProcess

_CONNECT_S = 60.0


class Member:
    """One agent process. ``start`` and ``stop`` may alternate; the data directory stays."""

    def __init__(self, *, folder: Path, command: list[str], backend: BackendProcess, docker_host: str) -> None:
        self.log = folder / "agent.log"
        self._command = command
        self._backend = backend
        self._environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(folder),
            **backend.environment(),
            "ECS_CLUSTER": CLUSTER,
            "ECS_DATADIR": str(folder),
            "ECS_EXTERNAL": "true",
            **SETTINGS,
            "DOCKER_HOST": docker_host,
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        """Return once both websockets are up. Raises ``Missing``."""
        if not is_free():
            raise Missing(
                f"port {PORT} is taken, and the back end is on this machine's loopback; stop its owner, or run all of"
                " this in a network namespace: unshare --net sh -c 'ip link set lo up; python -m bench --only cluster'"
            )
        before = {channel: self._connections(channel) for channel in ("acs", "tcs")}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            for channel, count in before.items():
                self._backend.connected(channel, count=count + 1, timeout_s=_CONNECT_S)
        except TimeoutError as error:
            self.stop()
            raise Missing(f"{self._command[0]} does not connect: {error}; {self._last_words()}") from None

    def stop(self) -> None:
        """SIGTERM, then SIGKILL after 10 s."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _connections(self, channel: str) -> int:
        connects = self._backend.ask("connects")
        return sum(connect["kind"] == f"{channel}-connect" and "reply_status" not in connect for connect in connects)

    def _last_words(self) -> str:
        return " ".join(self.log.read_text(errors="replace").split())[-400:] or "it said nothing"


@contextmanager
def members(backend: BackendProcess, *, docker_host: str, official: Path | None) -> Iterator[Mapping[str, Member]]:
    """``ours`` and, where its binary is given, ``official``; none is started yet. Stopped and removed afterwards."""
    commands = {"ours": [*command(), "agent"]}
    if official is not None:
        commands["official"] = [str(official)]
    folders = {name: Path(tempfile.mkdtemp(prefix="ecscope-bench-")) for name in commands}
    found = {
        name: Member(folder=folders[name], command=commands[name], backend=backend, docker_host=docker_host)
        for name in commands
    }
    try:
        yield found
    finally:
        for member in found.values():
            member.stop()
        for folder in folders.values():
            shutil.rmtree(folder, ignore_errors=True)
