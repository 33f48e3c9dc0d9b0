"""Measurements become the recorded sets, with the recorded omissions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ecscope.agent.stats.measurements import Ring
from ecscope.agent.stats.telemetry import container_metric
from ecscope.model.stats import NetworkCounters
from tests.tables import each_row
from tests.unit.agent.stats.test_measurements import a_sample

TRAFFIC = Path(__file__).resolve().parents[3] / "fixtures" / "official-agent" / "traffic"
RECORDED: dict[str, dict[str, Any]] = {
    f"{record['n']} {task['taskArn'][-32:-28]} {container['containerName']}": container
    for name in ("tcs-samples.jsonl", "sequence-start-to-stop.jsonl")
    for record in map(json.loads, (TRAFFIC / name).read_text().splitlines())
    if record.get("type") == "PublishMetricsRequest"
    for task in record["message"].get("taskMetrics", ())
    for container in task["containerMetrics"]
}
FIRST_REPORT = RECORDED["15 bb00 c"]
"""Of a container's first 20 seconds; the others are of a later time."""


def metric_of(ring: Ring, *, has_network: bool = True) -> dict[str, Any] | None:
    metric = container_metric("app", ring.window(), has_network=has_network)
    return None if metric is None else json.loads(msgspec.json.encode(metric))


def filled(count: int = 20, *, restarts: list[int | None] | None = None, reported: int = 0, rx: int | None = 0) -> Ring:
    ring = Ring(capacity=80)
    for number in range(count):
        if number == reported:
            ring.window()
            ring.mark_reported()
        ring.add(
            a_sample(number, cpu_s=number * 0.001, rx=None if rx is None else rx),
            restart_count=restarts[number] if restarts else None,
        )
    return ring


def names(value: object) -> object:
    """The members, without the numbers."""
    return {key: names(each) for key, each in value.items()} if isinstance(value, dict) else None


@each_row("name", RECORDED)
def test_the_members_are_those_recorded(name: str) -> None:
    recorded = RECORDED[name]
    restarts: list[int | None] | None = [0] * 40 if "restartStatsSet" in recorded else None
    metric = metric_of(filled(40, restarts=restarts, reported=20), has_network="networkStatsSet" in recorded)
    assert names(metric) == names(recorded)


def test_the_first_report_counts_one_less_where_a_time_before_is_needed() -> None:
    metric = metric_of(filled(20))
    assert metric is not None
    for sets in (metric, FIRST_REPORT):
        assert sets["cpuStatsSet"]["sampleCount"] == 19
        assert sets["memoryStatsSet"]["sampleCount"] == 20
        assert sets["networkStatsSet"]["rxBytes"]["sampleCount"] == 20
        assert sets["networkStatsSet"]["rxBytesPerSecond"]["sampleCount"] == 19
        assert sets["storageStatsSet"]["readSizeBytes"]["sampleCount"] == 20


def test_a_recorded_quiet_container_is_reproduced_number_by_number() -> None:
    """``simple-app`` of record 132: no CPU, less than a MiB, 1,156 bytes and 14 packets received long ago."""
    network = NetworkCounters(rx_bytes=1156, rx_packets=14)
    ring = Ring(capacity=80)
    for second in range(20):
        if second == 1:
            ring.window()
            ring.mark_reported()
        ring.add(msgspec.structs.replace(a_sample(second, memory_bytes=2**20 - 1), network=network), restart_count=None)
    metric = metric_of(ring)
    assert metric == {**RECORDED["132 e01d simple-app"], "containerName": "app"}


def test_the_recorded_traffic_is_reproduced() -> None:
    """``simple-app`` of record 40: 876 bytes received, and half-way 70 more at once."""
    recorded = RECORDED["40 e01d simple-app"]
    rates = recorded["networkStatsSet"]["rxBytesPerSecond"]
    apart_s = 70 / rates["max"]
    ring, second = Ring(capacity=80), 0.0
    counts = [876] * 11 + [946] * 10
    for number, rx in enumerate(counts):
        if number == 1:
            ring.window()
            ring.mark_reported()
        second += apart_s
        ring.add(a_sample(second, rx=rx), restart_count=None)
    metric = metric_of(ring)
    assert metric is not None
    got = metric["networkStatsSet"]
    assert got["rxBytes"] == recorded["networkStatsSet"]["rxBytes"]
    assert got["rxBytesPerSecond"]["max"] == pytest.approx(rates["max"], rel=1e-6)
    assert got["rxBytesPerSecond"]["sum"] == got["rxBytesPerSecond"]["max"]
    assert got["rxBytesPerSecond"]["sampleCount"] == 20


@pytest.mark.parametrize("count", [0, 1])
def test_less_than_two_measurements_are_not_reported(count: int) -> None:
    assert metric_of(filled(count)) is None


def test_without_a_new_measurement_there_is_nothing_to_report() -> None:
    ring = filled(5)
    ring.window()
    ring.mark_reported()
    assert metric_of(ring) is None
    ring.add(a_sample(9), restart_count=None)
    assert metric_of(ring) is not None, "the second one may have been reported before"


def test_a_container_without_network_counters_gets_no_network_set() -> None:
    metric = metric_of(filled(rx=None))
    assert metric is not None
    assert "networkStatsSet" not in metric


def test_counters_that_come_and_go_count_as_nothing_meanwhile() -> None:
    ring = filled(3, rx=5)
    ring.add(a_sample(3, rx=None), restart_count=None)
    metric = metric_of(ring)
    assert metric is not None
    assert metric["networkStatsSet"]["rxBytes"]["min"] == 0
    assert metric["networkStatsSet"]["rxBytesPerSecond"]["sampleCount"] == 2


@pytest.mark.parametrize(
    ("restarts", "reported", "count"),
    [([0, 1, 3, 3, 4, 5], 0, 5), ([0, 1, 3, 4, 5, 7], 3, 4), ([2, 2], 0, 0), ([3, 0], 0, 0)],
)
def test_restarts_since_the_last_report(restarts: list[int | None], reported: int, count: int) -> None:
    metric = metric_of(filled(len(restarts), restarts=restarts, reported=reported))
    assert metric is not None
    assert metric["restartStatsSet"] == {"restartCount": count}
