"""What a scan of the task files asks of the agent. Pure: decides, and does nothing.

The rules, for each file (its absolute path is the key):

* A definition that the record does not know starts a task; a changed one stops the old
  task and starts a new one. The same definition never runs twice, also when its task has
  stopped or was cleaned up: a task runs once for each version of its file.
* A file that is gone stops its task and is forgotten.
* A file that is wrong or half written changes nothing.
* A task whose record was lost is started again.

Since the record (``state.sources``) is durable, this works alike for what changed while
the agent was away.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime

from ecscope.agent.core.events import TaskReceived, TaskSourceGone, TaskStopRequested
from ecscope.agent.taskfiles.scanner import Scan
from ecscope.model.arn import TaskArn
from ecscope.model.status import TaskStatus
from ecscope.model.task import Task, TaskSource
from ecscope.taskdefinition.read import TaskDefinition, to_task

TaskFileEvent = TaskReceived | TaskStopRequested | TaskSourceGone


def plan(
    scan: Scan,
    *,
    sources: Mapping[str, TaskSource],
    tasks: Mapping[TaskArn, Task],
    lost_task_arns: Collection[str],
    at: datetime,
    event_ids: Callable[[], str],
    task_arns: Callable[[], TaskArn],
    suffixes: Callable[[], str],
) -> tuple[TaskFileEvent, ...]:
    """The events to post, in this order; none when all is as recorded.

    Args:
        at: now, aware UTC.
        event_ids, task_arns: give a fresh one at each call.
        suffixes: gives 20 fresh hex digits at each call.
    """
    events: list[TaskFileEvent] = []
    if scan.is_complete:
        present = scan.definitions.keys() | scan.bad.keys() | scan.unsettled
        events += [TaskSourceGone(id=event_ids(), at=at, key=key) for key in sources if key not in present]
    for key, definition in scan.definitions.items():
        source = sources.get(key)
        if source is not None and source.digest == definition.digest:
            if source.task_arn in tasks or source.task_arn not in lost_task_arns:
                continue
        elif source is not None and _can_be_stopped(tasks.get(source.task_arn)):
            events.append(
                TaskStopRequested(id=event_ids(), at=at, task_arn=source.task_arn, requested_by=f"task file {key}")
            )
        version = _version(definition, source)
        arn = task_arns()
        events.append(
            TaskReceived(
                id=event_ids(),
                at=at,
                task=to_task(definition, arn=arn, version=version, suffixes=suffixes, received_at=at),
                requested_by=f"task file {key}",
                source=TaskSource(key=key, digest=definition.digest, version=version, task_arn=arn),
            )
        )
    return tuple(events)


def _can_be_stopped(task: Task | None) -> bool:
    return task is not None and task.desired is not TaskStatus.STOPPED and task.known is not TaskStatus.STOPPED


def _version(definition: TaskDefinition, source: TaskSource | None) -> str:
    """As written; else one more than before, from 1; else (the same definition again) as before."""
    if definition.revision is not None:
        return str(definition.revision)
    if source is None:
        return "1"
    if source.digest == definition.digest:
        return source.version
    return str(int(source.version) + 1)
