"""CloudWatch Logs for boto3, whose answers are held to botocore's model: groups, streams, events, pages, live tail."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.control.live import LivePlane
from tests.control_signing import signed_headers

GROUP = "/ecs/pages"
ARN = "arn:aws:logs:us-east-1:000000000000:log-group"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePlane]:
    with LivePlane(tmp_path_factory.mktemp("live"), agents=0) as live:
        yield live


@pytest.fixture(scope="module")
def logs(live: LivePlane) -> Any:
    return live.client("logs")


@pytest.fixture(scope="module")
def start_ms(logs: Any) -> int:
    """Two streams, of whose events every other one is of the other: 2,500 each, one per millisecond from here."""
    logs.create_log_group(logGroupName=GROUP)
    start_ms = int(time.time() * 1000) - 3_600_000
    for name in ("a", "b"):
        logs.create_log_stream(logGroupName=GROUP, logStreamName=name)
    for batch in range(0, 5000, 500):
        for offset, name in enumerate(("a", "b")):
            events = [
                {
                    "timestamp": start_ms + at,
                    "message": json.dumps({"at": at, "level": "warn" if at % 100 else "error"}),
                }
                for at in range(batch + offset, batch + 500, 2)
            ]
            logs.put_log_events(logGroupName=GROUP, logStreamName=name, logEvents=events)
    return start_ms


def refused(call: Any, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_groups_are_made_listed_changed_and_deleted(logs: Any) -> None:
    names = [f"/team/{number:02d}" for number in range(60)]
    for name in names:
        logs.create_log_group(logGroupName=name, tags={"team": "a"})
    assert refused(logs.create_log_group, logGroupName=names[0]) == (
        "ResourceAlreadyExistsException",
        "The specified log group already exists",
    )
    pages = list(logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix="/team/"))
    assert [len(page["logGroups"]) for page in pages] == [50, 10]
    assert [group["logGroupName"] for page in pages for group in page["logGroups"]] == names
    found = logs.describe_log_groups(logGroupNamePattern="EAM/07")["logGroups"]
    assert [(group["arn"], group["logGroupArn"]) for group in found] == [
        (f"{ARN}:/team/07:*", f"{ARN}:/team/07"),
    ]
    logs.put_retention_policy(logGroupName=names[0], retentionInDays=7)
    assert logs.describe_log_groups(logGroupNamePrefix=names[0])["logGroups"][0]["retentionInDays"] == 7
    logs.delete_retention_policy(logGroupName=names[0])
    assert "retentionInDays" not in logs.describe_log_groups(logGroupNamePrefix=names[0])["logGroups"][0]
    assert (
        refused(logs.put_retention_policy, logGroupName=names[0], retentionInDays=6)[0] == "InvalidParameterException"
    )
    logs.tag_resource(resourceArn=f"{ARN}:{names[0]}", tags={"stage": "test"})
    logs.tag_log_group(logGroupName=names[0], tags={"more": "1"})
    logs.untag_resource(resourceArn=f"{ARN}:{names[0]}", tagKeys=["team"])
    logs.untag_log_group(logGroupName=names[0], tags=["more"])
    assert logs.list_tags_for_resource(resourceArn=f"{ARN}:{names[0]}")["tags"] == {"stage": "test"}
    assert logs.list_tags_log_group(logGroupName=names[0])["tags"] == {"stage": "test"}
    assert [group["logGroupName"] for group in logs.list_log_groups(logGroupNamePattern="^/team/00")["logGroups"]] == [
        names[0]
    ]
    logs.delete_log_group(logGroupName=names[0])
    missing = ("ResourceNotFoundException", "The specified log group does not exist.")
    assert refused(logs.delete_log_group, logGroupName=names[0]) == missing
    assert refused(logs.describe_log_streams, logGroupName=names[0]) == missing


def test_streams_are_ordered_by_name_or_by_their_last_event(logs: Any, start_ms: int) -> None:
    logs.create_log_group(logGroupName="/order")
    for number, name in enumerate(("c", "b", "a")):
        logs.create_log_stream(logGroupName="/order", logStreamName=name)
        logs.put_log_events(
            logGroupName="/order",
            logStreamName=name,
            logEvents=[{"timestamp": start_ms + number, "message": name}],
        )
    paginator = logs.get_paginator("describe_log_streams")

    def names(**arguments: Any) -> list[str]:
        pages = paginator.paginate(logGroupName="/order", PaginationConfig={"PageSize": 2}, **arguments)
        return [stream["logStreamName"] for page in pages for stream in page["logStreams"]]

    assert names() == ["a", "b", "c"]
    assert names(descending=True) == ["c", "b", "a"]
    assert names(orderBy="LastEventTime") == ["c", "b", "a"]
    assert names(orderBy="LastEventTime", descending=True) == ["a", "b", "c"]
    assert names(logStreamNamePrefix="b") == ["b"]
    (stream,) = logs.describe_log_streams(logGroupIdentifier=f"{ARN}:/order", logStreamNamePrefix="b")["logStreams"]
    assert stream["firstEventTimestamp"] == stream["lastEventTimestamp"] == start_ms + 1
    assert stream["arn"] == f"{ARN}:/order:log-stream:b"
    logs.delete_log_stream(logGroupName="/order", logStreamName="b")
    logs.create_log_stream(logGroupName="/order", logStreamName="b")
    assert logs.get_log_events(logGroupName="/order", logStreamName="b")["events"] == []
    assert names() == ["a", "b", "c"]


def test_filtered_events_are_merged_in_the_order_of_time_over_all_pages(logs: Any, start_ms: int) -> None:
    paginator = logs.get_paginator("filter_log_events")

    def found(**arguments: Any) -> list[int]:
        pages = paginator.paginate(logGroupName=GROUP, PaginationConfig={"PageSize": 700}, **arguments)
        events = [event for page in pages for event in page["events"]]
        assert len({event["eventId"] for event in events}) == len(events)
        assert all((event["timestamp"] - start_ms) % 2 == (event["logStreamName"] == "b") for event in events)
        return [event["timestamp"] - start_ms for event in events]

    assert found() == list(range(5000))
    assert found(startFromHead=False, startTime=start_ms) == list(range(4999, -1, -1))
    assert found(logStreamNames=["b"]) == list(range(1, 5000, 2))
    assert found(logStreamNamePrefix="a") == list(range(0, 5000, 2))
    assert found(startTime=start_ms + 600, endTime=start_ms + 2000) == list(range(600, 2001))
    assert found(filterPattern='{ $.level = "error" && $.at >= 4000 }') == list(range(4000, 5000, 100))
    assert found(filterPattern='"\\"at\\": 42,"') == [42]
    assert refused(logs.filter_log_events, logGroupName=GROUP, filterPattern="[a, b]")[0] == "InvalidParameterException"
    assert refused(logs.filter_log_events, logGroupName=GROUP, nextToken="x")[0] == "InvalidParameterException"
    assert refused(logs.filter_log_events, logGroupName=GROUP, logStreamNames=["z"]) == (
        "ResourceNotFoundException",
        "The specified log stream does not exist.",
    )


def test_a_stream_is_read_in_both_directions_and_the_token_at_the_end_is_the_same(logs: Any, start_ms: int) -> None:
    def page(**arguments: Any) -> tuple[list[int], str, str]:
        answer = logs.get_log_events(logGroupName=GROUP, logStreamName="a", limit=1000, **arguments)
        times = [event["timestamp"] - start_ms for event in answer["events"]]
        return times, answer["nextForwardToken"], answer["nextBackwardToken"]

    newest, forward, backward = page()
    assert newest == list(range(3000, 5000, 2))
    assert page(nextToken=forward) == ([], forward, f"b/{int(forward[2:58]) + 1:056d}/s")
    older, _, backward = page(nextToken=backward)
    oldest, again, backward = page(nextToken=backward)
    assert older == list(range(1000, 3000, 2))
    assert oldest == list(range(0, 1000, 2))
    assert page(nextToken=backward)[0] == []
    assert page(nextToken=backward)[2] == backward
    assert page(nextToken=again)[0] == older
    assert page(startFromHead=True)[0] == list(range(0, 2000, 2))
    assert page(startTime=start_ms + 10, endTime=start_ms + 14)[0] == [10, 12]
    empty = page(startTime=start_ms + 10, endTime=start_ms + 10)
    assert empty[0] == []
    assert page(nextToken=empty[1])[0] == list(range(10, 2010, 2))


def test_batches_are_limited_and_checked_as_in_aws(logs: Any) -> None:
    logs.create_log_group(logGroupName="/limits")
    logs.create_log_stream(logGroupName="/limits", logStreamName="s")
    now_ms = int(time.time() * 1000)
    day_ms = 86_400_000

    def put(*events: tuple[int, str]) -> Any:
        return logs.put_log_events(
            logGroupName="/limits",
            logStreamName="s",
            logEvents=[{"timestamp": now_ms + at, "message": message} for at, message in events],
            sequenceToken="ignored",
        )

    assert put((-15 * day_ms, "old"), (-3_600_000, "an hour off"), (3_600_000, "too"), (3 * 3_600_000, "new"))[
        "rejectedLogEventsInfo"
    ] == {"tooOldLogEventEndIndex": 1, "tooNewLogEventStartIndex": 3}
    for events, said in (
        ([(1, "b"), (0, "a")], "Log events in a single PutLogEvents request must be in chronological order."),
        ([(0, "x" * 1_048_551)], "Log event too large: 1048577 bytes exceeds limit of 1048576"),
        ([(0, "x" * 1_000_000), (0, "é" * 30_000)], "Upload too large: 1060052 bytes exceeds limit of 1048576"),
    ):
        with pytest.raises(ClientError) as caught:
            put(*events)
        assert caught.value.response["Error"] == {"Code": "InvalidParameterException", "Message": said}
    put((0, "x" * 1_048_550))
    put((0, "nul \0, no character \ufffd, two \U0001f600, line\nend\r\n"))
    events = logs.get_log_events(logGroupName="/limits", logStreamName="s", startFromHead=True)
    messages = [event["message"] for event in events["events"]]
    assert messages == ["an hour off"]
    rest = logs.get_log_events(logGroupName="/limits", logStreamName="s", nextToken=events["nextForwardToken"])
    assert [len(event["message"]) for event in rest["events"]] == [1_048_550]
    rest = logs.get_log_events(logGroupName="/limits", logStreamName="s", nextToken=rest["nextForwardToken"])
    assert [event["message"] for event in rest["events"]] == [
        "nul \0, no character \ufffd, two \U0001f600, line\nend\r\n",
        "too",
    ]
    logs.put_retention_policy(logGroupName="/limits", retentionInDays=1)
    assert put((-2 * day_ms, "old"), (0, "new"))["rejectedLogEventsInfo"] == {"expiredLogEventEndIndex": 1}


def test_bytes_that_are_no_text_are_replaced(live: LivePlane, logs: Any) -> None:
    """As Docker's driver sends a binary line, whose whole batch would be lost."""
    logs.create_log_group(logGroupName="/binary")
    logs.create_log_stream(logGroupName="/binary", logStreamName="s")
    message = {"timestamp": int(time.time() * 1000), "message": "<>"}
    body = json.dumps({"logGroupName": "/binary", "logStreamName": "s", "logEvents": [message]}).encode()
    sent = body.replace(b"<>", b"\xff\xc3\\u0000 bin")
    url = f"{live.plane.url}/"
    headers = signed_headers(
        live.plane.administrator,
        url=url,
        body=sent,
        service="logs",
        more={"X-Amz-Target": "Logs_20140328.PutLogEvents"},
    )
    request = urllib.request.Request(url, sent, dict(headers), method="POST")
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.status == 200
    (event,) = logs.get_log_events(logGroupName="/binary", logStreamName="s")["events"]
    assert event["message"] == "\ufffd\ufffd\0 bin"


def test_a_live_tail_shows_what_is_written_meanwhile(live: LivePlane, logs: Any) -> None:
    logs.create_log_group(logGroupName="/live")
    for name in ("web/1", "db/1"):
        logs.create_log_stream(logGroupName="/live", logStreamName=name)
    client = live.client("logs", inject_host_prefix=False)
    stream = client.start_live_tail(
        logGroupIdentifiers=[f"{ARN}:/live"], logStreamNamePrefixes=["web/"], logEventFilterPattern="-debug"
    )["responseStream"]
    events = iter(stream)
    assert next(events)["sessionStart"]["logGroupIdentifiers"] == [f"{ARN}:/live"]

    def write() -> None:
        for name in ("web/1", "db/1"):
            now_ms = int(time.time() * 1000)
            logs.put_log_events(
                logGroupName="/live",
                logStreamName=name,
                logEvents=[{"timestamp": now_ms, "message": f"{name} {word}"} for word in ("debug", "info")],
            )

    writer = threading.Thread(target=write)
    writer.start()
    found: list[str] = []
    while not found:
        update = next(events)["sessionUpdate"]
        assert update["sessionMetadata"] == {"sampled": False}
        found += [event["message"] for event in update["sessionResults"]]
    stream.close()
    writer.join()
    assert found == ["web/1 info"]


def test_what_is_not_there_is_refused_by_name(logs: Any) -> None:
    code, message = refused(logs.describe_metric_filters, logGroupName="x")
    assert code == "InvalidOperationException"
    assert message.startswith("DescribeMetricFilters is not available on one machine")


def test_rights_are_asked_about_the_group_and_the_stream(tmp_path: Path) -> None:
    allowed = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": f"{ARN}:/mine:*"}
        ],
    }
    iam = tmp_path / "iam.json"
    iam.write_text(
        json.dumps(
            {
                "UserDetailList": [
                    {
                        "UserName": "writer",
                        "AccessKeys": [{"AccessKeyId": "AKIAWRITER", "SecretAccessKey": "secret"}],
                        "UserPolicyList": [{"PolicyName": "p", "PolicyDocument": allowed}],
                    }
                ]
            }
        )
    )
    with LivePlane(tmp_path / "live", agents=0, iam_file=iam) as live:
        everything = live.client("logs")
        for name in ("/mine", "/other"):
            everything.create_log_group(logGroupName=name)
        writer = live.client("logs", key=("AKIAWRITER", "secret"))
        writer.create_log_stream(logGroupName="/mine", logStreamName="s")
        event = {"timestamp": int(time.time() * 1000), "message": "m"}
        writer.put_log_events(logGroupName="/mine", logStreamName="s", logEvents=[event])
        assert refused(writer.create_log_stream, logGroupName="/other", logStreamName="s") == (
            "AccessDeniedException",
            "User: arn:aws:iam::000000000000:user/writer is not authorized to perform: logs:CreateLogStream on"
            f" resource: {ARN}:/other:log-stream: because no identity-based policy allows the logs:CreateLogStream"
            " action",
        )
        assert refused(writer.get_log_events, logGroupName="/mine", logStreamName="s")[1].startswith(
            "User: arn:aws:iam::000000000000:user/writer is not authorized to perform: logs:GetLogEvents on resource:"
            f" {ARN}:/mine:log-stream:s "
        )
