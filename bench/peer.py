"""The other agent: what it serves, which process it is, and how it is made to start tasks."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request

from bench import processes
from bench.needs import Missing


class Peer:
    """An agent behind ``url``, the base of its port 51678. Raises ``ValueError`` for a URL that is none."""

    def __init__(self, url: str, *, tasks_url: str | None = None) -> None:
        parts = urllib.parse.urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"--peer {url}: write a URL such as http://127.0.0.1:51678")
        self.host = parts.hostname
        self.port = parts.port or 51678
        self.url = f"http://{parts.netloc.rpartition('@')[2].rpartition(':')[0] or self.host}:{self.port}"
        self.tasks_url = tasks_url
        self._pid: int | None = None

    @property
    def pid(self) -> int | None:
        """Its process, where it runs on this machine; ask before ours is started, or ours would listen as well."""
        if self._pid is None:
            self._pid = processes.listener(self.port)
        return self._pid

    def tasks(self) -> list[dict[str, object]]:
        """What it says of its tasks. Raises ``Missing`` when it does not answer."""
        answer: dict[str, list[dict[str, object]] | None] = json.loads(self.get("/v1/tasks"))
        return answer["Tasks"] or []

    def get(self, target: str) -> bytes:
        """Raises ``Missing`` when it does not answer."""
        try:
            with urllib.request.urlopen(self.url + target, timeout=10) as answer:
                content: bytes = answer.read()
                return content
        except OSError as error:
            raise Missing(
                f"the peer does not answer: {self.url}{target}: {error}; start it, or leave --peer out"
            ) from None

    def start_tasks(self, count: int, kind: str) -> None:
        """``sleep``: run until stopped; ``true``: end at once. Returns when it has been told."""
        self._send("POST", f"?count={count}&kind={kind}")

    def stop_tasks(self) -> None:
        """Asks for it and does not wait."""
        self._send("DELETE", "")

    def grow_to(self, count: int, limit_s: float = 300.0) -> None:
        """Have at least that many tasks in state, the new ones ended."""
        missing = count - len(self.tasks())
        if missing > 0:
            self.start_tasks(missing, "true")
        end = time.monotonic() + limit_s
        while len(tasks := self.tasks()) < count or any(
            task["KnownStatus"] not in ("RUNNING", "STOPPED") for task in tasks
        ):
            if time.monotonic() > end:
                raise Missing(f"the peer has {len(tasks)} tasks, not the {count} it was told to start")
            time.sleep(0.5)
        time.sleep(2)  # until it has reported them

    def _send(self, method: str, query: str) -> None:
        assert self.tasks_url is not None
        request = urllib.request.Request(self.tasks_url + query, method=method, data=b"" if method == "POST" else None)
        with urllib.request.urlopen(request, timeout=30):
            pass
