"""A Docker Engine of a test's own, beside any other, that may be stopped, killed and started again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

import dockerengine
import sampleimage
from tests.e2e.agents import PATIENCE_S, eventually

ALONE = ("unshare", "--net", "--")
"""In a network of its own: told to have no bridge, a dockerd removes docker0, whichever engine uses it."""
NO_NETWORK = ("--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-masq=false", "--ip-forward=false")
"""Its containers use the host's network, or none."""


class Daemon:
    """One dockerd with folders of its own, which outlive the process as a host's disk does."""

    def __init__(self, program: str, *options: str, disk_mib: int = 0) -> None:
        # Not pytest's folder: the path of a socket has 107 bytes at most, and containerd's lies deep.
        self.folder = Path(tempfile.mkdtemp(prefix="ecscope-test-dockerd-", dir="/tmp"))
        self.engine = dockerengine.Engine(str(self.folder / "docker.sock"))
        self._command = [*ALONE, program, f"--host={self.engine.endpoint}", f"--pidfile={self.folder}/pid", *options]
        self._command += [f"--data-root={self.folder}/data", f"--exec-root={self.folder}/exec", *NO_NETWORK]
        self._command += ["--shutdown-timeout=5"]
        if disk_mib:
            (self.folder / "data").mkdir()
            size = f"size={disk_mib}m,mode=711"
            subprocess.run(["mount", "-t", "tmpfs", "-o", size, "ecscope-test", str(self.folder / "data")], check=True)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return when it answers. Raises ``Unavailable``."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE_S
        while not self.engine.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                last = (self.log().strip().splitlines() or ["no output"])[-1]
                raise dockerengine.Unavailable(f"a second dockerd did not come up: {last[:300]}")
            time.sleep(0.02)

    def end(self, number: int) -> None:
        """Send it a signal and wait until it is gone, and its containerd with it."""
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(timeout=PATIENCE_S)
        self._process = None
        pid_file = self.folder / "exec" / "containerd" / "containerd.pid"
        with suppress(FileNotFoundError):
            pid = pid_file.read_text()
            eventually(lambda: _note_sign_of_life(pid), lambda alive: not alive, "the end of containerd")
            # The next dockerd waits for a dead containerd where nobody has reaped it: its pid is taken still.
            pid_file.unlink()

    def cut_power(self) -> None:
        """The daemon and all that it runs are gone at once, as at a power cut; what is on the disk stays."""
        self.end(signal.SIGKILL)
        for pid in self._processes_of_containers():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        dockerengine._unmount_below(self.folder)
        shutil.rmtree(self.folder / "exec", ignore_errors=True)  # lies on a tmpfs where a host has it

    def containers(self) -> list[dict[str, Any]]:
        """Inspections of all containers, stopped ones too; listed again if one is gone before it is inspected."""
        return eventually(self._inspections, lambda _: True, "an inspection of every listed container")

    def _inspections(self) -> list[dict[str, Any]]:
        return [
            json.loads(self.engine.request("GET", f"/containers/{found}/json")) for found in self.engine.containers()
        ]

    @property
    def pid(self) -> int:
        """Of the dockerd that runs."""
        assert self._process is not None
        return self._process.pid

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def remove(self) -> None:
        """All of it, whatever state it is in."""
        if self._process is not None:
            with suppress(OSError, dockerengine.EngineError):
                for container_id in self.engine.containers():
                    self.engine.remove_container(container_id)
            self.end(signal.SIGTERM)
        for pid in self._processes_of_containers():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        dockerengine._unmount_below(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _processes_of_containers(self) -> list[int]:
        """containerd, which ends with dockerd, the shims, which do not, and the containers below them."""
        parents: dict[int, int] = {}
        ours: set[int] = set()
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if str(self.folder).encode() in (folder / "cmdline").read_bytes():
                    ours.add(int(folder.name))
        ours.discard(os.getpid())
        while below := {pid for pid, parent in parents.items() if parent in ours} - ours:
            ours |= below
        return sorted(ours)


@contextmanager
def a_daemon(*options: str, disk_mib: int = 0) -> Iterator[Daemon]:
    """A dockerd that answers and has the sample image; a visible skip where it cannot be, a failure in CI.

    ``disk_mib``: of its images and containers; 0: as much as there is.
    """
    daemon: Daemon | None = None
    try:
        try:
            daemon = Daemon(_program(), *options, disk_mib=disk_mib)
            daemon.start()
            sampleimage.put_into(daemon.engine)
        except dockerengine.Unavailable as error:
            if os.environ.get("CI") == "true":
                pytest.fail(str(error), pytrace=False)
            pytest.skip(str(error))
        yield daemon
    except BaseException:
        print(f"dockerd's log:\n{daemon.log()[-10_000:]}" if daemon is not None else "")
        raise
    finally:
        if daemon is not None:
            daemon.remove()


def _note_sign_of_life(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _program() -> str:
    if os.geteuid() != 0 or not shutil.which(ALONE[0]):
        raise dockerengine.Unavailable("a second dockerd needs root, and unshare of the package util-linux")
    program = dockerengine.installed_dockerd()
    if program is None:
        raise dockerengine.Unavailable("there is no dockerd here to start a second one with")
    return program
