"""Measurements of a container as the telemetry service wants them: minimum, maximum, count and sum. Pure.

Source: agent-protocol.md §5.3.
"""

from __future__ import annotations

from ecscope.agent.stats.measurements import Point, Window
from ecscope.model.stats import NetworkCounters
from ecscope.wire.tcs.messages import (
    ContainerMetric,
    NetworkStatsSet,
    RestartStatsSet,
    StorageStatsSet,
    long_stats_set,
    stats_set,
)

_MIB = 1024 * 1024
_NO_TRAFFIC = NetworkCounters()


def container_metric(name: str, window: Window, *, has_network: bool) -> ContainerMetric | None:
    """All that is to be reported; ``None``: there are not two measurements yet, or no new one.

    Args:
        has_network: ``False``: the container shares the host's network, or has none.
    """
    points = window.points
    percents = [point.cpu_percent for point in points if point.cpu_percent is not None]
    if not percents:
        return None
    samples = [point.sample for point in points]
    return ContainerMetric(
        container_name=name,
        cpu_stats_set=stats_set(percents),
        memory_stats_set=stats_set([sample.memory_bytes // _MIB for sample in samples]),
        network_stats_set=_network(points) if has_network else None,
        restart_stats_set=_restarts(window),
        storage_stats_set=StorageStatsSet(
            read_size_bytes=long_stats_set([sample.storage_read_bytes for sample in samples]),
            write_size_bytes=long_stats_set([sample.storage_write_bytes for sample in samples]),
        ),
    )


def _network(points: tuple[Point, ...]) -> NetworkStatsSet | None:
    if all(point.sample.network is None for point in points):
        return None
    counters = [point.sample.network or _NO_TRAFFIC for point in points]
    rx = [point.rx_bytes_per_s for point in points if point.rx_bytes_per_s is not None]
    tx = [point.tx_bytes_per_s for point in points if point.tx_bytes_per_s is not None]
    return NetworkStatsSet(
        rx_bytes=long_stats_set([each.rx_bytes for each in counters]),
        rx_bytes_per_second=stats_set(rx) if rx else None,
        rx_dropped=long_stats_set([each.rx_dropped for each in counters]),
        rx_errors=long_stats_set([each.rx_errors for each in counters]),
        rx_packets=long_stats_set([each.rx_packets for each in counters]),
        tx_bytes=long_stats_set([each.tx_bytes for each in counters]),
        tx_bytes_per_second=stats_set(tx) if tx else None,
        tx_dropped=long_stats_set([each.tx_dropped for each in counters]),
        tx_errors=long_stats_set([each.tx_errors for each in counters]),
        tx_packets=long_stats_set([each.tx_packets for each in counters]),
    )


def _restarts(window: Window) -> RestartStatsSet | None:
    """How many since the last report; ``None``: the container has no restart policy."""
    before = window.before or window.points[0]
    last = window.points[-1]
    if before.restart_count is None or last.restart_count is None:
        return None
    return RestartStatsSet(restart_count=max(0, last.restart_count - before.restart_count))
