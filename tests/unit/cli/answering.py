"""A small real HTTP server that answers as it is told: with recorded answers, or with nonsense."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CAPTURES = Path(__file__).parents[2] / "fixtures" / "official-agent" / "introspection"


class Answers:
    """Target → (status, body). Any other target is answered with 404 and an empty task, as an agent does."""

    def __init__(self, answers: dict[str, tuple[int, bytes]] | None = None) -> None:
        self.by_target = answers or {}
        self.asked: list[str] = []
        self.endpoint = ""

    def tasks(self, *tasks: dict[str, object]) -> None:
        """List these tasks."""
        self.by_target["/v1/tasks"] = (200, json.dumps({"Tasks": tasks}).encode())


def captured(name: str) -> tuple[int, bytes]:
    """Status and body of a recorded answer of the official agent."""
    _, answer = (CAPTURES / f"{name}.txt").read_bytes().split(b"\n", 1)
    head, body = answer.split(b"\r\n\r\n", 1)
    return int(head.split()[1]), body


def official_agent() -> Answers:
    """The official agent in the moment of the recordings."""
    answers = Answers({"/v1/metadata": captured("metadata"), "/v1/tasks": captured("tasks")})
    for name in ("tasks-by-arn-running", "tasks-by-dockerid-8"):
        command = (CAPTURES / f"{name}.txt").read_text().splitlines()[0]
        target = command.split(":51678")[1].strip("'")
        answers.by_target[target] = captured(name)
    return answers


@contextmanager
def serving(answers: Answers) -> Iterator[Answers]:
    """Serve on a free port of 127.0.0.1 until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answers.asked.append(self.path)
            status, body = answers.by_target.get(self.path, captured("tasks-by-arn-unknown"))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has in the library
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    answers.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield answers
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def answering_once(raw: bytes) -> Iterator[str]:
    """A server that is not an agent: each client gets these bytes and the end. Gives its endpoint."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(raw)

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def nobody() -> str:
    """An endpoint where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def a_task(number: int = 1, **fields: object) -> dict[str, object]:
    """A task as an agent tells it, without containers unless others are given."""
    return {
        "Arn": f"arn:aws:ecs:eu-west-1:012345678910:task/default/{number:032x}",
        "DesiredStatus": "RUNNING",
        "KnownStatus": "RUNNING",
        "Family": "web",
        "Version": "1",
        "Containers": [],
        **fields,
    }


def a_container(number: int = 1, **fields: object) -> dict[str, object]:
    """A container as an agent tells it."""
    return {
        "DockerId": f"{number:064x}",
        "DockerName": f"ecs-web-1-app-{number:020x}",
        "Name": "app",
        "Image": "sample:1",
        "ImageID": "sha256:" + "ab" * 32,
        **fields,
    }
