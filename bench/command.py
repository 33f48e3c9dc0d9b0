"""The command: which benchmarks, against whom, and where the numbers go."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from bench import RESULTS, ROOT
from bench.figures import Figure, table
from bench.needs import Missing
from bench.options import Options
from bench.peer import Peer

EXAMPLES = """examples:
  python bench/run.py --quick                                  two rounds of everything
  python bench/run.py --only http --peer http://127.0.0.1:51678  beside an agent that runs here

If a peer has this machine's port 51678, ours runs in a network namespace of its own.
Ratios are taken within one run, in alternating rounds. A missed figure is no error: the exit code is 0
when everything could be measured, 1 when something could not."""

NAMES = ("http", "memory", "docker", "simulated", "cluster", "away", "control", "up", "awsvpc", "metadata", "logs")


def main(arguments: list[str]) -> int:
    options, names = _parse(arguments)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    machine = describe_machine()
    print(f"{machine['processor']}, {machine['cores']} cores, load {machine['load']}, {machine['kernel']}\n")
    failed = False
    for name in names:
        started_at = datetime.now(UTC)
        begun = time.monotonic()
        try:
            figures = _benchmarks()[name](options)
        except (Missing, OSError, http.client.HTTPException) as reason:
            print(f"{name}: not measured: {reason}\n", file=sys.stderr)
            failed = True
            continue
        except KeyboardInterrupt:
            print(f"{name}: interrupted; what it had started is taken down", file=sys.stderr)
            return 128 + signal.SIGINT
        print(table(name, figures))
        path = _write(name, figures, started_at, machine, options)
        print(f"{time.monotonic() - begun:.0f} s; numbers in {path.relative_to(ROOT)}\n", flush=True)
    return 1 if failed else 0


def _parse(arguments: list[str]) -> tuple[Options, list[str]]:
    parser = argparse.ArgumentParser(
        prog="bench", description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=NAMES, metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="few and short rounds: for trying, not for quoting")
    parser.add_argument("--peer", metavar="URL", help="another agent's port 51678, measured in the same rounds")
    parser.add_argument(
        "--peer-tasks",
        metavar="URL",
        help="makes the peer start tasks: POST URL?count=N&kind=sleep|true starts N, DELETE URL stops all",
    )
    parser.add_argument(
        "--official",
        metavar="FILE",
        type=Path,
        help="the official agent's binary, for `cluster` and `metadata` to measure beside ours",
    )
    parser.add_argument("--docs", action="store_true", help="write the plots of `simulated` and `control` into docs/")
    given = parser.parse_args(arguments)
    if given.peer_tasks and not given.peer:
        parser.error("--peer-tasks goes with --peer")
    try:
        peer = Peer(given.peer, tasks_url=given.peer_tasks) if given.peer else None
    except ValueError as error:
        parser.error(str(error))
    return Options(quick=given.quick, peer=peer, official=given.official, docs=given.docs), given.only or list(NAMES)


def _benchmarks() -> Mapping[str, Callable[[Options], list[Figure]]]:
    from bench.benchmarks import (  # noqa: PLC0415  # after --help
        away,
        awsvpc,
        cluster,
        control,
        docker,
        http,
        logs,
        memory,
        metadata,
        simulated,
        up,
    )

    return {
        "http": http.run,
        "memory": memory.run,
        "docker": docker.run,
        "simulated": simulated.run,
        "cluster": cluster.run,
        "away": away.run,
        "control": control.run,
        "up": up.run,
        "awsvpc": awsvpc.run,
        "metadata": metadata.run,
        "logs": logs.run,
    }


def describe_machine() -> dict[str, object]:
    """What the numbers depend on."""
    processor = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
            break
    return {
        "processor": processor,
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20,
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": " ".join(f"{value:.1f}" for value in os.getloadavg()),
    }


def _write(
    name: str, figures: list[Figure], started_at: datetime, machine: Mapping[str, object], options: Options
) -> Path:
    RESULTS.mkdir(exist_ok=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    path = RESULTS / f"{name}-{started_at:%Y%m%dT%H%M%SZ}.json"
    content = {
        "benchmark": name,
        "started_at": started_at.isoformat(),
        "commit": commit.stdout.strip(),
        "quick": options.quick,
        "peer": options.peer.url if options.peer else None,
        "machine": machine,
        "figures": [figure.as_json() for figure in figures],
    }
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path
