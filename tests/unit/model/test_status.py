"""Statuses have the official names and order, and container statuses stand for task statuses by the table."""

from __future__ import annotations

import itertools

import pytest

from ecscope.model.status import ContainerStatus, HealthStatus, TaskStatus, task_status_of
from tests.tables import each_row

CONTAINER_ORDER = ["NONE", "MANIFEST_PULLED", "PULLED", "CREATED", "RUNNING", "RESOURCES_PROVISIONED", "STOPPED"]
TASK_ORDER = ["NONE", "MANIFEST_PULLED", "CREATED", "RUNNING", "STOPPED"]


def test_container_statuses_are_those_of_the_table_in_its_order() -> None:
    """engine.md §1.1; ``ZOMBIE`` is a marker that is not needed here."""
    assert [s.value for s in ContainerStatus] == CONTAINER_ORDER
    assert [s.rank for s in ContainerStatus] == list(range(7))


def test_task_statuses_are_those_of_the_table_in_its_order() -> None:
    """engine.md §1.2."""
    assert [s.value for s in TaskStatus] == TASK_ORDER
    assert sorted(TaskStatus) == list(TaskStatus)


@pytest.mark.parametrize("kind", [ContainerStatus, TaskStatus])
def test_statuses_compare_by_their_order(kind: type[ContainerStatus] | type[TaskStatus]) -> None:
    members = list(kind)
    for (i, a), (j, b) in itertools.product(enumerate(members), repeat=2):
        assert (a < b, a <= b, a > b, a >= b) == (i < j, i <= j, i > j, i >= j)


def test_statuses_of_different_kinds_do_not_compare() -> None:
    container, task = ContainerStatus.RUNNING, TaskStatus.RUNNING
    for compare in ("__lt__", "__le__", "__gt__", "__ge__"):
        assert getattr(container, compare)(task) is NotImplemented
        assert getattr(container, compare)(4) is NotImplemented
    with pytest.raises(TypeError):
        _ = container < task


@each_row(
    "container, task",
    [
        ("NONE", "NONE"),
        ("MANIFEST_PULLED", "MANIFEST_PULLED"),
        ("PULLED", "MANIFEST_PULLED"),
        ("CREATED", "CREATED"),
        ("RUNNING", "RUNNING"),
        ("RESOURCES_PROVISIONED", "RUNNING"),
        ("STOPPED", "STOPPED"),
    ],
)
def test_a_container_status_stands_for_a_task_status(container: str, task: str) -> None:
    """engine.md §1.2, the table."""
    assert task_status_of(ContainerStatus(container)) is TaskStatus(task)


def test_a_container_that_goes_further_than_running_stands_for_created_until_it_has() -> None:
    """engine.md §1.2."""
    steady = ContainerStatus.RESOURCES_PROVISIONED
    found = {status.value: task_status_of(status, steady=steady).value for status in ContainerStatus}
    assert found == {
        "NONE": "NONE", "MANIFEST_PULLED": "MANIFEST_PULLED", "PULLED": "MANIFEST_PULLED", "CREATED": "CREATED",
        "RUNNING": "CREATED", "RESOURCES_PROVISIONED": "RUNNING", "STOPPED": "STOPPED",
    }  # fmt: skip


def test_health_knows_two_verdicts_and_unknown() -> None:
    """engine.md §10.1."""
    assert [h.value for h in HealthStatus] == ["UNKNOWN", "HEALTHY", "UNHEALTHY"]
