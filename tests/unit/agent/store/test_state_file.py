"""Damage of any kind costs what it hit and nothing else, and is reported; nothing but ``StoreError`` is raised."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecscope.agent.store.interface import BadRecord, Batch, Loaded, StoreError
from ecscope.agent.store.reader import read_history
from ecscope.agent.store.sqlite import SqliteStore
from tests.builders import AT, a_container, a_source, a_task, an_arn, an_entry, an_image_record
from tests.examples import examples

PAGE = 4096
TASKS = {an_arn(n): a_task(a_container(environment={"N": "x" * (n * 97)}), number=n) for n in range(1, 41)}


def _load(directory: Path) -> Loaded:
    """Load, and check that a second load finds nothing bad any more and the same records."""

    async def load() -> Loaded:
        store = SqliteStore(directory)
        loaded = store.load()
        await store.close()
        return loaded

    first, second = asyncio.run(load()), asyncio.run(load())
    assert second.bad == ()
    assert (first.tasks, first.images, first.sources) == (second.tasks, second.images, second.sources)
    return first


def _change(directory: Path, *statements: str) -> None:
    connection = sqlite3.connect(directory / "ecscope.db", isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


@pytest.fixture(scope="module")
def sound() -> Iterator[Path]:
    """A data directory as an agent leaves it that was stopped: 40 tasks of different sizes."""
    with tempfile.TemporaryDirectory() as name:

        async def fill() -> None:
            store = SqliteStore(Path(name))
            store.load()
            for arn, task in TASKS.items():
                await store.save(Batch(tasks={arn: task}, history=[an_entry(task_arn=arn)]))
            await store.save(
                Batch(
                    images={"ecscope-sample:latest": an_image_record()},
                    sources={a_source().key: a_source()},
                    metadata={"agent-version": "0.1.0"},
                )
            )
            await store.close()

        asyncio.run(fill())
        yield Path(name)


@pytest.fixture(scope="module")
def killed() -> Iterator[Path]:
    """A data directory as an agent leaves it that was killed: the later half is in the log only."""
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory() as copy:

        async def fill() -> None:
            store = SqliteStore(Path(name))
            store.load()
            for number, (arn, task) in enumerate(TASKS.items()):
                await store.save(Batch(tasks={arn: task}))
                if number == 20:
                    _change(Path(name), "PRAGMA wal_checkpoint(PASSIVE)")
            shutil.copytree(name, copy, dirs_exist_ok=True)
            await store.close()

        asyncio.run(fill())
        Path(copy, "ecscope.lock").unlink()
        yield Path(copy)


@pytest.fixture
def data_dir(sound: Path, tmp_path: Path) -> Path:
    shutil.copytree(sound, tmp_path / "data")
    return tmp_path / "data"


def test_a_sound_file_comes_back_whole_and_in_order(data_dir: Path) -> None:
    loaded = _load(data_dir)
    assert loaded == Loaded(
        tasks=tuple(TASKS.values()),
        images=(an_image_record(),),
        sources=(a_source(),),
        metadata={"agent-version": "0.1.0"},
    )
    assert sorted(os.listdir(data_dir)) == ["ecscope.db", "ecscope.lock"]


def test_the_log_of_a_killed_agent_comes_back(killed: Path, tmp_path: Path) -> None:
    shutil.copytree(killed, tmp_path, dirs_exist_ok=True)
    assert (tmp_path / "ecscope.db-wal").stat().st_size > 0
    assert _load(tmp_path) == Loaded(tasks=tuple(TASKS.values()))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("body = '{\"arn'", "checksum"),
        ("body = body || ' '", "checksum"),
        ("body = x'ff'", "checksum"),
        ("body = 7", "checksum"),
        ("body = zeroblob(9000)", "checksum"),
        ("checksum = 'task:00000000'", "checksum"),
        ("checksum = ''", "checksum"),
    ],
)
def test_a_bad_record_costs_itself(data_dir: Path, change: str, reason: str) -> None:
    _change(data_dir, f"UPDATE tasks SET {change} WHERE arn = '{an_arn(7)}'")
    loaded = _load(data_dir)
    assert loaded.tasks == tuple(task for arn, task in TASKS.items() if arn != an_arn(7))
    (bad,) = loaded.bad
    assert (bad.kind, bad.key) == ("task", an_arn(7))
    assert reason in bad.reason
    content = json.loads(Path(bad.set_aside_as).read_text())
    assert content["key"] == an_arn(7)
    assert content["reason"] == bad.reason


def test_bad_records_of_every_kind_are_named(data_dir: Path) -> None:
    _change(data_dir, *(f"UPDATE {table} SET body = '{{}}'" for table in ("images", "sources", "metadata")))
    loaded = _load(data_dir)
    assert len(loaded.tasks) == 40
    assert [(bad.kind, bad.key) for bad in loaded.bad] == [
        ("image", "ecscope-sample:latest"),
        ("source", a_source().key),
        ("metadata", "agent-version"),
    ]


def test_a_bad_key_is_mended_from_the_body(data_dir: Path) -> None:
    _change(data_dir, f"UPDATE tasks SET arn = 'arn:broken' WHERE arn = '{an_arn(7)}'")
    loaded = _load(data_dir)
    assert (loaded.tasks, loaded.bad) == (tuple(TASKS.values()), ())

    async def delete() -> None:
        store = SqliteStore(data_dir)
        store.load()
        await store.save(Batch(tasks={an_arn(7): None}))
        await store.close()

    asyncio.run(delete())
    assert an_arn(7) not in [task.arn for task in _load(data_dir).tasks]


def test_a_second_record_of_a_key_is_set_aside(data_dir: Path) -> None:
    _change(
        data_dir, f"INSERT INTO tasks SELECT 99, 'arn:x', revision, body, checksum FROM tasks WHERE arn = '{an_arn(7)}'"
    )
    loaded = _load(data_dir)
    assert loaded.tasks == tuple(TASKS.values())
    assert [(bad.kind, bad.key) for bad in loaded.bad] == [("task", "arn:x")]


def test_a_record_that_cannot_be_set_aside_stays(data_dir: Path) -> None:
    _change(data_dir, f"UPDATE tasks SET body = 'x' WHERE arn = '{an_arn(7)}'")
    (data_dir / "set-aside").write_text("a file where the directory belongs")

    async def load() -> Loaded:
        store = SqliteStore(data_dir)
        loaded = store.load()
        await store.close()
        return loaded

    for _ in range(2):
        loaded = asyncio.run(load())
        assert len(loaded.tasks) == 39
        (bad,) = loaded.bad
        assert bad.set_aside_as == str(data_dir / "ecscope.db")
        assert "could not be set aside" in bad.reason


def _assert_salvaged(directory: Path, loaded: Loaded) -> BadRecord:
    """The file was replaced, the old one is kept, and what was loaded is what was saved."""
    (database, *records) = loaded.bad
    assert (database.kind, database.key) == ("database", "ecscope.db")
    assert Path(database.set_aside_as).parent == directory
    assert Path(database.set_aside_as).name.startswith("ecscope.db.damaged-2")
    assert Path(database.set_aside_as).exists()
    assert all(record.kind != "database" for record in records)
    assert all(TASKS[task.arn] == task for task in loaded.tasks)
    assert [task.arn for task in loaded.tasks] == [arn for arn in TASKS if arn in {task.arn for task in loaded.tasks}]
    return database


def test_a_header_of_garbage_costs_nothing(data_dir: Path) -> None:
    path = data_dir / "ecscope.db"
    path.write_bytes(b"\xee" * 100 + path.read_bytes()[100:])
    loaded = _load(data_dir)
    _assert_salvaged(data_dir, loaded)
    assert loaded.tasks == tuple(TASKS.values())
    assert (len(loaded.images), len(loaded.sources), loaded.metadata) == (1, 1, {"agent-version": "0.1.0"})
    assert len(read_history(data_dir)) == 40


def test_a_schema_of_garbage_costs_nothing(data_dir: Path) -> None:
    path = data_dir / "ecscope.db"
    path.write_bytes(b"\xee" * PAGE + path.read_bytes()[PAGE:])
    loaded = _load(data_dir)
    _assert_salvaged(data_dir, loaded)
    assert loaded.tasks == tuple(TASKS.values())


@pytest.mark.parametrize("table", ["tasks", "images", "schema_version", "history"])
def test_a_missing_table_costs_itself(data_dir: Path, table: str) -> None:
    _change(data_dir, f"DROP TABLE {table}")
    loaded = _load(data_dir)
    _assert_salvaged(data_dir, loaded)
    assert len(loaded.tasks) == (0 if table == "tasks" else 40)
    assert len(loaded.sources) == 1


def test_a_file_cut_in_half_gives_what_is_left(data_dir: Path) -> None:
    path = data_dir / "ecscope.db"
    os.truncate(path, path.stat().st_size // 2)
    loaded = _load(data_dir)
    _assert_salvaged(data_dir, loaded)
    assert 5 < len(loaded.tasks) < 40


@pytest.mark.parametrize("content", [b"", b"S", b"not a database\n" * 1000, b"SQLite format 3\0"])
def test_a_file_without_anything_is_moved_away(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ecscope.db").write_bytes(content)
    loaded = _load(tmp_path)
    database = _assert_salvaged(tmp_path, loaded)
    assert Path(database.set_aside_as).read_bytes() == content
    assert loaded.tasks == ()


def test_the_log_alone_is_salvaged(killed: Path, tmp_path: Path) -> None:
    shutil.copy(killed / "ecscope.db-wal", tmp_path)
    loaded = _load(tmp_path)
    assert 15 < len(loaded.tasks) <= 40
    assert loaded.bad[0].kind == "database"


def test_the_damaged_file_is_kept_byte_by_byte(data_dir: Path) -> None:
    path = data_dir / "ecscope.db"
    damaged = b"\xee" * 200 + path.read_bytes()[200:]
    path.write_bytes(damaged)
    assert Path(_assert_salvaged(data_dir, _load(data_dir)).set_aside_as).read_bytes() == damaged


def test_the_damaged_log_is_kept_byte_by_byte_and_costs_nothing(killed: Path, tmp_path: Path) -> None:
    shutil.copytree(killed, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "ecscope.db-wal"
    damaged = b"\xee" * 200 + path.read_bytes()[200:]
    path.write_bytes(damaged)
    loaded = _load(tmp_path)
    assert Path(_assert_salvaged(tmp_path, loaded).set_aside_as + "-wal").read_bytes() == damaged
    assert len(loaded.tasks) == 40


def test_a_header_that_the_log_makes_good_is_no_damage(killed: Path, tmp_path: Path) -> None:
    shutil.copytree(killed, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "ecscope.db"
    path.write_bytes(b"\xee" * 200 + path.read_bytes()[200:])
    assert len(_load(tmp_path).tasks) == 40


def test_a_schema_with_garbled_names_costs_nothing(data_dir: Path) -> None:
    path = data_dir / "ecscope.db"
    content = path.read_bytes()
    path.write_bytes(
        content[:PAGE].replace(b"CREATE TABLE tasks (position", b"CREATE TABLE tasks (po\xa5\xa5\xa5\xa5on")
        + content[PAGE:]
    )
    loaded = _load(data_dir)
    _assert_salvaged(data_dir, loaded)
    assert loaded.tasks == tuple(TASKS.values())


def test_only_the_owner_may_read_a_new_file(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        _load(tmp_path / "new" / "dir")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "new" / "dir").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "new" / "dir" / "ecscope.db").stat().st_mode) == 0o600


@pytest.mark.parametrize("point", ["before the old file is moved", "after the old file is moved"])
def test_a_kill_while_salvaging_loses_nothing(data_dir: Path, point: str) -> None:
    path = data_dir / "ecscope.db"
    if point.startswith("before"):
        (data_dir / "ecscope.db.rebuilt").write_bytes(path.read_bytes()[:5000])
    else:
        path.rename(data_dir / "ecscope.db.rebuilt")
        (data_dir / "ecscope.db-wal").write_bytes(b"the log of the old file")
    loaded = _load(data_dir)
    assert (loaded.tasks, loaded.bad) == (tuple(TASKS.values()), ())
    assert not (data_dir / "ecscope.db.rebuilt").exists()


@pytest.mark.parametrize("waits", [True, False], ids=["noticed by itself", "noticed at the end"])
def test_a_file_that_is_cut_off_while_nothing_is_saved_is_written_again(data_dir: Path, waits: bool) -> None:
    async def live() -> None:
        store = SqliteStore(data_dir)
        store.load()
        os.truncate(data_dir / "ecscope.db", 0)
        async with asyncio.timeout(20):
            while waits and not list(data_dir.glob("ecscope.db.damaged-*")):
                await asyncio.sleep(0.05)
        await store.close()

    asyncio.run(live())
    loaded = _load(data_dir)
    assert (loaded.tasks, loaded.bad) == (tuple(TASKS.values()), ())


def test_damage_found_by_a_save_costs_no_record_and_the_save_is_done(data_dir: Path) -> None:
    path = data_dir / "ecscope.db"

    async def save_over_damage() -> None:
        store = SqliteStore(data_dir)
        store.load()
        _, *roots = _pages_of(data_dir, "tasks")
        with path.open("r+b") as file:
            for page in roots:
                file.seek((page - 1) * PAGE)
                file.write(b"\xee" * PAGE)
        connection = store._file._connection
        assert connection is not None
        connection.execute("PRAGMA shrink_memory")  # SQLite forgets its cache, as it does when others need the memory
        await store.save(Batch(tasks={an_arn(99): a_task(number=99)}, history=[an_entry(event_id="99")]))
        assert [entry.event_id for entry in store.history(None, limit=1)] == ["99"]
        await store.close()

    asyncio.run(save_over_damage())
    assert [task.arn for task in _load(data_dir).tasks] == [*TASKS, an_arn(99)]
    assert len(read_history(data_dir)) == 41
    assert len(list(data_dir.glob("ecscope.db.damaged-*"))) == 1


def test_damage_found_by_a_reader_is_salvaged(data_dir: Path) -> None:
    path = data_dir / "ecscope.db"

    async def read_over_damage() -> None:
        store = SqliteStore(data_dir)
        store.load()
        page = _pages_of(data_dir, "history_by_task")[0]
        with path.open("r+b") as file:
            file.seek((page - 1) * PAGE)
            file.write(b"\xee" * PAGE)
        with pytest.raises(StoreError, match="is being salvaged, ask again"):
            store.history(an_arn(3), limit=9)
        await store.save(Batch(metadata={"saved": "after"}))
        assert [entry.task_arn for entry in store.history(an_arn(3), limit=9)] == [an_arn(3)]
        await store.close()

    asyncio.run(read_over_damage())
    loaded = _load(data_dir)
    assert loaded.tasks == tuple(TASKS.values())
    assert loaded.metadata["saved"] == "after"


def _pages_of(directory: Path, name: str) -> list[int]:
    """The root page of a table or index, and for ``tasks`` all pages that hold rows."""
    connection = sqlite3.connect(directory / "ecscope.db")
    (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()
    connection.close()
    content = (directory / "ecscope.db").read_bytes()
    leaves = [
        n // PAGE + 1
        for n in range(PAGE, len(content), PAGE)
        if content[n] == 0x0D and b"containers" in content[n : n + PAGE]
    ]
    return [root, *leaves]


@settings(max_examples=examples(60), deadline=None)
@given(st.data())
def test_garbage_at_any_offset(sound: Path, killed: Path, data: st.DataObject) -> None:
    source = data.draw(st.sampled_from([sound, killed]))
    name = data.draw(st.sampled_from(["ecscope.db"] if source is sound else ["ecscope.db", "ecscope.db-wal"]))
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copytree(source, scratch, dirs_exist_ok=True)
        path = Path(scratch, name)
        content = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        garbage = data.draw(
            st.one_of(st.binary(min_size=1, max_size=64), st.integers(65, 9000).map(lambda n: b"\xa5" * n))
        )
        garbage = garbage[: len(content) - at]
        content[at : at + len(garbage)] = garbage
        path.write_bytes(content)
        loaded = _load(Path(scratch))
        for task in loaded.tasks:
            assert TASKS[task.arn] == task
        # A task is at most 6 KB: two pages of its own, and a shared page holds at most 8 small ones.
        pages_hit = len(garbage) // PAGE + 2
        assert len(loaded.tasks) >= 40 - 8 * pages_hit
        missing = TASKS.keys() - {task.arn for task in loaded.tasks}
        assert not missing or loaded.bad, "what is lost is reported"


@settings(max_examples=examples(40), deadline=None)
@given(st.data())
def test_a_cut_at_any_offset(sound: Path, killed: Path, data: st.DataObject) -> None:
    source = data.draw(st.sampled_from([sound, killed]))
    name = data.draw(st.sampled_from(["ecscope.db"] if source is sound else ["ecscope.db", "ecscope.db-wal"]))
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copytree(source, scratch, dirs_exist_ok=True)
        path = Path(scratch, name)
        size = path.stat().st_size
        at = data.draw(st.integers(0, size - 1))
        os.truncate(path, at)
        loaded = _load(Path(scratch))
        for task in loaded.tasks:
            assert TASKS[task.arn] == task
        if source is sound:  # else the log may hold all that was cut off
            # a cut inside the last page may cost no more than the record that ends there
            assert loaded.bad
            assert {bad.kind for bad in loaded.bad} & {"database", "task"}


def test_a_data_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(StoreError, match="is not a directory; name another with ECS_DATADIR"):
        SqliteStore(tmp_path / "data").load()
    with pytest.raises(StoreError, match=r"cannot make the data directory .*Not a directory"):
        SqliteStore(tmp_path / "data" / "below").load()


def test_a_state_file_that_is_a_directory(tmp_path: Path) -> None:
    (tmp_path / "ecscope.db").mkdir()
    with pytest.raises(StoreError, match=r"ecscope\.db"):
        SqliteStore(tmp_path).load()


def test_a_file_locked_by_another_program(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecscope.sqlitefile.database._BUSY_TIMEOUT_S", 0.01)
    other = sqlite3.connect(data_dir / "ecscope.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(StoreError, match="locked by another program"):
            SqliteStore(data_dir).load()
    finally:
        other.close()
    assert len(_load(data_dir).tasks) == 40


async def test_expiry_keeps_what_is_young(data_dir: Path) -> None:
    store = SqliteStore(data_dir, history_max_entries=15)
    store.load()
    assert await store.expire_history(AT) == 25
    assert [entry.task_arn for entry in store.history(None, limit=100)] == [an_arn(n) for n in range(26, 41)]
    await store.close()


@pytest.mark.parametrize("instead", ["nothing", "another file"])
def test_a_file_that_is_removed_while_it_is_open_is_put_back(data_dir: Path, instead: str) -> None:
    async def save_after_removal() -> None:
        store = SqliteStore(data_dir)
        store.load()
        await store.save(Batch(metadata={"saved": "before"}))
        for path in data_dir.glob("ecscope.db*"):
            path.unlink()
        if instead == "another file":
            (data_dir / "ecscope.db").write_text("something else")
        await store.save(Batch(tasks={an_arn(1): None}, metadata={"after": "removal"}))
        assert len(store.history(None, limit=100)) == 40
        await store.close()

    asyncio.run(save_after_removal())
    loaded = _load(data_dir)
    assert loaded.tasks == tuple(task for arn, task in TASKS.items() if arn != an_arn(1))
    assert loaded.metadata == {"agent-version": "0.1.0", "saved": "before", "after": "removal"}
    assert len(list(data_dir.glob("ecscope.db.damaged-*"))) == (instead == "another file")


def test_a_data_directory_that_cannot_be_looked_into_fails_the_save_and_no_more(data_dir: Path) -> None:
    """Anything but a ``StoreError`` would end the agent."""

    async def save_meanwhile() -> None:
        store = SqliteStore(data_dir)
        store.load()
        elsewhere = data_dir.rename(data_dir.with_name("elsewhere"))
        data_dir.write_text("a file where the directory was")
        with pytest.raises(StoreError, match=r"cannot look at the state file .*Not a directory"):
            await store.save(Batch(metadata={"a": "1"}))
        with pytest.raises(StoreError, match=r"cannot look at the state file .*Not a directory"):
            await store.expire_history(AT)
        data_dir.unlink()
        elsewhere.rename(data_dir)
        await store.save(Batch(metadata={"a": "2"}))
        await store.close()

    asyncio.run(save_meanwhile())
    assert _load(data_dir).metadata["a"] == "2"


def test_a_data_directory_that_is_removed_fails_the_save(data_dir: Path) -> None:
    async def save_after_removal() -> None:
        store = SqliteStore(data_dir)
        store.load()
        shutil.rmtree(data_dir)
        with pytest.raises(StoreError, match=r"which was removed while the agent runs, .*No such file or directory"):
            await store.save(Batch(metadata={"a": "1"}))
        data_dir.mkdir()
        await store.save(Batch(metadata={"a": "2"}))
        await store.close()

    asyncio.run(save_after_removal())
    assert _load(data_dir).metadata["a"] == "2"
    assert len(_load(data_dir).tasks) == 40
