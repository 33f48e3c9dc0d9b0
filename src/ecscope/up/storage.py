"""Whether Docker can hold a container's root file system to a size (``--storage-opt size``).

Source: Docker's reference of ``docker run``, "Set storage driver options per container".
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ecscope.agent.runtime.docker.runtime import DockerRuntime
from ecscope.agent.runtime.interface import RuntimeFailure
from ecscope.model.runtime import EngineInfo

_MOUNTS: Final = Path("/proc/self/mounts")
_ALWAYS: Final = frozenset({"btrfs", "devicemapper", "zfs"})
"""Storage drivers that can."""
_OVERLAY: Final = "overlay2"
"""It can on xfs with project quotas."""
_QUOTAS: Final = frozenset({"pquota", "prjquota"})


async def docker_limits_storage(endpoint: str) -> bool:
    """Never raises: an engine that does not answer limits nothing."""
    runtime = DockerRuntime(endpoint)
    try:
        return limits_storage(await runtime.connect())
    except RuntimeFailure:
        return False
    finally:
        await runtime.close()


def limits_storage(engine: EngineInfo, *, mounts: Path = _MOUNTS) -> bool:
    """``mounts``: the kernel's list on the engine's host, in which the file system of an overlay is looked up."""
    if engine.storage_driver != _OVERLAY:
        return engine.storage_driver in _ALWAYS
    root = Path(engine.storage_root)
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return False
    under: tuple[int, str, str] = (-1, "", "")
    for line in lines:
        _, point, kind, options, *_ = line.split()
        if root.is_relative_to(point) and len(Path(point).parts) >= under[0]:
            under = (len(Path(point).parts), kind, options)
    _, kind, options = under
    return kind == "xfs" and not _QUOTAS.isdisjoint(options.split(","))
