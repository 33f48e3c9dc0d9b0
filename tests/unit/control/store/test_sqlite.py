"""The durable store: one process at a time, on disk when it says so, quick to load."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ecscope.control.store.interface import StoreError
from ecscope.control.store.sqlite import SqliteStore
from tests.control_builders import a_control_task


async def test_a_second_one_is_told_who_has_the_directory(tmp_path: Path) -> None:
    first = SqliteStore(tmp_path)
    first.load()
    with pytest.raises(StoreError, match=rf"another control plane \(process {os.getpid()}\) .*--data-dir"):
        SqliteStore(tmp_path).load()
    await first.close()
    second = SqliteStore(tmp_path)
    second.load()
    await second.close()


async def test_it_is_loaded_once_and_before_it_saves(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    with pytest.raises(StoreError, match="not loaded yet"):
        await store.save([])
    store.load()
    with pytest.raises(StoreError, match="loaded before"):
        store.load()
    await store.close()


def test_a_file_in_place_of_the_directory(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(StoreError, match="is not a directory; name another with --data-dir"):
        SqliteStore(tmp_path / "data").load()


async def test_ten_thousand_tasks_are_loaded_in_time(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.load()
    tasks = {a_control_task(n).arn: a_control_task(n) for n in range(10_000)}
    await store.save([store.prepare({"tasks": tasks})])
    await store.close()
    again = SqliteStore(tmp_path)
    begun_s = time.perf_counter()
    loaded = again.load()
    took_s = time.perf_counter() - begun_s
    await again.close()
    assert len(loaded.tasks) == 10_000
    assert took_s < 3.0
