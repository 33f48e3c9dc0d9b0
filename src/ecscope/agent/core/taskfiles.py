"""Which task files start tasks, and which tasks they stop.

For each file (its absolute path is the key):

* A definition that the record does not know starts a task; a changed one stops the old task and starts a new one. The
  same definition never runs twice, also when its task has stopped or was cleaned up: a task runs once for each version
  of its file.
* A file that is gone stops its task and is forgotten.
* A file that is wrong or half written changes nothing.
* A task whose record was lost is started again.

Since the record (``state.sources``) is durable, this works alike for what changed while the agent was away, and a scan
that comes twice changes nothing the second time.
"""

from __future__ import annotations

import msgspec

from ecscope.agent.core import admission
from ecscope.agent.core.events import TaskFile, TaskFilesScanned
from ecscope.agent.core.step import Step
from ecscope.model.names import volume_docker_name
from ecscope.model.status import TaskStatus
from ecscope.model.task import Task, TaskSource, Volume, VolumeKind

replace = msgspec.structs.replace

_SUFFIX_LENGTH = 20


def scanned(step: Step, event: TaskFilesScanned) -> None:
    """What is gone comes first, so that its ports are free for what is new."""
    if event.is_complete:
        present = event.files.keys() | event.left_alone
        for key in [key for key in step.sources if key not in present]:
            _gone(step, step.sources[key])
    for key, file in event.files.items():
        _present(step, key, file)


def _gone(step: Step, source: TaskSource) -> None:
    step.drop_source(source.key)
    task = step.tasks.get(source.task_arn)
    if task is not None:
        admission.request_stop(step, task, f"removal of task file {source.key}")


def _present(step: Step, key: str, file: TaskFile) -> None:
    source = step.sources.get(key)
    requested_by = f"task file {key}"
    if source is not None and source.digest == file.digest:
        if source.task_arn in step.tasks or source.task_arn not in step.lost_task_arns:
            return
    elif source is not None:
        old = step.tasks.get(source.task_arn)
        if old is not None and _can_be_stopped(old):
            admission.request_stop(step, old, requested_by)
    version = _version(file, source)
    source = TaskSource(key=key, digest=file.digest, version=version, task_arn=file.task.arn)
    step.put_source(source)
    admission.take(step, replace(_in_version(file.task, version), source=source), requested_by=requested_by)


def _can_be_stopped(task: Task) -> bool:
    return task.desired is not TaskStatus.STOPPED and task.known is not TaskStatus.STOPPED


def _version(file: TaskFile, source: TaskSource | None) -> str:
    """As written; else one more than before, from 1; else (the same definition again) as before."""
    if file.revision is not None:
        return str(file.revision)
    if source is None:
        return "1"
    if source.digest == file.digest:
        return source.version
    return str(int(source.version) + 1)


def _in_version(task: Task, version: str) -> Task:
    """The names of a task's own volumes carry its version. Source: engine.md §6.1."""

    def renamed(volume: Volume) -> Volume:
        if volume.kind is not VolumeKind.TASK:
            return volume
        suffix = volume.docker_name[-_SUFFIX_LENGTH:]
        name = volume_docker_name(family=task.family, version=version, volume_name=volume.name, suffix=suffix)
        return replace(volume, docker_name=name)

    return replace(task, version=version, volumes=tuple(map(renamed, task.volumes)))
