"""Where awsvpc tasks are reached from this host: said once of each task, when its ports are published."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from ecscope.control.core.records import Task
from ecscope.model.arn import TaskArn, task_id

_LOOK_S = 0.5
_MOST_AT_ONCE = 3
"""Of one family; further ones are counted."""


class PortWatch:
    """Run it as long as tasks are watched."""

    def __init__(self, *, tasks: Callable[[], Mapping[TaskArn, Task]], say: Callable[[str], None]) -> None:
        """``tasks``: those of the published state; whose ports are published by now is not said."""
        self._tasks = tasks
        self._say = say
        self._seen = tasks()
        self._known = {arn for arn, task in self._seen.items() if ports_on_loopback(task)}

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            self.look()

    def look(self) -> None:
        """Once: whose ports have been published since the last time."""
        tasks = self._tasks()
        if tasks is self._seen:
            return
        self._seen = tasks
        self._known &= tasks.keys()
        families: dict[str, list[str]] = {}
        for arn, task in tasks.items():
            if arn not in self._known and not task.is_stopped and (ports := ports_on_loopback(task)):
                self._known.add(arn)
                family = task.definition_arn.rpartition("/")[2]
                families.setdefault(family, []).append(f"task {task_id(arn)} ({family}): {', '.join(ports)}")
        for family, lines in families.items():
            for line in lines[:_MOST_AT_ONCE]:
                self._say(line)
            if (more := len(lines) - _MOST_AT_ONCE) > 0:
                self._say(f"{more} more of {family}: `ecscope tasks` shows their ports")


def ports_on_loopback(task: Task) -> list[str]:
    """``web 127.0.0.1:8080->80/tcp`` for each port, or range, that an awsvpc task has there; of others none."""
    if task.interface is None:
        return []
    return [
        f"{container.name} {bound['bindIP']}:{on_host}->{inside}/{bound['protocol']}"
        for container in task.containers
        for bound in container.network_bindings
        if (on_host := bound.get("hostPort") or bound.get("hostPortRange"))
        and (inside := bound.get("containerPort") or bound.get("containerPortRange"))
    ]
