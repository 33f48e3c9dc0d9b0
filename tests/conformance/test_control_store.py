"""Both stores of the control plane give back what was saved, in its order, and nothing of what failed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from ecscope.control.core.records import Token
from ecscope.control.store.interface import Changes, Loaded, Store, StoreError
from ecscope.control.store.sqlite import SqliteStore
from tests.control_builders import a_cluster, a_control_task, a_service, a_task_definition, an_instance
from tests.control_store import MemoryStore

EVERYTHING: Changes = {
    "clusters": {"default": a_cluster(tags={"a": "b"})},
    "task_definitions": {a_task_definition().arn: a_task_definition()},
    "instances": {an_instance().arn: an_instance(custom_attributes={"stack": None})},
    "tasks": {a_control_task(n).arn: a_control_task(n) for n in (3, 1, 2)},
    "services": {a_service().arn: a_service(body={"propagateTags": "NONE"})},
    "tokens": {"RunTask/t": Token(digest="d", resource_arns=("arn",), at=datetime(2024, 5, 17, tzinfo=UTC))},
    "account_settings": {"default/containerInsights": "enabled"},
    "meta": {"sequence": 7, "region": "us-east-1"},
}


class Saved:
    """A store of one kind that is opened again and again over the same records."""

    def __init__(self, open_store: Callable[[Store | None], Store]) -> None:
        self._open = open_store
        self._last: Store | None = None

    async def save(self, *changes: Changes) -> None:
        store = self._open(self._last)
        store.load()
        await store.save([store.prepare(change) for change in changes])
        await store.close()
        self._last = store

    async def load(self) -> Loaded:
        self._last = store = self._open(self._last)
        loaded = store.load()
        await store.close()
        return loaded


@pytest.fixture(params=["memory", "sqlite"])
def saved(request: pytest.FixtureRequest, tmp_path: Path) -> Saved:
    if request.param == "sqlite":
        return Saved(lambda last: SqliteStore(tmp_path / "data"))
    return Saved(lambda last: last.reopened() if isinstance(last, MemoryStore) else MemoryStore())


async def test_a_new_store_is_empty(saved: Saved) -> None:
    assert await saved.load() == Loaded()


async def test_everything_comes_back(saved: Saved) -> None:
    await saved.save(EVERYTHING)
    loaded = await saved.load()
    assert {task.arn: task for task in loaded.tasks} == EVERYTHING["tasks"]
    assert list(loaded.clusters) == list(EVERYTHING["clusters"].values())
    assert list(loaded.task_definitions) == list(EVERYTHING["task_definitions"].values())
    assert list(loaded.instances) == list(EVERYTHING["instances"].values())
    assert list(loaded.services) == list(EVERYTHING["services"].values())
    assert loaded.tokens == EVERYTHING["tokens"]
    assert loaded.account_settings == EVERYTHING["account_settings"]
    assert loaded.meta == EVERYTHING["meta"]
    assert loaded.bad == ()


async def test_the_order_is_that_of_the_first_save(saved: Saved) -> None:
    await saved.save(EVERYTHING)
    third = a_control_task(3)
    await saved.save({"tasks": {third.arn: msgspec.structs.replace(third, last_status="RUNNING")}})
    loaded = await saved.load()
    assert [task.arn for task in loaded.tasks] == [a_control_task(n).arn for n in (3, 1, 2)]
    assert [task.last_status for task in loaded.tasks] == ["RUNNING", "PENDING", "PENDING"]


async def test_what_is_deleted_is_gone(saved: Saved) -> None:
    await saved.save(EVERYTHING, {"tasks": {a_control_task(1).arn: None, "unknown": None}})
    assert [task.arn for task in (await saved.load()).tasks] == [a_control_task(3).arn, a_control_task(2).arn]


async def test_the_later_of_two_changes_counts(saved: Saved) -> None:
    await saved.save({"meta": {"sequence": 1}}, {"meta": {"sequence": 2}}, {})
    assert (await saved.load()).meta == {"sequence": 2}


async def test_a_closed_store_saves_nothing(saved: Saved) -> None:
    store = saved._open(None)
    store.load()
    await store.close()
    await store.close()
    with pytest.raises(StoreError, match="the store is closed"):
        await store.save([store.prepare({"meta": {"sequence": 1}})])


@pytest.mark.parametrize("value", [object(), "\ud800", {1, object()}], ids=["object", "surrogate", "set"])
async def test_what_is_no_json_is_refused_before_the_save(saved: Saved, value: object) -> None:
    store = saved._open(None)
    store.load()
    with pytest.raises((TypeError, ValueError)):
        store.prepare({"clusters": {"x": a_cluster("x", configuration={"v": value})}})
    await store.close()
