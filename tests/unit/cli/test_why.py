"""What `ecscope why` finds by a name, and what it prints."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import msgspec
import pytest

from ecscope.agent.diagnosis.why.verdict import Answer, Certainty, Considered, Culprit, Evidence, Verdict
from ecscope.agent.store.interface import Batch
from ecscope.agent.store.sqlite import SqliteStore
from ecscope.cli.why import lines_of, run, subjects, where_of
from ecscope.model import history
from ecscope.model.status import ContainerStatus, TaskStatus
from ecscope.sqlitefile.errors import Owner
from ecscope.sqlitefile.lock import DataDirLock
from tests.builders import a_container, a_task, an_entry

ROOT = Path(__file__).parents[3]
GIVEN = Answer(
    subject={"task": "arn:aws:ecs:r:1:task/c/0123", "family": "web:3", "status": "STOPPED"},
    verdict=Verdict(
        code="exit.error",
        sentence="container app ended with 3\x1b[2J",
        certainty=Certainty.PROVEN,
        culprit=Culprit(container="app"),
    ),
    evidence=(Evidence(at="2026-12-01T12:00:01.000Z", source="agent history", text="one\ntwo"),),
    considered=(Considered(code="stop.user", why_not="nobody asked"),),
    actions=("docker logs abc",),
)


def test_the_cause_comes_first_and_nothing_reaches_the_terminal_raw() -> None:
    assert lines_of(GIVEN, colour=False) == [
        "container app ended with 3\\x1b[2J",
        "  exit.error, proven; task 0123 (web:3), STOPPED",
        "",
        "Evidence",
        "  12:00:01.000Z agent history one",
        "                              two",
        "",
        "Not",
        "  stop.user: nobody asked",
        "",
        "To do",
        "  docker logs abc",
    ]


def test_the_contract_of_the_json() -> None:
    document = msgspec.to_builtins(GIVEN)
    assert set(document) == {"subject", "verdict", "evidence", "considered", "actions"}
    assert set(document["verdict"]) == {"code", "sentence", "certainty", "culprit", "since"}
    assert document["verdict"]["culprit"] == {"container": "app"}
    assert set(document["evidence"][0]) == {"at", "source", "text", "data"}
    assert list(document["considered"]) == [{"code": "stop.user", "why_not": "nobody asked"}]


def test_the_contract_is_documented() -> None:
    documented = (ROOT / "docs" / "cli.md").read_text()
    (row,) = [line for line in documented.splitlines() if line.strip().startswith("| `verdict.culprit` |")]
    assert set(re.findall(r"`(\w+)`", row.split("|")[2])) == set(Culprit.__struct_encode_fields__)
    (row,) = [line for line in documented.splitlines() if line.strip().startswith("| `verdict` |")]
    assert {one.value for one in Certainty} <= set(re.findall(r"`(\w+)`", row))


@pytest.fixture
async def state(tmp_path: Path) -> Path:
    """A running task of family sample, and one that has stopped."""
    stopped = a_container(known=ContainerStatus.STOPPED, docker_id="c" * 64, exit_code=1)
    tasks = [
        a_task(a_container(known=ContainerStatus.RUNNING), known=TaskStatus.RUNNING),
        a_task(stopped, number=2, known=TaskStatus.STOPPED),
    ]
    store = SqliteStore(tmp_path)
    store.load()
    batch = Batch()
    for task in tasks:
        batch.tasks[task.arn] = task
    await store.save(batch)
    await store.close()
    return tmp_path


async def test_what_a_name_can_mean(state: Path) -> None:
    running, stopped = f"{1:032x}", f"{2:032x}"

    def ids(which: str) -> list[str]:
        return [one.arn.rpartition("/")[2] for one in subjects([state], which)[0]]

    assert ids("") == [stopped]
    assert ids(stopped) == [stopped]
    assert ids("0000") == [running, stopped]
    assert ids("sample") == [stopped]
    assert ids("c" * 12) == [stopped]
    assert ids("nothing of that name") == []
    assert [one.task is not None for one in subjects([state], "app")[0]] == [True]
    (container,) = subjects([state], f"{stopped}/app")[0]
    assert container.container == "app"


def test_no_name_is_the_newest_failure_and_no_service(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(argparse.Namespace(which=None, data_dir=str(state), json=True)) == 0
    assert msgspec.json.decode(capsys.readouterr().out)["subject"]["task"].endswith(f"{2:032x}")


def test_no_state_and_no_such_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(argparse.Namespace(which=None, data_dir=str(tmp_path), json=False)) == 1
    assert "--data-dir" in capsys.readouterr().err
    assert run(argparse.Namespace(which="x1", data_dir=str(tmp_path), json=False)) == 3
    assert "'x1'" in capsys.readouterr().err


async def test_a_family_without_a_failure_is_not_asked_about_others(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.load()
    batch = Batch()
    task = a_task(a_container(known=ContainerStatus.RUNNING), family="web", known=TaskStatus.RUNNING)
    batch.tasks[task.arn] = task
    ended = history.TaskStatusChanged(before=TaskStatus.RUNNING, to=TaskStatus.STOPPED, desired=TaskStatus.STOPPED)
    batch.history.append(an_entry(ended, task_arn="arn:of:another"))
    await store.save(batch)
    await store.close()
    assert [one.arn for one in subjects([tmp_path], "web")[0]] == [task.arn]
    assert [one.arn for one in subjects([tmp_path], "")[0]] == ["arn:of:another"]


def test_ecs_is_asked_with_the_callers_own_credentials_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    arn = "arn:aws:ecs:eu-west-1:1:task/prod/0123"
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/x")
    assert where_of(tmp_path, arn) is None
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    found = where_of(tmp_path, arn)
    assert found is not None
    assert (found.region, found.cluster, found.endpoint) == ("eu-west-1", "prod", "")
    assert where_of(tmp_path) is None
    monkeypatch.setenv("AWS_REGION", "eu-west-2")
    nowhere = where_of(tmp_path)
    assert nowhere is not None
    assert (nowhere.region, nowhere.cluster) == ("eu-west-2", "default")


def test_an_up_that_has_ended_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    (tmp_path / "control.db").touch()
    for data_dir in (tmp_path / "agent", tmp_path):
        assert where_of(data_dir, "arn:aws:ecs:eu-west-1:1:task/prod/0123") is None, data_dir


def test_the_lock_of_an_up_is_not_that_of_an_agent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "agent").mkdir()
    (tmp_path / "control.db").touch()
    lock = DataDirLock(tmp_path, Owner(name="control plane", data_dir_setting="x"))
    lock.acquire()
    try:
        assert run(argparse.Namespace(which="agent", data_dir=str(tmp_path), json=False)) == 3
        assert run(argparse.Namespace(which=None, data_dir=str(tmp_path), json=False)) == 1
    finally:
        lock.release()
    assert "Traceback" not in capsys.readouterr().err


def test_a_damaged_state_is_said_in_a_sentence(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (state / "ecscope.db").write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    assert run(argparse.Namespace(which="agent", data_dir=str(state), json=False)) == 1
    assert run(argparse.Namespace(which=None, data_dir=str(state), json=False)) == 1
    assert "ecscope.db" in capsys.readouterr().err
