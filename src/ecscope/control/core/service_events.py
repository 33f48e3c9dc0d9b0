"""What a service says of itself, in ECS's words, and when it says it again.

Source: control-plane.md §8.4; the service event messages of the developer guide.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

import msgspec

from ecscope.control.core.records import Service, ServiceEvent, Task
from ecscope.control.core.step import Step
from ecscope.model.arn import task_id

SAID_AGAIN_AFTER = timedelta(hours=6)
"""The same complaint, and that all is steady."""
EVENTS_KEPT = 100
TASKS_IN_ONE = 10
"""More tasks make more events."""

_SENTENCE = 500
"""Characters of a cause."""

_INSTANCE = re.compile(r"\(container-instance [^)]*\)")

BLOCKED = (
    "was unable to stop or start tasks during a deployment because of the service deployment configuration. "
    "Update the minimumHealthyPercent or maximumPercent value and try again."
)
INCONSISTENT = "is unable to consistently start tasks successfully."
STEADY = "has reached a steady state."


def say(step: Step, service: Service, clause: str) -> Service:
    """The service with one more event; ``clause`` comes after its name."""
    event = ServiceEvent(id=step.new_uuid(), created_at=step.at, message=f"(service {service.name}) {clause}")
    return msgspec.structs.replace(service, events=(event, *service.events[: EVENTS_KEPT - 1]))


def complain(step: Step, service: Service, clause: str) -> Service:
    """Say what keeps it from what it wants, unless that was said already and not long ago."""
    was_said_at = service.last_problem_at if _cause(service.last_problem) == _cause(clause) else None
    if was_said_at is not None and step.at - was_said_at < SAID_AGAIN_AFTER:
        return service
    said = say(step, service, clause)
    return msgspec.structs.replace(said, last_problem=clause, last_problem_at=step.at)


def _cause(clause: str) -> str:
    """Without the instance that came closest: another one that lacks the same is nothing new."""
    return _INSTANCE.sub("", clause)


def content(service: Service) -> Service:
    """Its problem is gone: the same one would be a new one."""
    if service.last_problem == "":
        return service
    return msgspec.structs.replace(service, last_problem="", last_problem_at=None)


def say_steady(step: Step, service: Service) -> Service:
    """All is as wanted: said when it becomes so, and every six hours."""
    if service.steady_said_at is not None and step.at - service.steady_said_at < SAID_AGAIN_AFTER:
        return service
    return msgspec.structs.replace(say(step, service, STEADY), steady_said_at=step.at)


def say_started(step: Step, service: Service, tasks: Sequence[Task]) -> Service:
    for some in _batches(tasks):
        service = say(step, service, f"has started {len(some)} tasks: {_listed(some)}.")
    return service


def say_stopped(step: Step, service: Service, tasks: Sequence[Task]) -> Service:
    for some in _batches(tasks):
        service = say(step, service, f"has stopped {len(some)} running tasks: {_listed(some)}.")
    return service


def say_unhealthy(step: Step, service: Service, task: Task) -> Service:
    return say(step, service, f"(task {task_id(task.arn)}) failed container health checks.")


def say_explained(step: Step, service: Service, task: Task, *, code: str, sentence: str) -> Service:
    """Difference: ECS does not know why."""
    return say(step, service, f"(task {task_id(task.arn)}) failed: {code}: {sentence[:_SENTENCE]}")


def unplaced(reason: str, *, is_on_fargate: bool = False) -> str:
    """The complaint about a task that found no place; ``reason`` is a sentence."""
    if is_on_fargate:
        return f"was unable to place a task. Reason: {reason}"
    clause = reason if reason.startswith("The closest matching") else f"Reason: {reason}"
    return f"was unable to place a task because no container instance met all of its requirements. {clause}"


def protected(count: int) -> str:
    return f"was unable to scale in due to (reason {count} tasks under protection)"


def _batches(tasks: Sequence[Task]) -> list[Sequence[Task]]:
    return [tasks[start : start + TASKS_IN_ONE] for start in range(0, len(tasks), TASKS_IN_ONE)]


def _listed(tasks: Sequence[Task]) -> str:
    return " ".join(f"(task {task_id(task.arn)})" for task in tasks)
