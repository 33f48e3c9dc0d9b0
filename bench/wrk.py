"""One run of ``wrk``, with the CPU time that the server spent meanwhile."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass

from bench import needs, processes
from bench.place import Place

_UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What one run of one target gave."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float | None
    """Per request; ``None``: the server's process is not known."""


def measure(url: str, *, seconds: int, pid: int | None, place: Place) -> Reading:
    """One thread, 16 connections. Raises ``needs.Missing`` when an answer was no 200."""
    command = [needs.wrk(), "-t1", "-c16", f"-d{seconds}s", "--latency", url]
    before = processes.cpu_s(pid) if pid else 0.0
    run = subprocess.run(place.command(command), capture_output=True, text=True, check=False)
    spent = processes.cpu_s(pid) - before if pid else None
    output = run.stdout
    if run.returncode != 0 or "Non-2xx" in output or "Socket errors" in output:
        raise needs.Missing(f"wrk {url}: {' '.join((output + run.stderr).split())[-300:]}")
    requests = int(_found(r"(\d+) requests in", output)[1])
    return Reading(
        requests_per_s=float(_found(r"Requests/sec:\s+([\d.]+)", output)[1]),
        p50_ms=_duration(_found(r"50%\s+([\d.]+)([a-z]+)", output)),
        p99_ms=_duration(_found(r"99%\s+([\d.]+)([a-z]+)", output)),
        cpu_us=None if spent is None else spent / requests * 1e6,
    )


def _found(pattern: str, output: str) -> re.Match[str]:
    match = re.search(pattern, output)
    if match is None:
        raise needs.Missing(f"wrk said something unexpected: {output[-300:]!r}")
    return match


def _duration(match: re.Match[str]) -> float:
    return float(match[1]) * _UNITS_MS[match[2]]
