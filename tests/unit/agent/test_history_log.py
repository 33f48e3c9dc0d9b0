"""A task's life is a few short lines with its family; single steps are for debugging."""

import logging

import pytest

from ecscope.agent.core.state import AgentState
from ecscope.agent.history_log import level_of, log_entry
from ecscope.log import LogfmtFormatter
from ecscope.model import history
from ecscope.model.status import ContainerStatus, TaskStatus
from tests.builders import a_task, an_entry
from tests.unit.agent.core.scenes import running
from tests.world import INSTANCE, World


def lines(world: World, caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.clear()
    for entry in world.notes:
        log_entry(entry, world.state)
    return [LogfmtFormatter().format(record) for record in caplog.records]


def test_a_task_that_starts_gives_few_short_lines_with_its_family(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="ecscope.engine")
    world = running(a_task())
    task_lines = [line for line in lines(world, caplog) if " task=" in line]
    assert 3 <= len(task_lines) <= 6
    assert all(" family=sample:1 task=" in line for line in task_lines)
    assert max(map(len, task_lines)) < 230
    assert any("RUNNING" in line for line in task_lines)


def test_steps_are_for_debugging_and_ends_are_not() -> None:
    def container(to: ContainerStatus) -> int:
        return level_of(history.ContainerStatusChanged(before=ContainerStatus.NONE, to=to, why=""))

    assert {status: container(status) for status in ContainerStatus} == {
        status: logging.INFO if status in (ContainerStatus.RUNNING, ContainerStatus.STOPPED) else logging.DEBUG
        for status in ContainerStatus
    }
    changed = history.TaskStatusChanged(
        before=TaskStatus.RUNNING, to=TaskStatus.STOPPED, desired=TaskStatus.STOPPED, reason=""
    )
    assert level_of(changed) == logging.INFO
    assert level_of(history.ContainerError(doing="create", error_name="X", message="")) == logging.WARNING


def test_a_task_that_is_gone_has_its_id(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="ecscope.engine")
    entry = an_entry(history.TaskCleanedUp())
    log_entry(entry, AgentState(instance=INSTANCE))
    [record] = caplog.records
    assert record.task == entry.task_arn.rpartition("/")[2]
    assert not hasattr(record, "family")
