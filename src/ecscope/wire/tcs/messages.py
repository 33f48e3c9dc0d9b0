"""The telemetry protocol: its messages in both directions, as values and as text. No I/O.

The agent's end and a control plane's end share this. What the agent sends carries a header
block before the JSON; what the service sends is plain JSON.

Members are in the order of their names, as the official agent writes them.

Source: agent-protocol.md §5.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from ecscope.model.docker_time import parse_docker_time
from ecscope.model.instance_status import InstanceStatus
from ecscope.model.task import Task
from ecscope.wire.acs.reconnect import SCHEMES, UnusableEndpoint

TASKS_PER_PAGE = 10
PAGE_LIMIT_BYTES = 1024 * 1024
"""Of one message, without the header block before it."""

_LONG_MAX = 2**63 - 1


class BadFrame(ValueError):
    """A frame that is not a message of this protocol; the text says why, and shows none of the content."""


class _Message(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    pass


# --- what the agent sends ---------------------------------------------------------------------------


class StatsSet(_Message, frozen=True, kw_only=True):
    """Measurements since the last message, of quantities that are not whole numbers."""

    max: float
    min: float
    sample_count: int
    sum: float


class LongStatsSet(_Message, frozen=True, kw_only=True):
    """Measurements since the last message, of whole numbers. What does not fit into 63 bits is in ``overflow…``."""

    max: int
    min: int
    overflow_max: int | None = None
    overflow_min: int | None = None
    overflow_sum: int | None = None
    sample_count: int
    sum: int


class NetworkStatsSet(_Message, frozen=True, kw_only=True):
    rx_bytes: LongStatsSet
    rx_bytes_per_second: StatsSet | None = None
    rx_dropped: LongStatsSet
    rx_errors: LongStatsSet
    rx_packets: LongStatsSet
    tx_bytes: LongStatsSet
    tx_bytes_per_second: StatsSet | None = None
    tx_dropped: LongStatsSet
    tx_errors: LongStatsSet
    tx_packets: LongStatsSet


class StorageStatsSet(_Message, frozen=True, kw_only=True):
    read_size_bytes: LongStatsSet
    write_size_bytes: LongStatsSet


class RestartStatsSet(_Message, frozen=True, kw_only=True):
    restart_count: int
    """Restarts since the last message."""


class ContainerMetric(_Message, frozen=True, kw_only=True):
    container_arn: str | None = None
    container_name: str
    cpu_stats_set: StatsSet
    """Percent of the whole instance."""
    memory_stats_set: StatsSet
    """MiB."""
    network_stats_set: NetworkStatsSet | None = None
    restart_stats_set: RestartStatsSet | None = None
    storage_stats_set: StorageStatsSet | None = None


class TaskMetric(_Message, frozen=True, kw_only=True):
    cluster_arn: str | None = None
    container_metrics: tuple[ContainerMetric, ...] = ()
    task_arn: str
    task_definition_family: str
    task_definition_version: str


class MetricsReading(msgspec.Struct, frozen=True, kw_only=True):
    """All there is to report at one moment."""

    is_idle: bool
    """No container runs."""
    tasks: tuple[TaskMetric, ...] = ()


class MetricsMetadata(_Message, frozen=True, kw_only=True):
    cluster: str
    container_instance: str
    fin: bool
    idle: bool
    message_id: str


class PublishMetrics(_Message, frozen=True, kw_only=True):
    metadata: MetricsMetadata
    task_metrics: tuple[TaskMetric, ...] = ()
    timestamp: float


class ContainerHealth(_Message, frozen=True, kw_only=True):
    container_name: str
    health_status: str
    status_message: str | None = None
    status_since: float


class TaskHealth(_Message, frozen=True, kw_only=True):
    cluster_arn: str | None = None
    containers: tuple[ContainerHealth, ...]
    task_arn: str
    task_definition_family: str
    task_definition_version: str


class HealthMetadata(_Message, frozen=True, kw_only=True):
    cluster: str
    container_instance: str
    fin: bool
    message_id: str


class PublishHealth(_Message, frozen=True, kw_only=True):
    metadata: HealthMetadata
    tasks: tuple[TaskHealth, ...] = ()
    timestamp: float


class InstanceStatusEntry(_Message, frozen=True, kw_only=True):
    last_status_change: float
    last_updated: float
    status: str
    status_reason: str | None = None
    type: str


class InstanceStatusMetadata(_Message, frozen=True, kw_only=True):
    cluster: str
    container_instance: str
    request_id: str


class PublishInstanceStatus(_Message, frozen=True, kw_only=True):
    metadata: InstanceStatusMetadata
    statuses: tuple[InstanceStatusEntry, ...]
    timestamp: float


AgentMessage = PublishMetrics | PublishHealth | PublishInstanceStatus

_AGENT_TYPES: dict[str, type[AgentMessage]] = {
    "PublishMetricsRequest": PublishMetrics,
    "PublishHealthRequest": PublishHealth,
    "PublishInstanceStatusRequest": PublishInstanceStatus,
}
_AGENT_NAMES = {kind: name for name, kind in _AGENT_TYPES.items()}


def metrics_messages(
    reading: MetricsReading, *, cluster: str, container_instance: str, message_id: str, at: datetime
) -> tuple[PublishMetrics, ...]:
    """The pages of one report, under one message ID; none when containers run and none can be reported on yet."""

    def page(tasks: tuple[TaskMetric, ...], *, fin: bool) -> PublishMetrics:
        metadata = MetricsMetadata(
            cluster=cluster,
            container_instance=container_instance,
            fin=fin,
            idle=reading.is_idle,
            message_id=message_id,
        )
        return PublishMetrics(metadata=metadata, task_metrics=tasks, timestamp=timestamp(at))

    if reading.is_idle:
        return (page((), fin=True),)
    envelope_bytes = len(agent_frame(page((), fin=False)))
    pages = _pages(reading.tasks, PAGE_LIMIT_BYTES - envelope_bytes)
    return tuple(page(tasks, fin=number == len(pages)) for number, tasks in enumerate(pages, 1))


def _pages(tasks: Sequence[TaskMetric], limit_bytes: int) -> list[tuple[TaskMetric, ...]]:
    """At most ten tasks and the limit on each; a task that is larger has a page of its own."""
    pages: list[tuple[TaskMetric, ...]] = []
    page: list[TaskMetric] = []
    page_bytes = 0
    for task in tasks:
        task_bytes = len(msgspec.json.encode(task)) + 1
        if page and (len(page) == TASKS_PER_PAGE or page_bytes + task_bytes > limit_bytes):
            pages.append(tuple(page))
            page, page_bytes = [], 0
        page.append(task)
        page_bytes += task_bytes
    if page:
        pages.append(tuple(page))
    return pages


def task_healths(tasks: Iterable[Task], *, at: datetime) -> tuple[TaskHealth, ...]:
    """The health of each running container that Docker checks, by task.

    Before the first verdict no check has a time, and ``at`` is used instead.
    """
    found = []
    for task in tasks:
        containers = tuple(
            ContainerHealth(
                container_name=container.name,
                health_status=container.health.status.value,
                status_since=timestamp(parse_docker_time(container.health.since) or at),
            )
            for container in task.containers
            if container.is_running and container.definition.health_check_is_docker
        )
        if containers:
            found.append(
                TaskHealth(
                    containers=containers,
                    task_arn=task.arn,
                    task_definition_family=task.family,
                    task_definition_version=task.version,
                )
            )
    return tuple(found)


def health_messages(
    tasks: Sequence[TaskHealth], *, cluster: str, container_instance: str, message_id: str, at: datetime
) -> tuple[PublishHealth, ...]:
    """The pages of one report, ten tasks each; none without tasks."""
    starts = range(0, len(tasks), TASKS_PER_PAGE)
    return tuple(
        PublishHealth(
            metadata=HealthMetadata(
                cluster=cluster,
                container_instance=container_instance,
                fin=start == starts[-1],
                message_id=message_id,
            ),
            tasks=tuple(tasks[start : start + TASKS_PER_PAGE]),
            timestamp=timestamp(at),
        )
        for start in starts
    )


def instance_status_message(
    status: InstanceStatus, *, cluster: str, container_instance: str, request_id: str, at: datetime
) -> PublishInstanceStatus:
    """Quirk: ``lastUpdated`` is the moment of the check before the last one, as the official agent sends it."""
    return PublishInstanceStatus(
        metadata=InstanceStatusMetadata(cluster=cluster, container_instance=container_instance, request_id=request_id),
        statuses=(
            InstanceStatusEntry(
                last_status_change=timestamp(status.changed_at),
                last_updated=timestamp(status.previously_checked_at),
                status=status.health.value,
                type=status.kind,
            ),
        ),
        timestamp=timestamp(at),
    )


def long_stats_set(numbers: Sequence[int]) -> LongStatsSet:
    """Sums up at least one number. A sum above 63 bits is cut to them, and the rest is a member of its own."""
    largest, smallest, total = max(numbers), min(numbers), sum(numbers)
    return LongStatsSet(
        max=min(largest, _LONG_MAX),
        min=min(smallest, _LONG_MAX),
        overflow_max=_overflow(largest),
        overflow_min=_overflow(smallest),
        overflow_sum=_overflow(total),
        sample_count=len(numbers),
        sum=min(total, _LONG_MAX),
    )


def _overflow(number: int) -> int:
    return number % _LONG_MAX if number > _LONG_MAX else 0


def stats_set(numbers: Sequence[float]) -> StatsSet:
    """Sums up at least one number. Whole ones are written without a point, as Go writes them."""
    return StatsSet(
        max=_plain(max(numbers)), min=_plain(min(numbers)), sample_count=len(numbers), sum=_plain(sum(numbers))
    )


def _plain(number: float) -> float:
    return int(number) if float(number).is_integer() else number


def timestamp(moment: datetime) -> float:
    """Seconds since the epoch, to the millisecond."""
    return _plain(round(moment.timestamp(), 3))


def agent_frame(message: AgentMessage) -> str:
    """The JSON of a frame, without the header block, which needs a signature."""
    return msgspec.json.encode({"type": _AGENT_NAMES[type(message)], "message": message}).decode()


class AgentFrame(msgspec.Struct, frozen=True, kw_only=True):
    """A frame of an agent, taken apart."""

    headers: Mapping[str, str]
    """Names in lower case; empty where the frame has no header block."""
    message: AgentMessage


def split_agent_frame(text: str) -> tuple[tuple[tuple[str, str], ...], str]:
    """Header block, names as they were sent, and JSON. Raises ``BadFrame``."""
    if text.startswith("{"):
        return (), text
    block, blank, content = text.partition("\r\n\r\n")
    if not blank:
        raise BadFrame("neither JSON nor a header block with an empty line after it")
    headers: list[tuple[str, str]] = []
    for line in block.split("\r\n"):
        name, colon, value = line.partition(":")
        if not colon:
            raise BadFrame("a line of the header block has no colon")
        headers.append((name, value.strip()))
    return tuple(headers), content


def parse_agent_frame(text: str) -> AgentFrame:
    """Raises ``BadFrame``."""
    block, text = split_agent_frame(text)
    headers = {name.lower(): value for name, value in block}
    name, content = _envelope(text)
    kind = _AGENT_TYPES.get(name)
    if kind is None:
        raise BadFrame(f"unknown type {name[:100]!r}")
    try:
        return AgentFrame(headers=headers, message=msgspec.json.decode(content, type=kind))
    except (ValueError, RecursionError) as error:
        raise BadFrame(f"{name}: {error}") from error


# --- what the service sends -------------------------------------------------------------------------


class ServiceMessageKind(Enum):
    """The value is the ``type`` on the wire."""

    HEARTBEAT = "HeartbeatMessage"
    ACK_METRICS = "AckPublishMetric"
    ACK_HEALTH = "AckPublishHealth"
    ACK_INSTANCE_STATUS = "AckPublishInstanceStatus"
    STOP_SESSION = "StopTelemetrySessionMessage"
    SERVER_ERROR = "ServerException"
    BAD_REQUEST = "BadRequestException"
    RESOURCE_VALIDATION = "ResourceValidationException"
    INVALID_PARAMETER = "InvalidParameterException"


_COMPLAINTS = frozenset(
    {
        ServiceMessageKind.SERVER_ERROR,
        ServiceMessageKind.BAD_REQUEST,
        ServiceMessageKind.RESOURCE_VALIDATION,
        ServiceMessageKind.INVALID_PARAMETER,
    }
)


class ServiceMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the service."""

    kind: ServiceMessageKind
    text: str = ""
    """``message`` of all but heartbeats."""
    healthy: bool = True
    """Of heartbeats."""

    @property
    def is_complaint(self) -> bool:
        """It finds fault with something that the agent sent."""
        return self.kind in _COMPLAINTS


class _Content(msgspec.Struct):
    message: str | None = None
    healthy: bool | None = None


def service_frame(message: ServiceMessage) -> str:
    """As the service sends it."""
    is_heartbeat = message.kind is ServiceMessageKind.HEARTBEAT
    content = {"healthy": message.healthy} if is_heartbeat else {"message": message.text}
    return msgspec.json.encode({"type": message.kind.value, "message": content}).decode()


def parse_service_frame(text: str | bytes) -> ServiceMessage:
    """Raises ``BadFrame``."""
    name, content = _envelope(text)
    try:
        kind = ServiceMessageKind(name)
    except ValueError:
        raise BadFrame(f"unknown type {name[:100]!r}") from None
    try:
        found = msgspec.json.decode(content, type=_Content)
    except (ValueError, RecursionError) as error:
        raise BadFrame(f"{name}: {error}") from error
    return ServiceMessage(kind=kind, text=found.message or "", healthy=found.healthy is not False)


class _Envelope(msgspec.Struct):
    type: str
    message: msgspec.Raw = msgspec.Raw(b"{}")


def _envelope(text: str | bytes) -> tuple[str, bytes]:
    try:
        envelope = msgspec.json.decode(text, type=_Envelope)
    except (ValueError, RecursionError) as error:  # ValueError: msgspec's own, and invalid UTF-8
        raise BadFrame(f"no envelope of type and message: {error}") from error
    content = bytes(envelope.message)
    return envelope.type, b"{}" if content == b"null" else content


# --- opening ----------------------------------------------------------------------------------------


def connect_url(
    endpoint: str,
    *,
    cluster: str,
    container_instance: str,
    agent_version: str,
    agent_hash: str,
    docker_version: str,
) -> str:
    """The address to dial: query sorted by name, and quoted as signatures want it (a blank is ``%20``).

    Args:
        endpoint: ``telemetryEndpoint`` as ECS gave it.
        docker_version: plain, without a prefix; ``""``: unknown, and left out.

    Raises:
        UnusableEndpoint
    """
    try:
        parts = urlsplit(endpoint)
    except ValueError as error:
        raise UnusableEndpoint(f"the telemetry endpoint that ECS named is not an address: {error}") from error
    scheme = SCHEMES.get(parts.scheme)
    if scheme is None or not parts.netloc:
        raise UnusableEndpoint(
            f"the telemetry endpoint that ECS named must begin with http:// or https://, and is {endpoint[:200]!r}"
        )
    query = {
        "agentHash": agent_hash,
        "agentVersion": agent_version,
        "cluster": cluster,
        "containerInstance": container_instance,
    }
    if docker_version:
        query["dockerVersion"] = docker_version
    text = urlencode(query, quote_via=quote, safe="")
    return f"{scheme}://{parts.netloc}{parts.path.removesuffix('/')}/ws?{text}"
