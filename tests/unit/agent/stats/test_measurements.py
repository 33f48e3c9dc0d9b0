"""What measurements say about the time between them, over restarts and reports, in a bounded ring."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecscope.agent.stats.measurements import Ring, Window
from ecscope.model.stats import NetworkCounters, StatsSample

SECOND_NS = 10**9


def a_sample(second: float = 0.0, *, cpu_s: float = 0.0, rx: int | None = 0, tx: int = 0, **fields: int) -> StatsSample:
    sample = StatsSample(
        read_ns=round(second * SECOND_NS),
        cpu_total_ns=round(cpu_s * SECOND_NS),
        online_cpus=2,
        memory_bytes=0,
        network=None if rx is None else NetworkCounters(rx_bytes=rx, tx_bytes=tx),
    )
    return msgspec.structs.replace(sample, **fields)


def ring_of(*samples: StatsSample, capacity: int = 80) -> Ring:
    ring = Ring(capacity=capacity)
    for sample in samples:
        ring.add(sample, restart_count=None)
    return ring


def test_an_empty_ring_has_nothing_to_report() -> None:
    ring = Ring(capacity=3)
    assert ring.window() == Window(before=None, points=())
    ring.mark_reported()
    assert ring.window() == Window(before=None, points=())


def test_the_first_one_says_nothing_about_a_time_before() -> None:
    (point,) = ring_of(a_sample()).window().points
    assert (point.cpu_percent, point.rx_bytes_per_s, point.tx_bytes_per_s) == (None, None, None)


def test_percent_of_the_whole_instance_and_rates_per_second() -> None:
    _, point = ring_of(a_sample(0, cpu_s=1, rx=100), a_sample(2, cpu_s=2, rx=400, tx=50)).window().points
    assert (point.cpu_percent, point.rx_bytes_per_s, point.tx_bytes_per_s) == (25.0, 150.0, 25.0)


def test_numbers_are_rounded_to_single_precision_as_recorded() -> None:
    """70 bytes in the recorded 1.02 s or so gave 68.67192077636719, which is a 32-bit number."""
    _, point = ring_of(a_sample(0), a_sample(1.019339, rx=70, cpu_s=0.001244)).window().points
    assert point.rx_bytes_per_s == pytest.approx(68.672, abs=1e-3)
    for number in (point.rx_bytes_per_s, point.cpu_percent):
        assert number is not None
        mantissa = int(number.hex().split(".")[1].split("p")[0], 16)
        assert mantissa % 2**29 == 0, "the last 29 of 52 bits are empty"


@pytest.mark.parametrize("second", [1.0, 0.5])
def test_the_same_moment_again_or_an_earlier_one_repeats_the_numbers(second: float) -> None:
    *_, last, again = ring_of(a_sample(0), a_sample(1, cpu_s=1, rx=7), a_sample(second, cpu_s=9, rx=9)).window().points
    assert again.cpu_percent == last.cpu_percent == 50.0
    assert again.rx_bytes_per_s == last.rx_bytes_per_s == 7.0


def test_without_a_network_there_is_no_rate() -> None:
    points = (
        ring_of(a_sample(0, rx=None), a_sample(1, rx=5), a_sample(2, rx=None), a_sample(3, rx=None)).window().points
    )
    assert [point.rx_bytes_per_s for point in points] == [None] * 4
    assert [point.cpu_percent for point in points] == [None, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "restarted",
    [a_sample(2, cpu_s=0.5, rx=150), a_sample(2, cpu_s=1.5, rx=50), a_sample(2, cpu_s=1.5, rx=150, tx=5)],
    ids=["by cpu", "by what was received", "by what was sent"],
)
def test_totals_go_on_over_restarts(restarted: StatsSample) -> None:
    first = a_sample(1, cpu_s=1, rx=100, tx=10, storage_read_bytes=7, storage_write_bytes=8)
    third = a_sample(3, cpu_s=2, rx=160, tx=20, storage_read_bytes=1, storage_write_bytes=1)
    *_, middle, last = ring_of(first, restarted, third).window().points
    assert middle.sample.cpu_total_ns == SECOND_NS + restarted.cpu_total_ns
    assert last.sample.cpu_total_ns == 3 * SECOND_NS
    assert last.sample.network is not None
    assert (last.sample.network.rx_bytes, last.sample.network.tx_bytes) == (260, 30)
    assert (last.sample.storage_read_bytes, last.sample.storage_write_bytes) == (8, 9)
    assert all((point.cpu_percent or 0) >= 0 for point in (middle, last))


def test_totals_go_on_over_a_second_restart() -> None:
    points = ring_of(a_sample(1, cpu_s=3), a_sample(2, cpu_s=2), a_sample(3, cpu_s=1)).window().points
    assert [point.sample.cpu_total_ns for point in points] == [3 * SECOND_NS, 5 * SECOND_NS, 6 * SECOND_NS]


def test_what_was_reported_is_not_reported_again() -> None:
    ring = ring_of(a_sample(0), a_sample(1))
    reported = ring.window()
    ring.add(a_sample(2), restart_count=None)  # while the report is under way
    ring.mark_reported()
    window = ring.window()
    assert window.before == reported.points[-1]
    assert [point.sample.read_ns for point in window.points] == [2 * SECOND_NS]


def test_what_could_not_be_sent_stays() -> None:
    ring = ring_of(a_sample(0), a_sample(1))
    assert ring.window() == ring.window()


def test_the_oldest_make_room() -> None:
    ring = ring_of(*(a_sample(second) for second in range(10)), capacity=3)
    window = ring.window()
    assert [point.sample.read_ns // SECOND_NS for point in window.points] == [7, 8, 9]
    assert window.before is not None
    assert window.before.sample.read_ns == 6 * SECOND_NS


def test_what_made_room_while_a_report_was_under_way_does_not_mark_others() -> None:
    ring = ring_of(*(a_sample(second) for second in range(3)), capacity=3)
    ring.window()
    ring.add(a_sample(3), restart_count=None)
    ring.mark_reported()
    assert [point.sample.read_ns // SECOND_NS for point in ring.window().points] == [3]


counts = st.integers(min_value=-(2**63), max_value=2**64)


@given(
    st.lists(
        st.builds(
            StatsSample,
            read_ns=counts,
            cpu_total_ns=counts,
            online_cpus=st.integers(min_value=1, max_value=1024),
            memory_bytes=counts,
            network=st.none() | st.builds(NetworkCounters, rx_bytes=counts, tx_bytes=counts),
        ),
        max_size=8,
    )
)
def test_no_numbers_are_too_strange(samples: list[StatsSample]) -> None:
    assert len(ring_of(*samples, capacity=5).window().points) == min(5, len(samples))
