"""One decision while it is being made: a working copy of the state, and what is wanted done.

Rules read and write through it; it results in a new frozen state, the records that changed and the effects.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import sha256

import msgspec

from ecscope.control.core.effects import AnyEffect
from ecscope.control.core.events import AnyEvent
from ecscope.control.core.records import Json, Record, Task, TaskDefinition
from ecscope.control.core.state import ControlState, Settings
from ecscope.model.arn import TaskArn
from ecscope.model.resources import HostResources
from ecscope.state_table import Draft, Table

LAST_ADDRESS_KEY = "address"
"""In the table ``meta``: ``ControlState.last_address``."""
REVISION_KEY = "revision/"
"""Before the name of a family, in the table ``meta``: its newest revision was deleted, and had this number."""


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


class Step(Draft[ControlState]):
    """See the module docstring."""

    def __init__(self, state: ControlState, event: AnyEvent) -> None:
        super().__init__(state)
        self.event = event
        self.clusters = self.table("clusters", state.clusters)
        self.task_definitions = self.table("task_definitions", state.task_definitions)
        self.instances = self.table("instances", state.instances)
        self.services = self.table("services", state.services)
        self.account_settings = self.table("account_settings", state.account_settings)
        self.tokens = self.table("tokens", state.tokens)
        self.sequence = state.sequence
        """See ``next_sequence``."""
        self.last_address = state.last_address
        self._addresses = self.table("addresses", state.addresses)
        self._tasks = self.table("tasks", state.tasks)
        self._tasks_on = self.table("tasks_on", state.tasks_on)
        self._taken = self.table("taken", state.taken)
        self._tasks_of = self.table("tasks_of", state.tasks_of)
        self._groups_on = self.table("groups_on", state.groups_on)
        self._revisions = self.table("revisions", state.revisions)
        self._retired: dict[str, int] = {}
        """The newest revision of a family, which is kept when the definition itself is deleted."""
        self._effects: list[AnyEffect] = []
        self._ids = 0
        self.touched_services: dict[str, None] = {}
        """Services to look at before the decision is done."""

    @property
    def at(self) -> datetime:
        return self.event.at

    @property
    def settings(self) -> Settings:
        return self.before.settings

    @property
    def principal_arn(self) -> str:
        """The caller; ``""``: none, the control plane acts by itself."""
        return getattr(self.event, "principal_arn", "")

    # --- made up, and yet decided ------------------------------------------------------------------

    def new_id(self) -> str:
        """32 hex digits: the same for the same event, and never repeated."""
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
        self.sequence = max(self.sequence + 1, int(self.at.timestamp()))
        return self.sequence

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

    @property
    def addresses(self) -> Mapping[str, TaskArn]:
        """Address → the task that has it and is not STOPPED."""
        return self._addresses.rows

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
        if task.interface is not None:
            self._addresses.put(task.interface.ipv4, task.arn)
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
        if task.interface is not None:
            self._addresses.drop(task.interface.ipv4)
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
        """Of any status; 0: the family is new."""
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
        if self.sequence != self.before.sequence:
            meta["sequence"] = self.sequence
        if self.last_address != self.before.last_address:
            meta[LAST_ADDRESS_KEY] = self.last_address
        if meta:
            records["meta"] = meta
        return Decision(state=self.new_state(), answer=answer, effects=tuple(self._effects), records=records)
