"""One writer: what is answered is durable, what cannot be saved is refused and said once, and expired segments go."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ecscope.control.core.errors import ApiError
from ecscope.control.logs.catalog import DAY_MS, Catalog, Deleted, LogGroup, LogStream, Record
from ecscope.control.logs.reading import Query
from ecscope.control.logs.segments import Pending
from ecscope.control.logs.store import LogStore

NOW_MS = 100 * DAY_MS


@asynccontextmanager
async def opened(folder: Path, *, limit: int = 2**30, said: list[str] | None = None) -> AsyncIterator[LogStore]:
    store = LogStore(
        folder, limit_bytes=limit, say=(said if said is not None else []).append, now_ms=lambda: NOW_MS
    )  # fmt: skip
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def add(store: LogStore, *records: Record) -> None:
    await store.change(lambda _: (records, None))


GROUP = LogGroup(id=1, name="g", created_at_ms=0)
STREAM = LogStream(id=2, group_id=1, name="s", created_at_ms=0)


async def shown(store: LogStore, stream: int = 2) -> Sequence[str]:
    return await store.page(Query(streams={stream}), lambda page: [event.message for event in page.events])


async def test_what_is_answered_is_there_after_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await add(store, GROUP, STREAM)
        await asyncio.gather(*(store.put(Pending(2, [at], [f"{at}"], NOW_MS)) for at in range(50)))
    async with opened(tmp_path) as store:
        assert list(store.catalog.streams[1]) == ["s"]
        assert await shown(store) == [f"{at}" for at in range(50)]


async def test_changes_are_decided_one_after_the_other(tmp_path: Path) -> None:
    def create(catalog: Catalog) -> tuple[Sequence[Record], None]:
        if "g" in catalog.groups:
            raise ApiError("ResourceAlreadyExistsException", "there")
        return [LogGroup(id=catalog.last_id + 1, name="g", created_at_ms=0)], None

    async with opened(tmp_path) as store:
        made = await asyncio.gather(*(store.change(create) for _ in range(5)), return_exceptions=True)
    assert sorted(type(each).__name__ for each in made) == ["ApiError"] * 4 + ["NoneType"]


async def test_a_stream_that_is_gone_takes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await add(store, GROUP, STREAM, Deleted(id=2))
        with pytest.raises(ApiError, match="The specified log stream does not exist"):
            await store.put(Pending(2, [1], ["m"], NOW_MS))


async def test_an_id_is_not_given_again_when_its_record_is_lost(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await add(store, GROUP, STREAM)
        await store.put(Pending(2, [1], ["m"], NOW_MS))
    (tmp_path / "catalog").unlink()
    async with opened(tmp_path) as store:
        assert store.catalog.last_id == 2


async def test_a_full_disk_is_said_once_and_refused_so_that_clients_try_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def no_room(fd: int) -> None:
        raise OSError(28, os.strerror(28))

    async with opened(tmp_path, said=said) as store:
        await add(store, GROUP, STREAM)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", no_room)
            for _ in range(3):
                with pytest.raises(ApiError) as caught:
                    await store.put(Pending(2, [1], ["lost"], NOW_MS))
                assert caught.value.code == "ServiceUnavailableException"
            with pytest.raises(ApiError):
                await add(store, LogStream(id=3, group_id=1, name="t", created_at_ms=0))
        await store.put(Pending(2, [1], ["kept"], NOW_MS))
        assert list(store.catalog.streams[1]) == ["s"]
        assert await shown(store) == ["kept"]
    assert [sentence.partition(":")[0] for sentence in said] == [
        "log events cannot be saved (the disk is full)",
        "log events are saved again",
    ]


async def test_the_limit_is_said_once(tmp_path: Path) -> None:
    said: list[str] = []
    async with opened(tmp_path, limit=256 * 1024, said=said) as store:
        await add(store, GROUP, STREAM)
        for at in range(80):
            await store.put(Pending(2, [at], [os.urandom(4096).hex()], NOW_MS))
        assert len(await shown(store)) < 80
    (sentence,) = said
    assert sentence.startswith("the log store has reached its limit of 0 MiB")


@pytest.mark.parametrize("is_expired", [True, False])
async def test_segments_of_which_all_is_over_are_removed(is_expired: bool, tmp_path: Path) -> None:
    day = NOW_MS - (3 if is_expired else 1) * DAY_MS
    async with opened(tmp_path, limit=4 * 2**20) as store:
        await add(store, LogGroup(id=1, name="g", created_at_ms=0, retention_days=2), STREAM)
        for at in range(30):
            await store.put(Pending(2, [day + at], [os.urandom(4096).hex()], NOW_MS))
        before = len(list(tmp_path.glob("*.log")))
        store._tidied_at_s = -1000.0
        await store.put(Pending(2, [NOW_MS], ["m"], NOW_MS))
        await add(store)
        after = len(list(tmp_path.glob("*.log")))
    assert before > 2
    assert after == (1 if is_expired else before)


async def test_a_batch_whose_client_left_is_taken_once_more_only(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await add(store, GROUP, STREAM)
        batch = Pending(2, [1], ["m"], NOW_MS)
        block = await store.put(batch)
        assert block is not None
        store.was_not_answered(block)
        assert await store.put(batch) is None
        assert await shown(store) == ["m"]


async def test_who_listens_learns_of_each_batch(tmp_path: Path) -> None:
    heard: list[Sequence[str]] = []
    async with opened(tmp_path) as store:
        await add(store, GROUP, STREAM)
        unlisten = store.listen(lambda written: heard.append(written.batch.messages))
        await store.put(Pending(2, [1], ["a"], NOW_MS))
        unlisten()
        await store.put(Pending(2, [2], ["b"], NOW_MS))
    assert heard == [["a"]]
