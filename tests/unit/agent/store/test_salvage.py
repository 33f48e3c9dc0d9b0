"""Rows are found in a damaged file without SQLite: by page, by log frame, by checksum."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from ecscope.agent.store.interface import Batch
from ecscope.agent.store.migrations import STEPS
from ecscope.agent.store.records import Kind
from ecscope.agent.store.salvage import FoundEntry, FoundRecord, FoundVersion, find_rows
from ecscope.agent.store.sqlite import SqliteStore
from ecscope.sqlitefile.checksum import checksum_of
from ecscope.sqlitefile.pages import PAGE_BYTES, committed_frames
from tests.builders import a_container, a_source, a_task, an_arn, an_entry, an_image_record


async def _a_file(directory: Path, *, tasks: int = 8, environment_bytes: int = 100) -> bytes:
    store = SqliteStore(directory)
    store.load()
    app = a_container(environment={"PADDING": "x" * environment_bytes})
    for number in range(tasks):
        await store.save(
            Batch(
                tasks={an_arn(number): a_task(app, number=number)},
                images={f"i{number}": an_image_record(f"i{number}")},
                sources={f"/{number}": a_source(f"/{number}")},
                metadata={f"m{number}": str(number)},
                history=[an_entry(event_id=str(number))],
            )
        )
    await store.close()
    return (directory / "ecscope.db").read_bytes()


def _keys(database: bytes, wal: bytes = b"") -> dict[Kind, set[str]]:
    found: dict[Kind, set[str]] = {kind: set() for kind in Kind}
    for row in find_rows(database, wal):
        if isinstance(row, FoundRecord) and isinstance(row.body, bytes):
            assert row.checksum == checksum_of(row.kind.value, row.body).encode()
            found[row.kind].add(row.key)
    return found


@pytest.mark.parametrize("environment_bytes", [0, 1000, 3300, 5000, 40_000])
async def test_every_row_is_found_also_in_overflow_pages(tmp_path: Path, environment_bytes: int) -> None:
    database = await _a_file(tmp_path, tasks=20, environment_bytes=environment_bytes)
    assert _keys(database) == {
        Kind.TASK: {an_arn(n) for n in range(20)},
        Kind.IMAGE: {f"i{n}" for n in range(20)},
        Kind.SOURCE: {f"/{n}" for n in range(20)},
        Kind.METADATA: {f"m{n}" for n in range(20)},
    }
    rows = list(find_rows(database, b""))
    assert len([row for row in rows if isinstance(row, FoundEntry)]) == 20
    assert [row.version for row in rows if isinstance(row, FoundVersion)] == [len(STEPS)]


async def test_tasks_keep_their_order(tmp_path: Path) -> None:
    database = await _a_file(tmp_path, tasks=30, environment_bytes=600)
    found = [row for row in find_rows(database, b"") if isinstance(row, FoundRecord) and row.kind is Kind.TASK]
    assert [row.key for row in sorted(found, key=lambda row: row.position)] == [an_arn(n) for n in range(30)]


async def test_deleted_and_replaced_rows_are_not_found_again(tmp_path: Path) -> None:
    await _a_file(tmp_path, tasks=40, environment_bytes=2000)
    store = SqliteStore(tmp_path)
    store.load()
    await store.save(Batch(tasks={an_arn(n): None for n in range(1, 40)}))
    await store.save(Batch(tasks={an_arn(0): a_task(number=0, family="renamed")}))
    await store.close()
    database = (tmp_path / "ecscope.db").read_bytes()
    found = [row for row in find_rows(database, b"") if isinstance(row, FoundRecord) and row.kind is Kind.TASK]
    assert [row.key for row in found] == [an_arn(0)]
    assert b"renamed" in database
    assert b"xxxxxxxxxxxxxxxx" not in database, "secrets of deleted tasks are gone"


async def test_the_log_counts_more_than_the_file(tmp_path: Path) -> None:
    await _a_file(tmp_path, tasks=3)
    store = SqliteStore(tmp_path)
    store.load()
    await store.save(Batch(tasks={an_arn(1): a_task(number=1, family="newer"), an_arn(2): None}))
    database, wal = (tmp_path / "ecscope.db").read_bytes(), (tmp_path / "ecscope.db-wal").read_bytes()
    await store.close()
    assert b"newer" not in database
    found = {
        row.key: row.body for row in find_rows(database, wal) if isinstance(row, FoundRecord) and row.kind is Kind.TASK
    }
    assert set(found) == {an_arn(0), an_arn(1)}
    newest = found[an_arn(1)]
    assert isinstance(newest, bytes)
    assert b"newer" in newest


@pytest.mark.parametrize("junk", [b"", b"\0" * 10, b"\x0d" * 9000, b"\xff" * 9000, bytes(range(256)) * 64])
def test_junk_is_no_row(junk: bytes) -> None:
    assert list(find_rows(junk, junk)) == []


def test_an_empty_log_has_no_frames() -> None:
    assert committed_frames(b"") == 0
    assert committed_frames(b"\0" * 100_000) == 0, "blocks that were never written, after a power loss"


async def test_the_frames_that_sqlite_knows_are_those_that_are_counted(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.load()
    for number in range(10):
        await store.save(Batch(tasks={an_arn(number): a_task(number=number)}))
        wal = (tmp_path / "ecscope.db-wal").read_bytes()
        reader = sqlite3.connect(tmp_path / "ecscope.db", isolation_level=None)
        _, frames, moved = reader.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        reader.close()
        assert frames == committed_frames(wal)
        assert frames == moved, "all of it is in the file now, so the next save begins the log anew"
    await store.close()


async def test_frames_beyond_damage_are_counted(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.load()
    for number in range(6):
        await store.save(Batch(tasks={an_arn(number): a_task(number=number)}))
    wal = bytearray((tmp_path / "ecscope.db-wal").read_bytes())
    await store.close()
    frames = committed_frames(bytes(wal))
    assert frames >= 6
    wal[32 + 24 + 100] ^= 1
    assert committed_frames(bytes(wal)) == frames
    wal[0:32] = b"\xee" * 32
    assert committed_frames(bytes(wal)) == frames
    assert committed_frames(bytes(wal[: 32 + 3 * (24 + PAGE_BYTES)])) <= 3
