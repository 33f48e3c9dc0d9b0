"""What the scripts bring up goes with the last living user of it, and an engine of others is left alone."""

from __future__ import annotations

import os
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

import dockerengine
from dockerengine import MANUAL_LEASE, Unavailable


class RecordingEngine(socketserver.ThreadingUnixStreamServer):
    """An engine that agrees to everything and remembers what it was asked."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), Answer)
        self.asked: list[str] = []


class Answer(BaseHTTPRequestHandler):
    """Any request gives 200 and an empty JSON list."""

    server: RecordingEngine

    def do_GET(self) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"[]")

    do_DELETE = do_GET  # noqa: N815 (the name that http.server looks for)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (as the parent names it)
        """Quiet."""


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of this test's own; no daemon is ever started from it."""
    monkeypatch.setattr(dockerengine, "STATE", tmp_path / "state")
    monkeypatch.setattr(dockerengine, "DATA", tmp_path / "data")
    return tmp_path / "state"


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordingEngine]:
    path = tmp_path / "engine.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with RecordingEngine(path) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_an_engine_that_answers_is_used_as_it_is(state: Path, engine: RecordingEngine) -> None:
    assert dockerengine.ensure(str(os.getpid())).endpoint == os.environ["DOCKER_HOST"]
    assert not (state / "daemon").exists()
    dockerengine.release(str(os.getpid()))
    assert not state.exists()
    assert engine.asked == ["GET /_ping"]


def test_the_image_goes_with_the_last_lease(state: Path, engine: RecordingEngine) -> None:
    dockerengine.ensure(str(os.getpid()))
    dockerengine.note_image("made-by-us:latest")
    dockerengine.ensure(MANUAL_LEASE)
    dockerengine.release(str(os.getpid()))
    assert "DELETE /images/made-by-us:latest" not in engine.asked
    dockerengine.release(MANUAL_LEASE)
    assert "DELETE /images/made-by-us:latest" in engine.asked
    assert not state.exists()


def test_the_lease_of_a_dead_process_does_not_count(state: Path, engine: RecordingEngine) -> None:
    dead = subprocess.Popen(["sleep", "60"])
    dockerengine.ensure(str(dead.pid))
    dockerengine.note_image("made-by-us:latest")
    dead.kill()
    dead.wait()
    dockerengine.ensure(str(os.getpid()))
    dockerengine.release(str(os.getpid()))
    assert "DELETE /images/made-by-us:latest" in engine.asked
    assert not state.exists()


def test_a_lease_is_of_one_process_and_not_of_the_next_with_its_id(state: Path, engine: RecordingEngine) -> None:
    dockerengine.ensure(str(os.getpid()))
    (state / f"lease-{os.getpid()}").write_text("12345")  # start time of another process
    dockerengine.release("0")
    assert not state.exists()


def test_an_image_made_without_a_lease_stays(state: Path, engine: RecordingEngine) -> None:
    dockerengine.note_image("made-by-hand:latest")
    dockerengine.ensure(str(os.getpid()))
    dockerengine.release(str(os.getpid()))
    assert engine.asked == ["GET /_ping"]


def test_releasing_all_drops_every_lease(state: Path, engine: RecordingEngine) -> None:
    dockerengine.ensure(str(os.getpid()))
    dockerengine.ensure(MANUAL_LEASE)
    dockerengine.release(None)
    assert not state.exists()


def test_releasing_twice_or_without_a_lease_is_nothing(state: Path) -> None:
    dockerengine.release(MANUAL_LEASE)
    dockerengine.release(None)
    assert not state.exists()


def test_an_engine_by_tcp_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:2375")
    with pytest.raises(Unavailable) as refused:
        dockerengine.configured()
    assert str(refused.value).count("\n") == 0
    assert "DOCKER_HOST" in str(refused.value)
