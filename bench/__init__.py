"""The figures of the agent, measured: ``make bench``, or ``python bench/run.py``."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench-results"

sys.path.append(str(ROOT / "scripts"))  # the engine's little client is shared with the scripts
