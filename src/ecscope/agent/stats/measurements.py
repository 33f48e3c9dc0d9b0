"""The last measurements of one container, and what they say about the time between two of them. Pure.

Percentages and rates are computed in single precision, as the official agent does, so that
the same measurements give the same numbers.

Source: agent-protocol.md §5.3; task-metadata-api.md §12.
"""

from __future__ import annotations

import struct
from collections import deque

import msgspec

from ecscope.model.stats import NetworkCounters, StatsSample

_single = struct.Struct("f")


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement, and the changes since the one before."""

    sample: StatsSample
    """Totals are those of all runs of the container, not of the last one alone."""
    cpu_percent: float | None = None
    """Of the whole instance; ``None``: there is none before."""
    rx_bytes_per_s: float | None = None
    """``None``: there is none before, or one of the two has no network."""
    tx_bytes_per_s: float | None = None
    restart_count: int | None = None
    """Restarts by then; ``None``: the container has no restart policy."""


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """What has not been reported yet."""

    before: Point | None
    """The last one that was reported, or that the ring had no room for; ``None``: there is none."""
    points: tuple[Point, ...]


class Ring:
    """Takes any samples, whatever their numbers, and keeps the last ``capacity``."""

    def __init__(self, *, capacity: int) -> None:
        self._points: deque[Point] = deque(maxlen=capacity + 1)  # one more, which is the window's ``before``
        self._capacity = capacity
        self._last: StatsSample | None = None
        self._ended_runs: StatsSample | None = None
        """Totals of the runs before the current one."""
        self._unsent = 0
        self._read = 0
        """How many of the unsent ones were there when the window was last looked at."""

    def add(self, sample: StatsSample, *, restart_count: int | None) -> bool:
        """The newest measurement, with its totals as the runtime gave them; whether it is the first of another run."""
        is_anew = self._last is not None and _begins_anew(self._last, sample)
        if is_anew:
            assert self._last is not None
            self._ended_runs = _sum(self._ended_runs, self._last)
        self._last = sample
        total = sample if self._ended_runs is None else _sum(self._ended_runs, sample)
        self._points.append(_point(self._points[-1] if self._points else None, total, restart_count))
        if self._unsent < self._capacity:
            self._unsent += 1
        else:
            self._read = max(0, self._read - 1)
        return is_anew

    @property
    def newest(self) -> Point | None:
        """The last measurement; ``None``: there is none yet."""
        return self._points[-1] if self._points else None

    def window(self) -> Window:
        """All that was added since what ``mark_reported`` last marked."""
        self._read = self._unsent
        points = tuple(self._points)
        first = len(points) - self._unsent
        return Window(before=points[first - 1] if first else None, points=points[first:])

    def mark_reported(self) -> None:
        """What the last window held was reported."""
        self._unsent -= self._read
        self._read = 0


def _point(before: Point | None, sample: StatsSample, restart_count: int | None) -> Point:
    if before is None:
        return Point(sample=sample, restart_count=restart_count)
    last = before.sample
    apart_ns = _f32(sample.read_ns - last.read_ns)
    if apart_ns <= 0:  # the same measurement once more
        return Point(
            sample=sample,
            cpu_percent=before.cpu_percent,
            rx_bytes_per_s=before.rx_bytes_per_s,
            tx_bytes_per_s=before.tx_bytes_per_s,
            restart_count=restart_count,
        )
    used_ns = _f32(sample.cpu_total_ns // sample.online_cpus - last.cpu_total_ns // sample.online_cpus)
    rx = tx = None
    if sample.network is not None and last.network is not None:
        rx = _rate(sample.network.rx_bytes - last.network.rx_bytes, apart_ns)
        tx = _rate(sample.network.tx_bytes - last.network.tx_bytes, apart_ns)
    return Point(
        sample=sample,
        cpu_percent=_f32(_f32(100 * used_ns) / apart_ns),
        rx_bytes_per_s=rx,
        tx_bytes_per_s=tx,
        restart_count=restart_count,
    )


def _rate(count: int, apart_ns: float) -> float:
    return _f32(1e9 * _f32(_f32(count) / apart_ns))


def _f32(number: float) -> float:
    """Rounded to what 32 bits can hold."""
    found: float = _single.unpack(_single.pack(number))[0]
    return found


def _begins_anew(last: StatsSample, sample: StatsSample) -> bool:
    """A total that goes down is that of another run: the container was restarted."""
    if sample.cpu_total_ns < last.cpu_total_ns:
        return True
    if sample.network is None or last.network is None:
        return False
    return sample.network.rx_bytes < last.network.rx_bytes or sample.network.tx_bytes < last.network.tx_bytes


def _sum(earlier: StatsSample | None, later: StatsSample) -> StatsSample:
    """The totals of both, and all else of ``later``."""
    if earlier is None:
        return later
    network = later.network
    if network is not None and earlier.network is not None:
        network = NetworkCounters(
            **{
                name: getattr(network, name) + getattr(earlier.network, name)
                for name in NetworkCounters.__struct_fields__
            }
        )
    return StatsSample(
        read_ns=later.read_ns,
        cpu_total_ns=earlier.cpu_total_ns + later.cpu_total_ns,
        online_cpus=later.online_cpus,
        memory_bytes=later.memory_bytes,
        network=network,
        storage_read_bytes=earlier.storage_read_bytes + later.storage_read_bytes,
        storage_write_bytes=earlier.storage_write_bytes + later.storage_write_bytes,
    )
