"""``ecscope wait``: until the ``ecscope up`` of a data directory is ready."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ecscope.cli.exit_codes import EXIT_FAILED, EXIT_FINE, EXIT_USAGE
from ecscope.owned_files import UnsafeFile
from ecscope.up.running import await_ready, default_data_dir


def run(args: argparse.Namespace) -> int:
    """``args``: ``timeout`` in seconds and ``data_dir`` (text or ``None``)."""
    data_dir = (Path(args.data_dir) if args.data_dir else default_data_dir()).absolute()
    try:
        missing = await_ready(data_dir, timeout_s=args.timeout)
    except UnsafeFile as error:
        print(f"ecscope wait: {error.sentence}", file=sys.stderr)
        return EXIT_USAGE
    if missing:
        print(f"ecscope wait: not ready: {missing}", file=sys.stderr)
        return EXIT_FAILED
    return EXIT_FINE
