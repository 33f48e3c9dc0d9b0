"""One session of a live tail: which events it is shown, and how many of them each second. No socket is here.

Source: CloudWatch Logs API Reference, StartLiveTail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from ecscope.control.core.errors import ApiError
from ecscope.control.core.records import Json
from ecscope.control.logs.actions import Logs, Place, no_such_group
from ecscope.control.logs.catalog import Catalog, LogStream
from ecscope.control.logs.patterns import Matches, compiled
from ecscope.control.logs.store import Written

MOST_EVENTS = 500
"""Of one update; of more, a sample is shown."""
LONGEST_S = 3 * 3600.0
EVERY_S = 1.0


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a session asks for."""

    groups: Mapping[int, str]
    """Group ID → its identifier, as it is shown."""
    names: frozenset[str] | None
    prefixes: tuple[str, ...] | None
    matches: Matches | None


def wanted_of(logs: Logs, body: Json) -> Wanted:
    """Raises ``ApiError``."""
    names, prefixes = body.get("logStreamNames"), body.get("logStreamNamePrefixes")
    identifiers: Sequence[str] = body["logGroupIdentifiers"]
    if names and prefixes:
        raise ApiError(
            "InvalidParameterException", "Only one of logStreamNames and logStreamNamePrefixes can be specified."
        )
    if (names or prefixes) and len(identifiers) > 1:
        raise ApiError(
            "InvalidParameterException", "Log streams can be specified only together with a single log group."
        )
    groups = {}
    for identifier in identifiers:
        group = logs.store.catalog.groups.get(logs.place.name_in(identifier))
        if group is None:
            raise no_such_group()
        groups[group.id] = _identifier(logs.place, group.name)
    return Wanted(
        groups=groups,
        names=frozenset(names) if names else None,
        prefixes=tuple(prefixes) if prefixes else None,
        matches=compiled(body.get("logEventFilterPattern", "")),
    )


def _identifier(place: Place, name: str) -> str:
    return f"{place.account}:{name}"


class Session:
    """Gathers what is written between two updates."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._events: list[Json] = []
        self._seen = 0

    def take(self, written: Written, catalog: Catalog) -> None:
        """A batch that was just accepted."""
        stream = catalog.by_id.get(written.batch.stream_id)
        if not isinstance(stream, LogStream) or not self._is_wanted(stream):
            return
        group = self._wanted.groups[stream.group_id]
        for timestamp, message in zip(written.batch.timestamps, written.batch.messages, strict=True):
            if self._wanted.matches is None or self._wanted.matches(message):
                self._seen += 1
                if len(self._events) < MOST_EVENTS:
                    self._events.append(
                        {
                            "logStreamName": stream.name,
                            "logGroupIdentifier": group,
                            "message": message,
                            "timestamp": timestamp,
                            "ingestionTime": written.batch.ingested_ms,
                        }
                    )

    def update(self) -> Json:
        """What an update says, of all since the last one."""
        events, is_sampled = self._events, self._seen > MOST_EVENTS
        self._events, self._seen = [], 0
        return {"sessionMetadata": {"sampled": is_sampled}, "sessionResults": events}

    def _is_wanted(self, stream: LogStream) -> bool:
        wanted = self._wanted
        return (
            stream.group_id in wanted.groups
            and (wanted.names is None or stream.name in wanted.names)
            and (wanted.prefixes is None or stream.name.startswith(wanted.prefixes))
        )
