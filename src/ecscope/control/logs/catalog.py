"""Log groups and log streams as values, and the records by which they change. Pure.

A change is decided on a draft, saved as its records, and only then published: ``decide`` functions read a ``Catalog``
and give ``Record``s; ``Catalog.with_`` applies them, as the load of a saved catalog does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

DAY_MS = 86_400_000


class LogGroup(msgspec.Struct, frozen=True, kw_only=True, tag="group"):
    """One log group."""

    id: int
    name: str
    created_at_ms: int
    retention_days: int | None = None
    """``None``: its events never expire."""
    tags: Mapping[str, str] = {}
    log_class: str = "STANDARD"
    is_protected: bool = False
    """It must not be deleted."""

    def expired_before_ms(self, now_ms: int) -> int:
        """Events that are older than this are gone."""
        return 0 if self.retention_days is None else max(0, now_ms - self.retention_days * DAY_MS)


class LogStream(msgspec.Struct, frozen=True, kw_only=True, tag="stream"):
    """One log stream."""

    id: int
    """Never used again, also after it is deleted."""
    group_id: int
    name: str
    created_at_ms: int


class Deleted(msgspec.Struct, frozen=True, kw_only=True, tag="deleted"):
    """A group, with all of its streams, or a stream is gone."""

    id: int


class LastId(msgspec.Struct, frozen=True, kw_only=True, tag="last"):
    """The highest ID that was ever given."""

    id: int


Record = LogGroup | LogStream | Deleted | LastId


class Catalog:
    """All groups and streams. A published one never changes."""

    def __init__(self) -> None:
        self.groups: dict[str, LogGroup] = {}
        """By name."""
        self.streams: dict[int, dict[str, LogStream]] = {}
        """Group ID → its streams by name."""
        self.by_id: dict[int, LogGroup | LogStream] = {}
        self.last_id = 0

    def group_of(self, stream_id: int) -> LogGroup | None:
        """``None``: the stream, or its group, is gone."""
        stream = self.by_id.get(stream_id)
        group = self.by_id.get(stream.group_id) if isinstance(stream, LogStream) else None
        return group if isinstance(group, LogGroup) else None

    def copy(self) -> Catalog:
        """To be changed; the streams of a group are copied when they are."""
        made = Catalog()
        made.groups, made.streams, made.by_id = {**self.groups}, {**self.streams}, {**self.by_id}
        made.last_id = self.last_id
        return made

    def apply(self, records: Iterable[Record]) -> None:
        """In their order. One about what is unknown changes nothing."""
        own: set[int] = set()
        for record in records:
            self.last_id = max(self.last_id, record.id)
            match record:
                case LogGroup():
                    self.groups[record.name] = self.by_id[record.id] = record
                    self.streams.setdefault(record.id, {})
                case LogStream() if record.group_id in self.streams:
                    self._own_streams(record.group_id, own)[record.name] = record
                    self.by_id[record.id] = record
                case Deleted():
                    self._delete(record.id, own)
                case _:
                    pass

    def records(self) -> list[Record]:
        """From which a copy can be made."""
        listed: list[Record] = [LastId(id=self.last_id), *self.groups.values()]
        for streams in self.streams.values():
            listed += streams.values()
        return listed

    def _own_streams(self, group_id: int, own: set[int]) -> dict[str, LogStream]:
        if group_id not in own:
            own.add(group_id)
            self.streams[group_id] = {**self.streams[group_id]}
        return self.streams[group_id]

    def _delete(self, record_id: int, own: set[int]) -> None:
        match self.by_id.pop(record_id, None):
            case LogGroup() as group:
                self.groups.pop(group.name, None)
                for stream in self.streams.pop(record_id, {}).values():
                    self.by_id.pop(stream.id, None)
            case LogStream() as stream:
                self._own_streams(stream.group_id, own).pop(stream.name, None)
            case None:
                pass
