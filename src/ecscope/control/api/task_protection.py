"""Protection of a service's tasks against scale-in and deployments.

Source: GetTaskProtection and UpdateTaskProtection of the ECS API (2014-11-13); control-plane.md §6.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta

import msgspec

from ecscope.control.api import lookup, shapes
from ecscope.control.api.action import Action
from ecscope.control.core.effects import WakeAt
from ecscope.control.core.errors import Failure, invalid, missing
from ecscope.control.core.records import Cluster, Json, Task
from ecscope.control.core.step import Step

_DEFAULT_MINUTES = 120
_MOST_MINUTES = 2880
_MOST_CHANGED = 10
_MOST_SHOWN = 100


def get_task_protection(step: Step, body: Json) -> Json:
    """Without ``tasks``: all that are protected."""
    cluster = lookup.cluster(step, body["cluster"])
    references = body.get("tasks")
    if references is None:
        protected = [task for task in step.tasks.values() if task.cluster == cluster.name and _is_protected(step, task)]
        return {"protectedTasks": [_shown(step, task) for task in protected], "failures": []}
    if not references:
        raise invalid("Tasks cannot be empty.")
    if len(references) > _MOST_SHOWN:
        raise invalid(f"Tasks cannot have more than {_MOST_SHOWN} elements.")
    return _answer(step, _each(step, cluster, references))


def update_task_protection(step: Step, body: Json) -> Json:
    cluster = lookup.cluster(step, body["cluster"])
    minutes = body.get("expiresInMinutes")
    if not body["tasks"]:
        raise invalid("Tasks cannot be empty.")
    if len(body["tasks"]) > _MOST_CHANGED:
        raise invalid(f"Tasks cannot have more than {_MOST_CHANGED} elements.")
    if minutes is not None and not 1 <= minutes <= _MOST_MINUTES:
        raise invalid(f"expiresInMinutes must be from 1 to {_MOST_MINUTES}.")
    if minutes is not None and not body["protectionEnabled"]:
        raise invalid("expiresInMinutes is for protection that is enabled.")
    until = step.at + timedelta(minutes=minutes or _DEFAULT_MINUTES) if body["protectionEnabled"] else None
    if until is not None:
        step.act(WakeAt(at=until))  # a service may have waited for it
    found = _each(step, cluster, body["tasks"])
    return _answer(
        step,
        (
            step.put_task(msgspec.structs.replace(task, is_protected=until is not None, protected_until=until))
            if isinstance(task, Task)
            else task
            for task in found
        ),
    )


ACTIONS: Mapping[str, Action] = {
    "GetTaskProtection": Action(get_task_protection, is_reader=True),
    "UpdateTaskProtection": Action(update_task_protection),
}


def _each(step: Step, cluster: Cluster, references: Iterable[str]) -> Iterator[Task | Failure]:
    for reference in dict.fromkeys(references):
        task = lookup.find_task(step, cluster, reference)
        if task is None or task.is_stopped:
            yield missing(lookup.arn_in(cluster, "task", reference))
        elif not task.service_arn:
            yield Failure(arn=task.arn, reason="TASK_NOT_VALID", detail="Only tasks of a service can be protected.")
        else:
            yield task


def _answer(step: Step, found: Iterable[Task | Failure]) -> Json:
    tasks: list[Task] = []
    failures: list[Failure] = []
    for one in found:
        if isinstance(one, Task):
            tasks.append(one)
        else:
            failures.append(one)
    return {"protectedTasks": [_shown(step, task) for task in tasks], "failures": shapes.failures(failures)}


def _is_protected(step: Step, task: Task) -> bool:
    return task.is_protected and not task.is_stopped and (task.protected_until or step.at) > step.at


def _shown(step: Step, task: Task) -> dict[str, object]:
    shown: dict[str, object] = {"taskArn": task.arn, "protectionEnabled": _is_protected(step, task)}
    if shown["protectionEnabled"] and task.protected_until is not None:
        shown["expirationDate"] = shapes.moment(task.protected_until)
    return shown
