"""Tasks that fail are told once, with their cause; what somebody asked for, and what was done, is no failure."""

from __future__ import annotations

from ecscope.control.core.records import Task
from ecscope.control.core.statuses import DesiredStatus, LastStatus, StopCode
from ecscope.model.arn import TaskArn
from ecscope.up.failures import Cause, FailureWatch
from tests.control_builders import a_control_task

CAUSE = Cause(code="exit.error", certainty="proven", sentence="container app ended with 3")


class Told:
    """A watch over tasks that the test sets, and what it says and notes."""

    def __init__(self, *tasks: Task, cause: Cause | None = CAUSE) -> None:
        self.tasks: dict[TaskArn, Task] = {task.arn: task for task in tasks}
        self.said: list[str] = []
        self.noted: list[tuple[str, str, str]] = []
        self.asked: list[str] = []
        self.cause = cause
        self.watch = FailureWatch(
            tasks=lambda: self.tasks,
            explain=self._explain,
            say=self.said.append,
            note=lambda *one: self.noted.append(one),
        )

    def _explain(self, arn: str) -> Cause | None:
        self.asked.append(arn)
        return self.cause

    async def after(self, *tasks: Task) -> None:
        self.tasks = {**self.tasks, **{task.arn: task for task in tasks}}
        await self.watch.look()


def stopped(number: int, code: StopCode = StopCode.ESSENTIAL_CONTAINER_EXITED, **fields: object) -> Task:
    return a_control_task(
        number, last_status=LastStatus.STOPPED, desired_status=DesiredStatus.STOPPED, stop_code=code, **fields
    )


async def test_a_failure_is_told_once() -> None:
    told = Told(stopped(1), a_control_task(2))
    await told.after(stopped(2))
    await told.after()
    (line,) = told.said
    assert line.endswith("failed: container app ended with 3 (exit.error, proven)")
    assert told.asked == [stopped(2).arn]
    assert told.noted == []


async def test_the_events_of_a_service_carry_the_code() -> None:
    told = Told()
    await told.after(stopped(1, service_arn="arn:service"))
    assert told.noted == [(stopped(1).arn, "exit.error", "container app ended with 3")]


async def test_tasks_that_fail_at_once_are_one_line_and_one_look() -> None:
    told = Told()
    await told.after(*(stopped(number) for number in range(1, 1001)))
    (line,) = told.said
    assert line.endswith("; 999 more of sample:1 failed")
    assert len(told.asked) == 1


async def test_what_was_asked_for_is_no_failure() -> None:
    told = Told()
    await told.after(stopped(1, StopCode.USER_INITIATED), stopped(2, StopCode.SERVICE_SCHEDULER_INITIATED))
    assert told.asked == []
    ill = "Task failed container health checks"
    await told.after(stopped(3, StopCode.SERVICE_SCHEDULER_INITIATED, stopped_reason=ill))
    assert len(told.said) == 1


async def test_a_task_that_did_its_work_and_one_of_which_nothing_is_known() -> None:
    done = Told(cause=Cause(code="exit.zero_essential", certainty="proven", sentence="ended with 0"))
    await done.after(stopped(1))
    assert done.said == []
    await done.after(stopped(2, service_arn="arn:service"))
    assert len(done.said) == 1
    unknown = Told(cause=None)
    await unknown.after(stopped(1))
    assert unknown.said == []
