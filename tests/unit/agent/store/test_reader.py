"""The command line reads the history beside a running, stopped or killed agent, and leaves no trace."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from ecscope.agent.store.interface import Batch, StoreError
from ecscope.agent.store.reader import read_history
from ecscope.agent.store.sqlite import SqliteStore
from tests.builders import an_arn, an_entry


def _files(directory: Path) -> dict[str, tuple[int, str]]:
    return {
        path.name: (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in directory.iterdir()
    }


def _ids(directory: Path, task_arn: str | None = None, limit: int = 100) -> list[str]:
    return [entry.event_id for entry in read_history(directory, task_arn, limit)]


async def _a_running_store(directory: Path) -> SqliteStore:
    store = SqliteStore(directory)
    store.load()
    for number in range(6):
        await store.save(Batch(history=[an_entry(event_id=str(number), task_arn=an_arn(number % 2))]))
    return store


async def _killed(directory: Path, target: Path) -> Path:
    """A copy of what a killed agent leaves."""
    store = await _a_running_store(directory)
    shutil.copytree(directory, target)
    await store.close()
    return target


async def test_while_the_agent_runs(tmp_path: Path) -> None:
    store = await _a_running_store(tmp_path)
    assert _ids(tmp_path) == ["0", "1", "2", "3", "4", "5"]
    assert _ids(tmp_path, an_arn(1), 2) == ["3", "5"]
    await store.save(Batch(history=[an_entry(event_id="6")]))
    assert _ids(tmp_path, limit=1) == ["6"]
    await store.close()


async def test_after_the_agent_was_stopped_nothing_is_touched(tmp_path: Path) -> None:
    await (await _a_running_store(tmp_path)).close()
    before = _files(tmp_path)
    assert len(_ids(tmp_path)) == 6
    assert _files(tmp_path) == before


@pytest.mark.parametrize("gone", [[], ["ecscope.db-shm"]])
async def test_after_the_agent_was_killed_nothing_is_touched(tmp_path: Path, gone: list[str]) -> None:
    data_dir = await _killed(tmp_path / "agent", tmp_path / "killed")
    for name in gone:
        (data_dir / name).unlink()
    before = _files(data_dir)
    assert len(_ids(data_dir)) == 6
    assert _files(data_dir) == before


async def test_a_path_with_odd_characters(tmp_path: Path) -> None:
    data_dir = tmp_path / "a?b#c%20 ü"
    store = await _a_running_store(data_dir)
    assert len(_ids(data_dir)) == 6
    await store.close()
    assert len(_ids(data_dir)) == 6


async def test_an_entry_that_is_damaged_is_left_out_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await (await _a_running_store(tmp_path)).close()
    connection = sqlite3.connect(tmp_path / "ecscope.db")
    connection.execute("UPDATE history SET text = 'The task is STOPPED.' WHERE event_id = '4'")
    connection.execute("UPDATE history SET happening = 7 WHERE event_id = '5'")
    connection.commit()
    connection.close()
    assert _ids(tmp_path, limit=2) == ["2", "3"]
    assert [record.getMessage() for record in caplog.records] == ["2 damaged history entries are left out"]


def test_no_state_file(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"there is no state file .*ECS_DATADIR"):
        read_history(tmp_path)
    with pytest.raises(StoreError, match="there is no state file"):
        read_history(tmp_path / "missing")
    assert list(tmp_path.iterdir()) == []


def test_a_data_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(StoreError, match=r"cannot read the state file .*Not a directory"):
        read_history(tmp_path / "data")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_a_file_of_somebody_else(tmp_path: Path) -> None:
    await (await _a_running_store(tmp_path)).close()
    (tmp_path / "ecscope.db").chmod(0)
    with pytest.raises(StoreError, match="try it as the user the agent runs as"):
        read_history(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no database at all " * 300])
def test_a_damaged_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ecscope.db").write_bytes(content)
    with pytest.raises(StoreError, match=r"is damaged .*the agent salvages it when it starts"):
        read_history(tmp_path)
    assert (tmp_path / "ecscope.db").read_bytes() == content
