"""``ecscope env``: what a shell exports to use the running ``ecscope up``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ecscope.cli.exit_codes import EXIT_FAILED, EXIT_FINE, EXIT_USAGE
from ecscope.owned_files import UnsafeFile
from ecscope.up.running import NotRunning, default_data_dir, exports, find


def run(args: argparse.Namespace) -> int:
    """``args``: ``all`` and ``data_dir`` (text or ``None``)."""
    data_dir = (Path(args.data_dir) if args.data_dir else default_data_dir()).absolute()
    try:
        running = find(data_dir)
    except NotRunning as problem:
        return _failed(str(problem), EXIT_FAILED)
    except UnsafeFile as error:
        return _failed(error.sentence, EXIT_USAGE)
    print(exports(running, every_service=args.all), end="")
    return EXIT_FINE


def _failed(sentence: str, code: int) -> int:
    """A shell does not see the exit code in ``eval "$(ecscope env)"``: the command that it is given fails instead."""
    print(f"ecscope env: {sentence}", file=sys.stderr)
    if not sys.stdout.isatty():
        print("false")
    return code
