"""The loop between task files and engine: posts what a real folder asks for, once, and says once what is wrong."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from ecscope.agent.core.decide import decide
from ecscope.agent.core.events import AnyEvent, TaskFilesScanned
from ecscope.agent.core.restore import restored_state
from ecscope.agent.core.state import Settings
from ecscope.agent.inbox import Inbox
from ecscope.agent.taskfiles.scanner import TaskFileScanner
from ecscope.agent.taskfiles.source import TaskFiles
from ecscope.model.container_instance import ContainerInstance
from ecscope.model.history import HistoryEntry
from tests.builders import AT


def text_of(command: str = "serve") -> str:
    container = {"name": "app", "image": "busybox", "command": [command]}
    return json.dumps({"family": "web", "containerDefinitions": [container]})


class Engine:
    """Takes events and, when told to, decides what follows from them."""

    def __init__(self) -> None:
        self.state = restored_state(
            instance=ContainerInstance(cluster="default", arn="", agent_version="x"), settings=Settings()
        )
        self.posted: list[AnyEvent] = []
        self.notes: list[HistoryEntry] = []
        self._done = 0

    def post(self, event: AnyEvent) -> None:
        self.posted.append(event)

    def catch_up(self) -> None:
        while self._done < len(self.posted):
            decision = decide(self.state, self.posted[self._done])
            self._done += 1
            self.state = decision.state
            self.notes += decision.notes

    def said(self) -> list[str]:
        """Which tasks were started and stopped, in order."""
        return [note.kind for note in self.notes if note.kind in ("TaskAccepted", "TaskStopRequested")]


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def numbers() -> Iterator[int]:
    return count(1)


def files_of(path: Path, engine: Engine, numbers: Iterator[int]) -> TaskFiles:
    return TaskFiles(
        str(path),
        inbox=Inbox(engine.post, new_id=lambda: f"e{next(numbers)}", now=lambda: AT),
        state=lambda: engine.state,
        region="us-west-2",
        cluster="arn:aws:ecs:us-west-2:000000000000:cluster/blue",
        task_ids=lambda: f"{next(numbers):032x}",
        suffixes=lambda: f"{next(numbers):020x}",
        interval_s=0.01,
    )


class Watched:
    """Task files, scanned when the test says so."""

    def __init__(self, path: Path, engine: Engine, numbers: Iterator[int]) -> None:
        self.files = files_of(path, engine, numbers)
        self._engine = engine
        self._scanner = TaskFileScanner(str(path), expected=engine.state.sources)

    def check(self, times: int = 4, *, engine_is_slow: bool = False) -> None:
        """Long enough for whatever changed to settle."""
        for _ in range(times):
            self.files.take(self._scanner.scan())
            if not engine_is_slow:
                self._engine.catch_up()


def test_a_file_starts_one_task_with_an_arn_of_no_account(
    tmp_path: Path, engine: Engine, numbers: Iterator[int]
) -> None:
    (tmp_path / "web.json").write_text(text_of())
    Watched(tmp_path, engine, numbers).check()
    assert engine.said() == ["TaskAccepted"]
    (task,) = engine.state.tasks.values()
    assert task.arn.startswith("arn:aws:ecs:us-west-2:000000000000:task/blue/")
    assert len(task.arn.rsplit("/", 1)[1]) == 32


def test_a_slow_engine_does_not_start_the_same_task_twice(
    tmp_path: Path, engine: Engine, numbers: Iterator[int]
) -> None:
    (tmp_path / "web.json").write_text(text_of())
    watched = Watched(tmp_path, engine, numbers)
    watched.check(engine_is_slow=True)
    assert engine.state.tasks == {}
    engine.catch_up()
    assert engine.said() == ["TaskAccepted"]
    (tmp_path / "web.json").unlink()
    watched.check(engine_is_slow=True)
    engine.catch_up()
    assert engine.said() == ["TaskAccepted", "TaskStopRequested"]


def test_a_definition_is_made_a_task_once(tmp_path: Path, engine: Engine, numbers: Iterator[int]) -> None:
    (tmp_path / "web.json").write_text(text_of())
    watched = Watched(tmp_path, engine, numbers)
    watched.check()
    (tmp_path / "db.json").write_text(text_of("other"))
    watched.check()
    scans = [event for event in engine.posted if isinstance(event, TaskFilesScanned) and event.files]
    web = str(tmp_path / "web.json")
    assert len({scan.files[web].task.arn for scan in scans}) == 1


def test_the_life_of_a_file(tmp_path: Path, engine: Engine, numbers: Iterator[int]) -> None:
    path = tmp_path / "web.json"
    watched = Watched(tmp_path, engine, numbers)
    watched.check()
    path.write_text(text_of("one"))
    watched.check()
    path.write_text(text_of("two"))
    watched.check()
    path.write_text("{")
    watched.check()
    assert list(watched.files.bad) == [str(path)]
    path.write_text(text_of("two") + "\n")
    watched.check()
    assert not watched.files.bad
    path.unlink()
    watched.check()
    assert engine.said() == ["TaskAccepted", "TaskStopRequested", "TaskAccepted", "TaskStopRequested"]
    assert [task.version for task in engine.state.tasks.values()] == ["1", "2"]


def test_changes_made_while_the_agent_was_down_give_the_same_events(
    tmp_path: Path, engine: Engine, numbers: Iterator[int]
) -> None:
    for name in ("same", "changed", "gone"):
        (tmp_path / f"{name}.json").write_text(text_of("one"))
    Watched(tmp_path, engine, numbers).check()
    engine.notes.clear()
    (tmp_path / "changed.json").write_text(text_of("two"))
    (tmp_path / "gone.json").unlink()
    (tmp_path / "new.json").write_text(text_of("one"))
    Watched(tmp_path, engine, numbers).check()
    assert sorted(engine.said()) == ["TaskAccepted", "TaskAccepted", "TaskStopRequested", "TaskStopRequested"]
    assert {Path(key).stem for key in engine.state.sources} == {"same", "changed", "new"}


def test_a_wrong_file_is_told_once_for_each_content(
    tmp_path: Path, engine: Engine, numbers: Iterator[int], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="ecscope.tasks")
    path = tmp_path / "web.json"
    path.write_text('{"family": "web",\n"containerDefinitions": [{"name": "a", "image": "b", "memory": "x"}], "x": 1}')
    watched = Watched(tmp_path, engine, numbers)
    watched.check(times=6)
    told = [
        f"task file {path}:2: containerDefinitions[0].memory: must be a whole number, not a string",
        f"task file {path}:2: x: is not a member of a task definition here",
        f"task file {path} is not used: 2 mistakes; a task from an earlier version of it keeps running",
    ]
    assert caplog.messages == told
    path.touch()
    watched.check(times=6)
    assert caplog.messages == told
    path.write_text("{")
    watched.check(times=6)
    assert caplog.messages[3:] == [
        f'task file {path}:1: the text ends too early: "}}" is missing for what starts on line 1',
        f"task file {path} is not used: 1 mistake; a task from an earlier version of it keeps running",
    ]
    assert engine.said() == []


def test_a_missing_path_is_told_once_and_works_once_it_is_there(
    tmp_path: Path, engine: Engine, numbers: Iterator[int], caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "tasks"
    watched = Watched(folder, engine, numbers)
    watched.check()
    assert caplog.messages == [f"{folder} does not exist; create it, or start the agent with another path"]
    assert watched.files.problem == caplog.messages[0]
    folder.mkdir()
    (folder / "web.json").write_text(text_of())
    watched.check()
    assert watched.files.problem == ""
    assert engine.said() == ["TaskAccepted"]


async def until(engine: Engine, said: list[str]) -> None:
    async with asyncio.timeout(20):
        while engine.said() != said:
            await asyncio.sleep(0.01)
            engine.catch_up()


async def test_it_watches_until_it_is_cancelled(tmp_path: Path, engine: Engine, numbers: Iterator[int]) -> None:
    threads = threading.active_count()
    running = asyncio.create_task(files_of(tmp_path, engine, numbers).run())
    (tmp_path / "web.json").write_text(text_of())
    await until(engine, ["TaskAccepted"])
    (tmp_path / "web.json").unlink()
    await until(engine, ["TaskAccepted", "TaskStopRequested"])
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    async with asyncio.timeout(20):
        while threading.active_count() > threads:
            await asyncio.sleep(0.01)


async def test_a_scan_that_fails_ends_it_with_the_reason(
    tmp_path: Path, engine: Engine, numbers: Iterator[int]
) -> None:
    files = files_of(Path("nul\0byte"), engine, numbers)
    with pytest.raises(ValueError, match=r"null (byte|character)"):
        await files.run()
