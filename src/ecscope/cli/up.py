"""``ecscope up``: ECS on this machine, until SIGTERM or Ctrl-C.

Only reads the command line and hands over.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ecscope.cli.exit_codes import EXIT_FAILED, EXIT_FINE, EXIT_TERMINAL, EXIT_USAGE
from ecscope.cli.table import harmless
from ecscope.log import LogFile, LogLevel, configure_logging, open_private
from ecscope.open_files import AcceptErrors, allow_many_files
from ecscope.owned_files import UnsafeFile, check_directory, check_file
from ecscope.sqlitefile.lock import holder_of
from ecscope.up.running import await_ready, default_data_dir, exports, find

if TYPE_CHECKING:
    from ecscope.up.failures import Cause

_log = logging.getLogger("ecscope.up")

DEFAULT_REGION = "us-east-1"
_READY_S = 120.0
"""For a start in the background; an agent of an earlier run has 30 s of it to end."""
_REGION = re.compile(r"[a-z]{2,3}(-[a-z]+)+-[0-9]{1,2}")
"""The form that all regions have: ``us-east-1``, ``us-gov-west-1``, ``eu-isoe-west-1``."""
_GARBAGE = (20_000, 10, 100)
"""Look for cycles in all that is held a hundred times more rarely than Python would: with 10,000 tasks each look stops
everything for 30 to 50 ms, and finds next to nothing, since the state is frozen values without cycles."""


def run(args: argparse.Namespace) -> int:
    """``args``: ``port``, ``data_dir``, ``region``, ``cluster``, ``iam`` (text or ``None``), ``image`` (pairs), and the
    flags ``keep``, ``detach``, ``quiet``, ``no_agent``, ``no_task_endpoint``, ``live_delays`` and ``any_architecture``.
    """
    if args.detach:
        return _detach(args)
    from ecscope.up.local import Ending, LocalEcs, Options  # noqa: PLC0415  # the AWS libraries take their time

    options = Options(
        data_dir=_data_dir(args),
        port=args.port,
        region=args.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or DEFAULT_REGION,
        cluster=args.cluster,
        iam_file=Path(args.iam) if args.iam else None,
        keeps_tasks=args.keep,
        has_agent=not args.no_agent,
        has_task_endpoint=not args.no_task_endpoint,
        local_images=dict(args.image),
        has_live_delays=args.live_delays,
        runs_any_architecture=args.any_architecture,
        logs_bytes=args.logs_size * 2**20,
    )
    if not _REGION.fullmatch(options.region):
        _say(f"{options.region!r} is not the name of a region: give one such as {DEFAULT_REGION} with --region")
        return EXIT_USAGE
    if options.iam_file is not None and not options.iam_file.exists():
        _say(f"--iam {args.iam}: the file does not exist")
        return EXIT_USAGE
    log_file = LogFile(path=str(options.data_dir / "control.log"), is_private=True)  # it names who did what
    try:
        options.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_directory(options.data_dir)
        check_file(Path(log_file.path), may_be_shared=True)
    except UnsafeFile as error:
        _say(f"{error.sentence}, or give another --data-dir")
        return EXIT_USAGE
    except OSError as error:
        _say(f"cannot make the data directory {options.data_dir}: {error.strerror or error}; give another --data-dir")
        return EXIT_USAGE
    configure_logging(level=LogLevel.WARN, file=log_file, program="ecscope up")

    gc.set_threshold(*_GARBAGE)
    allow_many_files(_log)

    async def live() -> int:
        quiet = _print_nothing if args.quiet else None
        local = LocalEcs(
            options,
            say=_say,
            progress=quiet,
            show=quiet or _show,
            explain=lambda arn: _cause(options.data_dir / "agent", arn),
        )
        loop = asyncio.get_running_loop()
        AcceptErrors(_log).install(loop)
        loop.add_signal_handler(signal.SIGTERM, local.stop)
        loop.add_signal_handler(signal.SIGINT, lambda: local.stop(by_hand=True))
        codes = {
            Ending.ASKED_FOR: EXIT_FINE,
            Ending.FAILED: EXIT_FAILED,
            Ending.MISUSED: EXIT_USAGE,
            Ending.HOPELESS: EXIT_TERMINAL,
        }
        return codes[await local.run()]

    return asyncio.run(live())


def _data_dir(args: argparse.Namespace) -> Path:
    return (Path(args.data_dir) if args.data_dir else default_data_dir()).absolute()


def _detach(args: argparse.Namespace) -> int:
    """The same without ``--detach``, in a session of its own; what it says goes to ``up.log`` in the data directory."""
    data_dir = _data_dir(args)
    log_path = data_dir / "up.log"
    if (holder := holder_of(data_dir)) is not None:
        _say(f"another `ecscope up` (process {holder}) uses the data directory {data_dir}; `ecscope down` ends it")
        return EXIT_FAILED
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_directory(data_dir)
        log_path.unlink(missing_ok=True)  # it is of the one before
        log = open_private(str(log_path))
    except UnsafeFile as error:
        _say(f"{error.sentence}, or give another --data-dir")
        return EXIT_USAGE
    except OSError as error:
        _say(f"cannot use the data directory {data_dir}: {error.strerror or error}; give another --data-dir")
        return EXIT_USAGE
    command = [sys.executable, "-m", "ecscope.cli.main", *(each for each in args.argv if each != "--detach")]
    with log:
        process = subprocess.Popen(  # noqa: S603  # ourselves
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # what to export has a key, which is for no log
            stderr=log,
            start_new_session=True,
        )
    missing = await_ready(data_dir, timeout_s=_READY_S, has_failed=lambda: process.poll() is not None)
    if not missing and holder_of(data_dir) == process.pid:
        if not args.quiet:
            print(exports(find(data_dir)), end="")
        return EXIT_FINE
    if process.poll() is None:
        process.terminate()
        process.wait()
        _say(f"not ready within {_READY_S:.0f} s: {missing}; its log: {log_path}")
        return EXIT_FAILED
    sys.stderr.write(log_path.read_text(errors="replace"))
    return process.returncode if process.returncode > 0 else EXIT_FAILED


def _cause(agent_dir: Path, arn: str) -> Cause | None:
    """As `ecscope why` finds it; blocking."""
    from ecscope.agent.diagnosis.why.service import is_failure  # noqa: PLC0415
    from ecscope.cli.why import answer_about, subjects  # noqa: PLC0415
    from ecscope.up.failures import Cause  # noqa: PLC0415

    try:
        found, _ = subjects([agent_dir], arn)
        given = answer_about(found[0]) if found else None
    except Exception:  # the API goes on, whatever a task has left behind
        _log.exception("why %s failed is not known", arn)
        return None
    if given is None or not is_failure(given):
        return None
    verdict = given.verdict
    return Cause(code=verdict.code, certainty=verdict.certainty.value, sentence=harmless(verdict.sentence))


def _print_nothing(text: str) -> None:
    """For ``--quiet``."""


def _say(line: str) -> None:
    print(f"ecscope up: {line}", file=sys.stderr, flush=True)


def _show(text: str) -> None:
    print(f"\n{text}", flush=True)
