"""A full disk is said once, and once its end, also when nobody tries to save anything."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ecscope.up.disk import DiskWatch
from tests.e2e.disks import a_small_disk, fill


async def test_a_full_disk_is_said_once_and_so_is_its_end(tmp_path: Path) -> None:
    said: list[str] = []
    with a_small_disk(tmp_path / "disk") as disk:
        watch = asyncio.create_task(DiskWatch(disk, say=said.append, has_no_room=lambda: False, look_s=0.01).run())
        await asyncio.sleep(0.1)
        assert said == []
        for times in (1, 2):
            fill(disk / "ballast")
            await asyncio.sleep(0.2)
            assert len(said) == 2 * times - 1
            assert f"there is no room left on the disk that holds {disk}" in said[-1]
            (disk / "ballast").unlink()
            await asyncio.sleep(0.2)
            assert len(said) == 2 * times
            assert f"there is room again on the disk that holds {disk}" in said[-1]
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)


def test_a_save_that_finds_no_room_is_said_though_the_disk_has_some(tmp_path: Path) -> None:
    """A quota."""
    said: list[str] = []
    saves_fail = [False, True, True, False, False]
    watch = DiskWatch(tmp_path, say=said.append, has_no_room=lambda: saves_fail.pop(0))
    while saves_fail:
        watch.look()
    assert [line.partition(" on the disk")[0] for line in said] == ["there is no room left", "there is room again"]


def test_a_save_that_failed_on_the_full_disk_makes_it_full_once(tmp_path: Path) -> None:
    said: list[str] = []
    with a_small_disk(tmp_path / "disk") as disk:
        watch = DiskWatch(disk, say=said.append, has_no_room=lambda: True)  # until the next save, which may be far
        fill(disk / "ballast")
        for _ in range(2):
            watch.look()
        (disk / "ballast").unlink()
        for _ in range(2):
            watch.look()
    assert [line.partition(" on the disk")[0] for line in said] == ["there is no room left", "there is room again"]


def test_a_directory_that_is_gone_is_no_full_disk(tmp_path: Path) -> None:
    said: list[str] = []
    DiskWatch(tmp_path / "gone", say=said.append, has_no_room=lambda: False).look()
    assert said == []
