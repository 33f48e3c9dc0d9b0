"""Damage to the control plane's file costs what it hit, is named, and the good records go on."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ecscope.control.core.records import Token
from ecscope.control.store.control_file import ControlFile
from ecscope.control.store.interface import Loaded, StoreError
from ecscope.control.store.rows import checksum, prepared
from tests.control_builders import AT, a_cluster, a_control_task, a_service, a_task_definition, an_instance

TASKS = {a_control_task(n).arn: a_control_task(n, overrides={"x": "y" * n * 10}) for n in range(60)}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("sound")
    file = ControlFile(folder)
    file.open_and_read()
    definition = a_task_definition()
    file.write([prepared({"clusters": {"default": a_cluster()}, "task_definitions": {definition.arn: definition}})])
    for arn, task in TASKS.items():
        file.write([prepared({"tasks": {arn: task}, "meta": {"sequence": 1}})])
    file.close()
    yield folder


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    shutil.copytree(sound, tmp_path / "data")
    return tmp_path / "data"


def load(folder: Path) -> Loaded:
    with closing(ControlFile(folder)) as file:
        return file.open_and_read()


def change(folder: Path, statement: str) -> None:
    connection = sqlite3.connect(folder / "control.db", isolation_level=None)
    connection.execute(statement)
    connection.close()


def test_a_changed_record_costs_itself(folder: Path) -> None:
    victim = a_control_task(7).arn
    change(folder, f"UPDATE tasks SET body = replace(body, 'PENDING', 'RUNNING') WHERE key = '{victim}'")
    loaded = load(folder)
    assert {task.arn for task in loaded.tasks} == set(TASKS) - {victim}
    assert [(bad.kind, bad.key) for bad in loaded.bad] == [("task", victim)]
    aside = Path(loaded.bad[0].set_aside_as)
    assert aside.parent == folder / "set-aside"
    assert victim in aside.read_text()
    assert load(folder).bad == ()


def test_a_damaged_key_costs_nothing(folder: Path) -> None:
    change(folder, "UPDATE clusters SET key = 'garbage'")
    loaded = load(folder)
    assert [cluster.name for cluster in loaded.clusters] == ["default"]
    assert loaded.bad == ()


def test_a_file_without_a_header_is_salvaged(folder: Path) -> None:
    path = folder / "control.db"
    path.write_bytes(b"\xee" * 100 + path.read_bytes()[100:])
    loaded = load(folder)
    assert [task.arn for task in loaded.tasks] == list(TASKS)
    assert [cluster.name for cluster in loaded.clusters] == ["default"]
    assert loaded.meta == {"sequence": 1}
    assert [(bad.kind, bad.key) for bad in loaded.bad] == [("database", "control.db")]
    assert Path(loaded.bad[0].set_aside_as).name.startswith("control.db.damaged-")


@pytest.mark.parametrize("seed", range(10))
def test_damage_anywhere_never_stops_it(folder: Path, seed: int) -> None:
    chance = random.Random(seed)
    path = folder / "control.db"
    content = bytearray(path.read_bytes())
    for _ in range(chance.randint(1, 30)):
        at = chance.randrange(len(content))
        content[at : at + 8] = chance.randbytes(8)
    path.write_bytes(content)
    loaded = load(folder)
    assert all(TASKS[task.arn] == task for task in loaded.tasks), "what is read is right"
    assert len(loaded.tasks) > 20
    assert load(folder).tasks == loaded.tasks


def test_of_two_copies_the_newer_one_is_salvaged(folder: Path) -> None:
    """Also of records that were written before this process began, and by whichever of them was written last."""
    versions = []
    for version in range(2, 5):
        file = ControlFile(folder)
        file.open_and_read()
        task = a_control_task(7, version=version, overrides={"padding": "z" * 900 * version})
        file.write([prepared({"tasks": {task.arn: task}})])
        file.close()
        connection = sqlite3.connect(folder / "control.db")
        versions.append(connection.execute("SELECT revision FROM tasks WHERE key = ?", (task.arn,)).fetchone()[0])
        connection.close()
    assert versions == sorted(set(versions)), "each save counts on, over restarts"
    older = a_control_task(7, version=1)
    body = prepared({"tasks": {older.arn: older}})["tasks", older.arn]
    assert body is not None
    for position, revision in ((0, 1), (9999, 2)):  # copies as freed pages hold them, before and after the newest one
        change(folder, f"INSERT INTO tasks VALUES ({position}, 'copy {position}', {revision}, "
                       f"'{body}', '{checksum('tasks', body)}')")  # fmt: skip
    path = folder / "control.db"
    path.write_bytes(b"\xee" * 100 + path.read_bytes()[100:])
    (found,) = [task for task in load(folder).tasks if task.arn == older.arn]
    assert found.version == 4


def test_every_kind_of_record_is_salvaged(tmp_path: Path) -> None:
    service, instance = a_service(), an_instance()
    token = Token(digest="d", resource_arns=("arn",), at=AT)
    file = ControlFile(tmp_path)
    file.open_and_read()
    file.write([prepared({"services": {service.arn: service}, "instances": {instance.arn: instance}})])
    file.write([prepared({"tokens": {"RunTask/t": token}, "account_settings": {"default/a": "enabled"}})])
    file.close()
    path = tmp_path / "control.db"
    path.write_bytes(b"\xee" * 100 + path.read_bytes()[100:])
    loaded = load(tmp_path)
    assert (list(loaded.services), list(loaded.instances)) == ([service], [instance])
    assert (loaded.tokens, loaded.account_settings) == ({"RunTask/t": token}, {"default/a": "enabled"})


@pytest.mark.parametrize("begin", [0, 4096])
def test_what_only_the_log_holds_is_salvaged(folder: Path, tmp_path: Path, begin: int) -> None:
    """As after a kill: nothing of the last saves is in the file itself."""
    file = ControlFile(folder)
    file.open_and_read()
    file.write([prepared({"meta": {"sequence": 2}, "clusters": {"late": a_cluster("late")}})])
    shutil.copytree(folder, tmp_path / "killed")
    file.close()
    path = tmp_path / "killed" / "control.db"
    assert b'"late"' not in path.read_bytes()
    path.write_bytes(path.read_bytes()[:begin] + b"\xee" * (path.stat().st_size - begin))
    loaded = load(tmp_path / "killed")
    assert loaded.bad[0].kind == "database"
    assert [cluster.name for cluster in loaded.clusters] == ["default", "late"]
    assert loaded.meta == {"sequence": 2}


def test_damage_found_while_writing(folder: Path) -> None:
    file = ControlFile(folder)
    file.open_and_read()
    with (folder / "control.db").open("r+b") as raw:
        raw.seek(0)
        raw.write(b"\xee" * 4096 * 3)
    file.write([prepared({"meta": {"sequence": 99}})])
    file.close()
    assert load(folder).meta["sequence"] == 99


def test_a_newer_file_is_left_alone(folder: Path) -> None:
    change(folder, "UPDATE schema_version SET version = 9, written_by = 'ecscope 7.0'")
    before = (folder / "control.db").read_bytes()
    with pytest.raises(StoreError, match=r"newer control plane \(ecscope 7\.0, schema version 9"):
        load(folder)
    assert (folder / "control.db").read_bytes() == before
