"""The runtime of ``ecscope agent --simulated``: no container really runs, which is said wherever it is asked."""

from __future__ import annotations

import os
import platform

from ecscope.agent.core.container_config import ContainerConfig
from ecscope.agent.runtime.simulated.images import Images
from ecscope.agent.runtime.simulated.programs import HealthStep, Program
from ecscope.agent.runtime.simulated.runtime import SimulatedRuntime
from ecscope.model.runtime import EngineInfo
from ecscope.model.status import HealthStatus

SIMULATED_ATTRIBUTE = "ecscope.simulated"
"""Attribute of the container instance, with the value ``true``; for placement constraints."""
CPUS = 4
MEMORY_BYTES = 8 * 1024**3

_HEALTHY_AFTER_S = 1.0


def simulated_runtime() -> SimulatedRuntime:
    """A machine with 4 CPUs and 8 GiB that has every image. It is gone with the process, as after a power cut."""
    info = EngineInfo(
        version="simulated", api_version="1.41", cpus=CPUS, memory_bytes=MEMORY_BYTES, architecture=platform.machine()
    )
    return SimulatedRuntime(info=info, images=Images(has_any=True), program=_until_stopped, seed=os.urandom(8).hex())


def _until_stopped(config: ContainerConfig, _start: int) -> Program:
    """Heeds SIGTERM at once; healthy, if there is a check."""
    if not config.needs_health_check:
        return Program()
    return Program(health=(HealthStep(after_s=_HEALTHY_AFTER_S, status=HealthStatus.HEALTHY, output="simulated"),))
