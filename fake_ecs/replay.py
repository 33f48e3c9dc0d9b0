"""Sends again what a recording's back end sent, to whatever agent is connected: the same payloads in their order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from fake_ecs.server import Backend

REPLAYED = {"PayloadMessage", "TaskManifestMessage", "TaskStopVerificationAck", "IAMRoleCredentialsMessage"}
ADDRESS = ("clusterArn", "containerInstanceArn")

Line = Mapping[str, Any]
Change = Callable[[dict[str, Any]], dict[str, Any]]


def recorded(path: Path) -> list[dict[str, Any]]:
    """The lines of a recording."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def with_image(image: str) -> Change:
    """A change of tasks: ``busybox:latest``, which the recordings use, becomes ``image``."""

    def changed(task: dict[str, Any]) -> dict[str, Any]:
        containers = [{**c, "image": image} if c["image"] == "busybox:latest" else c for c in task["containers"]]
        return {**task, "containers": containers}

    return changed


async def replay(
    backend: Backend,
    lines: Iterable[Line],
    *,
    change: Change = lambda task: task,
    speed: float | None = 1.0,
) -> None:
    """Send each message when it was sent then, counted from the first; ``speed`` ``None``: one after the other.

    Addresses are those of the agent that is here; message IDs and sequence numbers stay. Heartbeats are left out.
    """
    loop = asyncio.get_running_loop()
    begun_s, first_s = loop.time(), None
    for line in lines:
        if line["kind"] != "acs-out" or line["type"] not in REPLAYED:
            continue
        first_s = line["t"] if first_s is None else first_s
        if speed is not None:
            await asyncio.sleep(max(0.0, begun_s + (line["t"] - first_s) / speed - loop.time()))
        await send_again(backend, line, change=change)


async def send_again(backend: Backend, line: Line, *, change: Change = lambda task: task) -> str:
    """One recorded message, to the agent that is here; its message ID, which is the recorded one."""
    message = {name: value for name, value in line["message"].items() if name not in ADDRESS}
    if line["type"] == "PayloadMessage":
        tasks = [change(task) for task in message.pop("tasks")]
        await backend.push_tasks(*tasks, seq_num=message.pop("seqNum"), **message)
    else:
        address = backend.address() if any(name in line["message"] for name in ADDRESS) else {}
        await backend.push_message(line["type"], {**address, **message})
    return str(line["message"]["messageId"])
