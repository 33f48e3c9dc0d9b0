"""A process of ours under measurement: asked by a line on stdin, answers with a line of JSON, ends with its parent."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import ROOT
from bench.needs import Missing

_SHOWN = 400
"""Characters of the log that an error shows."""


class Child:
    """The process, seen from the one that started it."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, question: str = "") -> dict[str, Any]:
        """The members of its answer. Raises ``Missing`` when it has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(f"{question}\n")
            self._process.stdin.flush()
            answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        except (OSError, ValueError):
            raise Missing(f"{self._process.args!r} ended: {self.last_words()}") from None
        return answer

    def last_words(self) -> str:
        """The end of its log, on one line."""
        return " ".join(self._log.read_text(errors="replace").split())[-_SHOWN:]


@contextmanager
def child(module: str, *arguments: str, environment: Mapping[str, str], log: Path) -> Iterator[Child]:
    """``python -m module arguments``; killed and waited for afterwards. ``log`` takes its stderr."""
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        yield Child(process, log)
    finally:
        process.kill()
        with process:
            pass
