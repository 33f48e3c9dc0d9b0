"""Unit tests of Docker's answers of several runs, added up."""

from __future__ import annotations

from typing import Any

import msgspec

from ecscope.agent.stats.documents import Documents, summed

ENDED: dict[str, Any] = {
    "cpu_stats": {
        "cpu_usage": {
            "total_usage": 100,
            "percpu_usage": [60, 40],
            "usage_in_kernelmode": 30,
            "usage_in_usermode": 70,
        }
    },
    "blkio_stats": {"io_service_bytes_recursive": [{"major": 8, "minor": 0, "op": "Read", "value": 5}]},
    "networks": {"eth0": {"rx_bytes": 10, "tx_bytes": 20}},
}
NOW: dict[str, Any] = {
    "read": "now",
    "cpu_stats": {
        "cpu_usage": {"total_usage": 1, "percpu_usage": [1, 0], "usage_in_kernelmode": 1, "usage_in_usermode": 0},
        "online_cpus": 2,
    },
    "precpu_stats": {"cpu_usage": {"total_usage": 0}},
    "blkio_stats": {
        "io_service_bytes_recursive": [
            {"major": 8, "minor": 0, "op": "Read", "value": 1},
            {"major": 8, "minor": 0, "op": "Write", "value": 2},
        ],
        "sectors_recursive": None,
    },
    "networks": {"eth0": {"rx_bytes": 1, "tx_bytes": 2}, "eth1": {"rx_bytes": 3}},
}


def test_totals_are_those_of_all_runs() -> None:
    both = summed(ENDED, NOW)
    usage = both["cpu_stats"]["cpu_usage"]
    assert usage == {
        "total_usage": 101,
        "percpu_usage": [61, 40],
        "usage_in_kernelmode": 31,
        "usage_in_usermode": 70,
    }
    assert both["cpu_stats"]["online_cpus"] == 2
    assert both["precpu_stats"] == NOW["precpu_stats"], "there was none before"
    assert [entry["value"] for entry in both["blkio_stats"]["io_service_bytes_recursive"]] == [6, 2]
    assert both["blkio_stats"]["sectors_recursive"] is None
    assert (both["networks"]["eth0"]["rx_bytes"], both["networks"]["eth1"]["rx_bytes"]) == (11, 3)
    assert both["read"] == "now"


def test_the_sample_before_is_raised_as_well() -> None:
    later = summed(ENDED, {**NOW, "precpu_stats": NOW["cpu_stats"]})
    assert later["precpu_stats"]["cpu_usage"]["total_usage"] == 101


def test_one_run_alone_is_left_as_it_is() -> None:
    assert summed(None, NOW) is NOW
    hosts = {key: value for key, value in NOW.items() if key != "networks"}
    assert "networks" not in summed(ENDED, hosts)
    assert summed({}, NOW)["cpu_stats"]["cpu_usage"]["total_usage"] == 1


def test_the_first_answer_is_completed_with_what_came_before_it() -> None:
    def answer(read: str, total: int, **members: object) -> bytes:
        cpu = {"cpu_usage": {"total_usage": total}}
        return msgspec.json.encode({"read": read, "preread": "0001-01-01T00:00:00Z", "cpu_stats": cpu, **members})

    documents = Documents()
    assert (documents.is_whole, documents.latest()) == (False, None)
    documents.take(answer("t1", 100))
    assert not documents.is_whole
    documents.take(answer("t2", 200))
    assert documents.is_whole
    latest = documents.latest()
    assert latest is not None
    assert (latest["preread"], latest["precpu_stats"]["cpu_usage"]["total_usage"]) == ("t1", 100)
    documents.take(answer("t3", 5, preread="t2"), is_anew=True)
    latest = documents.latest()
    assert latest is not None
    assert (latest["preread"], latest["cpu_stats"]["cpu_usage"]["total_usage"]) == ("t2", 205)
