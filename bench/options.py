"""What was asked of the benchmarks on the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.peer import Peer


@dataclass(frozen=True, kw_only=True)
class Options:
    """What was asked for."""

    quick: bool
    peer: Peer | None
    official: Path | None = None
    """The official agent's binary, which `cluster` measures in the same rounds."""
    docs: bool
    """Write plots into ``docs/`` rather than beside the numbers."""
