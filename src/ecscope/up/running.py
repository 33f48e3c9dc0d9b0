"""The running ``ecscope up`` as other commands find it: ``up.json`` in its data directory, and what a shell exports.

The file is written when everything answers and removed at the end. One that a killed process left behind is not
believed: the lock of the data directory decides whether one is running.
"""

from __future__ import annotations

import http.client
import shlex
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from ecscope.owned_files import UnsafeFile, read_owned, write_owned
from ecscope.sqlitefile.lock import holder_of

_NAME = "up.json"
_ANSWER_S = 5.0
_LOOK_S = 0.1

# The variables by which the AWS CLI and SDKs find endpoints. Source: AWS SDKs and Tools Reference Guide,
# "Service-specific endpoints".
ENDPOINT_OF_ALL = "AWS_ENDPOINT_URL"
ENDPOINTS_OF_OURS = ("AWS_ENDPOINT_URL_ECS", "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS")
"""Of the services that are ecscope's own."""


class NotRunning(Exception):
    """No usable ``up`` is running; the message says what to do."""


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A running ``ecscope up``."""

    pid: int
    url: str
    """Of the API."""
    region: str
    cluster: str
    access_key_id: str
    """Of the administrator."""
    secret_access_key: str

    def __repr__(self) -> str:
        return f"Running({self.pid}, {self.url})"


def publish(data_dir: Path, running: Running) -> None:
    """Let other commands of this user find it. Raises ``OSError``."""
    write_owned(data_dir / _NAME, msgspec.json.encode(running))


def withdraw(data_dir: Path) -> None:
    """Remove it, so that it is not found any more. May be repeated."""
    (data_dir / _NAME).unlink(missing_ok=True)


def find(data_dir: Path) -> Running:
    """The one that uses this data directory and answers. Raises ``NotRunning``, or ``UnsafeFile``."""
    start = f"start it with `ecscope up{'' if data_dir == default_data_dir() else f' --data-dir {data_dir}'}`"
    holder = holder_of(data_dir)
    if holder is None:
        raise NotRunning(f"no `ecscope up` runs with the data directory {data_dir}: {start}, or give --data-dir")
    try:
        running = msgspec.json.decode(read_owned(data_dir / _NAME, is_secret=True), type=Running)
    except UnsafeFile:
        raise
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        running = None
    if running is None or running.pid != holder:
        raise NotRunning(f"`ecscope up` (process {holder}) is starting or ending: try again in a moment")
    return running


def unreadiness(data_dir: Path) -> str:
    """What the one that uses this data directory still waits for; ``""``: nothing, all is there.

    Raises ``NotRunning`` where there is none, or ``UnsafeFile``.
    """
    running = find(data_dir)
    host, _, port = running.url.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=_ANSWER_S)
    try:
        connection.request("GET", "/health", headers={"Connection": "close"})
        answer = connection.getresponse()
        body = answer.read(1000)
    except (OSError, http.client.HTTPException) as error:
        return f"{running.url} does not answer: {error}"
    finally:
        connection.close()
    if answer.status == http.client.OK:
        return ""
    try:
        return msgspec.json.decode(body, type=dict[str, str])["status"]
    except (msgspec.DecodeError, KeyError):
        return f"{running.url} answers with status {answer.status}"


def await_ready(data_dir: Path, *, timeout_s: float, has_failed: Callable[[], bool] = lambda: False) -> str:
    """Wait until all is there; ``""``: it is, else why it is not.

    Ends early where ``has_failed`` says so, or where one that was there has ended. Raises ``UnsafeFile``.
    """
    end_s = time.monotonic() + timeout_s
    was_there = False
    while True:
        try:
            missing = unreadiness(data_dir)
        except NotRunning as problem:
            missing = str(problem)
        if not missing:
            return ""
        is_there = holder_of(data_dir) is not None
        if has_failed() or time.monotonic() >= end_s or (was_there and not is_there):
            return missing
        was_there |= is_there
        time.sleep(_LOOK_S)


def await_end(data_dir: Path, *, timeout_s: float) -> bool:
    """Wait until nobody uses this data directory; whether that came to be."""
    end_s = time.monotonic() + timeout_s
    while holder_of(data_dir) is not None:
        if time.monotonic() >= end_s:
            return False
        time.sleep(_LOOK_S)
    return True


def default_data_dir() -> Path:
    """Where ``up`` keeps its state unless ``--data-dir`` names another place."""
    return Path.home() / ".ecscope"


def exports(running: Running, *, every_service: bool = False) -> str:
    """Lines for a POSIX shell.

    ``every_service``: the calls of all services go here, also those that ecscope leaves to moto.
    """
    url = shlex.quote(running.url)
    endpoints = (ENDPOINT_OF_ALL, *ENDPOINTS_OF_OURS) if every_service else ENDPOINTS_OF_OURS
    region = shlex.quote(running.region)
    lines = [
        *(f"export {name}={url}" for name in endpoints),
        f"export AWS_REGION={region} AWS_DEFAULT_REGION={region}",
        f"export AWS_ACCESS_KEY_ID={shlex.quote(running.access_key_id)}",
        f"export AWS_SECRET_ACCESS_KEY={shlex.quote(running.secret_access_key)}",
        "unset AWS_SESSION_TOKEN AWS_PROFILE",
    ]
    return "\n".join(lines) + "\n"
