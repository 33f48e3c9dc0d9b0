"""Stories of tasks, told by the happenings that an agent records."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from ecscope.agent.diagnosis.why.story import Observed, Story, story_of
from ecscope.model import history as h
from ecscope.model.history import HistoryEntry
from ecscope.model.status import ContainerStatus, TaskStatus
from ecscope.model.task import Task

T0 = datetime(2026, 12, 1, 12, tzinfo=UTC)
ARN = "arn:aws:ecs:eu-west-1:111122223333:task/c/0123456789abcdef0123456789abcdef"
DOCKER_ID = "d" * 64


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def ns(seconds: float) -> int:
    return int(at(seconds).timestamp() * 1e9)


def entry(seconds: float, what: h.Happening, container: str = "app") -> HistoryEntry:
    return HistoryEntry(at=at(seconds), event_id="e", cause="c", what=what, task_arn=ARN, container_name=container)  # type: ignore[arg-type]


def started(seconds: float = 1, container: str = "app") -> HistoryEntry:
    what = h.ContainerStatusChanged(
        before=ContainerStatus.CREATED, to=ContainerStatus.RUNNING, why="w", docker_id=DOCKER_ID, image="web:1"
    )
    return entry(seconds, what, container)


def died(seconds: float, code: int, signal: int | None = None, container: str = "app") -> HistoryEntry:
    what = h.ContainerDied(exit_code=code, signal=signal, time_ns=ns(seconds), stop_requested=False)
    return entry(seconds, what, container)


def stopped(seconds: float, code: int | None = None, container: str = "app", **fields: object) -> HistoryEntry:
    what = h.ContainerStatusChanged(
        before=ContainerStatus.RUNNING,
        to=ContainerStatus.STOPPED,
        why="w",
        exit_code=code,
        **fields,  # type: ignore[arg-type]
    )
    return entry(seconds, what, container)


def stopping(seconds: float, grace_s: int = 30, container: str = "app") -> HistoryEntry:
    return entry(seconds, h.ContainerStopping(grace_s=grace_s, docker_id=DOCKER_ID), container)


def failed(seconds: float, doing: str, message: str, container: str = "app") -> HistoryEntry:
    return entry(seconds, h.ContainerError(doing=doing, error_name="E", message=message), container)


def task_stopped(seconds: float = 100) -> HistoryEntry:
    what = h.TaskStatusChanged(before=TaskStatus.RUNNING, to=TaskStatus.STOPPED, desired=TaskStatus.STOPPED)
    return entry(seconds, what, "")


def a_story(*entries: HistoryEntry, task: Task | None = None, **observed: object) -> Story:
    """Of a task that has stopped."""
    accepted = entry(0, h.TaskAccepted(requested_by="ACS payload 1", family="web", version="3"), "")
    return story_of(ARN, task, [accepted, *entries, task_stopped()], Observed(**observed))  # type: ignore[arg-type]


def with_image(story: Story, image: str) -> Story:
    containers = tuple(msgspec.structs.replace(one, image=image) for one in story.containers)
    return msgspec.structs.replace(story, containers=containers)
