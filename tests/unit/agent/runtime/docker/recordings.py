"""What engines of several versions answered to the same calls: ``tests/fixtures/docker-engine/<version>``.

The container ``recorded-life`` ignores SIGTERM at its first start and exits with 3 at its second; between them it is
stopped with a grace of one second. ``killed`` and ``exited`` are its inspections after each end, ``life`` its events,
``stats`` a measurement while it runs and one while it does not, ``refusals`` the answers to calls that fail.
"""

from __future__ import annotations

from pathlib import Path

ENGINES = Path(__file__).parents[4] / "fixtures" / "docker-engine"
VERSIONS = ("20.10.24", "26.1.5", "28.5.2")


def recorded(version: str, name: str) -> bytes:
    """``name`` is that of the file."""
    return (ENGINES / version / name).read_bytes()
