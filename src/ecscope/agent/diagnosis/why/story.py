"""What is known about one task, put together for the rules: its record, its history, and what was observed.

The record is missing once the task was cleaned up; the history is missing where nobody recorded it. Either will do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from ecscope.model import history as h
from ecscope.model.container import Container
from ecscope.model.docker_time import parse_docker_time
from ecscope.model.history import HistoryEntry
from ecscope.model.status import ContainerStatus, HealthStatus, ReportedStatus, TaskStatus
from ecscope.model.task import HostResourcesHeld, Task
from ecscope.model.waiting import Waiting

HISTORY = "agent history"
_CLOCKS = timedelta(seconds=0.1)
"""By how much the moments of two programs on one host may differ."""


class PortHolder(msgspec.Struct, frozen=True, kw_only=True):
    """Who listens on a port of the host now."""

    pid: int = 0
    """0: a process that may not be seen."""
    command: str = ""
    task_arn: str = ""
    """The task whose container publishes it; ``""``: none."""
    family: str = ""
    container: str = ""
    since: datetime | None = None
    """When the process or the container was started; ``None``: not known."""


class DockerSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The engine, as it answers now."""

    endpoint: str
    failure: str = ""
    """``""``: it answers."""
    hangs: bool = False
    """It takes connections, and does not answer within a second."""
    started_at: datetime | None = None
    """Of the process that listens; ``None``: it may not be seen."""


class RegistrySeen(msgspec.Struct, frozen=True, kw_only=True):
    """What the registry of an image says of its repository."""

    has_repository: bool
    tags: tuple[str, ...] = ()


class Neighbour(msgspec.Struct, frozen=True, kw_only=True):
    """Another task on this instance that holds CPU, memory or ports."""

    arn: str
    family: str
    cpu_units: int = 0
    memory_mib: int = 0
    ports: tuple[int, ...] = ()
    is_stopping: bool = False


class EngineBreak(msgspec.Struct, frozen=True, kw_only=True):
    """Docker went away, and came back."""

    lost_at: datetime
    back_at: datetime | None
    """``None``: it has not come back."""
    reason: str


class StoppedBy(msgspec.Struct, frozen=True, kw_only=True):
    """What ECS says of a stopped task."""

    stop_code: str = ""
    reason: str = ""
    by: str = ""
    """The user or role that asked: ``user administrator``; ``""``: nobody did, or it is not known."""
    deployment: str = ""
    """Of its service, that started it; ``""``: no service did."""
    primary: str = ""
    """The deployment that its service follows now; ``""``: not known."""
    desired_count: int | None = None
    """Of its service now."""
    service_status: str = ""
    """``ACTIVE``, ``DRAINING``, ``INACTIVE``; ``""``: not known."""
    rollout_state: str = ""
    """Of its deployment now: ``FAILED``, …; ``""``: not known, or the deployment is gone."""
    instance_status: str = ""
    """Of its container instance now; ``""``: not known."""


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked of the host, the engine and ECS for this answer. Everything may be missing."""

    at: datetime | None = None
    """When it was asked; ``None``: nothing was."""
    log_tails: Mapping[str, str] = {}
    """By container: the last lines of its log. A container that wrote nothing has ``""``; one whose log cannot be read
    is missing."""
    paused: frozenset[str] = frozenset()
    """Names of containers that Docker has paused."""
    ports: Mapping[int, tuple[PortHolder, ...]] = {}
    stopped_by: StoppedBy | None = None
    """``None``: ECS was not asked, or did not answer."""
    image_tags: tuple[str, ...] = ()
    """References of local images."""
    free_bytes: int | None = None
    """Under Docker's root directory."""
    docker: DockerSeen | None = None
    """``None``: it was not asked."""
    booted_at: datetime | None = None
    """The host."""
    registries: Mapping[str, RegistrySeen] = {}
    """By image, where the registry was asked and answered."""
    kernel_kills: tuple[tuple[str, str], ...] | None = None
    """Lines of the kernel's log about killed processes, each with a container's full Docker ID in it, as (Docker ID,
    line); ``None``: the log cannot be read."""


class ContainerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One container, as far as it is known."""

    name: str
    image: str = ""
    is_essential: bool | None = None
    """``None``: the record is gone."""
    depends_on: tuple[tuple[str, str], ...] = ()
    """Container and condition."""
    status: ContainerStatus = ContainerStatus.NONE
    docker_id: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    signal: int | None = None
    """Sent through Docker during the last run; ``None``: none was, or nobody saw it."""
    die_was_seen: bool = False
    """Docker's ``die`` was received, so ``signal`` is complete."""
    stop_asked_at: datetime | None = None
    """By the agent; ``None``: it never asked Docker to stop it."""
    grace_s: int | None = None
    error: h.ContainerError | None = None
    error_at: datetime | None = None
    reason: str = ""
    """ECS's reason of a container that stopped, or of one that could not run."""
    oom_at: datetime | None = None
    """Docker's ``oom`` event; ``None``: none came."""
    oom_flag: bool = False
    was_started_again: bool = False
    """By somebody else than the agent, after it had stopped."""
    was_removed: bool = False
    """By somebody else than the agent."""
    removed_at: datetime | None = None
    health: HealthStatus | None = None
    probes: tuple[HistoryEntry, ...] = ()
    """Changes of the health check's result, oldest first."""
    restarts: tuple[HistoryEntry, ...] = ()
    gave_up: h.ContainerNotRestarted | None = None
    missing_paths: tuple[str, ...] = ()
    """Host paths that Docker created, because they were missing."""
    waiting: Waiting | None = None
    timeline: tuple[HistoryEntry, ...] = ()

    @property
    def ran_s(self) -> float | None:
        """Seconds from its start to its end; ``None``: it never ran, or a moment is missing."""
        if self.started_at is None or self.finished_at is None:
            return None
        return max(0.0, (self.finished_at - self.started_at).total_seconds())

    @property
    def ended_by_agent(self) -> bool:
        """The agent asked Docker to stop it before it ended. Clocks of the two may differ a little."""
        return self.stop_asked_at is not None and (
            self.finished_at is None or self.stop_asked_at <= self.finished_at + _CLOCKS
        )

    @property
    def waited_s(self) -> float | None:
        """Seconds from the agent's stop request to its end; ``None``: not known, or the clock was changed between."""
        if self.stop_asked_at is None or self.finished_at is None:
            return None
        waited_s = (self.finished_at - self.stop_asked_at).total_seconds()
        return max(waited_s, 0.0) if waited_s >= -_CLOCKS.total_seconds() else None

    @property
    def ended_at(self) -> datetime | None:
        """When it ended, or failed to start."""
        return self.finished_at or self.error_at


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """One task."""

    arn: str
    family: str = ""
    version: str = ""
    known: TaskStatus = TaskStatus.NONE
    desired: TaskStatus = TaskStatus.RUNNING
    containers: tuple[ContainerFacts, ...] = ()
    """In the order of the task definition, or in that of their first event."""
    reason: str = ""
    """Why it could not run, as reported to ECS; ``""``: it ran, or nothing is recorded."""
    requested_by: str = ""
    """Who asked the agent to stop it; ``""``: nobody."""
    requested_at: datetime | None = None
    refused: str = ""
    resource_failures: tuple[HistoryEntry, ...] = ()
    not_told: HistoryEntry | None = None
    """ECS refused to be told that it runs; ``None``: it did not."""
    waiting: Waiting | None = None
    stopped_at: datetime | None = None
    gaps: tuple[tuple[datetime, datetime], ...] = ()
    """In which no agent watched: from the last entry before it was killed to its next start."""
    engine_breaks: tuple[EngineBreak, ...] = ()
    """Oldest first."""
    neighbours: tuple[Neighbour, ...] = ()
    """In the order in which they came."""
    head: Story | None = None
    """The task at the head of the queue, where this one waits behind it."""
    observed: Observed = Observed()

    @property
    def containers_ran(self) -> bool:
        """At least one was started."""
        return any(one.started_at is not None for one in self.containers)

    @property
    def is_stopped(self) -> bool:
        return self.known is TaskStatus.STOPPED

    def container(self, name: str) -> ContainerFacts | None:
        """The container of that name, or ``None``."""
        return next((one for one in self.containers if one.name == name), None)


def breaks_of(entries: Sequence[HistoryEntry]) -> tuple[EngineBreak, ...]:
    """``entries``: of the agent, oldest first."""
    found: list[EngineBreak] = []
    for entry in entries:
        match entry.what:
            case h.RuntimeDisconnected(reason=reason) if not found or found[-1].back_at is not None:
                found.append(EngineBreak(lost_at=entry.at, back_at=None, reason=reason))
            case h.RuntimeConnected() if found and found[-1].back_at is None:
                found[-1] = msgspec.structs.replace(found[-1], back_at=entry.at)
            case _:
                pass
    return tuple(found)


def neighbours_of(arn: str, tasks: Sequence[Task]) -> tuple[Neighbour, ...]:
    """Of the task ``arn``, among all of its agent."""
    return tuple(
        Neighbour(
            arn=task.arn,
            family=f"{task.family}:{task.version}",
            cpu_units=task.needs.cpu_units,
            memory_mib=task.needs.memory_mib,
            ports=tuple(sorted({*task.needs.ports_tcp, *task.needs.ports_udp})),
            is_stopping=task.desired is TaskStatus.STOPPED,
        )
        for task in tasks
        if task.arn != arn and task.host_resources is HostResourcesHeld.HELD
    )


def story_of(arn: str, task: Task | None, entries: Sequence[HistoryEntry], observed: Observed | None = None) -> Story:
    """Put it together.

    Args:
        task: the record; ``None``: it is gone.
        entries: of this task, oldest first.
    """
    names = list(
        dict.fromkeys([container.name for container in task.containers if not container.is_agents_own] if task else [])
    )
    own = {container.name for container in task.containers if container.is_agents_own} if task else set()
    names += [
        name
        for name in dict.fromkeys(entry.container_name for entry in entries)
        if name and name not in names and name not in own
    ]
    story = Story(arn=arn, observed=observed or Observed())
    values: dict[str, Any] = {}
    failures = []
    for entry in entries:
        match entry.what:
            case h.TaskAccepted(family=family, version=version):
                values |= {"family": family, "version": version}
            case h.TaskRefused(reason=reason):
                values |= {"refused": reason, "known": TaskStatus.STOPPED}
            case h.TaskStopRequested(requested_by=by):
                values |= {"requested_by": by, "requested_at": entry.at}
            case h.TaskStatusChanged(to=to, reason=reason):
                values["known"] = to
                if to is TaskStatus.STOPPED:
                    values |= {"reason": reason, "stopped_at": entry.at}
            case h.TaskDesiredStatusChanged(to=to):
                values["desired"] = to
            case h.TaskResourceFailed():
                failures.append(entry)
            case h.StateChangeRefused(status=ReportedStatus.RUNNING):
                values["not_told"] = entry
            case _:
                pass
    if task is not None:
        values |= {
            "family": task.family,
            "version": task.version,
            "known": task.known,
            "desired": task.desired,
            "reason": task.terminal_reason or values.get("reason", ""),
            "requested_by": task.stop_requested_by or values.get("requested_by", ""),
            "waiting": task.waiting,
            "stopped_at": task.stopped_at or values.get("stopped_at"),
        }
        if task.unsupported:
            values["refused"] = values.get("refused") or task.unsupported
    containers = tuple(_container(name, task, [e for e in entries if e.container_name == name]) for name in names)
    return msgspec.structs.replace(
        story,
        containers=containers,
        resource_failures=tuple(failures),
        **values,
    )


def _container(name: str, task: Task | None, entries: Sequence[HistoryEntry]) -> ContainerFacts:
    values: dict[str, Any] = {}
    probes, restarts, paths = [], [], []
    for entry in entries:
        match entry.what:
            case h.ContainerStatusChanged() as change:
                values["status"] = change.to
                if change.docker_id:
                    values["docker_id"] = change.docker_id
                if change.image:
                    values["image"] = change.image
                if change.to is ContainerStatus.RUNNING:
                    values["started_at"] = parse_docker_time(change.started_at) or entry.at
                    values["finished_at"] = None
                elif change.to is ContainerStatus.STOPPED:
                    values |= {"exit_code": change.exit_code, "reason": change.reason, "oom_flag": change.oom_killed}
                    seen_at = entry.at if change.exit_code is not None else None
                    finished = parse_docker_time(change.finished_at)
                    values["finished_at"] = values.get("finished_at") or finished or seen_at
            case h.ContainerDied() as died:
                values |= {"signal": died.signal, "die_was_seen": True}
                if died.exit_code is not None:
                    values["exit_code"] = died.exit_code
                if died.time_ns:
                    values["finished_at"] = parse_docker_time(h.rfc3339_of(died.time_ns))
            case h.ContainerStopping() as stopping:
                values |= {"stop_asked_at": values.get("stop_asked_at") or entry.at, "grace_s": stopping.grace_s}
            case h.ContainerError() as error if "error" not in values:
                values |= {"error": error, "error_at": entry.at}
            case h.ImagePullFailed() as failed if "error" not in values:
                error = h.ContainerError(doing="pull", error_name=failed.error_name, message=failed.message)
                values |= {"error": error, "error_at": entry.at}
            case h.ContainerOutOfMemory() as oom:
                values["oom_at"] = _moment(oom.time_ns) or entry.at
            case h.ContainerVanished(time_ns=time_ns):
                values |= {"was_removed": True, "removed_at": _moment(time_ns) or entry.at}
            case h.ContainerHealthChanged():
                probes.append(entry)
            case h.ContainerRestarted():
                restarts.append(entry)
            case h.ContainerNotRestarted() as given_up:
                values["gave_up"] = given_up
            case h.ContainerStartedFromOutside():
                values["was_started_again"] = True
                break  # how that ended is not part of how it ended
            case h.HostPathMissing(path=path):
                paths.append(path)
            case _:
                pass
    known = task.container(name) if task is not None else None
    if known is not None:
        _add_record(values, known)
    return ContainerFacts(
        name=name,
        probes=tuple(probes),
        restarts=tuple(restarts),
        missing_paths=tuple(paths),
        timeline=tuple(entries),
        **values,
    )


def _moment(time_ns: int) -> datetime | None:
    """Of Docker's nanoseconds; ``None``: it did not say."""
    return parse_docker_time(h.rfc3339_of(time_ns)) if time_ns else None


def _add_record(values: dict[str, Any], known: Container) -> None:
    """What the record says takes precedence; it is newer than any entry."""
    values |= {
        "image": known.definition.image,
        "is_essential": known.is_essential,
        "depends_on": tuple((d.container_name, d.condition.value) for d in known.definition.depends_on),
        "status": known.known,
        "docker_id": known.docker_id or values.get("docker_id", ""),
        "exit_code": values.get("exit_code")
        if known.exit_code is None or values.get("was_started_again")
        else known.exit_code,
        "started_at": values.get("started_at")
        if values.get("was_started_again")
        else parse_docker_time(known.last_started_at or known.started_at) or values.get("started_at"),
        "oom_flag": known.oom_killed,
        "health": known.health.status,
        "waiting": known.waiting,
    }
    if values.get("was_started_again"):
        return  # the rest is of the later run
    finished = parse_docker_time(known.finished_at)
    if values.get("finished_at") is None:
        values["finished_at"] = finished
    if values.get("stop_asked_at") is None:
        values["stop_asked_at"] = known.stop_asked_at
    if known.died_at_ns:
        values["die_was_seen"] = True
        values["signal"] = known.die_signal if known.die_signal is not None else values.get("signal")
    if known.error is not None:
        values["reason"] = f"{known.error.name}: {known.error.message}"
