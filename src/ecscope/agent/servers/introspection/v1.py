"""``/v1/metadata`` and ``/v1/tasks``: answers as a function of the agent's state and the query.

Refuses to know anything of HTTP beyond a status code. An unchanged task is never encoded
twice: states are replaced and never changed, so a ``Task`` that is the same object has the
same JSON.

Terms: the *lookup key* of a container is its Docker ID, or, while that is not known, the name
chosen for it.

Source: introspection-api.md §5, §6.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping

import msgspec

from ecscope.agent.core.state import AgentState
from ecscope.agent.servers import go_json
from ecscope.agent.servers.go_time import timestamp
from ecscope.log import DOCKER_ID, TASK_ARN
from ecscope.model.arn import DockerId, TaskArn
from ecscope.model.container import Container
from ecscope.model.container_instance import ContainerInstance
from ecscope.model.status import TaskStatus
from ecscope.model.task import Task

EMPTY_TASK = b'{"Arn":"","KnownStatus":"","Family":"","Version":"","Containers":null}'
"""The body of every failed single lookup. Source: introspection-api.md §6.3."""

SHORT_ID_BYTES = 12
"""Up to here a Docker ID is a prefix; a longer one must match whole. Source: introspection-api.md §6.2."""


class Metadata(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """Source: introspection-api.md §5."""

    cluster: str
    container_instance_arn: str | None
    version: str = ""
    """``""``: hidden."""


class PortEntry(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """Source: introspection-api.md §6.9; the fields are in wire order."""

    container_port: int = 0
    protocol: str
    host_port: int = 0


class VolumeEntry(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """Source: introspection-api.md §6.11."""

    docker_name: str = ""
    source: str = ""
    destination: str = ""


class ContainerEntry(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """Source: introspection-api.md §6.8. Fields without a default are always sent."""

    docker_id: str
    docker_name: str
    name: str
    image: str
    image_id: str = msgspec.field(name="ImageID")
    created_at: str = ""
    started_at: str = ""
    ports: tuple[PortEntry, ...] = ()
    volumes: tuple[VolumeEntry, ...] = ()
    restart_count: int | msgspec.UnsetType = msgspec.UNSET


class TaskEntry(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """Source: introspection-api.md §6.5."""

    arn: str
    desired_status: str = ""
    known_status: str
    family: str
    version: str
    containers: tuple[ContainerEntry, ...]


class LookupFailed(Exception):
    """No task, or more than one, answers to what was asked for.

    ``status`` is 400 or 404; the rest is for the log: why, and the key with the name of its field.
    """

    def __init__(self, status: int, reason: str, *, field: str = "", key: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.field = field
        self.key = key


# --- objects ------------------------------------------------------------------------------------


def metadata(instance: ContainerInstance, *, hide_version: bool = False) -> Metadata:
    """Who this agent is."""
    return Metadata(
        cluster=instance.cluster,
        container_instance_arn=instance.arn or None,
        version="" if hide_version else instance.agent_version,
    )


def task_entry(task: Task) -> TaskEntry:
    """One task as the API shows it. Source: introspection-api.md §6.5."""
    known, desired = _progress(task.known), _progress(task.desired)
    return TaskEntry(
        arn=task.arn,
        desired_status="" if known > desired else _WORDS[desired],
        known_status=_WORDS[known],
        family=task.family,
        version=task.version,
        containers=tuple(container_entry(c) for c in task.containers if _lookup_key(c) and not c.is_agents_own),
    )


def container_entry(container: Container) -> ContainerEntry:
    """One container as the API shows it. Source: introspection-api.md §6.8."""
    return ContainerEntry(
        docker_id=container.docker_id,
        docker_name=container.docker_name,
        name=container.name,
        image=container.definition.image,
        image_id=container.image_id,
        created_at=timestamp(container.created_at),
        started_at=timestamp(container.started_at),
        ports=_ports(container),
        volumes=tuple(
            VolumeEntry(docker_name=mount.name, source=mount.source, destination=mount.destination)
            for mount in container.mounts
        ),
        restart_count=container.restart_count if container.restarts else msgspec.UNSET,
    )


_WORDS = ("PENDING", "RUNNING", "STOPPED")
"""All values that the API has for a status, in ascending order."""


def _progress(status: TaskStatus) -> int:
    """Index into ``_WORDS``: everything before RUNNING is pending."""
    return max(0, status.rank - TaskStatus.RUNNING.rank + 1)


def _ports(container: Container) -> tuple[PortEntry, ...]:
    """What Docker bound, or, when that is nothing, what the definition asks for."""
    if container.bindings:
        return tuple(
            PortEntry(container_port=bound.container_port, protocol=bound.protocol, host_port=bound.host_port)
            for bound in container.bindings
        )
    return tuple(
        PortEntry(container_port=asked.container_port, protocol=asked.protocol, host_port=asked.host_port)
        for asked in container.definition.port_mappings
    )


def _lookup_key(container: Container) -> str:
    """``""``: the container cannot be looked up, and is not shown. The agent's own are looked up, and not shown either.

    Source: introspection-api.md §6.2.
    """
    return container.docker_id or container.docker_name


# --- answers ------------------------------------------------------------------------------------


class TaskViews:
    """Encoded tasks and an index over lookup keys, brought up to date from one state to the next.

    Only what changed between two states is encoded and indexed again.
    """

    def __init__(self) -> None:
        self._fragments: dict[TaskArn, tuple[Task, bytes]] = {}
        self._listed: Mapping[TaskArn, Task] | None = None
        self._list = b""
        self._index = _KeyIndex()

    def list_all(self, state: AgentState) -> bytes:
        """The body of ``/v1/tasks`` without parameters."""
        if self._listed is not state.tasks:
            if len(self._fragments) > len(state.tasks):
                self._fragments = {arn: kept for arn, kept in self._fragments.items() if arn in state.tasks}
            self._list = (
                b'{"Tasks":['
                + b",".join(self._fragment(task) for task in state.tasks.values() if not task.is_refused)
                + b"]}"
            )
            self._listed = state.tasks
        return self._list

    def by_arn(self, state: AgentState, arn: str) -> bytes:
        """The task of that full ARN. Raises ``LookupFailed``."""
        task = state.tasks.get(TaskArn(arn))
        if task is None or task.is_refused:
            raise LookupFailed(404, "no task has this ARN", field=TASK_ARN, key=arn)
        return self._fragment(task)

    def by_docker_id(self, state: AgentState, docker_id: str) -> bytes:
        """The task of the container with that lookup key, or prefix of one. Raises ``LookupFailed``."""
        if len(docker_id.encode(errors="surrogateescape")) > SHORT_ID_BYTES:
            return self._by_whole_key(state, docker_id)
        self._index.follow(state.tasks)
        matches = self._index.starting_with(docker_id)
        if not matches:
            raise LookupFailed(404, "no container has this short Docker ID", field=DOCKER_ID, key=docker_id)
        if len(matches) > 1:
            raise LookupFailed(400, "several containers have this short Docker ID", field=DOCKER_ID, key=docker_id)
        return self._fragment(state.tasks[matches[0]])

    def _by_whole_key(self, state: AgentState, key: str) -> bytes:
        arn: TaskArn | None
        if (found := state.docker_ids.get(DockerId(key))) is not None:
            arn = found[0]
        else:
            self._index.follow(state.tasks)
            arn = self._index.exactly(key)
        task = None if arn is None else state.tasks.get(arn)
        if task is None:
            raise LookupFailed(404, "no container has this Docker ID", field=DOCKER_ID, key=key)
        return self._fragment(task)

    def _fragment(self, task: Task) -> bytes:
        kept = self._fragments.get(task.arn)
        if kept is not None and kept[0] is task:
            return kept[1]
        fragment = go_json.encode(task_entry(task))
        self._fragments[task.arn] = (task, fragment)
        return fragment


class _KeyIndex:
    """Lookup keys in order, each with the ARN of its task."""

    def __init__(self) -> None:
        self._followed: Mapping[TaskArn, Task] = {}
        self._pairs: list[tuple[str, TaskArn]] = []

    def follow(self, tasks: Mapping[TaskArn, Task]) -> None:
        """Take in the tasks that are new, changed or gone since the last call."""
        before = self._followed
        if tasks is before:
            return
        changed = [arn for arn, task in tasks.items() if before.get(arn) is not task]
        gone = before.keys() - tasks.keys()
        if len(changed) + len(gone) > len(tasks) // 4:
            self._pairs = sorted(pair for task in tasks.values() for pair in _pairs(task))
        else:
            for arn in (*changed, *gone):
                self._move(_pairs(before.get(arn)), _pairs(tasks.get(arn)))
        self._followed = tasks

    def _move(self, old: Iterable[tuple[str, TaskArn]], new: Iterable[tuple[str, TaskArn]]) -> None:
        old, new = set(old), set(new)
        for pair in old - new:
            del self._pairs[bisect_left(self._pairs, pair)]
        for pair in new - old:
            insort(self._pairs, pair)

    def starting_with(self, prefix: str) -> list[TaskArn]:
        """The tasks of the first containers with that prefix: two at most, possibly the same task."""
        first = bisect_left(self._pairs, (prefix, ""))
        return [arn for key, arn in self._pairs[first : first + 2] if key.startswith(prefix)]

    def exactly(self, key: str) -> TaskArn | None:
        """The task of the container with that key, or ``None``."""
        at = bisect_left(self._pairs, (key, ""))
        if at < len(self._pairs) and self._pairs[at][0] == key:
            return self._pairs[at][1]
        return None


def _pairs(task: Task | None) -> list[tuple[str, TaskArn]]:
    """The lookup keys of a task's containers, each once; empty for no task."""
    if task is None:
        return []
    return [(key, task.arn) for key in dict.fromkeys(map(_lookup_key, task.containers)) if key]
