"""Samples grow as a program uses its host, once a second or as often as somebody asks."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest

from ecscope.agent.runtime.interface import RuntimeFailure
from ecscope.agent.runtime.simulated.programs import Program, Use
from ecscope.model.stats import NetworkCounters, StatsSample
from tests.loop_clock import Clock
from tests.simulated_knobs import FakeRuntime
from tests.unit.agent.runtime.simulated.scenes import EPOCH_NS, samples_of, started


async def test_a_program_uses_what_it_is_told_to(clock: Clock, fake: FakeRuntime) -> None:
    use = Use(
        cpus=1.5,
        memory_bytes=7,
        rx_bytes_per_s=10,
        tx_bytes_per_s=20,
        storage_read_bytes_per_s=30,
        storage_write_bytes_per_s=40,
    )
    fake.behave(Program(use=use), container="app")
    docker_id = await started(clock, fake)
    await clock.pass_s(3)
    first, second = await clock.run(samples_of(fake, docker_id, 2))
    assert second.read_ns - first.read_ns == 10**9
    document = json.loads(first.document)
    assert (document["id"], document["read"], document["preread"]) == (
        docker_id,
        "2023-11-14T22:13:23Z",
        "2023-11-14T22:13:22Z",
    )
    assert document["cpu_stats"]["cpu_usage"]["total_usage"] == first.cpu_total_ns
    assert msgspec.structs.replace(first, document=b"") == StatsSample(
        read_ns=EPOCH_NS + 3 * 10**9,
        cpu_total_ns=4_500_000_000,
        online_cpus=4,
        memory_bytes=7,
        network=NetworkCounters(rx_bytes=30, tx_bytes=60),
        storage_read_bytes=90,
        storage_write_bytes=120,
    )


async def test_stats_may_be_polled_and_each_poll_is_a_call(clock: Clock, fake: FakeRuntime) -> None:
    docker_id = await started(clock, fake)
    first, second = await clock.run(samples_of(fake, docker_id, 2, poll_every_s=10))
    assert second.read_ns - first.read_ns == 10 * 10**9
    assert len(fake.calls_of("stats")) == 2


async def test_a_stats_stream_breaks_with_the_engine_and_is_no_call_under_way(clock: Clock, fake: FakeRuntime) -> None:
    docker_id = await started(clock, fake)
    reading = asyncio.ensure_future(samples_of(fake, docker_id, 9))
    await clock.pass_s(2.5)
    assert fake.is_idle
    fake.go_away()
    await clock.pass_s(0)
    with pytest.raises(RuntimeFailure) as caught:
        await reading
    assert caught.value.is_unreachable
