"""The actions of the Logs API: each takes a checked input, and gives its output or refuses it in AWS's words.

Source: botocore's model of ``logs``; CloudWatch Logs API Reference.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeVar

import msgspec

from ecscope.control.core.errors import ApiError
from ecscope.control.core.records import Json
from ecscope.control.logs.blocks import Block
from ecscope.control.logs.catalog import DAY_MS, Catalog, Deleted, LogGroup, LogStream, Record
from ecscope.control.logs.patterns import compiled
from ecscope.control.logs.positions import (
    backward_token,
    before,
    event_id,
    forward_token,
    page_token,
    read_page_token,
    read_token,
)
from ecscope.control.logs.reading import OVERHEAD_BYTES, PAGE_EVENTS, Page, Query
from ecscope.control.logs.segments import Pending
from ecscope.control.logs.store import LogStore, no_such_stream

RETENTIONS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
)  # fmt: skip
_BATCH_BYTES = 1_048_576
_EVENT_BYTES = 1_048_576
_OLDEST_MS = 14 * DAY_MS
_NEWEST_MS = 2 * 3_600_000
_MOST_TAGS = 50
_DESCRIBED = 50
_ARN = re.compile(r"arn:[^:]+:logs:([^:]*):([^:]*):log-group:([^:*]+)(?::\*|:log-stream:.*)?")
_AFTER = "n/"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Whose the log groups are."""

    region: str
    account: str

    def group_arn(self, name: str) -> str:
        """Without the ``:*`` that AWS writes behind it in one place, and not in the other."""
        return f"arn:aws:logs:{self.region}:{self.account}:log-group:{name}"

    def name_in(self, identifier: str) -> str:
        """Of a group that is given by name or ARN. Raises ``ApiError`` for an ARN of elsewhere."""
        if not identifier.startswith("arn:"):
            return identifier
        found = _ARN.fullmatch(identifier)
        if found is None:
            raise _invalid(f"{identifier} is not the ARN of a log group")
        if (found[1], found[2]) != (self.region, self.account):
            raise no_such_group()
        return found[3]


class Logs(msgspec.Struct, frozen=True):
    """What an action works with."""

    store: LogStore
    place: Place
    now_ms: int


T = TypeVar("T")
Action = Callable[[Logs, Json], Awaitable[Json]]


def no_such_group() -> ApiError:
    return ApiError("ResourceNotFoundException", "The specified log group does not exist.")


def _invalid(message: str) -> ApiError:
    return ApiError("InvalidParameterException", message)


def _refused_by_name(member: str, body: Json) -> None:
    if body.get(member):
        raise _invalid(f"{member} is not available on one machine: ecscope does not implement it.")


def named_group(place: Place, body: Json) -> str:
    """The name of the group that an input is about; ``""``: it names none. Raises ``ApiError``."""
    name, identifier = body.get("logGroupName"), body.get("logGroupIdentifier")
    if name and identifier:
        raise _invalid("Only one of logGroupName and logGroupIdentifier can be specified.")
    return name or (place.name_in(identifier) if identifier else "")


def _group(catalog: Catalog, name: str) -> LogGroup:
    group = catalog.groups.get(name)
    if group is None:
        raise no_such_group()
    return group


def _group_in(logs: Logs, body: Json) -> LogGroup:
    name = named_group(logs.place, body)
    if not name:
        raise _invalid("Either logGroupName or logGroupIdentifier must be specified.")
    return _group(logs.store.catalog, name)


def _stream(catalog: Catalog, group: LogGroup, name: str) -> LogStream:
    stream = catalog.streams[group.id].get(name)
    if stream is None:
        raise no_such_stream()
    return stream


# --- groups -----------------------------------------------------------------------------------------------------


async def create_log_group(logs: Logs, body: Json) -> Json:
    name = body["logGroupName"]
    _refused_by_name("kmsKeyId", body)
    if name.lower().startswith("aws/"):
        raise _invalid("Log groups starting with AWS/ are reserved for AWS.")

    def decide(catalog: Catalog) -> tuple[Sequence[Record], None]:
        if name in catalog.groups:
            raise ApiError("ResourceAlreadyExistsException", "The specified log group already exists")
        group = LogGroup(
            id=catalog.last_id + 1,
            name=name,
            created_at_ms=logs.now_ms,
            tags=body.get("tags", {}),
            log_class=body.get("logGroupClass", "STANDARD"),
            is_protected=body.get("deletionProtectionEnabled", False),
        )
        return [group], None

    await logs.store.change(decide)
    return {}


async def delete_log_group(logs: Logs, body: Json) -> Json:
    def decide(catalog: Catalog) -> tuple[Sequence[Record], None]:
        group = _group(catalog, body["logGroupName"])
        if group.is_protected:
            raise ApiError(
                "ValidationException",
                "The log group is protected from deletion: switch its deletion protection off first.",
            )
        return [Deleted(id=group.id)], None

    await logs.store.change(decide)
    return {}


async def put_log_group_deletion_protection(logs: Logs, body: Json) -> Json:
    name = logs.place.name_in(body["logGroupIdentifier"])
    return await _change_group(logs, name, is_protected=body["deletionProtectionEnabled"])


async def describe_log_groups(logs: Logs, body: Json) -> Json:
    prefix, pattern = body.get("logGroupNamePrefix", ""), body.get("logGroupNamePattern", "")
    if prefix and pattern:
        raise _invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
    listed = body.get("logGroupIdentifiers")
    names = None if listed is None else {logs.place.name_in(each) for each in listed}
    of_class = body.get("logGroupClass")
    catalog = logs.store.catalog
    found = [
        group
        for name, group in catalog.groups.items()
        if name.startswith(prefix)
        and pattern.lower() in name.lower()
        and (names is None or name in names)
        and of_class in (None, group.log_class)
    ]
    shown, more = _page(found, body, lambda group: group.name, most=_DESCRIBED)
    return {"logGroups": [_described_group(logs, group) for group in shown], **more}


async def list_log_groups(logs: Logs, body: Json) -> Json:
    for member in ("dataSources", "fieldIndexNames"):
        _refused_by_name(member, body)
    wanted = [(tag["key"], set(tag.get("values") or ())) for tag in body.get("logGroupTags", ())]
    pattern = body.get("logGroupNamePattern")
    of_class = body.get("logGroupClass")
    found = [
        group
        for group in logs.store.catalog.groups.values()
        if (pattern is None or any(_begins_or_has(group.name, part) for part in pattern.split("|")))
        and of_class in (None, group.log_class)
        and all(key in group.tags and (not values or group.tags[key] in values) for key, values in wanted)
    ]
    shown, more = _page(found, body, lambda group: group.name, most=1000)
    return {
        "logGroups": [
            {
                "logGroupName": group.name,
                "logGroupArn": logs.place.group_arn(group.name),
                "logGroupClass": group.log_class,
            }
            for group in shown
        ],
        **more,
    }


def _begins_or_has(name: str, part: str) -> bool:
    return name.startswith(part[1:]) if part.startswith("^") else part in name


def _described_group(logs: Logs, group: LogGroup) -> Json:
    spans = logs.store.spans
    streams = logs.store.catalog.streams[group.id].values()
    arn = logs.place.group_arn(group.name)
    return {
        "logGroupName": group.name,
        "creationTime": group.created_at_ms,
        **({} if group.retention_days is None else {"retentionInDays": group.retention_days}),
        "metricFilterCount": 0,
        "arn": f"{arn}:*",
        "logGroupArn": arn,
        "logGroupClass": group.log_class,
        "storedBytes": sum(spans[stream.id].size for stream in streams if stream.id in spans),
        "deletionProtectionEnabled": group.is_protected,
    }


async def _change_group(logs: Logs, name: str, **fields: object) -> Json:
    def decide(catalog: Catalog) -> tuple[Sequence[Record], None]:
        return [msgspec.structs.replace(_group(catalog, name), **fields)], None

    await logs.store.change(decide)
    return {}


async def put_retention_policy(logs: Logs, body: Json) -> Json:
    days = body["retentionInDays"]
    if days not in RETENTIONS:
        raise _invalid(
            f"1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy constraint: Member"
            f" must satisfy enum value set: [{', '.join(map(str, RETENTIONS))}]"
        )
    return await _change_group(logs, body["logGroupName"], retention_days=days)


async def delete_retention_policy(logs: Logs, body: Json) -> Json:
    return await _change_group(logs, body["logGroupName"], retention_days=None)


# --- tags -------------------------------------------------------------------------------------------------------


async def tag_log_group(logs: Logs, body: Json) -> Json:
    return await _tag(logs, body["logGroupName"], body["tags"])


async def untag_log_group(logs: Logs, body: Json) -> Json:
    return await _untag(logs, body["logGroupName"], body["tags"])


async def list_tags_log_group(logs: Logs, body: Json) -> Json:
    return {"tags": _group(logs.store.catalog, body["logGroupName"]).tags}


async def tag_resource(logs: Logs, body: Json) -> Json:
    return await _tag(logs, _tagged(logs, body), body["tags"])


async def untag_resource(logs: Logs, body: Json) -> Json:
    return await _untag(logs, _tagged(logs, body), body["tagKeys"])


async def list_tags_for_resource(logs: Logs, body: Json) -> Json:
    return {"tags": _group(logs.store.catalog, _tagged(logs, body)).tags}


def _tagged(logs: Logs, body: Json) -> str:
    arn = body["resourceArn"]
    if not arn.startswith("arn:"):
        raise _invalid(f"{arn} is not an ARN")
    return logs.place.name_in(arn)


async def _tag(logs: Logs, name: str, tags: Mapping[str, str]) -> Json:
    def decide(catalog: Catalog) -> tuple[Sequence[Record], None]:
        group = _group(catalog, name)
        tagged = {**group.tags, **tags}
        if len(tagged) > _MOST_TAGS:
            raise ApiError("TooManyTagsException", f"A resource can have no more than {_MOST_TAGS} tags.")
        return [msgspec.structs.replace(group, tags=tagged)], None

    await logs.store.change(decide)
    return {}


async def _untag(logs: Logs, name: str, keys: Sequence[str]) -> Json:
    def decide(catalog: Catalog) -> tuple[Sequence[Record], None]:
        group = _group(catalog, name)
        kept = {key: value for key, value in group.tags.items() if key not in keys}
        return [msgspec.structs.replace(group, tags=kept)], None

    await logs.store.change(decide)
    return {}


# --- streams ----------------------------------------------------------------------------------------------------


async def create_log_stream(logs: Logs, body: Json) -> Json:
    name = body["logStreamName"]

    def decide(catalog: Catalog) -> tuple[Sequence[Record], None]:
        group = _group(catalog, body["logGroupName"])
        if name in catalog.streams[group.id]:
            raise ApiError("ResourceAlreadyExistsException", "The specified log stream already exists")
        stream = LogStream(id=catalog.last_id + 1, group_id=group.id, name=name, created_at_ms=logs.now_ms)
        return [stream], None

    await logs.store.change(decide)
    return {}


async def delete_log_stream(logs: Logs, body: Json) -> Json:
    def decide(catalog: Catalog) -> tuple[Sequence[Record], None]:
        group = _group(catalog, body["logGroupName"])
        return [Deleted(id=_stream(catalog, group, body["logStreamName"]).id)], None

    await logs.store.change(decide)
    return {}


async def describe_log_streams(logs: Logs, body: Json) -> Json:
    group = _group_in(logs, body)
    prefix, by_time = body.get("logStreamNamePrefix", ""), body.get("orderBy") == "LastEventTime"
    if prefix and by_time:
        raise _invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
    spans = logs.store.spans
    found = [stream for name, stream in logs.store.catalog.streams[group.id].items() if name.startswith(prefix)]

    def key(stream: LogStream) -> str:
        if not by_time:
            return stream.name
        span = spans.get(stream.id)
        return f"{span.last_ms if span is not None else 0:020d}/{stream.name}"

    shown, more = _page(found, body, key, most=_DESCRIBED, is_descending=body.get("descending", False))
    return {"logStreams": [_described_stream(logs, group, stream) for stream in shown], **more}


def _described_stream(logs: Logs, group: LogGroup, stream: LogStream) -> Json:
    described: dict[str, object] = {
        "logStreamName": stream.name,
        "creationTime": stream.created_at_ms,
        "arn": f"{logs.place.group_arn(group.name)}:log-stream:{stream.name}",
        "storedBytes": 0,
    }
    span = logs.store.spans.get(stream.id)
    if span is not None:
        described |= {
            "firstEventTimestamp": span.first_ms,
            "lastEventTimestamp": span.last_ms,
            "lastIngestionTime": span.ingested_ms,
            "uploadSequenceToken": _sequence_token(stream.id, span.count),
        }
    return described


def _sequence_token(stream_id: int, count: int) -> str:
    """Ignored when it comes back, and yet asked for by old clients."""
    return f"{stream_id:020d}{count:036d}"


def _page(
    found: Sequence[T], body: Json, key: Callable[[T], str], *, most: int, is_descending: bool = False
) -> tuple[Sequence[T], Json]:
    """What to show, and ``nextToken`` unless it is the end. The token is the key of the last one that was shown."""
    found = sorted(found, key=key, reverse=is_descending)
    if token := body.get("nextToken"):
        if not token.startswith(_AFTER):
            raise _invalid("The specified nextToken is invalid.")
        last = token.removeprefix(_AFTER)
        found = [each for each in found if (key(each) < last if is_descending else key(each) > last)]
    limit = body.get("limit", most)
    shown = found[:limit]
    return shown, {"nextToken": _AFTER + key(shown[-1])} if len(found) > limit else {}


# --- events -----------------------------------------------------------------------------------------------------


class Accepted(msgspec.Struct, frozen=True):
    """What became of a batch."""

    answer: Json
    block: Block | None
    """What was written; ``None``: nothing."""


async def put_log_events(logs: Logs, body: Json) -> Accepted:
    """Only this one has more to give than its output: what to remember if the client has gone."""
    catalog = logs.store.catalog
    group = _group(catalog, body["logGroupName"])
    stream = _stream(catalog, group, body["logStreamName"])
    events: Sequence[Json] = body["logEvents"]
    times = [event["timestamp"] for event in events]
    _check_batch(events, times)
    oldest_ms = max(logs.now_ms - _OLDEST_MS, 0)
    expired_ms = group.expired_before_ms(logs.now_ms)
    first = next((index for index, at in enumerate(times) if at >= max(oldest_ms, expired_ms)), len(times))
    past = next((index for index, at in enumerate(times) if at > logs.now_ms + _NEWEST_MS), len(times))
    rejected: dict[str, int] = {}
    if past < len(times):
        rejected["tooNewLogEventStartIndex"] = past
    if first:
        reason = "expiredLogEventEndIndex" if expired_ms > oldest_ms else "tooOldLogEventEndIndex"
        rejected[reason] = first
    block = None
    if first < past:
        if times[past - 1] - times[first] > DAY_MS:
            raise _invalid("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
        block = await logs.store.put(
            Pending(stream.id, times[first:past], [event["message"] for event in events[first:past]], logs.now_ms)
        )
    span = logs.store.spans.get(stream.id)
    answer: dict[str, Any] = {"nextSequenceToken": _sequence_token(stream.id, span.count if span is not None else 0)}
    if rejected:
        answer["rejectedLogEventsInfo"] = rejected
    return Accepted(answer, block)


def _check_batch(events: Sequence[Json], times: Sequence[int]) -> None:
    if any(later < earlier for earlier, later in pairwise(times)):
        raise _invalid("Log events in a single PutLogEvents request must be in chronological order.")
    total = 0
    for event in events:
        size = len(event["message"].encode("utf-8", "surrogatepass")) + OVERHEAD_BYTES
        if size > _EVENT_BYTES:
            raise _invalid(f"Log event too large: {size} bytes exceeds limit of {_EVENT_BYTES}")
        total += size
    if total > _BATCH_BYTES:
        raise _invalid(f"Upload too large: {total} bytes exceeds limit of {_BATCH_BYTES}")


async def get_log_events(logs: Logs, body: Json) -> Json:
    group = _group_in(logs, body)
    stream = _stream(logs.store.catalog, group, body["logStreamName"])
    first_ms, last_ms = _range(logs, group, body, is_end_included=False)
    is_forward, after = body.get("startFromHead", False), None
    token = body.get("nextToken")
    if token:
        is_forward, after = read_token(token)
    query = Query(
        streams=frozenset((stream.id,)),
        first_ms=first_ms,
        last_ms=last_ms,
        after=after,
        is_forward=is_forward,
        limit=body.get("limit", PAGE_EVENTS),
    )

    def answer(page: Page) -> Json:
        events = page.events if is_forward else page.events[::-1]
        if events:
            start, end = events[0].position, events[-1].position
        elif after is not None:
            # At the end the token that was sent comes back.
            start, end = (after + 1, after) if is_forward else (after, after - 1)
        else:
            start = end = max(0, before(first_ms))
        return {
            "events": [
                {"timestamp": event.timestamp_ms, "message": event.message, "ingestionTime": event.ingested_ms}
                for event in events
            ],
            "nextForwardToken": forward_token(end),
            "nextBackwardToken": backward_token(start),
        }

    return await logs.store.page(query, answer)


async def filter_log_events(logs: Logs, body: Json) -> Json:
    group = _group_in(logs, body)
    listed, prefix = body.get("logStreamNames"), body.get("logStreamNamePrefix")
    if listed and prefix:
        raise _invalid("Only one of logStreamNames and logStreamNamePrefix can be specified.")
    matches = compiled(body.get("filterPattern", ""))
    streams = logs.store.catalog.streams[group.id]
    if listed:
        chosen = [_stream(logs.store.catalog, group, name) for name in listed]
    else:
        chosen = [stream for name, stream in streams.items() if name.startswith(prefix or "")]
    names = {stream.id: stream.name for stream in chosen}
    first_ms, last_ms = _range(logs, group, body, is_end_included=True)
    is_forward, after = body.get("startFromHead", True), None
    if token := body.get("nextToken"):
        is_forward, after = read_page_token(token)
    query = Query(
        streams=names.keys(),
        first_ms=first_ms,
        last_ms=last_ms,
        after=after,
        is_forward=is_forward,
        limit=body.get("limit", PAGE_EVENTS),
        matches=matches,
    )

    def answer(page: Page) -> Json:
        found: dict[str, object] = {
            "events": [
                {
                    "logStreamName": names[event.stream_id],
                    "timestamp": event.timestamp_ms,
                    "message": event.message,
                    "ingestionTime": event.ingested_ms,
                    "eventId": event_id(event.position),
                }
                for event in page.events
            ],
            "searchedLogStreams": [],
        }
        if page.ends_at is not None:
            found["nextToken"] = page_token(page.ends_at, is_forward=is_forward)
        return found

    return await logs.store.page(query, answer)


def _range(logs: Logs, group: LogGroup, body: Json, *, is_end_included: bool) -> tuple[int, int]:
    start_ms, end_ms = body.get("startTime", 0), body.get("endTime")
    if end_ms is not None and end_ms < start_ms:
        raise _invalid("endTime must not be before startTime.")
    last_ms = 2**43 if end_ms is None else end_ms if is_end_included else end_ms - 1
    return max(start_ms, group.expired_before_ms(logs.now_ms)), last_ms


ACTIONS: Mapping[str, Action] = {
    "CreateLogGroup": create_log_group,
    "CreateLogStream": create_log_stream,
    "DeleteLogGroup": delete_log_group,
    "DeleteLogStream": delete_log_stream,
    "DeleteRetentionPolicy": delete_retention_policy,
    "DescribeLogGroups": describe_log_groups,
    "DescribeLogStreams": describe_log_streams,
    "FilterLogEvents": filter_log_events,
    "GetLogEvents": get_log_events,
    "ListLogGroups": list_log_groups,
    "ListTagsForResource": list_tags_for_resource,
    "ListTagsLogGroup": list_tags_log_group,
    "PutLogGroupDeletionProtection": put_log_group_deletion_protection,
    "PutRetentionPolicy": put_retention_policy,
    "TagLogGroup": tag_log_group,
    "TagResource": tag_resource,
    "UntagLogGroup": untag_log_group,
    "UntagResource": untag_resource,
}
"""Beside ``PutLogEvents`` and ``StartLiveTail``, which answer in ways of their own."""
PUT = "PutLogEvents"
LIVE_TAIL = "StartLiveTail"
