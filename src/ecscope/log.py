"""Log lines: their fields, their two formats, and where they go.

Standard logging. ``extra={TASK_ARN: …}`` puts a field on a line; the id of the event that is
being handled is put on every line by itself, once ``current_event_id`` is set. The console
(standard error) always gets the lines; a file may get them too, and is rotated.

Nothing is installed by importing this; ``configure_logging`` does it.

Source: configuration.md §3.5; the field names are the official agent's (``ecs-agent/logger/field``).
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from contextvars import ContextVar
from enum import Enum
from io import TextIOWrapper
from typing import TextIO

import msgspec

from ecscope.owned_files import open_owned

EVENT_ID = "eventId"
"""The one id under which an event, its actions, its history and its log lines are found."""
HAPPENING = "happening"
TASK_ARN = "taskARN"
TASK = "task"
"""The ID at the end of the ARN, by which a line can be searched and which `ecscope task` takes."""
FAMILY = "family"
"""``<family>:<revision>``."""
CONTAINER_NAME = "containerName"
DOCKER_ID = "dockerId"

current_event_id: ContextVar[str] = ContextVar("current_event_id", default="")
"""Id of the event that is being handled in this context; ``""``: none."""

_FIRST_OUR_OWN = "ecscope"
_NOTHING = logging.CRITICAL + 1
_BYTES_PER_MB = 1_000_000
_PLAIN = re.compile(r"[A-Za-z0-9_./:+@,*()\[\]-]+")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_LEVEL_NAMES = {
    logging.DEBUG: "debug",
    logging.INFO: "info",
    logging.WARNING: "warn",
    logging.ERROR: "error",
    logging.CRITICAL: "critical",
}


class LogLevel(Enum):
    """``ECS_LOGLEVEL``: the least important lines that are written."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"
    CRIT = "crit"
    NONE = "none"
    """No line at all."""

    @property
    def number(self) -> int:
        """As ``logging`` counts."""
        return _NUMBERS[self]


_NUMBERS = {
    LogLevel.DEBUG: logging.DEBUG,
    LogLevel.INFO: logging.INFO,
    LogLevel.WARN: logging.WARNING,
    LogLevel.ERROR: logging.ERROR,
    LogLevel.CRIT: logging.CRITICAL,
    LogLevel.NONE: _NOTHING,
}


class LogFormat(Enum):
    """``ECS_LOG_OUTPUT_FORMAT``."""

    LOGFMT = "logfmt"
    JSON = "json"


class LogRollover(Enum):
    """``ECS_LOG_ROLLOVER_TYPE``: when the log file is rotated."""

    SIZE = "size"
    HOURLY = "hourly"
    NONE = "none"


class LogFile(msgspec.Struct, frozen=True, kw_only=True):
    """A log file and its rotation."""

    path: str
    level: LogLevel = LogLevel.INFO
    rollover: LogRollover = LogRollover.SIZE
    max_size_mb: float = 5.0
    """For ``SIZE``; one MB is 1,000,000 bytes."""
    max_roll_count: int = 24
    """Old files kept beside the current one."""
    is_private: bool = False
    """Only its owner may read it, and the old ones."""


def configure_logging(
    *,
    level: LogLevel = LogLevel.INFO,
    log_format: LogFormat = LogFormat.LOGFMT,
    file: LogFile | None = None,
    stream: TextIO | None = None,
    program: str = "",
) -> None:
    """Send all lines to the console (``stream``, standard error by default) and to ``file``.

    ``program``: the console is read by a person, who gets only the messages, behind this name.

    Replaces what an earlier call installed. A file that cannot be written costs one line on the
    console and nothing else.
    """
    root = logging.getLogger()
    formatter = LogfmtFormatter() if log_format is LogFormat.LOGFMT else JsonFormatter()
    for old in [handler for handler in root.handlers if isinstance(handler.formatter, _FieldFormatter)]:
        root.removeHandler(old)
        old.close()
    # A line that cannot be written (full disk, closed terminal) is lost; it must not become a traceback.
    logging.raiseExceptions = False
    console = SentenceFormatter(program) if program else formatter
    _add(root, logging.StreamHandler(stream or sys.stderr), console, level)
    lowest = level.number
    problem: OSError | None = None
    if file is not None and file.level is not LogLevel.NONE:
        try:
            _add(root, _file_handler(file), formatter, file.level)
            lowest = min(lowest, file.level.number)
        except OSError as error:
            problem = error
    logging.getLogger(_FIRST_OUR_OWN).setLevel(lowest)
    # Libraries log at INFO what only their authors need.
    root.setLevel(max(lowest, logging.WARNING))
    if problem is not None:
        logging.getLogger("ecscope.log").error(
            "cannot write the log file, going on with the console alone: %s.%s",
            problem,
            "" if program else " Set ECS_LOGFILE to a path that can be written, or leave it out",
        )


class _FieldFormatter(logging.Formatter):
    """Takes a record apart into ordered fields; the subclasses write them."""

    def fields(self, record: logging.LogRecord) -> dict[str, object]:
        """Level, time, message, module, then the record's own fields, the event id among them."""
        seconds = int(record.created)
        milliseconds = int((record.created - seconds) * 1000)
        fields: dict[str, object] = {
            "level": _LEVEL_NAMES.get(record.levelno, record.levelname.lower()),
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{milliseconds:03d}Z",
            "msg": record.getMessage(),
            "module": record.name.removeprefix(f"{_FIRST_OUR_OWN}."),
        }
        own = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        event_id = own.pop(EVENT_ID, None) or current_event_id.get()
        if event_id:
            fields[EVENT_ID] = event_id
        fields.update(own)
        if record.exc_info and record.exc_info[0] is not None:
            fields["traceback"] = self.formatException(record.exc_info)
        return fields


class LogfmtFormatter(_FieldFormatter):
    """``level=info time=… msg="…" module=engine eventId=…``, one line whatever the values hold."""

    def format(self, record: logging.LogRecord) -> str:
        return " ".join(f"{name}={_logfmt_value(value)}" for name, value in self.fields(record).items())


class JsonFormatter(_FieldFormatter):
    """The same fields as one JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {name: _json_value(value) for name, value in self.fields(record).items()}
        return msgspec.json.encode(fields).decode()


class SentenceFormatter(_FieldFormatter):
    """``<program>: message``, one line whatever it holds; of an exception its last line only."""

    def __init__(self, program: str) -> None:
        super().__init__()
        self._program = program

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if record.exc_info and record.exc_info[0] is not None:
            text += ": " + self.formatException(record.exc_info).splitlines()[-1]
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
        return f"{self._program}: {_json_value(text)}"


def _logfmt_value(value: object) -> str:
    text = _json_value(value)
    if isinstance(text, str):
        return text if _PLAIN.fullmatch(text) else msgspec.json.encode(text).decode()
    return msgspec.json.encode(text).decode()


def _json_value(value: object) -> str | int | float | bool | None:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value.value) if isinstance(value, Enum) else str(value)
    # File names may contain bytes that are not valid text; a log line must be valid text.
    return text.encode("utf-8", "backslashreplace").decode()


def _add(root: logging.Logger, handler: logging.Handler, formatter: logging.Formatter, level: LogLevel) -> None:
    handler.setFormatter(formatter)
    handler.setLevel(level.number)
    root.addHandler(handler)


def _file_handler(file: LogFile) -> logging.Handler:
    from pathlib import Path  # noqa: PLC0415 - only where a file is asked for

    Path(file.path).parent.mkdir(parents=True, exist_ok=True)
    if file.rollover is LogRollover.NONE:
        return _opened(logging.FileHandler(file.path, encoding="utf-8", delay=True), file)
    from logging import handlers  # noqa: PLC0415 - heavy (sockets, queues), and only for rotated files

    if file.rollover is LogRollover.SIZE:
        handler: logging.FileHandler = handlers.RotatingFileHandler(
            file.path,
            maxBytes=max(1, int(file.max_size_mb * _BYTES_PER_MB)),
            backupCount=max(1, file.max_roll_count),
            encoding="utf-8",
            delay=True,
        )
    else:
        handler = handlers.TimedRotatingFileHandler(
            file.path, when="H", backupCount=max(1, file.max_roll_count), encoding="utf-8", utc=True, delay=True
        )
    return _opened(handler, file)


def _opened(handler: logging.FileHandler, file: LogFile) -> logging.FileHandler:
    """Raises ``OSError`` now, and not at the first line."""
    if file.is_private:
        handler._open = lambda: open_private(file.path)  # type: ignore[method-assign]  # for the files of rotation too
    handler.stream = handler._open()
    return handler


def open_private(path: str, *, errors: str = "strict") -> TextIOWrapper:
    """To append text to; only the owner may read it, even if the file existed before.

    ``errors``: as of ``open``. Raises ``UnsafeFile`` for a link, or for what is not this user's, and ``OSError``.
    """
    descriptor = open_owned(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, may_be_shared=True)
    try:
        os.fchmod(descriptor, 0o600)
        return open(descriptor, "a", encoding="utf-8", errors=errors)  # noqa: PTH123 - it is a descriptor
    except BaseException:
        os.close(descriptor)
        raise
