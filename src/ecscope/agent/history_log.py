"""Log lines of the history: how important each happening is, and which fields its line has.

A task that starts and ends as it should gives a line for each of: accepted, pulling, pulled, RUNNING, what stopped it,
STOPPED. Every other step is a line at debug level, and all of them are in the history.
"""

from __future__ import annotations

import logging

from ecscope.agent.core.state import AgentState
from ecscope.log import CONTAINER_NAME, EVENT_ID, FAMILY, HAPPENING, TASK
from ecscope.model import history
from ecscope.model.arn import TaskArn, task_id
from ecscope.model.history import HistoryEntry
from ecscope.model.status import ContainerStatus, TaskStatus

_log = logging.getLogger("ecscope.engine")

_LEVELS: dict[type[history.Happening], int] = {
    history.ContainerError: logging.WARNING,
    history.HostPathMissing: logging.WARNING,
    history.ImagePullSlow: logging.WARNING,
    history.TaskRefused: logging.ERROR,
    history.RuntimeDisconnected: logging.WARNING,
    history.OrphanContainerFound: logging.WARNING,
    history.TaskResourceFailed: logging.ERROR,
    history.CleanupFailed: logging.WARNING,
    history.InstanceNotRegistered: logging.WARNING,
    history.StateChangeRefused: logging.ERROR,
    history.StateChangeQueued: logging.DEBUG,
    history.StateChangeAccepted: logging.DEBUG,
    history.ImagePullProgress: logging.DEBUG,
    history.ContainerWaits: logging.DEBUG,
    history.TaskHostResourcesHeld: logging.DEBUG,
    history.TaskResourceCreated: logging.DEBUG,
    history.NoChange: logging.DEBUG,
}
"""All others are ``INFO``."""
_STEPS = frozenset(ContainerStatus) - {ContainerStatus.RUNNING, ContainerStatus.STOPPED}
_TASK_STEPS = frozenset(TaskStatus) - {TaskStatus.RUNNING, TaskStatus.STOPPED}


def level_of(what: history.Happening) -> int:
    """As ``logging`` counts."""
    match what:
        case history.ContainerStatusChanged(to=status) if status in _STEPS:
            return logging.DEBUG
        case history.TaskStatusChanged(to=task_status) if task_status in _TASK_STEPS:
            return logging.DEBUG
        case _:
            return _LEVELS.get(type(what), logging.INFO)


def log_entry(entry: HistoryEntry, state: AgentState) -> None:
    """``state`` knows the family of the entry's task, if the task is still there."""
    level = level_of(entry.what)
    if not _log.isEnabledFor(level):
        return
    fields: dict[str, object] = {}
    if entry.task_arn:
        task = state.tasks.get(TaskArn(entry.task_arn))
        if task is not None:
            fields[FAMILY] = f"{task.family}:{task.version}"
        fields[TASK] = task_id(entry.task_arn)
    if entry.container_name:
        fields[CONTAINER_NAME] = entry.container_name
    _log.log(level, entry.text, extra={**fields, HAPPENING: entry.kind, EVENT_ID: entry.event_id})
