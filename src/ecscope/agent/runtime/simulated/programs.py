"""What a simulated container does: how long it runs, how it ends, what it uses, and what its health check finds."""

from __future__ import annotations

import msgspec

from ecscope.model.status import HealthStatus

EXIT_BY_SIGTERM, EXIT_BY_SIGKILL = 143, 137


class HealthStep(msgspec.Struct, frozen=True, kw_only=True):
    """One verdict of a container's health check."""

    after_s: float
    """Since the start."""
    status: HealthStatus
    output: str = ""
    exit_code: int = 0


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """What a running container takes of its host, always at the same rate."""

    cpus: float = 0.0
    """CPUs kept busy."""
    memory_bytes: int = 0
    rx_bytes_per_s: float = 0.0
    tx_bytes_per_s: float = 0.0
    storage_read_bytes_per_s: float = 0.0
    storage_write_bytes_per_s: float = 0.0


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """What a container does."""

    run_for_s: float | None = None
    """``None``: until it is stopped."""
    exit_code: int = 0
    """When it ends without being stopped."""
    out_of_memory: bool = False
    """It is ended by the kernel (out of memory): exit code 137."""
    heeds_sigterm: bool = True
    """``False``: only SIGKILL ends it."""
    stop_takes_s: float = 0.0
    """From SIGTERM to the end."""
    stop_exit_code: int = EXIT_BY_SIGTERM
    """After SIGTERM."""
    create_error: str = ""
    """The engine refuses to create the container, in these words; ``""``: it does not."""
    start_error: str = ""
    """The engine refuses to start the container, in these words; ``""``: it does not."""
    health: tuple[HealthStep, ...] = ()
    use: Use = Use()
