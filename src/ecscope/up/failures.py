"""Tasks that fail while ``ecscope up`` runs: each is said once, with its cause, which its service notes as well.

Tasks of one family that fail at once are one line: a thousand deaths are not looked at a thousand times.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import msgspec

from ecscope.control.core.records import Task
from ecscope.control.core.statuses import StopCode
from ecscope.model.arn import TaskArn, task_id

_LOOK_S = 0.5
_OF_ITSELF = frozenset({StopCode.TASK_FAILED_TO_START, StopCode.ESSENTIAL_CONTAINER_EXITED})
_UNHEALTHY = "failed container health checks"
_FINE = "exit.zero_essential"
"""Of a task that no service is to keep running, this is what a task that did its work looks like."""


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """Why a task failed."""

    code: str
    certainty: str
    sentence: str


class FailureWatch:
    """Run it as long as tasks are watched."""

    def __init__(
        self,
        *,
        tasks: Callable[[], Mapping[TaskArn, Task]],
        explain: Callable[[str], Cause | None],
        say: Callable[[str], None],
        note: Callable[[str, str, str], None],
    ) -> None:
        """Tasks that have stopped by now are not said.

        Args:
            tasks: those of the published state.
            explain: blocking, called in a thread; ``None``: nothing is known of this task here.
            note: called with ARN, code and sentence of a task of a service.
        """
        self._tasks = tasks
        self._explain = explain
        self._say = say
        self._note = note
        self._seen = tasks()
        self._known = {arn for arn, task in self._seen.items() if task.is_stopped}

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            await self.look()

    async def look(self) -> None:
        """Once: what has failed since the last time."""
        tasks = self._tasks()
        if tasks is self._seen:
            return
        self._seen = tasks
        self._known &= tasks.keys()
        stopped = [task for arn, task in tasks.items() if task.is_stopped and arn not in self._known]
        self._known.update(task.arn for task in stopped)
        families: dict[str, list[Task]] = {}
        for task in stopped:
            if task.stop_code in _OF_ITSELF or _UNHEALTHY in task.stopped_reason.lower():
                families.setdefault(task.definition_arn.rpartition("/")[2], []).append(task)
        for family, failed in families.items():
            await self._tell(family, failed)

    async def _tell(self, family: str, failed: list[Task]) -> None:
        newest = max(failed, key=lambda task: task.stopped_at or task.created_at)
        cause = await asyncio.to_thread(self._explain, newest.arn)
        if cause is None or (cause.code == _FINE and not newest.service_arn):
            return
        others = f"; {len(failed) - 1} more of {family} failed" if len(failed) > 1 else ""
        self._say(
            f"task {task_id(newest.arn)} ({family}) failed: {cause.sentence} ({cause.code}, {cause.certainty}){others}"
        )
        if newest.service_arn:
            self._note(newest.arn, cause.code, cause.sentence)
