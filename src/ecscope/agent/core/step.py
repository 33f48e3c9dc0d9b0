"""The workbench of one decision: the state under change, and what is to be done about it.

A ``Step`` lives for one call of ``decide`` only. The rule modules read and replace values
through it, so that what changed, what is wanted and what is to be remembered are collected
in one place.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from ecscope.agent.core.actions import AnyAction, InspectContainer
from ecscope.agent.core.events import AnyEvent
from ecscope.agent.core.state import AgentState, Settings
from ecscope.model.arn import DockerId, TaskArn
from ecscope.model.attachment import Attachment
from ecscope.model.container import Container
from ecscope.model.container_instance import ContainerInstance, Obstacle
from ecscope.model.credentials import TaskCredentials
from ecscope.model.history import Detail, Happening, HistoryEntry
from ecscope.model.resources import HostResources
from ecscope.model.runtime import RuntimeAction
from ecscope.model.task import ImageRecord, Task, TaskSource


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What one event leads to."""

    state: AgentState
    actions: tuple[AnyAction, ...] = ()
    notes: tuple[HistoryEntry, ...] = ()
    tasks: tuple[TaskArn, ...] = ()
    """Tasks whose record changed or went away."""
    images: tuple[str, ...] = ()
    """Image names whose record changed or went away."""
    sources: tuple[str, ...] = ()
    """Task source keys whose record changed or went away."""
    metadata: Mapping[str, str] = {}
    """What else changed that is saved, by its key in the store."""


class Step:
    """See the module docstring."""

    def __init__(self, state: AgentState, event: AnyEvent) -> None:
        self._before = state
        self.event = event
        self.tasks: Mapping[TaskArn, Task] = state.tasks
        self.docker_ids: Mapping[DockerId, tuple[TaskArn, str]] = state.docker_ids
        self.images: Mapping[str, ImageRecord] = state.images
        self.sources: Mapping[str, TaskSource] = state.sources
        self.waiting = state.waiting
        self.host = state.host
        self.taken: HostResources = state.taken
        self.runtime_connected = state.runtime_connected
        self.reconciled = state.reconciled
        self.foreign = state.foreign
        self.instance: ContainerInstance = state.instance
        self.obstacle: Obstacle | None = state.obstacle
        self.credentials: Mapping[str, TaskCredentials] = state.credentials
        self.manifest_sequence = state.manifest_sequence
        self.manifest_message_id = state.manifest_message_id
        self.attachments: Mapping[str, Attachment] = state.attachments
        self.report_queue = state.report_queue
        self.reporting = state.reporting
        self._metadata: dict[str, str] = {}
        self._actions: list[AnyAction] = []
        self._notes: list[HistoryEntry] = []
        self._dirty: dict[TaskArn, None] = {}
        self._changed_tasks: dict[TaskArn, None] = {}
        self._changed_images: dict[str, None] = {}
        self._changed_sources: dict[str, None] = {}
        self._cause = type(event).__name__

    @property
    def at(self) -> datetime:
        """The time of the event, the only clock there is."""
        return self.event.at

    @property
    def settings(self) -> Settings:
        return self._before.settings

    @property
    def lost_task_arns(self) -> frozenset[str]:
        return self._before.lost_task_arns

    @property
    def may_call_runtime(self) -> bool:
        """The runtime is there and what it had to say was taken in."""
        return self.runtime_connected and self.reconciled

    @property
    def is_registered(self) -> bool:
        """ECS knows this instance, and can be told about its tasks."""
        return self.settings.joins_cluster and self.obstacle is None

    # --- wishes and memories -----------------------------------------------------------------

    def act(self, action: AnyAction) -> None:
        """Want something done, once this decision is saved."""
        self._actions.append(action)

    def look_at(self, docker_id: DockerId, *, seen: RuntimeAction | None, exit_code: int | None = None) -> None:
        """Want a container inspected; without a runtime nothing, since a listing follows every connect."""
        if self.runtime_connected:
            self._actions.append(InspectContainer(docker_id=docker_id, seen=seen, exit_code=exit_code))

    def note(
        self,
        happening: Happening,
        text: str,
        *,
        task: Task | None = None,
        container: Container | None = None,
        detail: Mapping[str, Detail] | None = None,
    ) -> None:
        """Remember what happened, for the log and the durable history."""
        self._notes.append(
            HistoryEntry(
                at=self.event.at,
                event_id=self.event.id,
                cause=self._cause,
                happening=happening,
                task_arn=task.arn if task is not None else "",
                container_name=container.definition.name if container is not None else "",
                text=text,
                detail=detail or {},
            )
        )

    # --- tasks -------------------------------------------------------------------------------

    def put(self, task: Task) -> Task:
        """Replace a task (or add it) and have the rules run over it."""
        arn = task.arn
        if arn not in self._changed_tasks:
            self._changed_tasks[arn] = None
        if self.tasks is self._before.tasks:
            self.tasks = dict(self.tasks)
        self.tasks[arn] = task  # type: ignore[index]  # copied just above
        self._dirty[arn] = None
        return task

    def put_container(self, task: Task, container: Container) -> Task:
        """Replace one container of a task."""
        name = container.definition.name
        containers = tuple(container if c.definition.name == name else c for c in task.containers)
        return self.put(msgspec.structs.replace(task, containers=containers))

    def drop(self, task: Task) -> None:
        """Forget a task."""
        if self.tasks is self._before.tasks:
            self.tasks = dict(self.tasks)
        del self.tasks[task.arn]  # type: ignore[attr-defined]  # copied just above
        self._dirty.pop(task.arn, None)
        self._changed_tasks[task.arn] = None
        gone = [c.docker_id for c in task.containers if c.docker_id]
        if gone:
            self.docker_ids = {k: v for k, v in self.docker_ids.items() if k not in gone}

    def touch(self, arn: TaskArn) -> None:
        """Have the rules run over a task that did not change itself."""
        if arn in self.tasks:
            self._dirty[arn] = None

    def next_dirty(self) -> Task | None:
        """A task whose rules are to run, or ``None`` when all is settled."""
        while self._dirty:
            arn = next(iter(self._dirty))
            del self._dirty[arn]
            task = self.tasks.get(arn)
            if task is not None:
                return task
        return None

    def index_docker_id(self, docker_id: DockerId, arn: TaskArn, container_name: str) -> None:
        """Let notices about this Docker ID find their container."""
        if self.docker_ids.get(docker_id) != (arn, container_name):
            self.docker_ids = {**self.docker_ids, docker_id: (arn, container_name)}

    # --- what is saved beside records ------------------------------------------------------------

    def remember(self, key: str, value: str) -> None:
        """Save a fact about the agent itself."""
        self._metadata[key] = value

    # --- images and task sources ---------------------------------------------------------------

    def put_image(self, record: ImageRecord) -> None:
        self.images = {**self.images, record.name: record}
        self._changed_images[record.name] = None

    def drop_image(self, name: str) -> None:
        self.images = {k: v for k, v in self.images.items() if k != name}
        self._changed_images[name] = None

    def put_source(self, source: TaskSource) -> None:
        self.sources = {**self.sources, source.key: source}
        self._changed_sources[source.key] = None

    def drop_source(self, key: str) -> None:
        self.sources = {k: v for k, v in self.sources.items() if k != key}
        self._changed_sources[key] = None

    # --- the end -------------------------------------------------------------------------------

    def decision(self) -> Decision:
        """All that came of the event."""
        before = self._before
        state = before
        if (
            self.tasks is not before.tasks
            or self.docker_ids is not before.docker_ids
            or self.images is not before.images
            or self.sources is not before.sources
            or self.waiting is not before.waiting
            or self.host is not before.host
            or self.taken is not before.taken
            or self.runtime_connected is not before.runtime_connected
            or self.reconciled is not before.reconciled
            or self.foreign != before.foreign
            or self.instance is not before.instance
            or self.obstacle is not before.obstacle
            or self.credentials is not before.credentials
            or self.manifest_sequence != before.manifest_sequence
            or self.manifest_message_id != before.manifest_message_id
            or self.attachments is not before.attachments
            or self.report_queue is not before.report_queue
            or self.reporting is not before.reporting
        ):
            state = msgspec.structs.replace(
                before,
                tasks=self.tasks,
                docker_ids=self.docker_ids,
                images=self.images,
                sources=self.sources,
                waiting=self.waiting,
                host=self.host,
                taken=self.taken,
                runtime_connected=self.runtime_connected,
                reconciled=self.reconciled,
                foreign=self.foreign,
                instance=self.instance,
                obstacle=self.obstacle,
                credentials=self.credentials,
                manifest_sequence=self.manifest_sequence,
                manifest_message_id=self.manifest_message_id,
                attachments=self.attachments,
                report_queue=self.report_queue,
                reporting=self.reporting,
            )
        return Decision(
            state=state,
            actions=tuple(self._actions),
            notes=tuple(self._notes),
            tasks=tuple(self._changed_tasks),
            images=tuple(self._changed_images),
            sources=tuple(self._changed_sources),
            metadata=self._metadata,
        )
