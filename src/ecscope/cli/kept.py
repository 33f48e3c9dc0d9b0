"""What an agent of this host keeps about tasks: what port 51678 does not show, and all where no agent answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from ecscope.agent.core.pauses import published_ports
from ecscope.agent.store.interface import StoreError
from ecscope.agent.store.reader import read_tasks
from ecscope.cli.client import Client, Port, Task
from ecscope.model import task as model
from ecscope.model.container import Container
from ecscope.model.status import HealthStatus, TaskStatus


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """The records of one agent."""

    data_dir: Path
    tasks: Mapping[str, model.Task]
    """By ARN."""


def kept(client: Client, data_dirs: Sequence[Path], shown: Sequence[Task] | None) -> Kept | None:
    """Of the agent that answered with ``shown``; ``None`` instead of tasks: nobody answered, and any will do.

    ``None``: the agent is on another host, or its state is not found or may not be read.
    """
    if not client.is_local:
        return None
    wanted = {task.arn for task in shown} if shown is not None else None
    for data_dir in data_dirs:
        try:
            tasks = {str(task.arn): task for task in read_tasks(data_dir)}
        except StoreError:
            continue
        if wanted is None or wanted <= tasks.keys():
            return Kept(data_dir=data_dir, tasks=tasks)
    return None


def as_shown(task: model.Task) -> Task:
    """A record as port 51678 would show it."""
    from ecscope.agent.servers.introspection.v1 import task_entry  # noqa: PLC0415 - only where no agent answers

    return Client.task_of(msgspec.json.encode(task_entry(task)))


def with_ports(task: Task, record: model.Task | None) -> Task:
    """With the ports of an awsvpc task as this host reaches them; port 51678 shows them as the task has them.

    ``record``: what is kept of the task; ``None``: nothing, and it stays as it is.
    """
    if record is None or not record.network_mode.has_task_address:
        return task
    containers = []
    for shown in task.containers:
        of_record = record.container(shown.name)
        ports = tuple(
            Port(bound.container_port, bound.protocol, bound.host_port, bound.host_ip)
            for bound in (published_ports(record, of_record) if of_record is not None else ())
        )
        asked = tuple(Port(port.container_port, port.protocol) for port in shown.ports)
        containers.append(msgspec.structs.replace(shown, ports=ports or asked))
    return msgspec.structs.replace(task, containers=tuple(containers))


def state_of(task: model.Task) -> str:
    """What is most worth knowing of it, in a few words: exit codes, what is unhealthy, what it waits for."""
    own = [one for one in task.containers if not one.is_agents_own]
    if task.known is TaskStatus.STOPPED:
        return _end(task, own)
    ill = [one.name for one in own if one.health.status is HealthStatus.UNHEALTHY]
    if ill:
        return f"unhealthy: {', '.join(ill)}"
    if task.known < TaskStatus.RUNNING and task.waiting is not None:
        waiting = [one for one in own if one.waiting is not None]
        return waiting[0].waiting.sentence if waiting and waiting[0].waiting is not None else task.waiting.sentence
    again = sum(one.restart_count or 0 for one in own)
    restarted = f"restarted {again}x" if again else ""
    checked = [one for one in own if one.health.status is HealthStatus.HEALTHY]
    return ", ".join(filter(None, ("healthy" if checked else "", restarted)))


def _end(task: model.Task, own: Sequence[Container]) -> str:
    errors = [one.error for one in own if one.error is not None and one.exit_code is None]
    if task.unsupported or task.terminal_reason:
        return task.unsupported or task.terminal_reason
    if errors:
        return f"{errors[0].name}: {errors[0].message}"
    codes = ", ".join(f"{one.name} {one.exit_code}" for one in own if one.exit_code is not None)
    return f"exit {codes}" if codes else "never ran"
