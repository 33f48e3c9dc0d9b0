"""A Docker Engine for demo, tests and benchmark: one that runs is used as it is, else one is started and removed again.

Each user of the engine holds a lease. What was brought up (daemon, mounts, sample image) is noted in
the state folder and taken down when the last lease goes; a lease whose process is dead does not count.
An engine that was there before is never stopped. Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

STATE = Path("/run/ecscope-engine") if os.geteuid() == 0 else Path(f"/tmp/ecscope-engine-{os.geteuid()}")
DATA = Path("/var/lib/ecscope-engine")
START_TIMEOUT_S = 60
MANUAL_LEASE = "manual"
"""Lease of ``scripts/engine ensure``, which ends before its engine is used."""
CGROUPS = Path("/sys/fs/cgroup")
LEFT_BY_DOCKERD = (Path("/run/docker"), Path("/run/containerd"), Path("/etc/docker"))
"""Folders that a daemon makes outside of its own, and does not remove."""


class Unavailable(Exception):
    """Something that is needed is not available; the message is one line that says what, and how to get it."""


class EngineError(Exception):
    """The engine refused a request."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{message} (HTTP {status})")
        self.status = status


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self.socket_path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.socket_path)


class Engine:
    """The engine behind one unix socket."""

    def __init__(self, socket_path: str) -> None:
        self.socket_path = socket_path

    @property
    def endpoint(self) -> str:
        """As ``DOCKER_HOST`` spells it."""
        return f"unix://{self.socket_path}"

    def answers(self) -> bool:
        """Whether somebody talks on the socket (5 s limit)."""
        try:
            return self._send("GET", "/_ping", None, {}, timeout_s=5)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def request(
        self, method: str, path: str, *, body: bytes | None = None, content_type: str = "", **query: str
    ) -> bytes:
        """One call. Raises ``EngineError`` when it is refused, ``OSError`` when nobody answers."""
        target = path + ("?" + urllib.parse.urlencode(query) if query else "")
        headers = {"Content-Type": content_type} if content_type else {}
        status, answer = self._send(method, target, body, headers, timeout_s=120)
        if status >= 400:
            with suppress(ValueError, TypeError, KeyError):
                raise EngineError(status, json.loads(answer)["message"])
            raise EngineError(status, answer[:200].decode(errors="replace"))
        return answer

    def containers(self, **filters: list[str]) -> list[str]:
        """IDs of all containers that match, stopped ones too; e.g. ``label=["key=value"]``."""
        found = json.loads(self.request("GET", "/containers/json", all="1", filters=json.dumps(filters)))
        return [container["Id"] for container in found]

    def remove_container(self, container_id: str) -> None:
        """Kill and remove, with its volumes, anonymous ones and those of its ECS task, and with its task's cgroup."""
        with suppress(EngineError):
            found = json.loads(self.request("GET", f"/containers/{container_id}/json"))
            self.request("DELETE", f"/containers/{container_id}", force="1", v="1")
            for name in [mount["Name"] for mount in found["Mounts"] if mount["Type"] == "volume"]:
                if name.startswith("ecs-"):
                    self.remove_volume(name)
            _remove_task_cgroup(found["HostConfig"]["CgroupParent"])

    def remove_volume(self, name: str) -> None:
        """Remove; one that is gone, or still used by another container, is left alone."""
        with suppress(EngineError):
            self.request("DELETE", f"/volumes/{urllib.parse.quote(name, safe='')}")

    def _send(
        self, method: str, target: str, body: bytes | None, headers: Mapping[str, str], *, timeout_s: float
    ) -> tuple[int, bytes]:
        connection = _UnixConnection(self.socket_path, timeout_s)
        try:
            connection.request(method, target, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


def _remove_task_cgroup(parent: str) -> None:
    """Remove the cgroup of an ECS task in every hierarchy; one in which another container lives is left alone."""
    name = parent.rpartition("/")[2]
    pattern = f"*/ecs/{name}" if parent.startswith("/ecs/") else f"ecstasks.slice/{name}"
    if not name or not (parent.startswith("/ecs/") or name.startswith("ecstasks-")):
        return
    for folder in Path("/sys/fs/cgroup").glob(pattern):
        with suppress(OSError):
            folder.rmdir()


def configured() -> Engine:
    """The engine that ``DOCKER_HOST`` names, else the one on the usual socket. Raises ``Unavailable``."""
    host = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    if not host.startswith("unix://"):
        raise Unavailable(f"engine: DOCKER_HOST={host} is not a unix socket, and only those can be used here; unset it")
    return Engine(host.removeprefix("unix://"))


def ensure(lease: str) -> Engine:
    """An engine that answers, held until ``release(lease)``. Raises ``Unavailable``."""
    engine = configured()
    with _locked():
        _write_lease(lease)
        if engine.answers():
            return engine
        try:
            _take_down_engine()  # what a crashed start may have left
            _start(engine)
        except BaseException:
            _lease_file(lease).unlink(missing_ok=True)
            _take_down_engine()
            if not _live_leases():
                shutil.rmtree(STATE, ignore_errors=True)
            raise
    return engine


def release(lease: str | None) -> None:
    """Give the lease back; ``None``: all leases. With the last one, all that was brought up goes."""
    if not STATE.exists():
        return
    with _locked():
        for held in _live_leases():
            if lease is None or held == lease:
                _lease_file(held).unlink(missing_ok=True)
        if not _live_leases():
            _remove_noted_image()
            _take_down_engine()
            shutil.rmtree(STATE, ignore_errors=True)


def note_image(reference: str) -> None:
    """``reference`` was made by us: it goes with the last lease, if there is one."""
    if _live_leases():
        (STATE / "image").write_text(reference)


def say(message: str) -> None:
    """One line for the person who watches."""
    print(message, file=sys.stderr, flush=True)


# Leases.


@contextmanager
def _locked() -> Iterator[None]:
    """One script at a time. The lock goes with the folder, so a lock on a removed file is taken again."""
    path = STATE / "lock"
    while True:
        STATE.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileNotFoundError), path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                yield
                return


def _lease_file(lease: str) -> Path:
    return STATE / f"lease-{lease}"


def _write_lease(lease: str) -> None:
    _lease_file(lease).write_text(_started_at(lease) or "")


def _live_leases() -> list[str]:
    live = []
    for file in STATE.glob("lease-*"):
        lease = file.name.removeprefix("lease-")
        if lease == MANUAL_LEASE or _started_at(lease) == file.read_text():
            live.append(lease)
        else:
            file.unlink(missing_ok=True)
    return live


def _started_at(pid: str) -> str | None:
    """Start time of a process in clock ticks; with the ID it names a process for good. ``None``: no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None


# The daemon.


def _start(engine: Engine) -> None:
    if os.geteuid() != 0:
        raise Unavailable(
            f"engine: no Docker Engine answers on {engine.endpoint}; start one, or run this as root to get one started"
        )
    dockerd = installed_dockerd() or _install_dockerd()
    _mount_cgroups()
    options, environment = network_options(STATE)
    log = STATE / "dockerd.log"
    command = [dockerd, f"--host={engine.endpoint}", f"--pidfile={STATE}/dockerd.pid", f"--data-root={DATA}"]
    command += [f"--exec-root={STATE}/exec", "--shutdown-timeout=5", *options]
    say(f"engine: starting dockerd (log: {log})")
    _note_machine()
    with log.open("w") as file:
        daemon = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment, start_new_session=True
        )
    (STATE / "daemon").write_text(str(daemon.pid))
    deadline = time.monotonic() + START_TIMEOUT_S
    while not engine.answers():
        if daemon.poll() is not None or time.monotonic() > deadline:
            last = (log.read_text(errors="replace").strip().splitlines() or ["no output"])[-1][:300]
            raise Unavailable(f"engine: dockerd did not come up: {last}; start a Docker Engine by hand, then try again")
        time.sleep(0.1)
    say("engine: dockerd answers; it is stopped and removed when it is no longer needed")


def installed_dockerd() -> str | None:
    return shutil.which("dockerd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin:/usr/local/bin")


def _install_dockerd() -> str:
    """Debian's package, without its service: the daemon is ours to start and stop."""
    if not shutil.which("apt-get"):
        raise Unavailable("engine: there is no Docker Engine and no apt-get to install it with; install one by hand")
    say("engine: none here; installing the Debian package docker.io")
    policy = Path("/usr/sbin/policy-rc.d")
    keep_policy = policy.exists()
    if not keep_policy:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        apt_get("update")
        apt_get("install", "--yes", "--no-install-recommends", "docker.io")
    finally:
        if not keep_policy:
            policy.unlink(missing_ok=True)
    if found := installed_dockerd():
        return found
    raise Unavailable("engine: the package docker.io brought no dockerd; install a Docker Engine by hand")


def apt_get(*arguments: str, folder: Path | None = None) -> None:
    """Run apt-get without questions. Raises ``Unavailable`` with its last line."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "-q", *arguments]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = ((done.stderr or done.stdout).strip().splitlines() or ["no output"])[-1]
        raise Unavailable(f"apt-get {' '.join(arguments)} failed: {last}; mend it, or install by hand")


def _mount_cgroups() -> None:
    """A bare virtual machine may have no cgroups mounted; the engine cannot run a container without."""
    mounts = Path("/proc/mounts").read_text()
    if " cgroup " in mounts or " cgroup2 " in mounts:
        return
    controllers = [line.split() for line in Path("/proc/cgroups").read_text().splitlines() if not line.startswith("#")]
    in_use = [name for name, hierarchy, _, enabled in controllers if hierarchy != "0" and enabled == "1"]
    say(f"engine: no cgroups are mounted; mounting {'version 1' if in_use else 'version 2'} on {CGROUPS}")
    made: list[str] = []
    if in_use:
        made.append(_mount("tmpfs", CGROUPS, "mode=755"))
        made += [_mount("cgroup", CGROUPS / name, name) for name in in_use]
    else:
        made.append(_mount("cgroup2", CGROUPS, "rw"))
    (STATE / "mounts").write_text("\n".join(made))


def _mount(kind: str, target: Path, options: str) -> str:
    target.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", kind, "-o", options, kind, str(target)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise Unavailable(f"engine: {done.stderr.strip()}; mount cgroups by hand, then try again")
    return str(target)


def network_options(folder: Path) -> tuple[list[str], dict[str, str]]:
    """Options and environment for dockerd where iptables does not work, or only in its older form.

    ``folder``: where links to the older form go.
    """
    environment = dict(os.environ)
    if _iptables("iptables", "-t", "nat", "-S") is not None:
        return [], environment
    if _iptables("iptables-legacy", "-t", "nat", "-S") is not None:
        legacy = folder / "bin"
        legacy.mkdir(exist_ok=True)
        for name in ("iptables", "ip6tables"):
            if found := shutil.which(f"{name}-legacy"):
                (legacy / name).symlink_to(found)
        say("engine: iptables works in its legacy form only; dockerd is given that")
        return [], environment | {"PATH": f"{legacy}:{environment.get('PATH', '')}"}
    return without_iptables(), environment


def without_iptables() -> list[str]:
    """Options for a dockerd that is to do without, and a line that says so."""
    say("engine: iptables does not work here; dockerd starts without it (published ports go through its proxy)")
    return ["--iptables=false", "--ip-masq=false"]


def _iptables(*command: str) -> str | None:
    """Output of an iptables command; ``None``: absent, or it failed."""
    with suppress(OSError):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout if done.returncode == 0 else None
    return None


def _note_machine() -> None:
    """What dockerd will change and does not undo when it ends."""
    forward = Path("/proc/sys/net/ipv4/ip_forward")
    noted = {
        "ip_forward": forward.read_text().strip(),
        "bridge": Path("/sys/class/net/docker0").exists(),
        "forward_accepts": "-P FORWARD ACCEPT" in (_iptables("iptables", "-S", "FORWARD") or ""),
        "absent": [str(folder) for folder in LEFT_BY_DOCKERD if not folder.exists()],
    }
    (STATE / "machine").write_text(json.dumps(noted))


def _take_down_engine() -> None:
    """Stop the daemon that we started, and undo what it and we changed on the machine. May be repeated."""
    pid_file = STATE / "daemon"
    if pid_file.exists():
        pid = pid_file.read_text()
        if _is_our_daemon(pid):
            say("engine: stopping the dockerd that was started for this")
            with suppress(EngineError, OSError, http.client.HTTPException, Unavailable):
                engine = configured()
                for container_id in engine.containers():
                    engine.remove_container(container_id)
            _end(pid)
        pid_file.unlink()
        _unmount_below(STATE, DATA)
        shutil.rmtree(DATA, ignore_errors=True)
        _restore_machine()
    mounts = STATE / "mounts"
    if mounts.exists():
        for target in reversed(mounts.read_text().splitlines()):
            subprocess.run(["umount", target], capture_output=True, check=False)
        mounts.unlink()


def _is_our_daemon(pid: str) -> bool:
    try:
        return f"--pidfile={STATE}/dockerd.pid".encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _end(pid: str) -> None:
    """Ask, and after 20 s insist."""
    for sent in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(int(pid), sent)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with suppress(ChildProcessError):
                os.waitpid(int(pid), os.WNOHANG)
            if not _is_our_daemon(pid):
                return
            time.sleep(0.05)


def _unmount_below(*folders: Path) -> None:
    targets = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for target in reversed(targets):
        if any(target.startswith(f"{folder}/") or target == str(folder) for folder in folders):
            subprocess.run(["umount", target], capture_output=True, check=False)


def _restore_machine() -> None:
    note = STATE / "machine"
    if not note.exists():
        return
    before = json.loads(note.read_text())
    note.unlink()
    tool = str(STATE / "bin" / "iptables") if (STATE / "bin" / "iptables").exists() else "iptables"
    if not before["bridge"] and Path("/sys/class/net/docker0").exists():
        for table in ("nat", "filter"):
            rules = (_iptables(tool, "-t", table, "-S") or "").splitlines()
            for rule in rules:
                words = rule.split()
                if words[0] == "-A" and ("DOCKER" in rule or "docker0" in rule or words[1].startswith("DOCKER")):
                    _iptables(tool, "-t", table, "-D", *words[1:])
            for chain in [rule.split()[1] for rule in rules if rule.startswith("-N DOCKER")]:
                _iptables(tool, "-t", table, "-X", chain)
        if before["forward_accepts"]:
            _iptables(tool, "-P", "FORWARD", "ACCEPT")
        if ip := shutil.which("ip"):
            subprocess.run([ip, "link", "delete", "docker0"], capture_output=True, check=False)
    Path("/proc/sys/net/ipv4/ip_forward").write_text(before["ip_forward"])
    for folder in before["absent"]:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_noted_image() -> None:
    note = STATE / "image"
    if note.exists():
        with suppress(EngineError, OSError, http.client.HTTPException, Unavailable):
            configured().request("DELETE", f"/images/{note.read_text()}")
        note.unlink()
