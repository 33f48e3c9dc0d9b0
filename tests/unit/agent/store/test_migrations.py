"""Old state files are upgraded step by step or not at all; newer ones are left alone."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from ecscope.agent.store.interface import AGENT, StoreError
from ecscope.agent.store.migrations import STEPS
from ecscope.agent.store.reader import read_history
from ecscope.agent.store.sqlite import SqliteStore
from ecscope.model.container import NamedError
from ecscope.model.status import ContainerStatus, TaskStatus
from ecscope.sqlitefile import versions
from ecscope.sqlitefile.versions import Step, version_row
from tests.builders import an_arn

VERSION_1 = Path(__file__).parents[3] / "fixtures" / "store" / "version-1.db"


def migrate(connection: sqlite3.Connection, steps: Sequence[Step] = STEPS) -> None:
    versions.migrate(connection, "x", steps, AGENT)


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.text_factory = bytes
    yield connection
    connection.close()


async def test_a_file_of_version_1_is_loaded(tmp_path: Path) -> None:
    shutil.copy(VERSION_1, tmp_path / "ecscope.db")
    store = SqliteStore(tmp_path)
    loaded = store.load()
    await store.close()
    assert loaded.bad == ()
    second, first = loaded.tasks
    assert (second.arn, second.known, second.volumes[0].name) == (an_arn(2), TaskStatus.RUNNING, "data")
    assert (first.arn, first.desired) == (an_arn(1), TaskStatus.STOPPED)
    web, db = second.containers
    assert (web.name, web.known, web.restart_count, web.docker_id) == ("web", ContainerStatus.RUNNING, 2, "ab" * 32)
    assert web.definition.environment == {"GREETING": "hello"}
    assert web.definition.port_mappings[0].host_port == 8080
    assert (db.exit_code, db.error) == (3, NamedError(name="DockerStateError", message="boom"))
    assert [image.name for image in loaded.images] == ["ecscope-sample:latest"]
    assert [source.task_arn for source in loaded.sources] == [an_arn(1)]
    assert loaded.metadata == {"agent-version": "0.1.0"}
    entries = read_history(tmp_path)
    assert [(entry.event_id, entry.kind) for entry in entries] == [
        ("e1", "TaskStatusChanged"),
        ("e2", "ContainerOutOfMemory"),
    ]
    assert entries[1].detail == {"exitCode": 137}


def test_a_new_file_gets_the_newest_version(connection: sqlite3.Connection) -> None:
    migrate(connection)
    assert version_row(connection)[0] == len(STEPS)
    assert version_row(connection)[1].startswith("ecscope ")
    migrate(connection)


def test_each_missing_step_is_taken_once_in_order(connection: sqlite3.Connection) -> None:
    migrate(connection, STEPS[:1])
    taken: list[int] = []
    steps = (*STEPS[:1], lambda _: taken.append(2), lambda _: taken.append(3))
    migrate(connection, steps)
    migrate(connection, steps)
    assert taken == [2, 3]
    assert version_row(connection)[0] == 3


def test_a_step_that_fails_leaves_the_file_as_it_was(connection: sqlite3.Connection) -> None:
    migrate(connection, STEPS[:1])

    def adds(target: sqlite3.Connection) -> None:
        target.execute("ALTER TABLE tasks ADD COLUMN more TEXT")

    def fails(target: sqlite3.Connection) -> None:
        target.execute("INSERT INTO nowhere VALUES (1)")

    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        migrate(connection, (*STEPS[:1], adds, fails))
    assert version_row(connection)[0] == 1
    assert b"more" not in [row[1] for row in connection.execute("PRAGMA table_info(tasks)")]
    migrate(connection, (*STEPS[:1], adds))
    assert version_row(connection)[0] == 2


def test_a_file_of_a_newer_agent_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ecscope.db"
    shutil.copy(VERSION_1, path)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE schema_version SET version = 9, written_by = 'ecscope 7.0'")
    connection.execute("DROP TABLE images")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    store = SqliteStore(tmp_path)
    with pytest.raises(
        StoreError, match=r"newer agent \(ecscope 7\.0, schema version 9; .*Start the newer agent again"
    ):
        store.load()
    assert path.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["ecscope.db", "ecscope.lock"]
    with pytest.raises(StoreError, match="newer agent"):
        read_history(tmp_path)


def test_a_damaged_file_of_a_newer_agent_is_left_alone_too(tmp_path: Path) -> None:
    path = tmp_path / "ecscope.db"
    shutil.copy(VERSION_1, path)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE schema_version SET version = 9")
    connection.commit()
    connection.close()
    damaged = b"\xff" * 100 + path.read_bytes()[100:]
    path.write_bytes(damaged)
    with pytest.raises(StoreError, match="newer agent"):
        SqliteStore(tmp_path).load()
    assert path.read_bytes() == damaged
