"""Facts of the kernel and its file systems. Blocking; every path is below ``root``, which a test can make itself.

Source: proc(5); Documentation/networking/proc_net_tcp.rst of the kernel.
"""

from __future__ import annotations

import os
import platform
import resource
import shutil
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ecscope.agent.diagnosis.doctor.facts import (
    DataDirectoryFact,
    DiskFact,
    FirewallFact,
    KernelLogFact,
    LimitsFact,
    PortHolder,
    PortsFact,
    VersionsFact,
)
from ecscope.owned_files import UnsafeFile, check_directory

HOST = Path("/")
_LISTENS = "0A"
"""The state of a listening socket in /proc/net/tcp."""
_IPTABLES_S = 1.0
_START_FIELD = 20
"""Of the fields behind the command in /proc/PID/stat, which is its 22nd in all."""


def disk(path: Path) -> DiskFact:
    """Of the file system that holds ``path``, or the nearest directory above it that exists. Raises ``OSError``."""
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    found = os.statvfs(there)
    return DiskFact(
        path=str(there),
        total_bytes=found.f_blocks * found.f_frsize,
        free_bytes=found.f_bavail * found.f_frsize,
        total_inodes=found.f_files,
        free_inodes=found.f_favail,
        is_read_only=bool(found.f_flag & os.ST_RDONLY),
    )


def data_directory(path: Path, *, is_kept: bool) -> DataDirectoryFact:
    """Whether the agent would take it, and its state file can be read."""
    if not path.exists():
        return DataDirectoryFact(path=str(path), exists=False, is_kept=is_kept)
    try:
        check_directory(path)
    except UnsafeFile as error:
        return DataDirectoryFact(path=str(path), problem=error.sentence, is_kept=is_kept)
    except OSError as error:
        return DataDirectoryFact(path=str(path), problem=f"{path}: {error.strerror or error}", is_kept=is_kept)
    return DataDirectoryFact(path=str(path), state_problem=_state_problem(path) if is_kept else "", is_kept=is_kept)


def _state_problem(path: Path) -> str:
    from ecscope.agent.store.interface import StoreError  # noqa: PLC0415 - sqlite3
    from ecscope.agent.store.reader import DATABASE_NAME, read_history  # noqa: PLC0415

    if not (path / DATABASE_NAME).exists():
        return ""  # an agent that has saved nothing yet
    try:
        read_history(path, limit=1)
    except StoreError as error:
        return str(error)
    return ""


def ports(numbers: Iterable[int], root: Path = HOST) -> PortsFact:
    """Who listens on these TCP ports, on whatever address. Raises ``OSError`` where there is no /proc."""
    wanted = set(numbers)
    inodes: dict[str, int] = {}
    for table in ("tcp", "tcp6"):
        with suppress(FileNotFoundError):  # a host without IPv6
            for line in (root / "proc/self/net" / table).read_text().splitlines()[1:]:
                fields = line.split()
                port = int(fields[1].rpartition(":")[2], 16)
                if fields[3] == _LISTENS and port in wanted:
                    inodes[fields[9]] = port
    holders: dict[int, set[PortHolder]] = {}
    unseen = set(inodes)
    for pid, links in _socket_inodes(root) if inodes else ():
        for inode in links & set(inodes):
            unseen.discard(inode)
            holder = PortHolder(pid=pid, command=_text(root / f"proc/{pid}/comm"))
            holders.setdefault(inodes[inode], set()).add(holder)
    for inode in unseen:
        holders.setdefault(inodes[inode], set()).add(PortHolder())
    return PortsFact(
        holders={port: tuple(sorted(found, key=lambda one: one.pid or 0)) for port, found in holders.items()}
    )


def _socket_inodes(root: Path) -> Iterable[tuple[int, set[str]]]:
    """Process IDs with the inodes of their sockets, for processes that this user may look into."""
    for folder in (root / "proc").iterdir():
        if not folder.name.isdigit():
            continue
        found = set()
        with suppress(OSError):  # another user's, or gone
            for entry in (folder / "fd").iterdir():
                with suppress(OSError):
                    target = os.readlink(entry)  # noqa: PTH115 - "socket:[…]" is no path
                    if target.startswith("socket:["):
                        found.add(target[8:-1])
        yield int(folder.name), found


def limits(agent_pid: int | None, root: Path = HOST) -> LimitsFact:
    """What the kernel allows, and how much of it is used."""
    allocated, _, maximum = [*_text(root / "proc/sys/fs/file-nr").split(), "", "", ""][:3]
    forward = _text(root / "proc/sys/net/ipv4/ip_forward")
    memory = dict(line.partition(":")[::2] for line in _text(root / "proc/meminfo").splitlines())
    soft, used = _open_files(agent_pid, root)
    return LimitsFact(
        open_files_soft=soft,
        open_files_used=used,
        files_allocated=_number(allocated),
        files_max=_number(maximum),
        ip_forward=None if not forward else forward != "0",
        conntrack_used=_number(_text(root / "proc/sys/net/netfilter/nf_conntrack_count")),
        conntrack_max=_number(_text(root / "proc/sys/net/netfilter/nf_conntrack_max")),
        inotify_instances=_number(_text(root / "proc/sys/fs/inotify/max_user_instances")),
        inotify_instances_used=_inotify_instances(root),
        pid_max=_number(_text(root / "proc/sys/kernel/pid_max")),
        processes=_number(_text(root / "proc/loadavg").partition("/")[2].partition(" ")[0]),
        memory_total_bytes=_kib(memory.get("MemTotal")),
        memory_available_bytes=_kib(memory.get("MemAvailable")),
    )


def _open_files(pid: int | None, root: Path) -> tuple[int | None, int | None]:
    if pid is None:
        return resource.getrlimit(resource.RLIMIT_NOFILE)[0], None
    soft = used = None
    for line in _text(root / f"proc/{pid}/limits").splitlines():
        if line.startswith("Max open files"):
            soft = _number(line.split()[3])
    with suppress(OSError):
        used = len(os.listdir(root / f"proc/{pid}/fd"))  # noqa: PTH208 - names only
    return soft, used


def _inotify_instances(root: Path) -> int | None:
    """Of this user: what `/proc` shows of all its processes."""
    count, user = 0, os.getuid()
    with suppress(OSError):
        for folder in (root / "proc").iterdir():
            with suppress(OSError):
                if folder.name.isdigit() and folder.stat().st_uid == user:
                    for entry in (folder / "fd").iterdir():
                        with suppress(OSError):
                            count += os.readlink(entry) == "anon_inode:inotify"  # noqa: PTH115
        return count
    return None


def firewall(*, iptables: str = "iptables", comment: str = "ecscope") -> FirewallFact:
    """The rules that are set. Raises ``OSError`` where this user may not read them."""
    if shutil.which(iptables) is None:
        return FirewallFact(failure=f"there is no program {iptables}")
    nat = _rules(iptables, "nat")
    filters = _rules(iptables, "filter")
    forwarded = [line for line in filters.splitlines() if line.startswith("-A FORWARD") and "docker" in line.lower()]
    return FirewallFact(
        has_docker_chain="-N DOCKER" in nat.splitlines(),
        has_task_role_rules=f"--comment {comment} " in nat or f'--comment "{comment}"' in nat,
        drops_forwarded="-P FORWARD DROP" in filters.splitlines() and not forwarded,
    )


def _rules(iptables: str, table: str) -> str:
    done = subprocess.run(  # noqa: S603
        [iptables, "-w", "1", "-t", table, "-S"], capture_output=True, text=True, timeout=_IPTABLES_S, check=False
    )
    if done.returncode:
        raise PermissionError(" ".join(done.stderr.split()) or f"{iptables} ended with {done.returncode}")
    return done.stdout


def kernel_log(root: Path = HOST) -> KernelLogFact:
    """Whether it may be read."""
    try:
        os.close(os.open(root / "dev/kmsg", os.O_RDONLY | os.O_NONBLOCK))
    except OSError as error:
        return KernelLogFact(failure=f"the kernel's log cannot be read: {error.strerror}")
    return KernelLogFact()


def versions(ecscope: str, agent: str) -> VersionsFact:
    """Of this command, of the agent that answers (``""``: none), of Python and the kernel."""
    kernel = f"{platform.system()} {platform.release()}"
    return VersionsFact(ecscope=ecscope, agent=agent, python=platform.python_version(), kernel=kernel)


def started_at(pid: int, now: datetime, root: Path = HOST) -> datetime | None:
    """When a process was started, to a hundredth of a second; ``None``: it is gone."""
    fields = _text(root / f"proc/{pid}/stat").rpartition(")")[2].split()
    uptime = _text(root / "proc/uptime").partition(" ")[0]
    if len(fields) < _START_FIELD or not uptime:
        return None
    age_s = float(uptime) - int(fields[_START_FIELD - 1]) / os.sysconf("SC_CLK_TCK")
    return now - timedelta(seconds=age_s)


def booted_at(root: Path = HOST) -> datetime | None:
    """When the kernel began, to the second; ``None``: not known here."""
    for line in _text(root / "proc/stat").splitlines():
        name, _, value = line.partition(" ")
        if name == "btime" and value.isdigit():
            return datetime.fromtimestamp(int(value), UTC)
    return None


def environment_of(pid: int, root: Path = HOST) -> dict[str, str]:
    """Of a process of this user. Raises ``OSError``."""
    raw = (root / f"proc/{pid}/environ").read_bytes().decode("utf-8", "surrogateescape")
    return dict(entry.partition("=")[::2] for entry in raw.split("\0") if "=" in entry)


def command_of(pid: int, root: Path = HOST) -> list[str]:
    """The command line of a process. Raises ``OSError``."""
    return (root / f"proc/{pid}/cmdline").read_bytes().decode("utf-8", "surrogateescape").rstrip("\0").split("\0")


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() else None


def _kib(text: str | None) -> int | None:
    number = _number((text or "").strip().partition(" ")[0])
    return None if number is None else number * 1024
