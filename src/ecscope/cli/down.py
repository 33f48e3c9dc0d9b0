"""``ecscope down``: ends the ``ecscope up`` of a data directory, and waits for its end."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from ecscope.cli.exit_codes import EXIT_FAILED, EXIT_FINE
from ecscope.sqlitefile.lock import holder_of
from ecscope.up.running import await_end, default_data_dir

_HURRY_S = 60.0
"""Without its tasks it ends within the time that its agent takes to clean up."""


def run(args: argparse.Namespace) -> int:
    """``args``: ``timeout`` in seconds and ``data_dir`` (text or ``None``)."""
    data_dir = (Path(args.data_dir) if args.data_dir else default_data_dir()).absolute()
    holder = holder_of(data_dir)
    if holder is None:
        print(f"ecscope down: no `ecscope up` runs with the data directory {data_dir}", file=sys.stderr)
        return EXIT_FINE
    for number, patience_s in ((signal.SIGTERM, args.timeout), (signal.SIGTERM, _HURRY_S)):
        try:
            with suppress(ProcessLookupError):
                os.kill(holder, number)
        except PermissionError:
            print(f"ecscope down: process {holder} is another user's: end it as that user", file=sys.stderr)
            return EXIT_FAILED
        if await_end(data_dir, timeout_s=patience_s):
            break
    else:
        print(f"ecscope down: process {holder} does not end", file=sys.stderr)
        return EXIT_FAILED
    if patience_s is not args.timeout:
        print(f"ecscope down: tasks did not stop within {args.timeout:g} s, and are left to stop", file=sys.stderr)
        return EXIT_FAILED
    return EXIT_FINE
