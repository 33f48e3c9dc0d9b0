"""Starts the back end as a process of its own and drives it, without a loop: for benches and end-to-end tests."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fake_ecs.observed import DEADLINE_S

ROOT = Path(__file__).resolve().parents[1]


class ControlFailed(Exception):
    """The back end could not do what it was asked; the text is its traceback."""


class BackendProcess:
    """``with BackendProcess() as backend: backend.push_tasks(a_payload_task())``.

    Any method of ``Backend`` goes through ``ask``. It ends with this process, also when this one is killed.
    """

    def __init__(self, *, port: int = 0, record: Path | None = None, arguments: tuple[str, ...] = ()) -> None:
        self._command = [sys.executable, "-m", "fake_ecs", "--until-stdin-ends", "--port", str(port), *arguments]
        if record is not None:
            self._command += ["--record", str(record)]
        self._process: subprocess.Popen[str] | None = None
        self.told: dict[str, Any] = {}
        """What the process said of itself: ``url``, ``control_port``, ``environment``, ``pid``."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ControlFailed(f"{' '.join(self._command)} ended with {self._process.wait()}")
        self.told = json.loads(line)

    def stop(self) -> None:
        """End it in good order. May be called when it has ended."""
        self._end(kill=False)

    def kill(self) -> None:
        """``kill -9``. What it knew is lost, as ECS never loses it: restart with the same port to go on."""
        self._end(kill=True)

    def _end(self, *, kill: bool) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if kill:
            process.kill()
        with process:  # closes its stdin, at which it ends
            pass

    @property
    def url(self) -> str:
        return str(self.told["url"])

    @property
    def pid(self) -> int:
        return int(self.told["pid"])

    def environment(self) -> dict[str, str]:
        """The variables that lead an agent here."""
        return dict(self.told["environment"])

    def ask(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """A method or attribute of ``Backend``. Raises ``TimeoutError`` as it does, else ``ControlFailed``."""
        limit_s = kwargs.get("timeout_s", DEADLINE_S) + 20.0
        connection = http.client.HTTPConnection("127.0.0.1", int(self.told["control_port"]), timeout=limit_s)
        try:
            connection.request("POST", f"/{name}", json.dumps({"args": args, "kwargs": kwargs}))
            answer = connection.getresponse()
            told = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status == 504:
            raise TimeoutError(told["error"])
        if answer.status != 200:
            raise ControlFailed(told["error"])
        return told["result"]

    def push_each(self, *tasks: Mapping[str, Any]) -> float:
        """One payload per task; when the first of them went out (monotonic)."""
        return float(self.ask("sent_at_s", *self.ask("push_each", *tasks)))

    def reported(self, status: str, count: int, *, timeout_s: float = DEADLINE_S) -> dict[str, float]:
        """Once ``count`` tasks were reported ``status``: task ARN → when its first report arrived (monotonic)."""
        return dict(self.ask("reported", status, count, timeout_s=timeout_s))

    def connected(self, channel: str = "acs", *, count: int = 1, timeout_s: float = DEADLINE_S) -> dict[str, Any]:
        return dict(self.ask("connected", channel, count=count, timeout_s=timeout_s))
