"""What a running container uses of its host, as measured at one moment. Values only.

Source: agent-protocol.md §5.3; task-metadata-api.md §12.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class NetworkCounters(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Totals over all interfaces of a container since it was started."""

    rx_bytes: int = 0
    rx_packets: int = 0
    rx_errors: int = 0
    rx_dropped: int = 0
    tx_bytes: int = 0
    tx_packets: int = 0
    tx_errors: int = 0
    tx_dropped: int = 0


class StatsSample(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One measurement. All but the memory are totals since the container was started."""

    read_ns: int
    """When the runtime measured, nanoseconds since the epoch."""
    cpu_total_ns: int
    """CPU time used, over all CPUs."""
    online_cpus: int
    """CPUs of the host, at least 1."""
    memory_bytes: int
    """In use, less what the kernel could take back at once (``cache``, with cgroup v2 ``inactive_file``)."""
    network: NetworkCounters | None = None
    """``None``: the container has no network of its own."""
    storage_read_bytes: int = 0
    storage_write_bytes: int = 0
    document: bytes = b""
    """The runtime's whole answer as JSON; ``b""``: it was not kept."""


class LatestStats(msgspec.Struct, frozen=True, kw_only=True):
    """The newest sample of a container, as readers get it."""

    document: Mapping[str, Any]
    """The runtime's whole answer. Totals are those of all runs of the container."""
    rx_bytes_per_s: float | None = None
    """``None``: there are not two samples with network data yet."""
    tx_bytes_per_s: float | None = None
