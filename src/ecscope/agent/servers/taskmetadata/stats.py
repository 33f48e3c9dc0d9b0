"""Docker's samples as task metadata shows them: the members that the official agent keeps, in its order. Pure.

Source: task-metadata-api.md §12.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import msgspec

from ecscope.agent.servers import go_json
from ecscope.agent.servers.go_time import timestamp
from ecscope.model.arn import DockerId
from ecscope.model.stats import LatestStats

_NO_TIME = "0001-01-01T00:00:00Z"
_BLOCK_IO = (
    "io_service_bytes_recursive",
    "io_serviced_recursive",
    "io_queue_recursive",
    "io_service_time_recursive",
    "io_wait_time_recursive",
    "io_merged_recursive",
    "io_time_recursive",
    "sectors_recursive",
)
_STORAGE = ("read_count_normalized", "read_size_bytes", "write_count_normalized", "write_size_bytes")
_THROTTLING = ("periods", "throttled_periods", "throttled_time")
_NETWORK = (
    "rx_bytes",
    "rx_packets",
    "rx_errors",
    "rx_dropped",
    "tx_bytes",
    "tx_packets",
    "tx_errors",
    "tx_dropped",
)
_single = struct.Struct("f")


def container_body(stats: LatestStats | None, *, version: int) -> bytes:
    """``None``: there is no sample yet."""
    return go_json.encode(_shown(stats, version))


def task_body(stats: Mapping[DockerId, LatestStats | None], *, version: int) -> bytes:
    """By Docker ID; ``None``: a container without a sample."""
    return go_json.encode({docker_id: _shown(stats[docker_id], version) for docker_id in sorted(stats)})


def _shown(stats: LatestStats | None, version: int) -> dict[str, Any] | None:
    if stats is None:
        return {} if version == 4 else None
    shown = _document(stats.document)
    if version == 4 and stats.rx_bytes_per_s is not None and stats.tx_bytes_per_s is not None:
        shown["network_rate_stats"] = {
            "rx_bytes_per_sec": _float32(stats.rx_bytes_per_s),
            "tx_bytes_per_sec": _float32(stats.tx_bytes_per_s),
        }
    return shown


def _document(document: Mapping[str, Any]) -> dict[str, Any]:
    """Docker's answer with the official agent's members. Members that are 0 or empty are left out where it does so."""
    block_io, networks = _object(document, "blkio_stats"), _object(document, "networks")
    shown: dict[str, Any] = {
        "read": timestamp(document.get("read") or "") or _NO_TIME,
        "preread": timestamp(document.get("preread") or "") or _NO_TIME,
        "pids_stats": _some(_object(document, "pids_stats"), ("current", "limit")),
        "blkio_stats": {name: _entries(block_io.get(name)) for name in _BLOCK_IO},
        "num_procs": document.get("num_procs") or 0,
        "storage_stats": _some(_object(document, "storage_stats"), _STORAGE),
        "cpu_stats": _cpu(_object(document, "cpu_stats")),
        "precpu_stats": _cpu(_object(document, "precpu_stats")),
        "memory_stats": _memory(_object(document, "memory_stats")),
    }
    shown |= _some(document, ("name", "id"))
    if networks:
        shown["networks"] = {
            name: _all(networks[name] or {}, _NETWORK) | _some(networks[name] or {}, ("endpoint_id", "instance_id"))
            for name in sorted(networks)
        }
    return shown


def _entries(entries: Any) -> list[dict[str, Any]] | None:
    """``None``: Docker sent no list, which is another thing than an empty one."""
    if entries is None:
        return None
    return [
        {**_all(entry, ("major", "minor")), "op": entry.get("op", ""), "value": entry.get("value", 0)}
        for entry in entries
    ]


def _cpu(cpu: Mapping[str, Any]) -> dict[str, Any]:
    usage = _object(cpu, "cpu_usage")
    return {
        "cpu_usage": {
            "total_usage": usage.get("total_usage") or 0,
            **_some(usage, ("percpu_usage",)),
            **_all(usage, ("usage_in_kernelmode", "usage_in_usermode")),
        },
        **_some(cpu, ("system_cpu_usage", "online_cpus")),
        "throttling_data": _all(_object(cpu, "throttling_data"), _THROTTLING),
    }


def _memory(memory: Mapping[str, Any]) -> dict[str, Any]:
    detail = _object(memory, "stats")
    return {
        **_some(memory, ("usage", "max_usage")),
        **({"stats": {name: detail[name] for name in sorted(detail)}} if detail else {}),
        **_some(memory, ("failcnt", "limit", "commitbytes", "commitpeakbytes", "privateworkingset")),
    }


def _object(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = parent.get(name)
    return found if isinstance(found, dict) else {}


def _some(values: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Those that are neither 0 nor empty."""
    return {name: values[name] for name in names if values.get(name)}


def _all(values: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: values.get(name) or 0 for name in names}


def _float32(number: float) -> msgspec.Raw:
    """The shortest decimals that single precision reads back as the same, as Go writes them."""
    single = _single.pack(number)
    text = next(text for digits in range(1, 18) if _single.pack(float(text := f"{number:.{digits}g}")) == single)
    shortest = float(text)
    if shortest == int(shortest) and abs(shortest) < 1e21:
        return msgspec.Raw(str(int(shortest)).encode())
    if abs(shortest) < 1e-6:
        mantissa, _, exponent = text.partition("e")
        return msgspec.Raw(f"{mantissa}e{int(exponent):03d}".replace("e-0", "e-").encode())
    return msgspec.Raw(f"{shortest:.12f}".rstrip("0").encode())
