"""Event lines become notices; what cannot be read, or does not matter, costs only itself."""

from __future__ import annotations

import json
import logging

import pytest

from ecscope.agent.runtime.docker.events import NoticeReader, event_filters
from ecscope.model.arn import DockerId
from ecscope.model.runtime import RuntimeAction, RuntimeNotice
from tests.tables import each_row
from tests.unit.agent.runtime.docker.recordings import VERSIONS, recorded

ID = DockerId("ab" * 32)


def line(action: str, *, kind: str = "container", **attributes: str) -> bytes:
    event = {
        "status": action,
        "id": ID,
        "Type": kind,
        "Action": action,
        "Actor": {"ID": ID, "Attributes": {"image": "x", "com.amazonaws.ecs.task-arn": "t", **attributes}},
        "scope": "local",
        "time": 1,
        "timeNano": 1_000_000_001,
    }
    return json.dumps(event).encode() + b"\n"


def notice(action: RuntimeAction, *, exit_code: int | None = None, signal: int | None = None) -> RuntimeNotice:
    return RuntimeNotice(docker_id=ID, action=action, time_ns=1_000_000_001, exit_code=exit_code, signal=signal)


@each_row(
    "action, expected",
    [
        ("create", RuntimeAction.CREATE),
        ("start", RuntimeAction.START),
        ("stop", RuntimeAction.STOP),
        ("oom", RuntimeAction.OOM),
        ("destroy", RuntimeAction.DESTROY),
        ("health_status: healthy", RuntimeAction.HEALTH),
        ("health_status: unhealthy", RuntimeAction.HEALTH),
    ],
)
def test_events_that_matter(action: str, expected: RuntimeAction) -> None:
    assert NoticeReader().feed(line(action)) == [notice(expected)]


@pytest.mark.parametrize("action", ["exec_create: sh", "exec_start: sh", "health_status: starting", "rename", "kill"])
def test_events_that_do_not(action: str) -> None:
    assert NoticeReader().feed(line(action)) == []


def test_an_end_in_podmans_words() -> None:
    assert NoticeReader().feed(line("died", containerExitCode="3")) == [notice(RuntimeAction.DIE, exit_code=3)]
    assert NoticeReader().feed(line("remove")) == [notice(RuntimeAction.DESTROY)]


def test_podman_is_asked_for_its_own_words_and_for_no_label() -> None:
    """Podman 5.4 finds nothing by a label without a value."""
    docker, podman = event_filters(is_podman=False), event_filters(is_podman=True)
    assert docker["label"] == ["com.amazonaws.ecs.task-arn"]
    assert "label" not in podman
    assert {"die", "died", "destroy", "remove"} <= set(podman["event"])


def test_events_of_other_objects_do_not() -> None:
    assert NoticeReader().feed(line("create", kind="volume")) == []


def test_an_end_tells_code_and_last_signal() -> None:
    reader = NoticeReader()
    data = line("kill", signal="15") + line("kill", signal="9") + line("die", exitCode="137") + line("stop")
    assert reader.feed(data) == [
        notice(RuntimeAction.DIE, exit_code=137, signal=9),
        notice(RuntimeAction.STOP),
    ]
    assert reader.feed(line("die", exitCode="1")) == [notice(RuntimeAction.DIE, exit_code=1)]


def test_a_signal_from_before_the_start_is_forgotten() -> None:
    reader = NoticeReader()
    data = line("kill", signal="1") + line("start") + line("die", exitCode="0")
    assert reader.feed(data)[-1] == notice(RuntimeAction.DIE, exit_code=0)


@pytest.mark.parametrize("code", ["", "-1", "x"])
def test_a_code_that_is_no_number_is_unknown(code: str) -> None:
    assert NoticeReader().feed(line("die", exitCode=code)) == [notice(RuntimeAction.DIE)]


@pytest.mark.parametrize("bad", [b"{", b"[]", b"{}", b'{"Action":"die"}', b'"\xff"', b"not json"])
def test_a_bad_line_is_logged_and_skipped(bad: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = NoticeReader().feed(line("create") + bad + b"\n" + line("start"))
    assert found == [notice(RuntimeAction.CREATE), notice(RuntimeAction.START)]
    assert "could not be read" in caplog.text


def test_a_line_may_come_in_pieces_and_be_long() -> None:
    data = line("start", label="x" * 300_000)
    reader = NoticeReader()
    found = [one for cut in range(0, len(data), 65536) for one in reader.feed(data[cut : cut + 65536])]
    assert found == [notice(RuntimeAction.START)]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_life_of_a_container_on_each_engine(version: str) -> None:
    """From 26.1 on, ``stop`` comes before the ``die`` that it leads to."""
    seen = [(one.action, one.exit_code, one.signal) for one in NoticeReader().feed(recorded(version, "life.jsonl"))]
    killed, stopped = (RuntimeAction.DIE, 137, 9), (RuntimeAction.STOP, None, None)
    assert seen == [
        (RuntimeAction.CREATE, None, None),
        (RuntimeAction.START, None, None),
        (RuntimeAction.HEALTH, None, None),
        *((killed, stopped) if version == "20.10.24" else (stopped, killed)),
        (RuntimeAction.START, None, None),
        (RuntimeAction.DIE, 3, None),
        (RuntimeAction.DESTROY, None, None),
    ]
