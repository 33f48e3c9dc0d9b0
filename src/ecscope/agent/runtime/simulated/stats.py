"""What ``docker stats`` shows of a simulated container."""

from __future__ import annotations

import asyncio

import msgspec

from ecscope.agent.runtime.simulated.containers import SimulatedContainer
from ecscope.agent.runtime.simulated.engine import NS, time_text
from ecscope.model.stats import NetworkCounters, StatsSample


def sample(container: SimulatedContainer, *, read_ns: int, cpus: int, by_itself: bool) -> StatsSample:
    """Of one that runs, on a host of so many CPUs: counters that grow as its program's ``use`` says.

    ``by_itself``: not one of a stream. Docker leaves name and ID out of it then.
    """
    use = container.program.use
    ran_s = asyncio.get_running_loop().time() - container.running_since_s
    network = NetworkCounters(rx_bytes=int(use.rx_bytes_per_s * ran_s), tx_bytes=int(use.tx_bytes_per_s * ran_s))
    cpu_total_ns = int(use.cpus * ran_s * NS)
    document = {
        "read": time_text(read_ns),
        "preread": time_text(read_ns - NS),
        "cpu_stats": {"cpu_usage": {"total_usage": cpu_total_ns}, "online_cpus": cpus},
        "memory_stats": {"usage": use.memory_bytes},
        **({} if by_itself else {"name": f"/{container.name}", "id": container.docker_id}),
        **({"networks": {"eth0": network}} if container.has_network else {}),
    }
    return StatsSample(
        read_ns=read_ns,
        cpu_total_ns=cpu_total_ns,
        online_cpus=cpus,
        memory_bytes=use.memory_bytes,
        network=network if container.has_network else None,
        document=msgspec.json.encode(document),
        storage_read_bytes=int(use.storage_read_bytes_per_s * ran_s),
        storage_write_bytes=int(use.storage_write_bytes_per_s * ran_s),
    )
