"""Both stores keep the contract of ``store/interface``: order, all or nothing, bounded history, clear errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from ecscope.agent.store.interface import Batch, Loaded, Store, StoreError
from ecscope.agent.store.memory import MemoryStore
from ecscope.agent.store.sqlite import SqliteStore
from ecscope.model import history
from tests.builders import AT, a_source, a_task, an_arn, an_entry, an_image_record

MakeStore = Callable[..., Store]


@pytest.fixture(params=["sqlite", "memory"])
async def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MakeStore]:
    """Makes loaded stores with the given bounds of history; closes them."""
    made: list[Store] = []

    def make(**bounds: object) -> Store:
        directory = tmp_path / str(len(made))
        store: Store = (
            SqliteStore(directory, **bounds)  # type: ignore[arg-type]
            if request.param == "sqlite"
            else MemoryStore(**bounds)  # type: ignore[arg-type]
        )
        assert store.load() == Loaded()
        made.append(store)
        return store

    yield make
    for store in made:
        await store.close()


def _ids(store: Store, task_arn: str | None = None, *, limit: int = 1000) -> list[str]:
    return [entry.event_id for entry in store.history(task_arn, limit=limit)]


async def test_history_is_the_newest_entries_oldest_first(make_store: MakeStore) -> None:
    store = make_store()
    for number in range(7):
        await store.save(Batch(history=[an_entry(event_id=str(number))]))
    assert _ids(store) == ["0", "1", "2", "3", "4", "5", "6"]
    assert _ids(store, limit=3) == ["4", "5", "6"]
    assert _ids(store, limit=0) == []


async def test_history_of_one_task(make_store: MakeStore) -> None:
    store = make_store()
    await store.save(Batch(history=[an_entry(event_id=str(n), task_arn=an_arn(n % 2)) for n in range(6)]))
    assert _ids(store, an_arn(1)) == ["1", "3", "5"]
    assert _ids(store, an_arn(0), limit=2) == ["2", "4"]
    assert _ids(store, an_arn(7)) == []


async def test_an_entry_comes_back_as_it_was(make_store: MakeStore) -> None:
    store = make_store()
    entry = an_entry(
        history.InstanceNotRegistered(
            obstacle="AccessDenied",
            message="Größe\n\x00 'quoted' 日本",
            facts={"exitCode": 137, "oomKilled": True, "share": 0.5, "output": "a\nb", "signal": None},
        ),
        at=AT + timedelta(microseconds=7),
        container_name="app",
    )
    await store.save(Batch(history=[entry]))
    assert list(store.history(None, limit=1)) == [entry]


async def test_entries_past_the_age_are_dropped(make_store: MakeStore) -> None:
    store = make_store(history_max_age=timedelta(days=14))
    entries = [an_entry(event_id=str(day), at=AT + timedelta(days=day)) for day in range(20)]
    await store.save(Batch(history=entries))
    assert await store.expire_history(AT + timedelta(days=19)) == 5
    assert _ids(store) == [str(day) for day in range(5, 20)]
    assert await store.expire_history(AT + timedelta(days=19)) == 0


async def test_the_oldest_entries_above_the_number_are_dropped(make_store: MakeStore) -> None:
    store = make_store(history_max_entries=450)
    await store.save(Batch(history=[an_entry(event_id=str(number)) for number in range(1000)]))
    await store.expire_history(AT)
    assert _ids(store) == [str(number) for number in range(550, 1000)]


async def test_the_oldest_entries_above_the_size_are_dropped(make_store: MakeStore) -> None:
    store = make_store(history_max_size=50_500)
    await store.save(Batch(history=[an_entry(event_id=str(number), text="x" * 500) for number in range(100)]))
    await store.expire_history(AT)
    kept = _ids(store)
    assert kept == [str(number) for number in range(100 - len(kept), 100)]
    assert 35 <= len(kept) <= 50, "an entry is its text and some columns of at most 400 characters"


async def test_bounds_go_on_to_hold_after_more_entries(make_store: MakeStore) -> None:
    store = make_store(history_max_entries=10)
    for round_number in range(3):
        await store.save(Batch(history=[an_entry(event_id=f"{round_number}.{n}") for n in range(25)]))
        await store.expire_history(AT)
        assert _ids(store) == [f"{round_number}.{n}" for n in range(15, 25)]


async def test_no_bounds_no_expiry(make_store: MakeStore) -> None:
    store = make_store(history_max_age=None, history_max_entries=None, history_max_size=None)
    await store.save(Batch(history=[an_entry()]))
    assert await store.expire_history(AT + timedelta(days=4000)) == 0
    assert len(_ids(store)) == 1


async def test_an_empty_batch_is_saved_at_once(make_store: MakeStore) -> None:
    await make_store().save(Batch())


async def test_a_batch_is_taken_as_it_is_when_save_is_called(make_store: MakeStore) -> None:
    store = make_store()
    batch = Batch(history=[an_entry(event_id="before")])
    saving = asyncio.ensure_future(store.save(batch))
    await asyncio.sleep(0)
    batch.history.append(an_entry(event_id="after"))
    await saving
    assert _ids(store) == ["before"]


async def test_what_cannot_be_written_is_refused_as_a_whole(make_store: MakeStore) -> None:
    store = make_store()
    with pytest.raises(StoreError, match=r"task record 'arn:.*' cannot be written as JSON"):
        await store.save(Batch(tasks={an_arn(): a_task(family="\ud800")}, history=[an_entry()]))
    with pytest.raises(StoreError, match="history entry 'event-1' cannot be written"):
        await store.save(Batch(history=[an_entry(event_id="first"), an_entry(text="\ud800")]))
    assert _ids(store) == []
    await store.save(Batch(history=[an_entry(event_id="next")]))
    assert _ids(store) == ["next"]


async def test_a_record_under_the_key_of_another_is_refused(make_store: MakeStore) -> None:
    store = make_store()
    with pytest.raises(StoreError, match=r"under the key 'busybox' calls itself 'ecscope-sample:latest'"):
        await store.save(Batch(images={"busybox": an_image_record()}))


async def test_deleting_what_is_not_there_is_no_error(make_store: MakeStore) -> None:
    await make_store().save(Batch(tasks={an_arn(): None}, images={"busybox": None}, sources={"/x": None}))


async def test_one_bad_batch_does_not_fail_those_saved_with_it(make_store: MakeStore) -> None:
    store = make_store()
    batches = [Batch(history=[an_entry(event_id=str(n), text="\ud800" if n == 2 else "fine")]) for n in range(5)]
    results = await asyncio.gather(*(store.save(batch) for batch in batches), return_exceptions=True)
    assert [isinstance(result, StoreError) for result in results] == [False, False, True, False, False]
    assert _ids(store) == ["0", "1", "3", "4"]


async def test_saves_are_applied_in_the_order_of_the_calls(make_store: MakeStore) -> None:
    store = make_store()
    await asyncio.gather(*(store.save(Batch(history=[an_entry(event_id=str(n))])) for n in range(600)))
    assert _ids(store) == [str(n) for n in range(600)]


async def test_a_cancelled_save_is_all_or_nothing_and_harms_no_other(make_store: MakeStore) -> None:
    store = make_store()
    saves = [
        asyncio.ensure_future(store.save(Batch(history=[an_entry(event_id=f"{n}.{i}") for i in range(3)])))
        for n in range(40)
    ]
    await asyncio.sleep(0)
    for save in saves[::2]:
        save.cancel()
    await asyncio.gather(*saves, return_exceptions=True)
    await store.save(Batch(history=[an_entry(event_id="last")]))
    found = _ids(store)
    assert found[-1] == "last"
    for n in range(40):
        of_batch = [event_id for event_id in found if event_id.startswith(f"{n}.")]
        assert of_batch == [f"{n}.{i}" for i in range(3)] or (of_batch == [] and n % 2 == 0)


async def test_a_closed_store_says_so(make_store: MakeStore) -> None:
    store = make_store()
    await store.close()
    await store.close()
    with pytest.raises(StoreError, match="the store is closed"):
        await store.save(Batch(sources={a_source().key: a_source()}))
    with pytest.raises(StoreError, match="the store is closed"):
        await store.expire_history(AT)
    with pytest.raises(StoreError, match="the store is closed"):
        store.history(None, limit=1)
