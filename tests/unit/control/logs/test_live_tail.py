"""A session shows what it asked for, and a sample where that is more than fits an update."""

from __future__ import annotations

from typing import Any

import pytest

from ecscope.control.core.errors import ApiError
from ecscope.control.logs.actions import Logs, Place
from ecscope.control.logs.blocks import encode
from ecscope.control.logs.catalog import Catalog, LogGroup, LogStream
from ecscope.control.logs.live_tail import MOST_EVENTS, Session, wanted_of
from ecscope.control.logs.segments import Pending
from ecscope.control.logs.store import Written

CATALOG = Catalog()
CATALOG.apply(
    [
        LogGroup(id=1, name="g", created_at_ms=0),
        LogStream(id=2, group_id=1, name="web/1", created_at_ms=0),
        LogStream(id=3, group_id=1, name="db/1", created_at_ms=0),
        LogGroup(id=4, name="other", created_at_ms=0),
        LogStream(id=5, group_id=4, name="web/1", created_at_ms=0),
    ]
)


class _Store:
    catalog = CATALOG


LOGS = Logs(_Store(), Place(region="us-east-1", account="1"), 0)


def shown(body: dict[str, Any], *messages: str) -> dict[str, Any]:
    session = Session(wanted_of(LOGS, {"logGroupIdentifiers": ["g"], **body}))
    for stream in (2, 3, 5):
        batch = Pending(stream, [7] * len(messages), messages, 8)
        block, _ = encode(stream, batch.timestamps, messages, ingested_ms=8, offset=0)
        session.take(Written(batch, block, 1), CATALOG)
    update = session.update()
    assert session.update() == {"sessionMetadata": {"sampled": False}, "sessionResults": []}
    return dict(update)


def streams(update: dict[str, Any]) -> list[str]:
    return [event["logStreamName"] for event in update["sessionResults"]]


def test_streams_and_pattern_choose() -> None:
    assert streams(shown({}, "a")) == ["web/1", "db/1"]
    assert streams(shown({"logStreamNames": ["db/1"]}, "a")) == ["db/1"]
    assert streams(shown({"logStreamNamePrefixes": ["we", "x"]}, "a")) == ["web/1"]
    assert shown({"logEventFilterPattern": "-b", "logStreamNames": ["db/1"]}, "ab", "a")["sessionResults"] == [
        {"logStreamName": "db/1", "logGroupIdentifier": "1:g", "message": "a", "timestamp": 7, "ingestionTime": 8}
    ]


def test_of_more_than_fits_a_sample_is_shown() -> None:
    update = shown({"logStreamNames": ["db/1"]}, *(["a"] * (MOST_EVENTS + 1)))
    assert update["sessionMetadata"] == {"sampled": True}
    assert len(update["sessionResults"]) == MOST_EVENTS


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"logStreamNames": ["a"], "logStreamNamePrefixes": ["b"]}, "InvalidParameterException"),
        ({"logStreamNames": ["a"], "logGroupIdentifiers": ["g", "other"]}, "InvalidParameterException"),
        ({"logGroupIdentifiers": ["none"]}, "ResourceNotFoundException"),
    ],
)
def test_what_cannot_be_shown_is_refused(body: dict[str, Any], code: str) -> None:
    with pytest.raises(ApiError) as caught:
        wanted_of(LOGS, {"logGroupIdentifiers": ["g"], **body})
    assert caught.value.code == code
