"""The store without checkpoint keeps nothing but a bounded history (the contract: ``tests/conformance``)."""

from __future__ import annotations

from ecscope.agent.store.interface import Batch, Loaded
from ecscope.agent.store.memory import MemoryStore
from tests.builders import a_task, an_arn, an_entry


async def test_nothing_is_loaded_after_a_save() -> None:
    store = MemoryStore()
    await store.save(Batch(tasks={an_arn(): a_task()}, metadata={"a": "b"}))
    assert store.load() == Loaded()


async def test_history_is_bounded_without_being_asked() -> None:
    store = MemoryStore(history_max_entries=5)
    for number in range(9):
        await store.save(Batch(history=[an_entry(event_id=str(number))]))
    assert [entry.event_id for entry in store.history(None, limit=100)] == ["4", "5", "6", "7", "8"]


async def test_the_size_of_history_is_bounded_without_being_asked() -> None:
    store = MemoryStore(history_max_size=10_000)
    for number in range(30):
        await store.save(Batch(history=[an_entry(event_id=str(number), text="x" * 500)]))
    assert 5 <= len(store.history(None, limit=100)) <= 9
