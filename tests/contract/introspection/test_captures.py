"""Every recorded answer of the official agent comes back byte for byte from an equal state, over a real socket."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from ecscope.agent.core.state import AgentState
from tests.contract.introspection.captures import (
    FOLDER,
    INSTANCE,
    Capture,
    all_captures,
    read,
    state_of,
    tasks_in,
)
from tests.contract.introspection.wire import one_answer, port_of, serving

CAPTURES = all_captures()
LICENCE = (
    b"\n                                 Apache License\n" + b" " * 27 + b"Version 2.0, January 2004\n" + b"." * 3000
)


def state_for(capture: Capture) -> AgentState:
    """The state the official agent was in when the capture was taken.

    Tasks and containers stand in the order of the capture, which in the official agent is chance.
    """
    two_tasks = tasks_in(read(FOLDER / "introspection" / "tasks.txt").answer_body)
    body = capture.answer_body
    if body.startswith(b'{"Tasks":'):
        return state_of(tasks_in(body))
    if body.startswith(b'{"Arn":"arn:'):
        # Beside the others, so that the look-up has something to choose from.
        shown = tasks_in(body)
        return state_of([*shown, *(task for task in two_tasks if task.arn != shown[0].arn)])
    if body.startswith(b'{"Cluster":'):
        return state_of(two_tasks, instance_arn=json.loads(body)["ContainerInstanceArn"])
    return state_of(two_tasks, instance_arn=INSTANCE)


def licences_for(capture: Capture, folder: Path) -> Path:
    for name in ("LICENSE", "NOTICE", *(() if capture.name == "license-missing-file" else ("THIRD-PARTY",))):
        (folder / name).write_bytes(LICENCE if name == "LICENSE" else name.encode())
    return folder


@pytest.mark.parametrize("capture", CAPTURES.values(), ids=CAPTURES.keys())
async def test_same_bytes(capture: Capture, tmp_path: Path) -> None:
    async with serving(state_for(capture), license_dir=licences_for(capture, tmp_path)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
        writer.write(capture.request())
        head, body = await one_answer(reader, has_body=capture.method != "HEAD")
        writer.close()
        await writer.wait_closed()

    status_line, *lines = head.split(b"\r\n")
    fields = [tuple(line.split(b": ", 1)) for line in lines]
    expected_line, expected_fields, expected_body = capture.status_line, capture.answer_headers, capture.answer_body
    if capture.status_line.startswith(b"HTTP/1.1 307"):
        # That binary came from a newer Go than the releases; theirs answer 301. Source: introspection-api.md §2.
        expected_line = b"HTTP/1.1 301 Moved Permanently"
        expected_body = expected_body.replace(b"Temporary Redirect", b"Moved Permanently")
        shorter = len(b"Temporary Redirect") - len(b"Moved Permanently")
        expected_fields = tuple(
            (name, b"%d" % (int(value) - shorter) if name == b"Content-Length" else value)
            for name, value in expected_fields
        )

    assert status_line == expected_line
    assert [name for name, _ in fields] == [name for name, _ in expected_fields]
    dates = [value for name, value in fields if name == b"Date"]
    assert [re.fullmatch(rb"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", date) is not None for date in dates] == [True]
    assert [pair for pair in fields if pair[0] != b"Date"] == [pair for pair in expected_fields if pair[0] != b"Date"]
    if capture.name == "license-first-200-bytes":
        assert body.startswith(expected_body[: LICENCE.index(b"2004") + 4])
    else:
        assert body == expected_body


def test_there_are_captures() -> None:
    assert len(CAPTURES) == 85
