"""The telemetry messages are those that were recorded, in both directions; what is none is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ecscope.model.container import Health
from ecscope.model.instance_status import InstanceHealth, InstanceStatus
from ecscope.model.status import ContainerStatus, HealthStatus
from ecscope.wire.acs.reconnect import UnusableEndpoint
from ecscope.wire.tcs.messages import (
    PAGE_LIMIT_BYTES,
    BadFrame,
    ContainerMetric,
    MetricsReading,
    PublishMetrics,
    ServiceMessage,
    ServiceMessageKind,
    TaskMetric,
    agent_frame,
    connect_url,
    health_messages,
    instance_status_message,
    long_stats_set,
    metrics_messages,
    parse_agent_frame,
    parse_service_frame,
    service_frame,
    stats_set,
    task_healths,
)
from tests.builders import AT, a_container, a_task, an_arn
from tests.tables import each_row

TRAFFIC = Path(__file__).resolve().parents[3] / "fixtures" / "official-agent" / "traffic"
RECORDED = [
    record
    for name in ("tcs-samples.jsonl", "sequence-start-to-stop.jsonl")
    for record in map(json.loads, (TRAFFIC / name).read_text().splitlines())
    if record["kind"].startswith("tcs")
]
SENT = [record for record in RECORDED if record["kind"] == "tcs-in"]
ANSWERED = [record for record in RECORDED if record["kind"] == "tcs-out"]
INSTANCE = "arn:aws:ecs:us-west-2:012345678910:container-instance/default/adb0bf0be846406d8763ab89f65e712f"
WHO = {"cluster": "default", "container_instance": INSTANCE}


def sample(kind: str, **metadata: object) -> dict[str, Any]:
    """The first recorded message of that type whose metadata has these members."""
    return next(
        record["message"]
        for record in SENT
        if record["type"] == kind and metadata.items() <= record["message"]["metadata"].items()
    )


def sent(message: Any) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(agent_frame(message))["message"]
    return content


def a_metric(number: int = 1, **fields: Any) -> TaskMetric:
    container = ContainerMetric(
        container_name="app", cpu_stats_set=stats_set([1.5]), memory_stats_set=stats_set([2, 3])
    )
    metric = TaskMetric(
        container_metrics=(container,),
        task_arn=an_arn(number),
        task_definition_family="sample",
        task_definition_version="1",
    )
    return msgspec.structs.replace(metric, **fields)


# --- recorded ------------------------------------------------------------------------------------


@pytest.mark.parametrize("record", SENT, ids=lambda record: f"{record['type']}-{record['n']}")
@pytest.mark.parametrize(
    "head", ["", "Authorization: AWS4 x\r\nHost: h.example\r\nX-Amz-Date: 20261123T145920Z\r\n\r\n"]
)
def test_every_recorded_message_is_understood_and_written_again_as_it_was(record: dict[str, Any], head: str) -> None:
    text = json.dumps({"type": record["type"], "message": record["message"]}, separators=(",", ":"))
    frame = parse_agent_frame(head + text)
    assert agent_frame(frame.message).replace(".0,", ",").replace(".0}", "}") == text
    assert sorted(frame.headers) == ([] if not head else [name.lower() for name in record["signed_headers"]])


@pytest.mark.parametrize("record", ANSWERED, ids=lambda record: f"{record['type']}-{record['n']}")
def test_every_recorded_answer_is_understood_and_written_again_as_it_was(record: dict[str, Any]) -> None:
    text = json.dumps({"type": record["type"], "message": record["message"]}, separators=(",", ":"))
    message = parse_service_frame(text)
    assert message.kind.value == record["type"]
    assert service_frame(message) == text


def test_where_the_recorded_agent_connects() -> None:
    record = next(record for record in RECORDED if record["kind"] == "tcs-connect")
    asked = {
        "cluster": "default",
        "container_instance": record["query"]["containerInstance"],
        "agent_version": "1.105.1",
        "agent_hash": "a8b3e7d3",
    }
    arn = "arn%3Aaws%3Aecs%3Aus-west-2%3A012345678910%3Acontainer-instance%2Fdefault%2F396e40d1d8874ee18f91815a094803ef"
    expected = (
        "ws://127.0.0.1:18000/tcs/ws?agentHash=a8b3e7d3&agentVersion=1.105.1&cluster=default"
        f"&containerInstance={arn}&dockerVersion=20.10.24%2Bdfsg1"
    )
    for endpoint in ("http://127.0.0.1:18000/tcs/", "http://127.0.0.1:18000/tcs"):
        assert connect_url(endpoint, docker_version="20.10.24+dfsg1", **asked) == expected
    assert connect_url("https://h.example", docker_version="", **asked).startswith("wss://h.example/ws?agentHash=")
    assert "dockerVersion" not in connect_url("https://h.example", docker_version="", **asked)
    assert connect_url("https://h.example", docker_version="a b", **asked).endswith("&dockerVersion=a%20b")


@pytest.mark.parametrize("endpoint", ["", "h.example/", "ftp://h.example/", "https:///ws", "https://[1"])
def test_where_no_agent_can_connect(endpoint: str) -> None:
    with pytest.raises(UnusableEndpoint):
        connect_url(endpoint, cluster="c", container_instance="i", agent_version="1", agent_hash="h", docker_version="")


def test_an_idle_instance_says_so() -> None:
    recorded = sample("PublishMetricsRequest", idle=True, containerInstance=INSTANCE)
    (message,) = metrics_messages(
        MetricsReading(is_idle=True),
        message_id=recorded["metadata"]["messageId"],
        at=datetime.fromtimestamp(recorded["timestamp"], UTC),
        **WHO,
    )
    assert sent(message) == recorded


def test_the_health_of_a_checked_container_as_recorded() -> None:
    recorded = sample("PublishHealthRequest")
    healthy = Health(status=HealthStatus.HEALTHY, since="2026-11-23T14:50:39.763123456Z")
    task = a_task(
        a_container("app", known=ContainerStatus.RUNNING, health_check_is_docker=True, health=healthy),
        a_container("side", known=ContainerStatus.RUNNING, health=healthy),
        arn=recorded["tasks"][0]["taskArn"],
        family="tmds-sample",
        version="3",
    )
    at = datetime.fromtimestamp(recorded["timestamp"], UTC)
    (message,) = health_messages(
        task_healths([task, a_task(a_container("app", known=ContainerStatus.RUNNING))], at=at),
        message_id=recorded["metadata"]["messageId"],
        at=at,
        **WHO,
    )
    assert sent(message) == recorded


@pytest.mark.parametrize(
    ("containerInstance", "health", "checked", "before", "changed"),
    [
        (INSTANCE, InstanceHealth.INITIALIZING, 1795445156.279, 1795445156.279, 1795445156.279),
        (
            INSTANCE.replace("adb0bf0be846406d8763ab89f65e712f", "396e40d1d8874ee18f91815a094803ef"),
            InstanceHealth.OK,
            1795445970.018,
            1795445959.992,
            1795445970.018,
        ),
    ],
    ids=["before the first check", "after the first check"],
)
def test_the_instance_status_as_recorded(
    containerInstance: str,  # noqa: N803 - the member's name
    health: InstanceHealth,
    checked: float,
    before: float,
    changed: float,
) -> None:
    recorded = sample("PublishInstanceStatusRequest", containerInstance=containerInstance)
    status = InstanceStatus(
        health=health,
        checked_at=datetime.fromtimestamp(checked, UTC),
        previously_checked_at=datetime.fromtimestamp(before, UTC),
        changed_at=datetime.fromtimestamp(changed, UTC),
    )
    message = instance_status_message(
        status,
        cluster="default",
        container_instance=containerInstance,
        request_id=recorded["metadata"]["requestId"],
        at=datetime.fromtimestamp(recorded["timestamp"], UTC),
    )
    assert sent(message) == recorded


# --- metrics -------------------------------------------------------------------------------------


def test_nothing_is_sent_while_containers_run_that_cannot_be_reported_on_yet() -> None:
    assert metrics_messages(MetricsReading(is_idle=False), message_id="m", at=AT, **WHO) == ()


@pytest.mark.parametrize(("tasks", "pages"), [(1, [1]), (10, [10]), (11, [10, 1]), (23, [10, 10, 3])])
def test_ten_tasks_to_a_page_under_one_id_and_fin_on_the_last(tasks: int, pages: list[int]) -> None:
    reading = MetricsReading(is_idle=False, tasks=tuple(a_metric(number) for number in range(tasks)))
    messages = metrics_messages(reading, message_id="m", at=AT, **WHO)
    assert [len(message.task_metrics) for message in messages] == pages
    assert [message.metadata.fin for message in messages] == [False] * (len(pages) - 1) + [True]
    assert {message.metadata.message_id for message in messages} == {"m"}
    assert {message.metadata.idle for message in messages} == {False}


def test_no_page_is_larger_than_a_mebibyte_but_for_a_single_task() -> None:
    large = PAGE_LIMIT_BYTES // 3 + 1
    sizes = [large, large, large, 10, PAGE_LIMIT_BYTES, 10]
    metrics = tuple(a_metric(number, task_definition_family="f" * size) for number, size in enumerate(sizes))
    messages = metrics_messages(MetricsReading(is_idle=False, tasks=metrics), message_id="m", at=AT, **WHO)
    assert [len(message.task_metrics) for message in messages] == [2, 2, 1, 1]
    for message in messages:
        assert len(agent_frame(message)) <= PAGE_LIMIT_BYTES or len(message.task_metrics) == 1


def test_a_page_may_be_filled_to_the_last_byte() -> None:
    def total(family_length: int) -> tuple[PublishMetrics, ...]:
        metrics = (a_metric(1), a_metric(2, task_definition_family="f" * family_length))
        return metrics_messages(MetricsReading(is_idle=False, tasks=metrics), message_id="m", at=AT, **WHO)

    spare = PAGE_LIMIT_BYTES - len(agent_frame(total(0)[0]))
    fits = next(length for length in range(spare, spare - 100, -1) if len(total(length)) == 1)
    assert spare - 30 <= fits <= spare


def test_numbers_are_summed_up() -> None:
    assert sent_set(stats_set([0.25, 0.0, 0.5])) == '{"max":0.5,"min":0,"sampleCount":3,"sum":0.75}'
    assert sent_set(stats_set([3, 0])) == '{"max":3,"min":0,"sampleCount":2,"sum":3}'
    assert sent_set(long_stats_set([7, 3])) == (
        '{"max":7,"min":3,"overflowMax":0,"overflowMin":0,"overflowSum":0,"sampleCount":2,"sum":10}'
    )


def test_what_does_not_fit_into_63_bits_overflows() -> None:
    numbers = long_stats_set([2**63 - 1, 2**63 + 4])
    assert (numbers.max, numbers.overflow_max) == (2**63 - 1, 5)
    assert (numbers.min, numbers.overflow_min) == (2**63 - 1, 0)
    assert (numbers.sum, numbers.overflow_sum) == (2**63 - 1, 5)


def sent_set(value: msgspec.Struct) -> str:
    return msgspec.json.encode(value).decode()


# --- health --------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [ContainerStatus.CREATED, ContainerStatus.STOPPED])
def test_health_is_that_of_running_containers(known: ContainerStatus) -> None:
    assert task_healths([a_task(a_container(known=known, health_check_is_docker=True))], at=AT) == ()


def test_before_the_first_verdict_health_is_unknown_since_now() -> None:
    task = a_task(a_container(known=ContainerStatus.RUNNING, health_check_is_docker=True))
    (health,) = task_healths([task], at=AT)
    assert (health.containers[0].health_status, health.containers[0].status_since) == ("UNKNOWN", AT.timestamp())


@pytest.mark.parametrize(("tasks", "pages"), [(0, []), (10, [10]), (11, [10, 1])])
def test_health_is_paged_too(tasks: int, pages: list[int]) -> None:
    checked = a_container(known=ContainerStatus.RUNNING, health_check_is_docker=True)
    healths = task_healths([a_task(checked, number=number) for number in range(tasks)], at=AT)
    messages = health_messages(healths, message_id="m", at=AT, **WHO)
    assert [len(message.tasks) for message in messages] == pages
    assert [message.metadata.fin for message in messages] == [False] * (len(pages) - 1) + [True] * bool(pages)


# --- what is no message --------------------------------------------------------------------------


@each_row(
    "text, reason",
    [
        ("", "neither JSON nor a header block"),
        ("Host: x\r\n{}", "neither JSON nor a header block"),
        ("Host\r\n\r\n{}", "a line of the header block has no colon"),
        ("Host: x\r\n\r\nnonsense", "no envelope"),
        ("{}", "no envelope"),
        ('{"type":5}', "no envelope"),
        ('{"type":"AckPublishMetric","message":{}}', "unknown type 'AckPublishMetric'"),
        ('{"type":"PublishHealthRequest","message":{}}', "PublishHealthRequest: "),
        ('{"type":"PublishHealthRequest"}', "PublishHealthRequest: "),
        ('{"type":"PublishHealthRequest","message":[]}', "PublishHealthRequest: "),
    ],
)
def test_an_agents_frame_that_is_none(text: str, reason: str) -> None:
    with pytest.raises(BadFrame, match=reason):
        parse_agent_frame(text)


@each_row(
    "text, reason",
    [
        ("nonsense", "no envelope"),
        (b"\xff", "no envelope"),
        ("[]", "no envelope"),
        ("[" * 100_000, "no envelope"),
        ('{"type":"AckPublishMetric","message":' + "[" * 100_000 + "]" * 100_000 + "}", "no envelope"),
        ('{"type":"HeartbeatMessage","more":' + "[" * 100_000 + "]" * 100_000 + "}", "no envelope"),
        (b'{"type":"\xff"}', "no envelope"),
        ('{"type":"PublishMetricsRequest","message":{}}', "unknown type"),
        ('{"type":"HeartbeatMessage","message":{"healthy":"yes"}}', "HeartbeatMessage: "),
        ('{"type":"AckPublishMetric","message":5}', "AckPublishMetric: "),
    ],
)
def test_a_frame_of_the_service_that_is_none(text: str | bytes, reason: str) -> None:
    with pytest.raises(BadFrame, match=reason):
        parse_service_frame(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"HeartbeatMessage"}',
        '{"type":"HeartbeatMessage","message":null}',
        '{"type":"HeartbeatMessage","message":{"healthy":null,"new":1},"new":2}',
    ],
)
def test_members_may_be_missing_null_or_unknown(text: str) -> None:
    assert parse_service_frame(text) == ServiceMessage(kind=ServiceMessageKind.HEARTBEAT)


@each_row("kind", ServiceMessageKind)
def test_every_message_of_the_service_survives_the_way(kind: ServiceMessageKind) -> None:
    is_heartbeat = kind is ServiceMessageKind.HEARTBEAT
    message = ServiceMessage(kind=kind, text="" if is_heartbeat else "why", healthy=not is_heartbeat)
    assert parse_service_frame(service_frame(message)) == message
    assert message.is_complaint is (kind.value.endswith("Exception"))
