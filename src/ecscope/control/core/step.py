"""One decision while it is being made: a working copy of the state, and what is wanted done.

Rules read and write through it; at its end stands a new frozen state, the records that changed and the effects.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Generic, TypeVar

import msgspec

from ecscope.control.core.effects import AnyEffect
from ecscope.control.core.events import AnyEvent
from ecscope.control.core.records import Cluster, Instance, Json, Record, Service, Task, TaskDefinition, Token
from ecscope.control.core.state import ControlState, Settings
from ecscope.model.arn import TaskArn
from ecscope.model.resources import HostResources

REVISION_KEY = "revision/"
"""Before the name of a family, in the table ``meta``: its newest revision was deleted, and had this number."""

K = TypeVar("K", bound=str)
V = TypeVar("V")


class Table(Generic[K, V]):
    """Rows by key, copied when the first one is changed."""

    def __init__(self, rows: Mapping[K, V]) -> None:
        self.before = rows
        """As it was when the decision began."""
        self.rows: Mapping[K, V] = rows
        self.changed: dict[K, None] = {}

    def __contains__(self, key: object) -> bool:
        return key in self.rows

    def __iter__(self) -> Iterator[V]:
        return iter(self.rows.values())

    def __len__(self) -> int:
        return len(self.rows)

    def get(self, key: K) -> V | None:
        return self.rows.get(key)

    def __getitem__(self, key: K) -> V:
        return self.rows[key]

    def put(self, key: K, row: V) -> V:
        """Add or replace; gives the row back."""
        self._own()[key] = row
        self.changed[key] = None
        return row

    def drop(self, key: K) -> None:
        """Forget; nothing when it is not there."""
        if key in self.rows:
            del self._own()[key]
            self.changed[key] = None

    def _own(self) -> dict[K, V]:
        if self.rows is self.before:
            self.rows = dict(self.before)
        assert isinstance(self.rows, dict)
        return self.rows


def _in_books(task: Task) -> tuple[object, ...]:
    return task.is_stopped, task.instance_arn, task.service_arn, task.group, task.needs


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What one event leads to."""

    state: ControlState
    answer: Json | None = None
    """To an ``ApiRequest``."""
    effects: tuple[AnyEffect, ...] = ()
    records: Mapping[str, Mapping[str, Record | str | int | None]] = {}
    """Table → key → the record as it is now, ``None``: it is gone. All that is to be saved."""


class Step:
    """See the module docstring."""

    def __init__(self, state: ControlState, event: AnyEvent) -> None:
        self._before = state
        self.event = event
        self.clusters: Table[str, Cluster] = Table(state.clusters)
        self.task_definitions: Table[str, TaskDefinition] = Table(state.task_definitions)
        self.instances: Table[str, Instance] = Table(state.instances)
        self.services: Table[str, Service] = Table(state.services)
        self.account_settings: Table[str, str] = Table(state.account_settings)
        self.tokens: Table[str, Token] = Table(state.tokens)
        self._tasks: Table[TaskArn, Task] = Table(state.tasks)
        self._tasks_on: Table[str, frozenset[TaskArn]] = Table(state.tasks_on)
        self._taken: Table[str, HostResources] = Table(state.taken)
        self._tasks_of: Table[str, frozenset[TaskArn]] = Table(state.tasks_of)
        self._groups_on: Table[str, Mapping[str, int]] = Table(state.groups_on)
        self._revisions: Table[str, int] = Table(state.revisions)
        self._retired: dict[str, int] = {}
        """What tells the newest revision of a family when the definition itself is gone."""
        self._sequence = state.sequence
        self._effects: list[AnyEffect] = []
        self._ids = 0
        self.touched_services: dict[str, None] = {}
        """Services to look at before the decision is done."""

    @property
    def at(self) -> datetime:
        return self.event.at

    @property
    def settings(self) -> Settings:
        return self._before.settings

    @property
    def principal_arn(self) -> str:
        """Who asks; ``""``: nobody does, it happens by itself."""
        return getattr(self.event, "principal_arn", "")

    # --- made up, and yet decided ------------------------------------------------------------------

    def new_id(self) -> str:
        """32 hex digits: the same for the same event, and never twice."""
        self._ids += 1
        return sha256(f"{self.event.id}/{self._ids}".encode()).hexdigest()[:32]

    def new_uuid(self) -> str:
        """The same as a UUID."""
        hexes = self.new_id()
        return f"{hexes[:8]}-{hexes[8:12]}-4{hexes[13:16]}-a{hexes[17:20]}-{hexes[20:]}"

    def new_digits(self, count: int) -> str:
        """Decimal digits, the first one not 0."""
        number = int(self.new_id(), 16)
        return str(10 ** (count - 1) + number % (9 * 10 ** (count - 1)))

    def next_sequence(self) -> int:
        """For a payload or a manifest. Rises over restarts, also if the last one was not saved."""
        self._sequence = max(self._sequence + 1, int(self.at.timestamp()))
        return self._sequence

    def act(self, effect: AnyEffect) -> None:
        """Want something done, once this decision is saved."""
        self._effects.append(effect)

    # --- tasks, with what is derived from them -------------------------------------------------------

    @property
    def tasks(self) -> Mapping[TaskArn, Task]:
        return self._tasks.rows

    def changed_tasks(self) -> Iterator[tuple[Task | None, Task | None]]:
        """What became of tasks in this decision: before, ``None``: it is new; and now, ``None``: it is forgotten."""
        return ((self._tasks.before.get(arn), self._tasks.get(arn)) for arn in tuple(self._tasks.changed))

    @property
    def taken(self) -> Mapping[str, HostResources]:
        """Instance ARN → what its tasks take."""
        return self._taken.rows

    @property
    def tasks_on(self) -> Mapping[str, frozenset[TaskArn]]:
        """Instance ARN → its tasks that are not STOPPED."""
        return self._tasks_on.rows

    @property
    def tasks_of(self) -> Mapping[str, frozenset[TaskArn]]:
        """Service ARN → its tasks that are not STOPPED."""
        return self._tasks_of.rows

    @property
    def groups_on(self) -> Mapping[str, Mapping[str, int]]:
        """Instance ARN → task group → how many of its tasks are not STOPPED."""
        return self._groups_on.rows

    def put_task(self, task: Task) -> Task:
        """Add or replace a task, and keep the books."""
        was = self._tasks.get(task.arn)
        self._tasks.put(task.arn, task)
        if was is None or _in_books(was) != _in_books(task):
            if was is not None and not was.is_stopped:
                self._leave(was)
            if not task.is_stopped:
                self._enter(task)
        if task.service_arn:
            self.touched_services[task.service_arn] = None
        return task

    def drop_task(self, task: Task) -> None:
        """Forget a task that is STOPPED."""
        assert task.is_stopped
        self._tasks.drop(task.arn)

    def _enter(self, task: Task) -> None:
        on, of = task.instance_arn, task.service_arn
        self._tasks_on.put(on, self._tasks_on.rows.get(on, frozenset()) | {task.arn})
        self._taken.put(on, self._taken.rows.get(on, HostResources()).plus(task.needs))
        self._count_group(task, 1)
        if of:
            self._tasks_of.put(of, self._tasks_of.rows.get(of, frozenset()) | {task.arn})

    def _leave(self, task: Task) -> None:
        on, of = task.instance_arn, task.service_arn
        if here := self._tasks_on.rows[on] - {task.arn}:
            self._tasks_on.put(on, here)
            self._taken.put(on, self._taken.rows[on].minus(task.needs))
            self._count_group(task, -1)
        else:  # no trace of those that come and go
            self._tasks_on.drop(on)
            self._taken.drop(on)
            self._groups_on.drop(on)
        if of:
            if others := self._tasks_of.rows[of] - {task.arn}:
                self._tasks_of.put(of, others)
            else:
                self._tasks_of.drop(of)

    def _count_group(self, task: Task, by: int) -> None:
        counts = dict(self._groups_on.rows.get(task.instance_arn, {}))
        counts[task.group] = counts.get(task.group, 0) + by
        if not counts[task.group]:
            del counts[task.group]
        self._groups_on.put(task.instance_arn, counts)

    # --- task definitions ----------------------------------------------------------------------------

    def newest_revision(self, family: str) -> int:
        """Of whatever status; 0: the family is new."""
        return self._revisions.rows.get(family, 0)

    def put_task_definition(self, definition: TaskDefinition) -> TaskDefinition:
        self.task_definitions.put(definition.arn, definition)
        if definition.revision > self.newest_revision(definition.family):
            self._revisions.put(definition.family, definition.revision)
        return definition

    def drop_task_definition(self, definition: TaskDefinition) -> None:
        """Forget one for good; its revision's number is not given again."""
        self.task_definitions.drop(definition.arn)
        if definition.revision == self.newest_revision(definition.family):
            self._retired[REVISION_KEY + definition.family] = definition.revision

    # --- the end ---------------------------------------------------------------------------------------

    def decision(self, answer: Json | None = None) -> Decision:
        """All that came of the event."""
        tables: dict[str, Table[str, Record] | Table[str, str]] = {
            "clusters": self.clusters,  # type: ignore[dict-item]  # a table of a kind of records is read as one of records
            "task_definitions": self.task_definitions,  # type: ignore[dict-item]
            "instances": self.instances,  # type: ignore[dict-item]
            "tasks": self._tasks,  # type: ignore[dict-item]
            "services": self.services,  # type: ignore[dict-item]
            "tokens": self.tokens,  # type: ignore[dict-item]
            "account_settings": self.account_settings,
        }
        records: dict[str, dict[str, Record | str | int | None]] = {
            name: {key: table.rows.get(key) for key in table.changed} for name, table in tables.items() if table.changed
        }
        meta: dict[str, Record | str | int | None] = {**self._retired}
        if self._sequence != self._before.sequence:
            meta["sequence"] = self._sequence
        if meta:
            records["meta"] = meta
        state = self._before
        if records:
            state = msgspec.structs.replace(
                state,
                clusters=self.clusters.rows,
                task_definitions=self.task_definitions.rows,
                instances=self.instances.rows,
                tasks=self._tasks.rows,
                services=self.services.rows,
                account_settings=self.account_settings.rows,
                tokens=self.tokens.rows,
                sequence=self._sequence,
                revisions=self._revisions.rows,
                tasks_on=self._tasks_on.rows,
                taken=self._taken.rows,
                tasks_of=self._tasks_of.rows,
                groups_on=self._groups_on.rows,
            )
        return Decision(state=state, answer=answer, effects=tuple(self._effects), records=records)
