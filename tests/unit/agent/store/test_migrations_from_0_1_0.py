"""A state file written by the agent of commit 29933ea is taken over whole: every record, every entry.

``ecscope.db`` was left behind by an agent that was killed amid pulls, creates, starts, stops and removals;
``as-read.jsonl`` is what that version read from it, one record on each line.
"""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ecscope.agent.store.interface import Loaded
from ecscope.agent.store.reader import read_history
from ecscope.agent.store.sqlite import SqliteStore
from ecscope.model.history import Happening

SAVED = Path(__file__).parents[3] / "fixtures" / "state" / "0.1.0"


@pytest.fixture(scope="module")
def then() -> dict[str, list[Any]]:
    """What the version that wrote the file read from it, by kind of record."""
    by_kind = defaultdict(list)
    for line in (SAVED / "as-read.jsonl").read_text().splitlines():
        for kind, record in json.loads(line).items():
            by_kind[kind].append(record)
    return by_kind


@pytest.fixture
async def loaded(tmp_path: Path) -> Loaded:
    shutil.copy(SAVED / "ecscope.db", tmp_path)
    store = SqliteStore(tmp_path)
    loaded = store.load()
    await store.close()
    return loaded


def what_is_lost(then: Any, now: Any, where: str = "") -> list[str]:
    """The paths at which ``now`` does not say what ``then`` said. What is new in ``now`` is no loss."""
    if isinstance(then, dict) and isinstance(now, dict):
        return [loss for key in then for loss in what_is_lost(then[key], now.get(key), f"{where}.{key}")]
    if isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        pairs = enumerate(zip(then, now, strict=True))
        return [loss for i, (one, other) in pairs for loss in what_is_lost(one, other, f"{where}[{i}]")]
    return [] if then == now else [f"{where}: {then!r} became {now!r}"]


def as_json(values: Any) -> Any:
    return json.loads(msgspec.json.encode(values))


def test_every_record_is_read_as_it_was(loaded: Loaded, then: dict[str, list[Any]]) -> None:
    assert loaded.bad == ()
    assert what_is_lost(then["task"], as_json(loaded.tasks), "task") == []
    assert what_is_lost(then["image"], as_json(loaded.images), "image") == []
    assert what_is_lost(then["source"], as_json(loaded.sources), "source") == []
    assert [loaded.metadata] == then["metadata"]


def test_every_entry_of_the_history_is_read_as_it_was(tmp_path: Path, then: dict[str, list[Any]]) -> None:
    shutil.copy(SAVED / "ecscope.db", tmp_path)
    entries = read_history(tmp_path, limit=10_000)
    assert what_is_lost(then["history"], as_json(entries), "history") == []
    assert {entry.happening for entry in entries} == set(Happening) - {Happening.NO_CHANGE}
