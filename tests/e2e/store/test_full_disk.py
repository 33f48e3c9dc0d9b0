"""On a file system that is really full a save fails as a whole and says so, and saves work again when there is room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecscope.agent.store.interface import Batch, Loaded, StoreError
from ecscope.agent.store.sqlite import SqliteStore
from ecscope.model.task import Task
from tests.builders import a_container, a_task, an_arn, an_entry


def _mount(where: Path, options: str) -> None:
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "ecscope-test", str(where)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        reason = f"a small file system cannot be mounted here: {done.stderr.strip()}"
        if os.environ.get("CI") == "true" and os.geteuid() == 0:
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    where = tmp_path / "small"
    where.mkdir()
    _mount(where, "size=2m,mode=700")
    try:
        yield where
    finally:
        subprocess.run(["umount", "--lazy", str(where)], check=True)


def _fill(directory: Path) -> Path:
    ballast = directory / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            return ballast


def _a_task(number: int, size: int = 3000) -> Task:
    return a_task(a_container(environment={"PADDING": "x" * size}), number=number)


async def _reloaded(directory: Path) -> Loaded:
    store = SqliteStore(directory)
    loaded = store.load()
    await store.close()
    return loaded


async def test_saves_fail_while_it_is_full_and_work_again(small: Path) -> None:
    data_dir = small / "data"
    store = SqliteStore(data_dir)
    store.load()
    await store.save(Batch(tasks={an_arn(1): _a_task(1)}))
    for attempt in range(3):
        ballast = _fill(small)
        saved, number = [], 100
        with pytest.raises(StoreError, match=r"no room left on the disk .*free some space") as caught:
            while True:  # what the log has already taken of the disk is still there to be used
                number += 1
                await store.save(Batch(tasks={an_arn(number): _a_task(number)}, metadata={"last": str(number)}))
                saved.append(number)
        assert caught.value.is_full
        with pytest.raises(StoreError) as caught:
            await store.save(Batch(tasks={an_arn(n): _a_task(n) for n in range(900, 1000)}))
        assert caught.value.is_full
        ballast.unlink()
        await store.save(Batch(metadata={"attempt": str(attempt)}))
        await store.save(Batch(tasks={an_arn(n): None for n in range(101, 1000)}))
    await store.save(Batch(tasks={an_arn(2): _a_task(2)}))
    await store.close()
    loaded = await _reloaded(data_dir)
    assert loaded.bad == ()
    assert loaded.tasks == (_a_task(1), _a_task(2))
    assert loaded.metadata["attempt"] == "2"


async def test_a_batch_that_failed_leaves_nothing(small: Path) -> None:
    data_dir = small / "data"
    store = SqliteStore(data_dir)
    store.load()
    await store.save(Batch(tasks={an_arn(1): _a_task(1)}))
    ballast = _fill(small)
    with pytest.raises(StoreError):
        await store.save(
            Batch(
                tasks={an_arn(1): None, **{an_arn(n): _a_task(n) for n in range(2, 700)}},
                metadata={"first": "row"},
                history=[an_entry()],
            )
        )
    assert list(store.history(None, limit=5)) == []
    await store.close()
    ballast.unlink()
    loaded = await _reloaded(data_dir)
    assert (loaded.tasks, loaded.metadata, loaded.bad) == ((_a_task(1),), {}, ())


async def test_a_store_opens_and_reads_on_a_full_disk(small: Path) -> None:
    data_dir = small / "data"
    store = SqliteStore(data_dir)
    store.load()
    await store.save(Batch(tasks={an_arn(1): _a_task(1)}))
    await store.close()
    ballast = _fill(small)
    store = SqliteStore(data_dir)
    try:
        tasks = store.load().tasks
    except StoreError as error:
        assert error.is_full  # SQLite may need a little room for the index of its log
        tasks = (_a_task(1),)
    assert tasks == (_a_task(1),)
    await store.close()
    ballast.unlink()
    assert (await _reloaded(data_dir)).tasks == (_a_task(1),)


async def test_a_new_store_on_a_full_disk(small: Path) -> None:
    ballast = _fill(small)
    with pytest.raises(StoreError, match="no room left") as caught:
        SqliteStore(small / "data").load()
    assert caught.value.is_full
    ballast.unlink()
    assert await _reloaded(small / "data") == Loaded()


def test_a_file_system_that_is_read_only(small: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
    with pytest.raises(StoreError, match="Read-only file system"):
        SqliteStore(small / "data").load()
    with pytest.raises(StoreError, match="Read-only file system"):
        SqliteStore(small).load()


async def test_salvage_on_a_full_disk_moves_nothing(small: Path) -> None:
    store = SqliteStore(small)
    store.load()
    for number in range(1, 60):
        await store.save(Batch(tasks={an_arn(number): _a_task(number)}))
    await store.close()
    path = small / "ecscope.db"
    damaged = b"\xee" * 100 + path.read_bytes()[100:]
    path.write_bytes(damaged)
    ballast = _fill(small)
    with pytest.raises(StoreError) as caught:
        SqliteStore(small).load()
    assert caught.value.is_full
    assert path.read_bytes() == damaged
    ballast.unlink()
    assert len((await _reloaded(small)).tasks) == 59
