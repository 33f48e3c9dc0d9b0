"""The wait between scans ends early for a file put in place, and for nothing else but its time."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecscope.agent.taskfiles.wakeup import Wakeup

LONG_S = 20.0
"""Never waited out: a test that takes this long has failed."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tasks").mkdir()
    return tmp_path / "tasks"


@pytest.fixture
def wakeup(folder: Path) -> Iterator[Wakeup]:
    made = Wakeup(str(folder))
    yield made
    made.close()


def put(folder: Path, name: str) -> None:
    (folder / f".{name}").write_text("{}")
    (folder / f".{name}").rename(folder / name)


def begun(wakeup: Wakeup, wait_s: float = LONG_S) -> tuple[threading.Thread, list[bool]]:
    """A wait under way in a thread, and where its answer goes."""
    answers: list[bool] = []
    waiting = threading.Thread(target=lambda: answers.append(wakeup.wait(wait_s)))
    waiting.start()
    return waiting, answers


def test_nothing_happens_and_the_time_passes(wakeup: Wakeup) -> None:
    assert wakeup.wait(0.0) is False


@pytest.mark.parametrize("written", ["renamed into place", "written in place"])
def test_a_file_ends_the_wait(wakeup: Wakeup, folder: Path, written: str) -> None:
    wakeup.wait(0.0)  # the watch is there from the first wait on
    if written == "renamed into place":
        put(folder, "one.json")
    else:
        (folder / "one.json").write_text("{}")
    began = time.monotonic()
    assert wakeup.wait(LONG_S) is True
    assert time.monotonic() - began < LONG_S / 2
    assert wakeup.wait(0.0) is False, "told once"


def test_a_file_ends_a_wait_under_way(wakeup: Wakeup, folder: Path) -> None:
    wakeup.wait(0.0)
    waiting, answers = begun(wakeup)
    put(folder, "one.json")
    waiting.join(LONG_S)
    assert answers == [True]


def test_a_ring_ends_a_wait_under_way(wakeup: Wakeup) -> None:
    waiting, answers = begun(wakeup)
    wakeup.wake()
    waiting.join(LONG_S)
    assert answers == [False]


def test_a_folder_that_comes_later_is_watched_then(tmp_path: Path) -> None:
    wakeup = Wakeup(str(tmp_path / "later" / "tasks"))
    assert wakeup.wait(0.0) is False
    (tmp_path / "later" / "tasks").mkdir(parents=True)
    assert wakeup.wait(0.0) is False
    put(tmp_path / "later" / "tasks", "one.json")
    assert wakeup.wait(LONG_S) is True
    wakeup.close()


def test_a_folder_that_went_and_came_back_is_watched_again(wakeup: Wakeup, folder: Path) -> None:
    wakeup.wait(0.0)
    folder.rmdir()
    wakeup.wait(0.0)  # learns that it went
    folder.mkdir()
    wakeup.wait(0.0)
    put(folder, "one.json")
    assert wakeup.wait(LONG_S) is True


def test_one_file_is_watched_by_its_folder(tmp_path: Path) -> None:
    (tmp_path / "web.json").write_text("{}")
    wakeup = Wakeup(str(tmp_path / "web.json"))
    wakeup.wait(0.0)
    (tmp_path / "web.json").write_text("{ }")
    assert wakeup.wait(LONG_S) is True
    wakeup.close()


def test_without_inotify_it_only_waits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "inotify_simple", None)
    wakeup = Wakeup(str(folder))
    put(folder, "one.json")
    assert wakeup.wait(0.0) is False
    wakeup.close()
