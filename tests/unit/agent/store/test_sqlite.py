"""Saves wait for the disk without blocking the loop, together, in order, and survive what the disk does."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecscope.agent.store.interface import Batch, Loaded, StoreError
from ecscope.agent.store.reader import read_history
from ecscope.agent.store.sqlite import SqliteStore
from ecscope.model.task import ImageRecord, Task, TaskSource
from tests.builders import AT, a_source, a_task, an_arn, an_entry, an_image_record
from tests.examples import examples
from tests.unit.agent.store.test_records import TEXT, values_of


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Nobody else can write meanwhile: saves wait in the writer thread."""
    other = sqlite3.connect(directory / "ecscope.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.close()


async def _reloaded(directory: Path) -> Loaded:
    store = SqliteStore(directory)
    loaded = store.load()
    await store.close()
    return loaded


@settings(max_examples=examples(25), deadline=None)
@given(
    st.lists(values_of(Task), max_size=3, unique_by=lambda task: task.arn),
    st.lists(values_of(ImageRecord), max_size=3, unique_by=lambda image: image.name),
    st.lists(values_of(TaskSource), max_size=3, unique_by=lambda source: source.key),
    st.dictionaries(TEXT, TEXT, max_size=3),
)
def test_save_then_load_is_identity(
    tmp_path_factory: pytest.TempPathFactory,
    tasks: list[Task],
    images: list[ImageRecord],
    sources: list[TaskSource],
    metadata: dict[str, str],
) -> None:
    directory = tmp_path_factory.mktemp("identity")

    async def save_and_load() -> Loaded:
        store = SqliteStore(directory)
        store.load()
        await store.save(
            Batch(
                tasks={task.arn: task for task in tasks},
                images={image.name: image for image in images},
                sources={source.key: source for source in sources},
                metadata=metadata,
            )
        )
        await store.close()
        return await _reloaded(directory)

    loaded = asyncio.run(save_and_load())
    assert loaded.bad == ()
    assert loaded.tasks == tuple(tasks)
    assert loaded.images == tuple(images)
    assert loaded.sources == tuple(sources)
    assert loaded.metadata == metadata


async def test_tasks_stay_in_the_order_of_their_first_save(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.load()
    for number in (3, 1, 2):
        await store.save(Batch(tasks={an_arn(number): a_task(number=number)}))
    await store.save(Batch(tasks={an_arn(3): a_task(number=3, version="2"), an_arn(1): None}))
    await store.close()
    assert [(task.arn, task.version) for task in (await _reloaded(tmp_path)).tasks] == [
        (an_arn(3), "2"),
        (an_arn(2), "1"),
    ]


async def test_later_saves_replace_and_delete(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.load()
    image, source = an_image_record(), a_source()
    await store.save(Batch(images={image.name: image}, sources={source.key: source}, metadata={"a": "1", "b": "1"}))
    await store.save(Batch(images={image.name: None}, sources={source.key: None}, metadata={"a": "2"}))
    await store.close()
    assert await _reloaded(tmp_path) == Loaded(metadata={"a": "2", "b": "1"})


async def test_the_loop_turns_while_the_disk_is_slow(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.load()
    with _locked(tmp_path):
        saving = asyncio.ensure_future(store.save(Batch(tasks={an_arn(): a_task()})))
        for _ in range(1000):
            await asyncio.sleep(0)
        assert not saving.done()
    await saving
    await store.close()
    assert (await _reloaded(tmp_path)).tasks == (a_task(),)


async def test_saves_that_wait_share_a_commit(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.load()
    commits: list[str] = []
    connection = store._file._connection
    assert connection is not None
    connection.set_trace_callback(commits.append)
    with _locked(tmp_path):
        saves = [asyncio.ensure_future(store.save(Batch(history=[an_entry(event_id=str(n))]))) for n in range(101)]
        await asyncio.sleep(0)
    await asyncio.gather(*saves)
    assert commits.count("COMMIT") <= 2, "the one that was under way, and one for all that waited"
    await store.close()


async def test_a_save_that_waits_for_the_disk_may_be_cancelled(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.load()
    with _locked(tmp_path):
        saving = asyncio.ensure_future(
            store.save(Batch(tasks={an_arn(): a_task()}, images={"i": an_image_record("i")}))
        )
        await asyncio.sleep(0)
        saving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await saving
    await store.close()
    loaded = await _reloaded(tmp_path)
    assert (len(loaded.tasks), len(loaded.images)) == (1, 1)


async def test_close_waits_for_pending_saves(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.load()
    saves = [asyncio.ensure_future(store.save(Batch(tasks={an_arn(n): a_task(number=n)}))) for n in range(50)]
    await asyncio.sleep(0)
    await store.close()
    assert len((await _reloaded(tmp_path)).tasks) == 50
    await asyncio.gather(*saves)
    assert "ecscope-store" not in [thread.name for thread in threading.enumerate()]


async def test_a_file_that_stays_locked_fails_the_save_and_nothing_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ecscope.sqlitefile.database._BUSY_TIMEOUT_S", 0.01)
    store = SqliteStore(tmp_path)
    store.load()
    with _locked(tmp_path), pytest.raises(StoreError, match="locked by another program"):
        await store.save(Batch(tasks={an_arn(1): a_task(number=1)}))
    await store.save(Batch(tasks={an_arn(2): a_task(number=2)}))
    await store.close()
    assert [task.arn for task in (await _reloaded(tmp_path)).tasks] == [an_arn(2)]


def test_a_loop_that_ended_harms_nobody(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.load()

    async def ask_and_leave() -> None:
        with _locked(tmp_path):
            asyncio.ensure_future(store.save(Batch(metadata={"a": "1"})))  # noqa: RUF006  # left alone on purpose
            await asyncio.sleep(0)

    asyncio.run(ask_and_leave())

    async def go_on() -> None:
        await store.save(Batch(metadata={"b": "2"}))
        await store.close()

    asyncio.run(go_on())
    assert asyncio.run(_reloaded(tmp_path)).metadata == {"a": "1", "b": "2"}


async def test_saves_go_on_while_history_expires(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path, history_max_age=timedelta(days=1))
    store.load()
    await store.save(Batch(history=[an_entry(event_id=str(n), text="x" * 300) for n in range(5000)]))
    expiring = asyncio.ensure_future(store.expire_history(AT + timedelta(days=9)))
    saved_meanwhile = 0
    while not expiring.done():
        await store.save(Batch(metadata={"n": str(saved_meanwhile)}))
        saved_meanwhile += 1
    assert await expiring == 5000
    assert saved_meanwhile > 10, "a save has to wait for one step of 25 at most"
    await store.close()


async def test_a_reader_that_stays_does_not_hold_up_saves(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.load()
    reader = sqlite3.connect(f"file:{tmp_path / 'ecscope.db'}?mode=ro", uri=True, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM history").fetchall()
    for number in range(20):
        await store.save(Batch(history=[an_entry(event_id=str(number))]))
    assert len(read_history(tmp_path)) == 20
    reader.close()
    await store.close()


def test_a_second_agent_is_refused(tmp_path: Path) -> None:
    first = SqliteStore(tmp_path)
    first.load()
    with pytest.raises(StoreError, match="another agent"):
        SqliteStore(tmp_path).load()
    asyncio.run(first.close())
    second = SqliteStore(tmp_path)
    second.load()
    asyncio.run(second.close())


async def test_the_order_of_calls(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    with pytest.raises(StoreError, match="not loaded yet"):
        await store.save(Batch(metadata={"a": "b"}))
    store.load()
    with pytest.raises(StoreError, match="loaded before"):
        store.load()
    await store.close()
    with pytest.raises(StoreError, match="loaded before"):
        store.load()
    never = SqliteStore(tmp_path / "never")
    await never.close()
    assert not (tmp_path / "never").exists()


def test_importing_it_is_cheap() -> None:
    heavy = {"aiohttp", "ssl", "logging.handlers", "importlib.metadata", "tempfile", "mmap"}
    of_asyncio = _modules_after("asyncio")  # it brings ``ssl`` by itself
    assert not heavy & (_modules_after("asyncio, msgspec, ecscope.agent.store.sqlite") - of_asyncio)


def _modules_after(names: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, {names}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    return set(done.stdout.split())
