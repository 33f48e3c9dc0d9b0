"""What went over the wire, in order and with its time, and waiting for something of it.

Times are of the monotonic clock, which all processes of a machine share: a bench in another process may subtract.
The lines written by ``record_to`` have the form of the recordings of the official agent.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO, TypeVar

from fake_ecs.signatures import shown

T = TypeVar("T")


@dataclass(kw_only=True)
class Call:
    """One call of the API."""

    n: int
    at_s: float
    action: str
    headers: Sequence[tuple[str, str]]
    body: Mapping[str, Any]
    principal: str = ""
    """ARN; ``""``: the signature was refused."""
    taken: bool = False
    """Whether ECS has it now. The caller may yet not know: the answer can be lost."""
    status: int | None = None
    """``None``: not answered (yet)."""
    reply: Any = None

    def line(self) -> dict[str, Any]:
        return {
            "kind": "api", "action": self.action, "headers": shown(self.headers), "body": self.body,
            "reply_status": self.status, "reply": self.reply,
        }  # fmt: skip


@dataclass(kw_only=True)
class Frame:
    """One websocket message, in either direction."""

    n: int
    at_s: float
    kind: str
    """``acs-in``, ``acs-out``, ``tcs-in``, ``tcs-out``."""
    text: str
    type: str = ""
    """``""``: what was sent is no message."""
    message: Mapping[str, Any] = field(default_factory=dict)
    signed_headers: Sequence[str] = ()
    """Names, of a telemetry frame."""
    instance_arn: str = ""

    def line(self) -> dict[str, Any]:
        line: dict[str, Any] = {"kind": self.kind, "type": self.type, "message": self.message}
        if not self.type:
            line["text"] = self.text[:1000]
        if self.kind == "tcs-in":
            line["signed_headers"] = list(self.signed_headers)
        return line


@dataclass(kw_only=True)
class Connect:
    """One upgrade, accepted or not."""

    n: int
    at_s: float
    kind: str
    """``acs-connect`` or ``tcs-connect``."""
    path: str
    query: Mapping[str, str]
    headers: Sequence[tuple[str, str]]
    instance_arn: str = ""
    principal: str = ""
    status: int = 101

    def line(self) -> dict[str, Any]:
        line = {"kind": self.kind, "path": self.path, "query": self.query, "headers": shown(self.headers)}
        return line if self.status == 101 else {**line, "reply_status": self.status}


@dataclass(kw_only=True)
class Close:
    """One websocket that ended."""

    n: int
    at_s: float
    kind: str
    """``acs-close`` or ``tcs-close``."""
    code: int
    """1006: without a close frame."""
    instance_arn: str = ""

    def line(self) -> dict[str, Any]:
        return {"kind": self.kind, "code": self.code}


Entry = Call | Frame | Connect | Close


class Journal:
    """Everything, and who waits for it."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.frames: list[Frame] = []
        self.connects: list[Connect] = []
        self.closes: list[Close] = []
        self.by_name: dict[str, list[Any]] = {}
        """Calls by action, and frames by kind and type (``acs-in AckRequest``): waiting looks here, among thousands."""
        self.reports: dict[tuple[str, str], list[Call]] = {}
        """State changes that ECS took, by task ARN and status."""
        self.first_reports: dict[str, dict[str, float]] = {}
        """By status: task ARN → when the first report of it arrived."""
        self._begun_s = time.monotonic()
        self._numbers = itertools.count(1)
        self._changed = asyncio.Event()
        self._file: TextIO | None = None

    def record_to(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def next(self) -> dict[str, Any]:
        """Number and time of an entry that is about to be made."""
        return {"n": next(self._numbers), "at_s": time.monotonic()}

    def add(self, entry: Entry) -> None:
        match entry:
            case Call():
                self.calls.append(entry)
                self.by_name.setdefault(entry.action, []).append(entry)
            case Frame():
                self.frames.append(entry)
                self.by_name.setdefault(f"{entry.kind} {entry.type}", []).append(entry)
            case Connect():
                self.connects.append(entry)
            case Close():
                self.closes.append(entry)
        if not isinstance(entry, Call):  # a call is written when it has been answered
            self._write(entry)
        self._notify()

    def taken(self, call: Call) -> None:
        """ECS has it now."""
        call.taken = True
        if call.action == "SubmitTaskStateChange" and "status" in call.body:
            task, status = str(call.body.get("task")), str(call.body["status"])
            self.reports.setdefault((task, status), []).append(call)
            self.first_reports.setdefault(status, {}).setdefault(task, call.at_s)
        self._notify()

    def answered(self, call: Call, status: int | None, reply: Any) -> None:
        """``None``: the connection was dropped instead."""
        call.status, call.reply = status, reply
        self._write(call)
        self._notify()

    async def wait(self, look: Callable[[], T | None], what: str, timeout_s: float) -> T:
        """What ``look`` finds, as soon as it finds something. Raises ``TimeoutError`` that says what did arrive."""
        end = time.monotonic() + timeout_s
        while True:
            found = look()
            if found is not None and found is not False:
                return found
            try:
                async with asyncio.timeout(end - time.monotonic()):
                    await self._changed.wait()
            except TimeoutError:
                if time.monotonic() < end:  # the loop is a hurried one
                    continue
                raise TimeoutError(f"{what} did not come within {timeout_s:g} s; last seen: {self._last()}") from None

    def lines(self) -> list[dict[str, Any]]:
        """All of it, in the form of the recordings and in their order."""
        entries: list[Entry] = [*self.calls, *self.frames, *self.connects, *self.closes]
        return [self._line(entry) for entry in sorted(entries, key=lambda entry: entry.n)]

    def _line(self, entry: Entry) -> dict[str, Any]:
        return {"n": entry.n, "t": round(entry.at_s - self._begun_s, 6), **entry.line()}

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _last(self) -> str:
        entries: list[Entry] = [*self.calls[-8:], *self.frames[-8:], *self.connects[-4:], *self.closes[-4:]]
        told = []
        for entry in sorted(entries, key=lambda entry: entry.n)[-12:]:
            match entry:
                case Call():
                    told.append(f"{entry.action} {entry.body.get('status', '')} → {entry.status}")
                case Frame():
                    told.append(f"{entry.kind} {entry.type or entry.text[:40]!r}")
                case Connect():
                    told.append(f"{entry.kind} → {entry.status}")
                case Close():
                    told.append(f"{entry.kind} {entry.code}")
        return "; ".join(told) or "nothing"

    def _write(self, entry: Entry) -> None:
        if self._file is not None:
            self._file.write(json.dumps(self._line(entry)) + "\n")
            self._file.flush()
