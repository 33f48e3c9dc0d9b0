"""What a process takes: CPU time and memory, from ``/proc``; and which process listens on a port."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_LISTEN = "0A"


def cpu_s(pid: int) -> float:
    """User and system time of all threads so far; the kernel counts in hundredths of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def rss_mib(pid: int) -> float:
    """Resident memory."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(pid)


def listener(port: int) -> int | None:
    """The process that listens on ``port``: here, else in another network namespace; ``None``: none, or several."""
    found: dict[str, set[int]] = {}
    inodes_of: dict[str, set[str]] = {}
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            namespace = os.readlink(process / "ns" / "net")
            if namespace not in inodes_of:
                inodes_of[namespace] = _listening(process, port)
            if inodes_of[namespace] and _holds(process, inodes_of[namespace]):
                found.setdefault(namespace, set()).add(int(process.name))
        except OSError:
            continue  # it ended, or is not ours to look into
    here = os.readlink("/proc/self/ns/net")
    processes = found[here] if here in found else set().union(*found.values())
    return processes.pop() if len(processes) == 1 else None


def _listening(process: Path, port: int) -> set[str]:
    """Inodes of listening sockets on ``port`` in the network namespace of ``process``."""
    inodes = set()
    for name in ("tcp", "tcp6"):
        for line in (process / "net" / name).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(fields[9])
    return inodes


def _holds(process: Path, inodes: set[str]) -> bool:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for descriptor in (process / "fd").iterdir():
        try:
            if os.readlink(descriptor) in wanted:
                return True
        except OSError:
            continue
    return False
