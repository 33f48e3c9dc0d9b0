"""A state file written by the agent of commit 29933ea is taken over whole: every record, every entry.

``ecscope.db`` was left behind by an agent that was killed amid pulls, creates, starts, stops and removals;
``as-read.jsonl`` is what that version read from it, one record on each line.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ecscope.agent.core import cgroups
from ecscope.agent.core.restore import restored_state
from ecscope.agent.core.state import Settings
from ecscope.agent.store.interface import Loaded
from ecscope.agent.store.older_history import in_current_words
from ecscope.agent.store.reader import read_history
from ecscope.agent.store.sqlite import SqliteStore
from ecscope.cli.task import event_of
from ecscope.model import history
from ecscope.model.network import NetworkMode
from ecscope.model.status import ContainerStatus
from ecscope.model.task_resource import RemovedAt
from ecscope.sqlitefile.checksum import checksum_of
from tests.world import INSTANCE

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
    tasks = [without_what_moved(task) for task in then["task"]]
    state = restored_state(instance=INSTANCE, settings=Settings(), tasks=loaded.tasks, images=loaded.images)
    assert what_is_lost(tasks, as_json(list(state.tasks.values())), "task") == []
    assert what_is_lost(then["image"], as_json(list(state.images.values())), "image") == []
    assert what_is_lost(then["source"], as_json(loaded.sources), "source") == []
    assert [loaded.metadata] == then["metadata"]


def without_what_moved(task: dict[str, Any]) -> dict[str, Any]:
    """What stands elsewhere now, or is found out anew: how far volumes and the cgroup have come; what is waited for."""
    states = {"created", "in_flight", "removed"}
    volumes = [{key: volume[key] for key in volume.keys() - states} for volume in task["volumes"]]
    containers = [{key: container[key] for key in container.keys() - {"waits_for"}} for container in task["containers"]]
    return {**{key: task[key] for key in task.keys() - {"cgroup"}}, "volumes": volumes, "containers": containers}


def test_volumes_and_cgroups_have_come_as_far_as_they_had(loaded: Loaded, then: dict[str, list[Any]]) -> None:
    statuses = {(False, False): "NONE", (True, False): "CREATED", (True, True): "REMOVED", (False, True): "REMOVED"}
    for before, task in zip(then["task"], loaded.tasks, strict=True):
        expected = {
            ("volume", volume["name"]): (
                statuses[volume["created"], volume["removed"]],
                RemovedAt.CLEANUP if volume["kind"] == "TASK" else RemovedAt.NEVER,
                tuple(
                    container["definition"]["name"]
                    for container in before["containers"]
                    if volume["name"] in {p["source_volume"] for p in container["definition"]["mount_points"]}
                ),
                "",
            )
            for volume in before["volumes"]
            if volume["kind"] != "BIND"
        }
        if before["cgroup"] is not None:
            status = statuses[before["cgroup"]["created"], before["cgroup"]["removed"]]
            expected["cgroup", before["cgroup"]["parent"]] = (status, RemovedAt.CLEANUP, None, cgroups.FAILURE)
        found = {
            (r.kind, r.name): (r.status.value, r.removed_at, r.needed_by, r.failure_reason) for r in task.resources
        }
        assert found == expected
        assert not any(r.in_flight or r.error for r in task.resources)
        assert {r.needed_for for r in task.resources} <= {ContainerStatus.PULLED}


async def test_a_damaged_file_of_that_version_is_salvaged_into_this_one(tmp_path: Path, loaded: Loaded) -> None:
    damaged = bytearray((SAVED / "ecscope.db").read_bytes())
    damaged[16:40] = b"\xff" * 24  # in the header: SQLite cannot read the file at all
    folder = tmp_path / "damaged"
    folder.mkdir()
    (folder / "ecscope.db").write_bytes(damaged)
    store = SqliteStore(folder)
    salvaged = store.load()
    await store.close()
    assert [bad.kind for bad in salvaged.bad] == ["database"]
    assert salvaged.tasks == loaded.tasks


async def test_a_network_mode_that_there_is_not_costs_no_task(tmp_path: Path, then: dict[str, list[Any]]) -> None:
    """That version kept what ECS had named, with the reason why the task was stopped."""
    shutil.copy(SAVED / "ecscope.db", tmp_path)
    task = then["task"][0] | {"network_mode": "nat", "arn": "nat"}
    body = json.dumps(task)
    connection = sqlite3.connect(tmp_path / "ecscope.db")
    connection.execute("INSERT INTO tasks (arn, revision, body, checksum) VALUES ('nat', 1, ?, ?)",
                       (body, checksum_of("task", body.encode())))  # fmt: skip
    connection.commit()
    connection.close()
    store = SqliteStore(tmp_path)
    loaded = store.load()
    await store.close()
    assert (loaded.tasks[-1].arn, loaded.tasks[-1].network_mode) == ("nat", NetworkMode.DEFAULT)


async def test_a_task_that_cannot_be_read_is_set_aside_as_ever(tmp_path: Path) -> None:
    shutil.copy(SAVED / "ecscope.db", tmp_path)
    connection = sqlite3.connect(tmp_path / "ecscope.db")
    bodies = ("{", '{"volumes": 3}', "[]", '{"containers": [], "volumes": [{"kind": "TASK"}]}')
    for number, body in enumerate(bodies):
        checksum = checksum_of("task", body.encode())
        connection.execute("INSERT INTO tasks (arn, revision, body, checksum) VALUES (?, 1, ?, ?)",
                           (f"bad-{number}", body, checksum))  # fmt: skip
    connection.execute("INSERT INTO tasks (arn, revision, body, checksum) VALUES ('flipped', 1, '{}', 'task:00000000')")
    connection.commit()
    connection.close()
    store = SqliteStore(tmp_path)
    bad = {record.key for record in store.load().bad}
    await store.close()
    assert bad == {"flipped", *(f"bad-{number}" for number in range(len(bodies)))}


def test_every_entry_of_the_history_is_read_as_it_was(tmp_path: Path, then: dict[str, list[Any]]) -> None:
    shutil.copy(SAVED / "ecscope.db", tmp_path)
    entries = read_history(tmp_path, limit=10_000)
    now = [event_of(entry) for entry in entries]
    for entry in then["history"]:
        entry["text"] = in_current_words(entry["text"])
    assert what_is_lost(then["history"], as_json(now), "history") == []
    then_unknown = {
        history.TaskResourceCreated, history.TaskResourceFailed, history.HostPathMissing, history.ImagePullSlow,
        history.ContainerDied, history.ContainerWaits, history.ContainerNotRestarted, history.ContainerStopping,
        history.StateOfOtherInstanceDropped, history.WrittenByOlderVersion, history.NoChange,
    }  # fmt: skip
    assert {entry.kind for entry in entries} == set(history.KINDS) - {kind.__name__ for kind in then_unknown}


def test_entries_of_then_are_typed_as_those_of_now(tmp_path: Path) -> None:
    shutil.copy(SAVED / "ecscope.db", tmp_path)
    untyped = Counter(
        entry.text
        for entry in read_history(tmp_path, limit=10_000)
        if isinstance(entry.what, history.WrittenByOlderVersion)
    )
    assert untyped == {
        "dropped the state of EC2 instance i-0aaaaaaaaaaaaaaaa": 1,
        "not restarted: exit code 2 should be ignored": 1,
    }
