"""The workbench of one decision: the state under change, and what is to be done about it.

A ``Step`` lives for one call of ``decide`` only. The rule modules read and replace values
through it, so that what changed, what is wanted and what is to be remembered are collected
in one place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from ecscope.agent.core.actions import AnyAction, InspectContainer, ReconnectRuntime
from ecscope.agent.core.events import AnyEvent
from ecscope.agent.core.state import AgentState, Settings
from ecscope.model.arn import DockerId, TaskArn
from ecscope.model.container import Container
from ecscope.model.history import AnyHappening, HistoryEntry, NoChange
from ecscope.model.runtime import RuntimeAction
from ecscope.model.task import ImageRecord, Task, TaskSource
from ecscope.state_table import Draft


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


class Step(Draft[AgentState]):
    """See the module docstring."""

    def __init__(self, state: AgentState, event: AnyEvent) -> None:
        super().__init__(state)
        self.event = event
        self._tasks = self.table("tasks", state.tasks)
        self._docker_ids = self.table("docker_ids", state.docker_ids)
        self._images = self.table("images", state.images)
        self._sources = self.table("sources", state.sources)
        self.credentials = self.table("credentials", state.credentials)
        self.attachments = self.table("attachments", state.attachments)
        self.waiting = state.waiting
        self.host = state.host
        self.taken = state.taken
        self.runtime_connected = state.runtime_connected
        self.reconciled = state.reconciled
        self.foreign = state.foreign
        self.instance = state.instance
        self.obstacle = state.obstacle
        self.manifest_sequence = state.manifest_sequence
        self.manifest_message_id = state.manifest_message_id
        self.report_queue = state.report_queue
        self.reporting = state.reporting
        self._metadata: dict[str, str] = {}
        self._actions: list[AnyAction] = []
        self._notes: list[HistoryEntry] = []
        self._dirty: dict[TaskArn, None] = {}
        self._cause = type(event).__name__

    @property
    def at(self) -> datetime:
        """The time of the event, the only clock there is."""
        return self.event.at

    @property
    def settings(self) -> Settings:
        return self.before.settings

    @property
    def lost_task_arns(self) -> frozenset[str]:
        return self.before.lost_task_arns

    @property
    def may_call_runtime(self) -> bool:
        """The runtime is there and what it had to say was taken in."""
        return self.runtime_connected and self.reconciled

    @property
    def is_registered(self) -> bool:
        """ECS knows this instance: its tasks can be reported."""
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
        what: AnyHappening,
        *,
        task: Task | None = None,
        container: Container | None = None,
    ) -> None:
        """Remember what happened, for the log and the durable history."""
        self._notes.append(
            HistoryEntry(
                at=self.event.at,
                event_id=self.event.id,
                cause=self._cause,
                what=what,
                task_arn=task.arn if task is not None else "",
                container_name=container.definition.name if container is not None else "",
            )
        )

    def ignore(self, why: str) -> None:
        """Say that the event is late, repeated or unknown, and changes nothing."""
        self.note(NoChange(why=why))

    def runtime_is_away(self) -> None:
        """A call could not reach the runtime: decide no other until it is back and has been listed."""
        if self.runtime_connected:
            self.runtime_connected = False
            self.reconciled = False
            self.act(ReconnectRuntime())

    # --- tasks -------------------------------------------------------------------------------

    @property
    def tasks(self) -> Mapping[TaskArn, Task]:
        return self._tasks.rows

    @property
    def docker_ids(self) -> Mapping[DockerId, tuple[TaskArn, str]]:
        return self._docker_ids.rows

    def put(self, task: Task) -> Task:
        """Replace a task (or add it) and have the rules run over it."""
        self._dirty[task.arn] = None
        return self._tasks.put(task.arn, task)

    @property
    def changed_tasks(self) -> Iterable[TaskArn]:
        """Whose record was put or dropped."""
        return self._tasks.changed

    def put_settled(self, task: Task) -> None:
        """Replace a task in a way that no rule depends on."""
        self._tasks.put(task.arn, task)

    def put_container(self, task: Task, container: Container) -> Task:
        """Replace one container of a task."""
        name = container.definition.name
        containers = tuple(container if c.definition.name == name else c for c in task.containers)
        return self.put(msgspec.structs.replace(task, containers=containers))

    def drop(self, task: Task) -> None:
        """Forget a task."""
        self._tasks.drop(task.arn)
        self._dirty.pop(task.arn, None)
        for container in task.containers:
            self._docker_ids.drop(container.docker_id)

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
            self._docker_ids.put(docker_id, (arn, container_name))

    # --- what is saved beside records ------------------------------------------------------------

    def remember(self, key: str, value: str) -> None:
        """Save a fact about the agent itself."""
        self._metadata[key] = value

    # --- images and task sources ---------------------------------------------------------------

    @property
    def images(self) -> Mapping[str, ImageRecord]:
        return self._images.rows

    @property
    def sources(self) -> Mapping[str, TaskSource]:
        return self._sources.rows

    def put_image(self, record: ImageRecord) -> None:
        self._images.put(record.name, record)

    def drop_image(self, name: str) -> None:
        self._images.drop(name)

    def put_source(self, source: TaskSource) -> None:
        self._sources.put(source.key, source)

    def drop_source(self, key: str) -> None:
        self._sources.drop(key)

    # --- the end -------------------------------------------------------------------------------

    def decision(self) -> Decision:
        """All that came of the event."""
        return Decision(
            state=self.new_state(),
            actions=tuple(self._actions),
            notes=tuple(self._notes),
            tasks=tuple(self._tasks.changed),
            images=tuple(self._images.changed),
            sources=tuple(self._sources.changed),
            metadata=self._metadata,
        )
