"""The audit log: who asked for which task's credentials.

Source: task-metadata-api.md §5.
"""

from __future__ import annotations

import logging
import sys
from datetime import datetime
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

from ecscope.log import open_private
from ecscope.model.credentials import RoleType

_log = logging.getLogger("ecscope.audit")

LARGEST_BYTES = 5_000_000
OLD_FILES = 24
_VERSION = "2"
_ESCAPED = {"\\": "\\\\", '"': '\\"'}
_EVENTS = {RoleType.TASK_APPLICATION: "GetCredentials", RoleType.TASK_EXECUTION: "GetCredentialsExecutionRole"}


def line(
    *,
    at: datetime,
    status: int,
    remote: str,
    path: str,
    user_agent: str,
    task_arn: str = "",
    role_type: RoleType | None = None,
    cluster: str = "",
    instance_arn: str = "",
) -> str:
    """One line, without its end. ``remote``: address and port; ``path``: without the query.

    Difference: where no credentials were given out the official agent's line ends with a blank.
    """
    if path.startswith("/v2/credentials/"):
        path = "/v2/credentials"  # what follows is the secret
    fields = [at.strftime("%Y-%m-%dT%H:%M:%SZ"), str(status), remote, _quoted(path), _quoted(user_agent), task_arn]
    if role_type is not None:
        fields += [_EVENTS[role_type], _VERSION, cluster, instance_arn]
    return " ".join(field or "-" for field in fields)


def _quoted(text: str) -> str:
    """What a client sends must not look like another field, or another line."""
    escaped = (_ESCAPED.get(c) or (c if c.isprintable() else f"\\u{ord(c):04x}") for c in text)
    return f'"{"".join(escaped)}"'


class AuditLog:
    """Writes the lines to a separate file, which only its owner can read, and to the agent's log."""

    def __init__(self, path: Path | None) -> None:
        """``None``: to neither. A file that cannot be opened is logged once; requests are served all the same."""
        self._is_on = path is not None
        self._handler: RotatingFileHandler | None = None
        if path is not None:
            try:
                self._handler = _handler(path)
            except OSError as error:
                _log.warning(
                    "requests for credentials are in no audit log: %s: %s; ECS_AUDIT_LOGFILE names another file",
                    path,
                    error.strerror,
                )

    def write(self, line: str) -> None:
        """Never raises."""
        if not self._is_on:
            return
        _log.info("%s", line)
        if self._handler is not None:
            self._handler.emit(logging.makeLogRecord({"msg": line}))

    def close(self) -> None:
        """May be repeated."""
        if self._handler is not None:
            self._handler.close()


class _OwnersFile(RotatingFileHandler):
    """Readable by its owner only, also after it was rotated. A full disk costs lines, and is said once."""

    _has_failed = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # the library's name
        if not self._has_failed:
            self._has_failed = True
            _log.warning("lines of the audit log are lost: %s: %s", self.baseFilename, sys.exc_info()[1])
        self.close()

    def _open(self) -> TextIOWrapper:
        return open_private(self.baseFilename, errors="backslashreplace")


def _handler(path: Path) -> RotatingFileHandler:
    return _OwnersFile(path, maxBytes=LARGEST_BYTES, backupCount=OLD_FILES, encoding="utf-8", errors="backslashreplace")
