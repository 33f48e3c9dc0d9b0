"""What ``docker stats`` shows of a simulated container."""

from __future__ import annotations

import asyncio

from ecscope.agent.runtime.simulated.containers import SimulatedContainer
from ecscope.agent.runtime.simulated.engine import NS
from ecscope.model.stats import NetworkCounters, StatsSample


def sample(container: SimulatedContainer, *, read_ns: int, cpus: int) -> StatsSample:
    """Of one that runs, on a host of so many CPUs: counters that grow as its program's ``use`` says."""
    use = container.program.use
    ran_s = asyncio.get_running_loop().time() - container.running_since_s
    network = NetworkCounters(rx_bytes=int(use.rx_bytes_per_s * ran_s), tx_bytes=int(use.tx_bytes_per_s * ran_s))
    return StatsSample(
        read_ns=read_ns,
        cpu_total_ns=int(use.cpus * ran_s * NS),
        online_cpus=cpus,
        memory_bytes=use.memory_bytes,
        network=network if container.has_network else None,
        storage_read_bytes=int(use.storage_read_bytes_per_s * ran_s),
        storage_write_bytes=int(use.storage_write_bytes_per_s * ran_s),
    )
