"""Measure the agent; see ``bench/command.py``. Started as a file, so that it needs no installation."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from bench.command import main  # only now it can be found

    sys.exit(main(sys.argv[1:]))
