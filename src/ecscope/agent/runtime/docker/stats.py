"""Docker's stats answers as samples. Pure: takes bytes, gives samples.

A line that cannot be read costs itself only. Of the some two kilobytes of a line only what telemetry
wants is decoded: one comes each second from each container, and that adds up. The rest is kept as it came.

Source: agent-protocol.md §5.3; task-metadata-api.md §12.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import msgspec

from ecscope.agent.runtime.docker.lines import LineSplitter
from ecscope.model.docker_time import parse_docker_time
from ecscope.model.stats import NetworkCounters, StatsSample

log = logging.getLogger(__name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


class _CpuUsage(msgspec.Struct, frozen=True, gc=False):
    total_usage: int = 0
    percpu_usage: msgspec.Raw = msgspec.Raw(b"")


class _Cpu(msgspec.Struct, frozen=True, gc=False):
    cpu_usage: _CpuUsage = _CpuUsage()
    online_cpus: int = 0


class _MemoryDetail(msgspec.Struct, frozen=True, gc=False):
    cache: int | None = None
    inactive_file: int = 0


class _Memory(msgspec.Struct, frozen=True, gc=False):
    usage: int = 0
    stats: _MemoryDetail = _MemoryDetail()


class _BlockIo(msgspec.Struct, frozen=True, gc=False):
    op: str = ""
    value: int = 0


class _Storage(msgspec.Struct, frozen=True, gc=False):
    io_service_bytes_recursive: list[_BlockIo] | None = None


class _Stats(msgspec.Struct, frozen=True, gc=False):
    read: str
    cpu_stats: _Cpu = _Cpu()
    memory_stats: _Memory = _Memory()
    networks: dict[str, NetworkCounters] | None = None
    blkio_stats: _Storage = _Storage()


_decode = msgspec.json.Decoder(_Stats).decode


class StatsReader:
    """Chunks of one container's stream in, samples out."""

    def __init__(self, docker_id: str) -> None:
        self._docker_id = docker_id
        self._lines = LineSplitter()
        self._complained = False

    def feed(self, chunk: bytes) -> list[StatsSample]:
        """The samples that ``chunk`` completes."""
        samples = (self.sample(line) for line in self._lines.feed(chunk))
        return [sample for sample in samples if sample is not None]

    def sample(self, line: bytes) -> StatsSample | None:
        """One answer as a sample; ``None``: the container does not run, or the answer cannot be read.

        The first one that cannot be read is logged, further ones of the same stream are not.
        """
        try:
            return _sample(_decode(line), line)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
            if not self._complained:
                self._complained = True
                log.warning(
                    "skipped stats of container %s that could not be read (%s): %.200r", self._docker_id, error, line
                )
            return None


def _sample(stats: _Stats, document: bytes) -> StatsSample | None:
    usage = stats.cpu_stats.cpu_usage
    # Before engine API 1.27 the list of CPUs alone says how many there are.
    cpus = stats.cpu_stats.online_cpus or _length(usage.percpu_usage)
    if cpus <= 0:  # so it is while a container does not run; its time of reading is then the year 1
        return None
    read, written = _storage(stats.blkio_stats.io_service_bytes_recursive or ())
    networks = stats.networks
    return StatsSample(
        read_ns=_nanoseconds(stats.read),
        cpu_total_ns=usage.total_usage,
        online_cpus=cpus,
        memory_bytes=_memory(stats.memory_stats),
        network=None if networks is None else _network(list(networks.values())),
        storage_read_bytes=read,
        storage_write_bytes=written,
        document=document,
    )


def _memory(memory: _Memory) -> int:
    detail = memory.stats
    # Only cgroup v1 has "cache"; there "inactive_file" is a part of it.
    reclaimable = detail.inactive_file if detail.cache is None else detail.cache
    return memory.usage - reclaimable if reclaimable < memory.usage else memory.usage


def _network(interfaces: list[NetworkCounters]) -> NetworkCounters:
    if len(interfaces) == 1:
        return interfaces[0]
    return NetworkCounters(
        rx_bytes=sum(each.rx_bytes for each in interfaces),
        rx_packets=sum(each.rx_packets for each in interfaces),
        rx_errors=sum(each.rx_errors for each in interfaces),
        rx_dropped=sum(each.rx_dropped for each in interfaces),
        tx_bytes=sum(each.tx_bytes for each in interfaces),
        tx_packets=sum(each.tx_packets for each in interfaces),
        tx_errors=sum(each.tx_errors for each in interfaces),
        tx_dropped=sum(each.tx_dropped for each in interfaces),
    )


def _storage(entries: list[_BlockIo] | tuple[()]) -> tuple[int, int]:
    read = written = 0
    for entry in entries:
        operation = entry.op.lower()  # "Read" with cgroup v1, "read" with v2
        if operation == "read":
            read += entry.value
        elif operation == "write":
            written += entry.value
    return read, written


def _length(numbers: msgspec.Raw) -> int:
    text = bytes(numbers)
    return text.count(b",") + 1 if text.startswith(b"[") and text.strip(b"[] ") else 0


def _nanoseconds(text: str) -> int:
    """Raises ``ValueError`` unless ``text`` is a time as Docker writes it."""
    moment = parse_docker_time(text)
    if moment is None:
        raise ValueError(f"{text!r} is not a time")
    rest = text.partition(".")[2]
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    return (moment.replace(microsecond=0) - _EPOCH) // _SECOND * 1_000_000_000 + int(digits.ljust(9, "0") or "0")
