"""Rows of the control plane's file: how records become text and text becomes records. No I/O.

A body is JSON, so that people can read it with ``sqlite3``, and names its own key, so that a row whose key column is
damaged is still good.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import msgspec

from ecscope.control.core.records import Cluster, Instance, Service, Task, TaskDefinition, Token
from ecscope.control.store.interface import BadRecord, Changes, Loaded, Prepared
from ecscope.sqlitefile.checksum import checksum_of
from ecscope.sqlitefile.errors import UnreadableRecord

T = TypeVar("T")


class _Row(msgspec.Struct, Generic[T]):
    key: str
    value: T


KINDS = {
    "clusters": "cluster",
    "task_definitions": "task-definition",
    "instances": "container-instance",
    "tasks": "task",
    "services": "service",
    "tokens": "client-token",
    "account_settings": "account-setting",
    "meta": "meta",
}
"""Table → what a record of it is called in checksums and file names: never rename one."""

_DECODERS: Mapping[str, msgspec.json.Decoder[_Row[Any]]] = {
    "clusters": msgspec.json.Decoder(_Row[Cluster]),
    "task_definitions": msgspec.json.Decoder(_Row[TaskDefinition]),
    "instances": msgspec.json.Decoder(_Row[Instance]),
    "tasks": msgspec.json.Decoder(_Row[Task]),
    "services": msgspec.json.Decoder(_Row[Service]),
    "tokens": msgspec.json.Decoder(_Row[Token]),
    "account_settings": msgspec.json.Decoder(_Row[str]),
    "meta": msgspec.json.Decoder(_Row[str | int]),
}
_encoder = msgspec.json.Encoder()


def prepared(changes: Changes) -> Prepared:
    """Raises ``TypeError``, ``ValueError`` or ``OverflowError`` for what is not JSON."""
    return {
        (table, key): None if value is None else _encoder.encode(_Row(key, value)).decode()
        for table, rows in changes.items()
        for key, value in rows.items()
    }


def checksum(table: str, body: str) -> str:
    return checksum_of(KINDS[table], body.encode())


def decoded(table: str, body: object, checksum: object) -> tuple[str, Any]:
    """Key and value of a row, both columns as SQLite gave them (text as ``bytes``). Raises ``UnreadableRecord``."""
    if not isinstance(body, bytes) or not isinstance(checksum, bytes):
        raise UnreadableRecord("the row holds a number, a blob or nothing where text belongs")
    if checksum.decode("ascii", "replace") != checksum_of(KINDS[table], body):
        raise UnreadableRecord("its checksum does not match: the text has changed since the control plane wrote it")
    try:
        row = _DECODERS[table].decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableRecord(f"it is not the JSON of a {KINDS[table]} record: {error}") from error
    return row.key, row.value


def loaded(tables: Mapping[str, Mapping[str, Any]], bad: list[BadRecord]) -> Loaded:
    """From table → key → value."""
    return Loaded(
        clusters=tuple(tables["clusters"].values()),
        task_definitions=tuple(tables["task_definitions"].values()),
        instances=tuple(tables["instances"].values()),
        tasks=tuple(tables["tasks"].values()),
        services=tuple(tables["services"].values()),
        tokens=tables["tokens"],
        account_settings=tables["account_settings"],
        meta=tables["meta"],
        bad=tuple(bad),
    )
