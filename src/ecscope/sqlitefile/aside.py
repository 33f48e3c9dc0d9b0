"""Putting records and files that cannot be read where a person can look at them."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ecscope.owned_files import check_directory

DIRECTORY_NAME = "set-aside"


def put_record_aside(data_dir: Path, *, kind: str, key: str, body: object, reason: str) -> Path:
    """Write a record to ``<data dir>/set-aside/<utc time>-<kind>-<task id or key>.json``.

    Durable when it returns. Raises ``OSError``.
    """
    directory = data_dir / DIRECTORY_NAME
    directory.mkdir(mode=0o700, exist_ok=True)
    check_directory(directory, may_be_link=False)
    now = datetime.now(UTC)
    name = key.rsplit("/", 1)[-1] if kind == "task" else key
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("_")[-100:] or "without-key"
    content = {
        "kind": kind,
        "key": key,
        "reason": reason,
        "setAsideAt": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "body": body.decode("utf-8", "backslashreplace") if isinstance(body, bytes) else repr(body),
    }
    text = msgspec.json.format(msgspec.json.encode(content), indent=2)
    path = unused(directory / f"{stamp(now)}-{kind}-{name}", ".json")
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(text + b"\n")
            file.flush()
            os.fsync(file.fileno())
        sync_directory(directory)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return path


def stamp(at: datetime) -> str:
    """A moment as part of a file name."""
    return at.strftime("%Y%m%dT%H%M%SZ")


def unused(path: Path, suffix: str = "") -> Path:
    """``path`` + ``suffix``, with a number between them when that is taken."""
    candidate = path.with_name(path.name + suffix)
    number = 2
    while os.path.lexists(candidate):
        candidate = path.with_name(f"{path.name}-{number}{suffix}")
        number += 1
    return candidate


def sync_directory(directory: Path) -> None:
    """Make created and renamed names in it durable."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
