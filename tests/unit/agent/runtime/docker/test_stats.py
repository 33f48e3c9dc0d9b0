"""Docker's stats answers become samples, whatever the cgroup version; what cannot be read is skipped."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from ecscope.agent.runtime.docker.stats import StatsReader
from ecscope.model.stats import NetworkCounters, StatsSample
from tests.unit.agent.runtime.docker.recordings import VERSIONS, recorded

# As Docker Engine 20.10 answers on a host with cgroup v1, shortened.
CGROUP_V1: dict[str, Any] = {
    "read": "2026-11-26T21:19:46.492376606Z",
    "preread": "2026-11-26T21:19:45.487903907Z",
    "pids_stats": {"current": 2},
    "blkio_stats": {
        "io_service_bytes_recursive": [
            {"major": 8, "minor": 0, "op": "Read", "value": 4096},
            {"major": 8, "minor": 0, "op": "Write", "value": 512},
            {"major": 8, "minor": 16, "op": "Read", "value": 1},
            {"major": 8, "minor": 0, "op": "Total", "value": 4608},
        ],
        "io_serviced_recursive": [],
    },
    "num_procs": 0,
    "storage_stats": {},
    "cpu_stats": {
        "cpu_usage": {
            "total_usage": 37383672,
            "percpu_usage": [28773950, 8609722],
            "usage_in_kernelmode": 20000000,
            "usage_in_usermode": 0,
        },
        "system_cpu_usage": 2077430000000,
        "online_cpus": 2,
        "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
    },
    "memory_stats": {
        "usage": 5951488,
        "max_usage": 7364608,
        "stats": {"cache": 5242880, "inactive_file": 4242880, "total_cache": 5242880},
        "limit": 25276502016,
    },
    "name": "/sample",
    "networks": {
        "eth0": {
            "rx_bytes": 486,
            "rx_packets": 5,
            "rx_errors": 1,
            "rx_dropped": 2,
            "tx_bytes": 3,
            "tx_packets": 4,
            "tx_errors": 6,
            "tx_dropped": 7,
        }
    },
}
# What it answers for a container that does not run.
STOPPED: dict[str, Any] = {
    "read": "0001-01-01T00:00:00Z",
    "cpu_stats": {"cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0}, "throttling_data": {"periods": 0}},
    "memory_stats": {},
    "blkio_stats": {"io_service_bytes_recursive": None},
    "name": "/sample",
}


def sample_of(answer: dict[str, Any]) -> StatsSample | None:
    return StatsReader("ab").sample(json.dumps(answer).encode())


def changed(**members: Any) -> StatsSample:
    sample = sample_of({**CGROUP_V1, **members})
    assert sample is not None
    return sample


def test_an_answer_of_a_host_with_cgroup_v1() -> None:
    assert sample_of(CGROUP_V1) == StatsSample(
        read_ns=1795727986492376606,
        cpu_total_ns=37383672,
        online_cpus=2,
        memory_bytes=5951488 - 5242880,
        network=NetworkCounters(
            rx_bytes=486,
            rx_packets=5,
            rx_errors=1,
            rx_dropped=2,
            tx_bytes=3,
            tx_packets=4,
            tx_errors=6,
            tx_dropped=7,
        ),
        storage_read_bytes=4097,
        storage_write_bytes=512,
        document=json.dumps(CGROUP_V1).encode(),
    )


def test_an_answer_of_a_host_with_cgroup_v2() -> None:
    sample = changed(
        memory_stats={"usage": 7340032, "stats": {"active_anon": 2449408, "file": 0, "inactive_file": 40032}},
        blkio_stats={"io_service_bytes_recursive": [{"op": "read", "value": 8}, {"op": "write", "value": 9}]},
    )
    assert (sample.memory_bytes, sample.storage_read_bytes, sample.storage_write_bytes) == (7300000, 8, 9)


def test_memory_is_never_less_than_nothing() -> None:
    assert changed(memory_stats={"usage": 10, "stats": {"cache": 11}}).memory_bytes == 10


def test_interfaces_are_summed_up() -> None:
    networks = {name: dict.fromkeys(NetworkCounters.__struct_fields__, 2) for name in ("eth0", "eth1", "eth2")}
    counters = changed(networks=networks).network
    assert counters == NetworkCounters(**dict.fromkeys(NetworkCounters.__struct_fields__, 6))


@pytest.mark.parametrize("left_out", ["networks", "blkio_stats", "memory_stats"])
def test_what_is_not_said_is_nothing(left_out: str) -> None:
    sample = sample_of({key: value for key, value in CGROUP_V1.items() if key != left_out})
    assert sample is not None
    assert {"networks": sample.network, "blkio_stats": 0, "memory_stats": 0}[left_out] in (None, 0)


@pytest.mark.parametrize(("listed", "cpus"), [([1, 2, 3], 3), ([7], 1)])
def test_an_old_engine_says_by_the_length_of_a_list_how_many_cpus_there_are(listed: list[int], cpus: int) -> None:
    sample = changed(cpu_stats={"cpu_usage": {"total_usage": 5, "percpu_usage": listed}})
    assert sample.online_cpus == cpus


@pytest.mark.parametrize("answer", [STOPPED, {**STOPPED, "cpu_stats": {"cpu_usage": {"percpu_usage": []}}}])
def test_a_container_that_does_not_run_gives_none(answer: dict[str, Any]) -> None:
    assert sample_of(answer) is None


@pytest.mark.parametrize(
    ("text", "rest_ns"),
    [
        ("2023-11-14T22:13:20Z", 0),
        ("2023-11-14T22:13:20.5Z", 500_000_000),
        ("2023-11-14T22:13:20.000000001Z", 1),
        ("2023-11-14T23:13:20.123456789+01:00", 123_456_789),
    ],
)
def test_moments_keep_their_nanoseconds(text: str, rest_ns: int) -> None:
    assert changed(read=text).read_ns == 1_700_000_000 * 10**9 + rest_ns


@pytest.mark.parametrize(
    "bad",
    [
        b"nonsense",
        b"[]",
        b"\xff",
        b"{}",
        json.dumps({**CGROUP_V1, "read": "yesterday"}).encode(),
        json.dumps({**CGROUP_V1, "cpu_stats": {"cpu_usage": {"total_usage": "much"}}}).encode(),
        json.dumps({**CGROUP_V1, "networks": []}).encode(),
    ],
)
def test_a_line_that_cannot_be_read_costs_itself_only_and_is_said_once(
    bad: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    reader, good = StatsReader("ab"), json.dumps(CGROUP_V1).encode()
    with caplog.at_level(logging.WARNING):
        samples = reader.feed(good + b"\n" + bad + b"\n" + bad + b"\n" + good[:100]) + reader.feed(good[100:] + b"\n")
    assert len(samples) == 2
    assert len(caplog.records) == 1


@pytest.mark.parametrize("version", VERSIONS)
def test_measurements_of_each_engine(version: str) -> None:
    answer = recorded(version, "stats.json")
    (sample,) = StatsReader("ab").feed(answer)
    numbers = json.loads(answer)
    assert sample.cpu_total_ns == numbers["cpu_stats"]["cpu_usage"]["total_usage"] > 0
    assert sample.online_cpus == 2
    assert 0 < sample.memory_bytes <= numbers["memory_stats"]["usage"]
    assert sample.network is not None
    assert sample.network.rx_bytes == numbers["networks"]["eth0"]["rx_bytes"]
    assert StatsReader("ab").sample(recorded(version, "stats-stopped.json")) is None
