"""The lines that Docker has of a container, over its API: what was written until now, and what is written from now on.

Blocking: each container that is followed has a thread of its own.

Source: Docker Engine API, ``/containers/{id}/logs``; engine.md.
"""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator, Mapping
from datetime import datetime
from urllib.parse import quote, urlencode

import msgspec

from ecscope.agent.runtime.docker.endpoint import Endpoint
from ecscope.agent.runtime.docker.log_frames import frames
from ecscope.model.docker_time import parse_docker_time

_CALL_S = 10.0
_CHUNK = 64 * 1024
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


class DockerProblem(Exception):
    """Docker does not answer, or refuses; the message is for the user."""


class Line(msgspec.Struct, frozen=True):
    """One line of a container."""

    at_ns: int
    """Since the epoch."""
    text: bytes
    """Without its end."""


class LoggedContainer(msgspec.Struct, frozen=True, kw_only=True):
    """What Docker says about a container."""

    id: str
    is_running: bool
    has_tty: bool
    driver: str
    options: Mapping[str, str]


class Frames:
    """Lines out of the bytes of an answer, in whatever pieces they come. No socket is here."""

    def __init__(self, *, has_tty: bool) -> None:
        """``has_tty``: the bytes come without frames."""
        self._has_tty = has_tty
        self._rest = b""
        self._open: dict[int, Line] = {}
        """Of which the end has not come yet, by output."""

    def feed(self, data: bytes) -> Iterator[Line]:
        """All lines that are complete now."""
        self._rest += data
        if self._has_tty:
            *whole, self._rest = self._rest.split(b"\n")
            for written in whole:
                yield _stamped(written.removesuffix(b"\r"))
            return
        found, self._rest = frames(self._rest)
        for output, content in found:
            line = _stamped(content)
            begun = self._open.pop(output, None)
            if begun is not None:
                line = Line(begun.at_ns, begun.text + line.text)  # Docker splits lines of more than 16 KiB
            if content.endswith(b"\n"):
                yield Line(line.at_ns, line.text.removesuffix(b"\n").removesuffix(b"\r"))
            else:
                self._open[output] = line

    def finish(self) -> Iterator[Line]:
        """What has no end, and will not get one."""
        if self._has_tty and self._rest:
            yield _stamped(self._rest)
        yield from self._open.values()
        self._rest, self._open = b"", {}


def _stamped(content: bytes) -> Line:
    stamp, _, text = content.partition(b" ")
    at_ns = nanoseconds(stamp.decode("ascii", "replace"))
    return Line(at_ns, text) if at_ns is not None else Line(0, content)


def nanoseconds(stamp: str) -> int | None:
    """Of Docker's time text; ``None``: it is none."""
    moment = parse_docker_time(stamp)
    if moment is None:
        return None
    since = moment - _EPOCH
    fraction = stamp.partition(".")[2].rstrip("Z")[:9] if "." in stamp else ""
    digits = fraction if fraction.isdigit() else ""
    return (since.days * 86400 + since.seconds) * 10**9 + int(digits.ljust(9, "0"))


class DockerLogs:
    """One engine."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def inspect(self, container: str) -> LoggedContainer | None:
        """``None``: Docker does not have it any more. Raises ``DockerProblem``."""
        status, body = self._call(f"/containers/{quote(container, safe='')}/json")
        if status == http.client.NOT_FOUND:
            return None
        if status != http.client.OK:
            raise DockerProblem(_refusal(body))
        found = msgspec.json.decode(body, type=_Inspected)
        return LoggedContainer(
            id=found.id,
            is_running=found.state.running,
            has_tty=found.config.tty,
            driver=found.host_config.log_config.type,
            options=found.host_config.log_config.config or {},
        )

    def lines(
        self, container: LoggedContainer, *, since_ns: int = 0, tail: int | None = None, follows: bool = False
    ) -> Iterator[Line]:
        """From ``since_ns`` on. Raises ``DockerProblem``, also for a log driver that cannot be read.

        Args:
            tail: only so many of the newest ones at first; ``None``: all.
            follows: go on until the container stops.
        """
        query = {
            "stdout": 1,
            "stderr": 1,
            "timestamps": 1,
            "follow": int(follows),
            "tail": "all" if tail is None else tail,
            "since": f"{since_ns // 10**9}.{since_ns % 10**9:09d}",
        }
        connection = self._connect(None if follows else _CALL_S)
        try:
            connection.request("GET", f"/containers/{container.id}/logs?{urlencode(query)}", headers={"Host": "docker"})
            answer = connection.getresponse()
            if answer.status != http.client.OK:
                raise DockerProblem(_refusal(answer.read(_CHUNK)))
            lines = Frames(has_tty=container.has_tty)
            while data := answer.read1(_CHUNK):
                yield from lines.feed(data)
            yield from lines.finish()
        except (OSError, http.client.HTTPException) as error:
            raise DockerProblem(self._no_answer(error)) from error
        finally:
            connection.close()

    def _call(self, path: str) -> tuple[int, bytes]:
        connection = self._connect(_CALL_S)
        try:
            connection.request("GET", path, headers={"Host": "docker"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise DockerProblem(self._no_answer(error)) from error
        finally:
            connection.close()

    def _connect(self, timeout_s: float | None) -> http.client.HTTPConnection:
        if self._endpoint.socket_path:
            return _UnixConnection(self._endpoint.socket_path, timeout_s)
        host, _, port = self._endpoint.base_url.removeprefix("http://").rpartition(":")
        return http.client.HTTPConnection(host.strip("[]"), int(port), timeout=timeout_s)

    def _no_answer(self, error: Exception) -> str:
        reason = (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__
        return f"Docker does not answer at {self._endpoint.text} ({reason}): start it, or set DOCKER_HOST"


class _LogConfig(msgspec.Struct, rename="pascal"):
    type: str = ""
    config: dict[str, str] | None = None


class _HostConfig(msgspec.Struct, rename="pascal"):
    log_config: _LogConfig


class _Config(msgspec.Struct, rename="pascal"):
    tty: bool = False


class _State(msgspec.Struct, rename="pascal"):
    running: bool = False


class _Inspected(msgspec.Struct, rename="pascal"):
    id: str
    state: _State
    config: _Config
    host_config: _HostConfig


class _Refusal(msgspec.Struct):
    message: str = ""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float | None) -> None:
        super().__init__("docker", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _refusal(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Refusal).message or "Docker refuses without a reason"
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return "Docker answers with something else than JSON"
