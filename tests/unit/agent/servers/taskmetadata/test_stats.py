"""Unit tests of Docker's samples as they are shown, beyond what is recorded."""

from __future__ import annotations

import json
from typing import Any

from ecscope.agent.servers.taskmetadata.stats import container_body, task_body
from ecscope.model.arn import DockerId
from ecscope.model.stats import LatestStats
from tests.tables import each_row

CGROUP_V2: dict[str, Any] = {
    "read": "2026-03-01T10:05:00.123456789Z",
    "preread": "0001-01-01T00:00:00Z",
    "pids_stats": {"current": 3, "limit": 18446744073709551615},
    "blkio_stats": {"io_service_bytes_recursive": [{"major": 8, "minor": 0, "op": "read", "value": 4096}]},
    "num_procs": 0,
    "storage_stats": {},
    "cpu_stats": {
        "cpu_usage": {"total_usage": 518273904, "usage_in_kernelmode": 61000000, "usage_in_usermode": 457273904},
        "system_cpu_usage": 88210450000000,
        "online_cpus": 2,
        "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
    },
    "precpu_stats": {"cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0}},
    "memory_stats": {"usage": 7340032, "stats": {"file": 0, "active_anon": 2449408}, "limit": 67108864},
    "name": "/ecs-app",
    "id": "d1",
    "networks": {"eth1": {"rx_bytes": 1}, "eth0": {"rx_bytes": 2, "endpoint_id": "e"}},
}
"""What Docker answers on a host with cgroup v2: no CPU by CPU, and no lists where there is nothing to list."""


def shown(document: dict[str, Any], **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(container_body(LatestStats(document=document, **fields), version=4))
    return found


def test_a_sample_of_a_host_with_cgroup_v2() -> None:
    found = shown(CGROUP_V2)
    assert found["blkio_stats"]["io_service_bytes_recursive"] == [{"major": 8, "minor": 0, "op": "read", "value": 4096}]
    assert found["blkio_stats"]["sectors_recursive"] is None
    assert found["pids_stats"] == {"current": 3, "limit": 18446744073709551615}
    assert found["cpu_stats"] == CGROUP_V2["cpu_stats"]
    assert found["precpu_stats"] == {
        "cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0},
        "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
    }
    assert list(found["memory_stats"]["stats"]) == ["active_anon", "file"]
    assert list(found["networks"]) == ["eth0", "eth1"]
    assert found["networks"]["eth0"]["endpoint_id"] == "e"
    assert found["networks"]["eth1"]["tx_dropped"] == 0
    assert found["preread"] == "0001-01-01T00:00:00Z"


def test_what_docker_leaves_out_does_not_spoil_the_answer() -> None:
    found = shown({})
    assert list(found) == [
        "read",
        "preread",
        "pids_stats",
        "blkio_stats",
        "num_procs",
        "storage_stats",
        "cpu_stats",
        "precpu_stats",
        "memory_stats",
    ]
    assert found["memory_stats"] == {}


@each_row("version, body", [(2, b"null"), (3, b"null"), (4, b"{}")])
def test_no_sample_yet(version: int, body: bytes) -> None:
    assert container_body(None, version=version) == body
    stats = {DockerId("b"): None, DockerId("a"): None}
    assert task_body(stats, version=version) == b'{"a":' + body + b',"b":' + body + b"}"


@each_row(
    "rate, text",
    [
        (0.0, "0"),
        (12.5, "12.5"),
        (7.0, "7"),
        (12.34567928314209, "12.345679"),
        (0.10000000149011612, "0.1"),
        (3.3333332538604736, "3.3333333"),
        (1234567936.0, "1234568000"),
        (9.999999974752427e-07, "0.000001"),
        (1.0000000116860974e-07, "1e-7"),
    ],
)
def test_rates_are_the_shortest_decimals_of_single_precision(rate: float, text: str) -> None:
    body = container_body(LatestStats(document={}, rx_bytes_per_s=rate, tx_bytes_per_s=0.0), version=4)
    assert f'"rx_bytes_per_sec":{text},' in body.decode()


def test_rates_are_shown_by_version_4_where_there_are_two_samples() -> None:
    stats = LatestStats(document={}, rx_bytes_per_s=1.0, tx_bytes_per_s=2.0)
    assert b"network_rate_stats" not in container_body(stats, version=3)
    assert "network_rate_stats" not in shown({}, rx_bytes_per_s=None)
