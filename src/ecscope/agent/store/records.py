"""Rows of the state file: how values become rows and rows become values. No I/O.

Every body is JSON text, so that people can read it with ``sqlite3``, and carries a checksum
``<kind>:<CRC-32>``, so that a flipped bit is noticed. A body names its own key, so a row whose
key column is damaged is still good. ``revision`` counts saves: of two copies of a record found in
a damaged file, the higher one is the newer.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum
from typing import NamedTuple

import msgspec

from ecscope.agent.store import older_history
from ecscope.agent.store.interface import Batch, StoreError
from ecscope.model.history import AnyHappening, Detail, HistoryEntry
from ecscope.model.task import ImageRecord, Task, TaskSource
from ecscope.sqlitefile.checksum import checksum_of
from ecscope.sqlitefile.errors import UnreadableRecord


class Kind(Enum):
    """What a record is. The value is part of its checksum and of file names: never rename one."""

    TASK = "task"
    IMAGE = "image"
    SOURCE = "source"
    METADATA = "metadata"

    @property
    def table(self) -> str:
        return _TABLES[self][0]

    @property
    def key_column(self) -> str:
        return _TABLES[self][1]


_TABLES = {
    Kind.TASK: ("tasks", "arn"),
    Kind.IMAGE: ("images", "name"),
    Kind.SOURCE: ("sources", "key"),
    Kind.METADATA: ("metadata", "key"),
}

HISTORY = "history"
"""The kind in the checksum of a history entry."""


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """One pair of ``Batch.metadata``, as its body is stored."""

    key: str
    value: str


Record = Task | ImageRecord | TaskSource | Metadata


class StateRow(NamedTuple):
    """One row of ``tasks``, ``images``, ``sources`` or ``metadata``."""

    kind: Kind
    key: str
    revision: int
    body: str
    checksum: str
    position: int | None = None
    """Order of tasks; ``None``: at the end."""


class HistoryRow(NamedTuple):
    """One row of ``history`` without its ``id``."""

    at: str
    """``YYYY-MM-DDTHH:MM:SS.ffffffZ``, which sorts as text."""
    event_id: str
    task_arn: str
    container_name: str
    happening: str
    cause: str
    text: str
    detail: str
    """The happening as a JSON object, its kind in ``type``. ``happening`` and ``text`` say the same to people."""
    checksum: str

    @property
    def size(self) -> int:
        """What it counts towards the bound of size: the characters of its columns."""
        return sum(map(len, self))


def key_of(record: Record) -> str:
    """The key under which a record is stored."""
    match record:
        case Task():
            return record.arn
        case ImageRecord():
            return record.name
        case TaskSource() | Metadata():
            return record.key


def state_row(kind: Kind, key: str, record: Record, revision: int) -> StateRow:
    """The row of a record. Raises ``StoreError`` when it cannot be written as JSON."""
    try:
        body = msgspec.json.encode(record)
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise StoreError(f"the {kind.value} record {key!r} cannot be written as JSON: {error}") from error
    if key != key_of(record):
        raise StoreError(f"the {kind.value} record under the key {key!r} calls itself {key_of(record)!r}")
    return StateRow(kind, key, revision, body.decode(), checksum_of(kind.value, body))


def record_of(kind: Kind, body: object, checksum: object) -> Record:
    """The value of a row, both columns as SQLite gave them (text as ``bytes``).

    Raises ``UnreadableRecord``.
    """
    if not isinstance(body, bytes) or not isinstance(checksum, bytes):
        raise UnreadableRecord("the row holds a number, a blob or nothing where text belongs")
    if checksum.decode("ascii", "replace") != checksum_of(kind.value, body):
        raise UnreadableRecord("its checksum does not match: the text has changed since the agent wrote it")
    try:
        record: Record = msgspec.json.decode(body, type=_TYPES[kind])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableRecord(f"it is not the JSON of a {kind.value} record: {error}") from error
    return record


_TYPES: dict[Kind, type[Record]] = {
    Kind.TASK: Task,
    Kind.IMAGE: ImageRecord,
    Kind.SOURCE: TaskSource,
    Kind.METADATA: Metadata,
}


def moment(at: datetime) -> str:
    """``HistoryRow.at`` of an aware moment."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")


def history_row(entry: HistoryEntry) -> HistoryRow:
    """The row of an entry. Raises ``StoreError`` when it cannot be written."""
    try:
        columns = (
            moment(entry.at),
            entry.event_id,
            entry.task_arn,
            entry.container_name,
            entry.kind,
            entry.cause,
            entry.text,
            msgspec.json.encode(entry.what).decode(),
        )
        return HistoryRow(*columns, checksum_of(HISTORY, *(column.encode() for column in columns)))
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise StoreError(f"the history entry {entry.event_id!r} cannot be written: {error}") from error


def entry_of(columns: tuple[object, ...]) -> HistoryEntry:
    """The entry of a row: the columns of ``HistoryRow`` as SQLite gave them. Raises ``UnreadableRecord``."""
    parts = tuple(column for column in columns if isinstance(column, bytes))
    if len(parts) != len(HistoryRow._fields):
        raise UnreadableRecord("the row holds a number, a blob or nothing where text belongs")
    if parts[-1].decode("ascii", "replace") != checksum_of(HISTORY, *parts[:-1]):
        raise UnreadableRecord("its checksum does not match: the text has changed since the agent wrote it")
    try:
        at, event_id, task_arn, container_name, happening, cause, text, detail, _ = (part.decode() for part in parts)
        return HistoryEntry(
            at=datetime.fromisoformat(at),
            event_id=event_id,
            cause=cause,
            what=_happening(happening, text, detail),
            task_arn=task_arn,
            container_name=container_name,
        )
    except (ValueError, msgspec.MsgspecError) as error:
        raise UnreadableRecord(f"it is not a history entry: {error}") from error


_decode_happening = msgspec.json.Decoder(AnyHappening).decode


def _happening(kind: str, text: str, detail: str) -> AnyHappening:
    """What a row says happened; a row of an older version lacks the tag. Raises ``msgspec.MsgspecError``."""
    if detail.startswith(_TAGGED):
        happening: AnyHappening = _decode_happening(detail)
        return happening
    return older_history.happening_of(kind, text, msgspec.json.decode(detail, type=dict[str, Detail]))


_TAGGED = '{"type":'


class Change(NamedTuple):
    """A ``Batch`` as it was when ``save`` was called: later changes to the batch do not reach it."""

    records: list[tuple[Kind, str, Record | None]]
    """``None`` deletes."""
    history: list[HistoryEntry]


def change_of(batch: Batch) -> Change:
    """Cheap: nothing is encoded yet."""
    records: list[tuple[Kind, str, Record | None]] = []
    records += [(Kind.TASK, key, task) for key, task in batch.tasks.items()]
    records += [(Kind.IMAGE, key, image) for key, image in batch.images.items()]
    records += [(Kind.SOURCE, key, source) for key, source in batch.sources.items()]
    records += [(Kind.METADATA, key, Metadata(key=key, value=value)) for key, value in batch.metadata.items()]
    return Change(records, list(batch.history))
