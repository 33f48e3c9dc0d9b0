"""Which engines hold a container's root file system to a size."""

from __future__ import annotations

from pathlib import Path

import pytest

from ecscope.model.runtime import EngineInfo
from ecscope.up.storage import docker_limits_storage, limits_storage

ROOT = "/dev/vda / ext4 rw,relatime 0 0"
XFS = "/dev/vdb /var/lib/docker xfs rw,attr2,prjquota 0 0"


@pytest.mark.parametrize(
    ("driver", "mounts", "expected"),
    [
        ("btrfs", [ROOT], True),
        ("zfs", [ROOT], True),
        ("devicemapper", [ROOT], True),
        ("vfs", [XFS], False),
        ("overlayfs", [XFS], False),
        ("overlay2", [ROOT], False),
        ("overlay2", [XFS, ROOT], True),
        ("overlay2", [ROOT, XFS.replace("prjquota", "noquota")], False),
        ("overlay2", [XFS, "/dev/vdc /var/lib/docker/volumes ext4 rw 0 0"], True),
        ("overlay2", [ROOT, XFS.replace("/docker", "/docker-old")], False),
    ],
)
def test_by_driver_and_file_system(tmp_path: Path, driver: str, mounts: list[str], expected: bool) -> None:
    file = tmp_path / "mounts"
    file.write_text("\n".join(mounts) + "\n")
    engine = EngineInfo(
        version="26", api_version="1.45", cpus=2, memory_bytes=1, storage_driver=driver, storage_root="/var/lib/docker"
    )
    assert limits_storage(engine, mounts=file) is expected


async def test_an_engine_that_does_not_answer_limits_nothing() -> None:
    assert not await docker_limits_storage("unix:///nonexistent/docker.sock")
